"""What Redis runs as one step, in Lua. Each script names its keys and arguments.

The scripts use nothing newer than Redis 7.0, and the clock of Redis, never that of a node.
"""

from __future__ import annotations

from functools import cache
from hashlib import sha1

BATCH_SECONDS = 3600
"""For this many seconds, Redis remembers the results of a node's last batch in a room."""

BEHIND = "WSCHATBEHIND"
"""How the error of a script begins that finds that Redis has lost messages."""

# So many messages are kept besides those that can be read, for nodes that have not delivered them yet.
_SPARE_MESSAGES = 5000

# Of the events of a room, about this many are kept, and after a quiet day none. A node that has missed some reads the members anew.
_MAX_EVENTS = 1000
_EVENTS_SECONDS = 86_400

# A batch that is sent again, because the connection was lost before its reply, has the results of the first time. If Redis has lost the
# hash of a room but not its stream, as it may with a `maxmemory-policy`, the numbers go on after those of the stream.
APPEND = f"""
local batch_id, floor, epoch, known_last, known_time = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]
local most_messages, oldest_age, most_keys = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local first_draft = 9
local room_key, log_key, keys_key, key_order_key, batch_key, epoch_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]

local stored = redis.call('GET', batch_key)
if stored then
    local id, reply = cmsgpack.unpack(stored)
    if id == batch_id then return reply end
    if tonumber(id) > tonumber(batch_id) then return redis.error_reply('a later batch was appended') end
end
if redis.call('GET', epoch_key) ~= epoch then return redis.error_reply('{BEHIND} the epoch is another one') end

local room = redis.call('HMGET', room_key, 'last', 'time')
local last, stored_time = tonumber(room[1]), room[2] or '0'
if not last then
    if floor == '' then return false end
    last = tonumber(floor)
    local newest = redis.call('XREVRANGE', log_key, '+', '-', 'COUNT', 1)[1]
    if newest then last, stored_time = math.max(last, tonumber(string.match(newest[1], '^%d+'))), newest[2][6] end
end
if last < known_last then return redis.error_reply('{BEHIND} the log is behind') end
local known = known_time ~= '' and redis.call('XRANGE', log_key, ARGV[4] .. '-0', ARGV[4] .. '-0')[1]
if known and known[2][6] ~= known_time then return redis.error_reply('{BEHIND} a message is another one') end

-- One command for many keys costs a fraction of one for each; Lua cannot pass more than some thousand arguments.
local function call_with_each(command, key, values)
    local result = {{}}
    for first = 1, #values, 1000 do
        local part = redis.call(command, key, unpack(values, first, math.min(first + 999, #values)))
        if command == 'HMGET' then for at, value in ipairs(part) do result[first + at - 1] = value end end
    end
    return result
end

local keys, stored_of = {{}}, {{}}
for at = first_draft, #ARGV, 5 do
    if ARGV[at] ~= '' then keys[#keys + 1] = ARGV[at] end
end
for at, value in ipairs(call_with_each('HMGET', keys_key, keys)) do stored_of[keys[at]] = value end

local now = redis.call('TIME')
now = now[1] + now[2] / 1e6
local time = string.format('%.6f', math.max(now, tonumber(stored_time)))
local last_before, topic = last, nil
local reply, new_keys, new_order = {{string.format('%.6f', now)}}, {{}}, {{}}
for at = first_draft, #ARGV, 5 do
    local key, digest, kind = ARGV[at], ARGV[at + 1], ARGV[at + 4]
    local known = stored_of[key]
    if known then
        reply[#reply + 1] = string.sub(known, 1, 8) == digest and -tonumber(string.sub(known, 9)) or 0
    else
        last = last + 1
        local number = string.format('%.0f', last)
        redis.call('XADD', log_key, number .. '-0', 's', ARGV[at + 2], 't', ARGV[at + 3], 'w', time, 'k', kind)
        if key ~= '' then
            stored_of[key] = digest .. number
            new_keys[#new_keys + 1], new_keys[#new_keys + 2] = key, stored_of[key]
            new_order[#new_order + 1] = number .. ' ' .. key
        end
        if kind == 'topic' then topic = {{number, ARGV[at + 2], ARGV[at + 3]}} end
        reply[#reply + 1] = last
    end
end
call_with_each('HSET', keys_key, new_keys)
call_with_each('RPUSH', key_order_key, new_order)

-- The time is that of the last message, by which a node tells it from another one of its number.
if last == last_before then time = stored_time end
redis.call('HSET', room_key, 'last', string.format('%.0f', last), 'time', time)
if topic and topic[3] ~= '' then
    redis.call('HSET', room_key, 'topic_seq', topic[1], 'topic_sender', topic[2], 'topic_text', topic[3], 'topic_time', time)
elseif topic then
    redis.call('HDEL', room_key, 'topic_seq', 'topic_sender', 'topic_text', 'topic_time')
end
redis.call('SET', batch_key, cmsgpack.pack(batch_id, reply), 'EX', {BATCH_SECONDS})

if most_messages > 0 then redis.call('XTRIM', log_key, 'MAXLEN', '~', most_messages + {_SPARE_MESSAGES}) end
local function is_old(entry) return (tonumber(entry[2][6]) or 0) < now - oldest_age end
local oldest = oldest_age > 0 and redis.call('XRANGE', log_key, '-', '+', 'COUNT', 1)[1]
if oldest and is_old(oldest) then
    for _, entry in ipairs(redis.call('XRANGE', log_key, '-', '+', 'COUNT', 100)) do
        if not is_old(entry) then break end
        redis.call('XDEL', log_key, entry[1])
    end
end
local first = redis.call('LINDEX', key_order_key, 0)
while first and tonumber(string.match(first, '^%d+')) <= last - most_keys do
    redis.call('LPOP', key_order_key)
    redis.call('HDEL', keys_key, string.match(first, '^%d+ (.*)$'))
    first = redis.call('LINDEX', key_order_key, 0)
end
return reply
"""
"""Appends the drafts of one room.

Keys: those of the room, of the batch, and the epoch. Arguments: the id of the batch, which increases; the floor, or "" if it was not read;
the epoch that the node knows; the highest number that it has seen, and the time of that message, or "" if it is not known; the most
messages and the greatest age in seconds to be kept, 0 for no limit; the most idempotency keys; then for each draft "k" and its key, or ""
for none; the digest, the sender, the text and the kind.

Returns nil, and does nothing, if the room does not exist and no floor was given; an error that begins with `BEHIND`, if the epoch is
another one, or the log does not have the message that the node has seen. Otherwise the time, and for each draft the number of the
new message; minus the number of the message that was appended with this key before; or 0 if that one has another text.
"""

CHANGE_EPOCH = """
local epoch = redis.call('GET', KEYS[1])
if epoch and epoch ~= ARGV[1] then return epoch end
redis.call('SET', KEYS[1], ARGV[2])
redis.call('XADD', KEYS[2], '*', 'n', '', 'k', 'epoch', 'd', ARGV[2])
return ARGV[2]
"""
"""Sets the epoch, if there is none or it is the one that the node knows, and tells all nodes. Returns the epoch.

Keys: the epoch and the relay. Arguments: the known epoch and a new one.
"""

RAISE_FLOOR = """
local floor = tonumber(redis.call('GET', KEYS[1])) or 0
if tonumber(ARGV[1]) > floor then redis.call('SET', KEYS[1], ARGV[1]) end
"""
"""Key: the floor. Argument: a number that it must not be below."""

FORGET = """
if redis.call('EXISTS', KEYS[1]) == 1 or redis.call('HGET', KEYS[2], 'last') ~= ARGV[1] then return 0 end
return redis.call('DEL', unpack(KEYS))
"""
"""Deletes a room, unless it has members, or a message after the last number that is given. Returns 0 then.

Keys: its members, its hash, and what else is to be deleted. Argument: the last number.
"""


_CHANGE_MEMBER = f"""
local function change(node, sign, name)
    local field = node .. ' ' .. name
    local count
    if sign == '+' then count = redis.call('HSET', KEYS[1], field, '') else count = redis.call('HDEL', KEYS[1], field) end
    if count == 0 then return end
    local newest = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
    local before = newest and newest[1] or ''
    redis.call('XADD', KEYS[2], 'MAXLEN', '~', {_MAX_EVENTS}, '*', 'b', before, 'n', node, 's', sign, 'm', name)
    redis.call('EXPIRE', KEYS[2], {_EVENTS_SECONDS})
end
"""

CHANGE_MEMBERS = f"""{_CHANGE_MEMBER}
for at = 2, #ARGV, 2 do change(ARGV[1], ARGV[at], ARGV[at + 1]) end
"""
"""Adds and removes members of a room. Keys: its members and its events. Arguments: the node, then `+` or `-` and a name for each."""

SET_MEMBERS = f"""{_CHANGE_MEMBER}
local node, wanted = ARGV[1], {{}}
for at = 2, #ARGV do wanted[ARGV[at]] = true end
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
    local name = string.sub(field, #node + 2)
    if string.sub(field, 1, #node + 1) == node .. ' ' and not wanted[name] then change(node, '-', name) end
end
for at = 2, #ARGV do change(node, '+', ARGV[at]) end
"""
"""Makes the members that a node has in a room exactly these. Keys: its members and its events. Arguments: the node and the names."""

RENEW_LEASE = """
local now = tonumber(redis.call('TIME')[1])
local is_new = redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
return {is_new, redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 10)}
"""
"""Renews the lease of a node. Key: the nodes. Arguments: the node and seconds. Returns 1 if it had none, and the nodes that are gone."""


@cache
def sha_of(script: str) -> str:
    """Return the name by which EVALSHA knows a script."""
    return sha1(script.encode(), usedforsecurity=False).hexdigest()
