"""The broker that keeps the log and the rules in Redis or Valkey, for any number of servers (nodes) at once.

`broker` puts the parts together: `appender` appends, `reader` follows the rooms that have subscribers here, which `following` lists,
`room_log` reads, `scripts` holds what Redis runs as one step, `keys` names all keys, and `server` connects.
"""
