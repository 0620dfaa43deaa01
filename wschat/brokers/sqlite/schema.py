"""The tables of the database, and their migration from earlier versions. To change the tables, add a step at the end of `_STEPS`."""

from __future__ import annotations

import secrets
import sqlite3

from wschat.errors import UsageError

# Identifies the application in the header of a file: "wsch".
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
    # `seen` is the last plausible time at which the server was running, `floor` the highest number of any forgotten room, and the
    # `time` of a room that of its last message.
    """
    ALTER TABLE log ADD COLUMN seen REAL;
    ALTER TABLE log ADD COLUMN floor INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE rooms ADD COLUMN time REAL NOT NULL DEFAULT 0;
    UPDATE rooms SET time = coalesce((SELECT time FROM messages WHERE room = rooms.id ORDER BY seq DESC LIMIT 1), 0);
    UPDATE log SET seen = (SELECT max(time) FROM rooms);
    """,
    """
    ALTER TABLE messages ADD COLUMN kind TEXT NOT NULL DEFAULT '';
    CREATE TABLE topics (room INTEGER PRIMARY KEY, seq INTEGER NOT NULL, sender TEXT NOT NULL, text TEXT NOT NULL, time REAL NOT NULL);
    """,
]
VERSION = len(_STEPS)
"""The version of the tables, which a file has as its `user_version`."""


def check_compatible(database: sqlite3.Connection, path: str) -> None:
    """Raise UsageError if a file belongs to another application, or is of a later version. Changes nothing."""
    (owner,) = database.execute("PRAGMA application_id").fetchone()
    (version,) = database.execute("PRAGMA user_version").fetchone()
    is_new = not owner and not version and not database.execute("SELECT 1 FROM sqlite_master").fetchone()
    if owner != _APPLICATION_ID and not is_new:
        raise UsageError(f"{path} is a database of another application, not a history")
    if version > VERSION:
        raise UsageError(f"the history in {path} has version {version}, and this wschat reads versions up to {VERSION}: use a newer one")


def migrate(database: sqlite3.Connection) -> None:
    """Migrate a compatible file to this version: all steps, or none if one raises sqlite3.Error."""
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


def read_epoch(database: sqlite3.Connection) -> str:
    """Return the epoch of the log. Raises sqlite3.DatabaseError if it is missing or damaged."""
    (epoch,) = database.execute("SELECT CAST(epoch AS BLOB) FROM log").fetchone() or (None,)
    if not isinstance(epoch, bytes) or not epoch.isalnum():  # it becomes a part of event ids
        raise sqlite3.DatabaseError("its epoch cannot be read")
    return epoch.decode()
