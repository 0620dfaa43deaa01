"""The broker that keeps the log and the rules in an SQLite file.

`broker` puts the parts together: `log_writer` appends and deletes, `log_reader`
reads, `connections` opens the file, `file_lock` keeps other servers out of it, `schema` has its tables.
"""
