"""The tables of a history file, and how files of earlier versions get them. To change the tables, add a step at the end."""

from __future__ import annotations

import secrets
import sqlite3

from wschat.errors import UsageError

# Says in a file's header whose it is: "wsch".
_APPLICATION_ID = 0x77736368
_STEPS = [
    """
    CREATE TABLE log (epoch TEXT NOT NULL);
    CREATE TABLE rooms (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, last INTEGER NOT NULL);
    CREATE TABLE messages (
        room INTEGER NOT NULL, seq INTEGER NOT NULL, sender TEXT NOT NULL, text TEXT NOT NULL, time REAL NOT NULL,
        PRIMARY KEY (room, seq)
    ) WITHOUT ROWID;
    CREATE TABLE keys (
        room INTEGER NOT NULL, key TEXT NOT NULL, seq INTEGER NOT NULL, digest BLOB NOT NULL,
        PRIMARY KEY (room, key)
    ) WITHOUT ROWID;
    CREATE INDEX keys_by_seq ON keys (room, seq);
    CREATE TABLE rules (
        room TEXT NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL, until REAL NOT NULL, decided_by TEXT NOT NULL,
        PRIMARY KEY (room, kind, subject)
    ) WITHOUT ROWID;
    """,
    # `seen` is when the server was last seen running, `floor` the highest number in a room that is forgotten, and a room's `time` that
    # of its last message.
    """
    ALTER TABLE log ADD COLUMN seen REAL;
    ALTER TABLE log ADD COLUMN floor INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE rooms ADD COLUMN time REAL NOT NULL DEFAULT 0;
    UPDATE rooms SET time = coalesce((SELECT time FROM messages WHERE room = rooms.id ORDER BY seq DESC LIMIT 1), 0);
    UPDATE log SET seen = (SELECT max(time) FROM rooms);
    """,
]
VERSION = len(_STEPS)


def check(database: sqlite3.Connection, path: str) -> None:
    """Raise UsageError if this file is somebody else's, or of a later version. Changes nothing."""
    (owner,) = database.execute("PRAGMA application_id").fetchone()
    (version,) = database.execute("PRAGMA user_version").fetchone()
    is_new = not owner and not version and not database.execute("SELECT 1 FROM sqlite_master").fetchone()
    if owner != _APPLICATION_ID and not is_new:
        raise UsageError(f"{path} is a database of something else, not a history")
    if version > VERSION:
        raise UsageError(f"the history in {path} is of version {version}, and this wschat knows {VERSION} at most: use a newer one")


def migrate(database: sqlite3.Connection) -> None:
    """Bring a file that was checked to this version, all steps or none."""
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version == VERSION:
        return
    new_log = f"INSERT INTO log (epoch) VALUES ('{secrets.token_hex(8)}');" if not version else ""
    settings = f"PRAGMA application_id = {_APPLICATION_ID}; PRAGMA user_version = {VERSION};"
    try:
        database.executescript(f"BEGIN IMMEDIATE; {''.join(_STEPS[version:])} {new_log} {settings} COMMIT;")
    except sqlite3.Error:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise
