"""The tables of a history file, and how files of earlier versions get them. To change the tables, add a step at the end."""

from __future__ import annotations

import secrets
import sqlite3

from wschat.errors import UsageError

_STEPS = [
    """
    CREATE TABLE log (epoch TEXT NOT NULL);
    CREATE TABLE rooms (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, last INTEGER NOT NULL);
    CREATE TABLE messages (
        room INTEGER NOT NULL, seq INTEGER NOT NULL, sender TEXT NOT NULL, text TEXT NOT NULL, time REAL NOT NULL,
        PRIMARY KEY (room, seq)
    ) WITHOUT ROWID;
    CREATE TABLE keys (room INTEGER NOT NULL, key TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (room, key)) WITHOUT ROWID;
    CREATE INDEX keys_by_seq ON keys (room, seq);
    CREATE TABLE rules (
        room TEXT NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL, until REAL NOT NULL, decided_by TEXT NOT NULL,
        PRIMARY KEY (room, kind, subject)
    ) WITHOUT ROWID;
    """,
]
VERSION = len(_STEPS)


def migrate(database: sqlite3.Connection, path: str) -> None:
    """Bring a file to this version, all steps or none. Raises UsageError if it is of a later one or somebody else's."""
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise UsageError(f"the history in {path} is of version {version}, and this wschat knows {VERSION} at most: use a newer one")
    if not version and database.execute("SELECT 1 FROM sqlite_schema").fetchone():
        raise UsageError(f"{path} is a database of something else, not a history")
    for number, step in enumerate(_STEPS[version:], version + 1):
        database.executescript(f"BEGIN IMMEDIATE; {step} PRAGMA user_version = {number}; COMMIT;")
    if not database.execute("SELECT 1 FROM log").fetchone():
        database.execute("INSERT INTO log VALUES (?)", (secrets.token_hex(8),))
