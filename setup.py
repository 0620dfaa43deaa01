"""Builds the compiled wheel if WSCHAT_COMPILE=1 is in the environment, else the pure one. Everything else is in `setup.cfg`."""

from __future__ import annotations

import os
import sys
from typing import Any

from setuptools import setup

# What runs for each frame, and for each message of the chat (which then takes a tenth less time). The classes that users subclass, patch,
# give attributes or ask for help (Connection, Hub, the server, Deflate) stay interpreted: they call these. The interpreted modules that
# call compiled code which holds locks are listed in `wschat/connection/reentrance.py`. `chat/conversation.py` stays interpreted, because
# it would take one more page of the stack of each thread.
COMPILED = [
    "wschat/protocol/encoding.py",
    "wschat/protocol/frames.py",
    "wschat/protocol/messages.py",
    "wschat/connection/incoming.py",
    "wschat/connection/outbox.py",
    "wschat/connection/pings.py",
    "wschat/connection/receiver.py",
    "wschat/connection/send_buffer.py",
    "wschat/connection/state.py",
    "wschat/connection/transport.py",
    "wschat/brokers/idempotency.py",
    "wschat/brokers/sqlite/log_writer.py",
    "wschat/brokers/write_queue.py",
    "wschat/chat/fields.py",
    "wschat/chat/messages.py",
    "wschat/chat/moderation.py",
    "wschat/chat/new_rooms.py",
    "wschat/chat/parser.py",
    "wschat/chat/schema.py",
    "wschat/chat/text.py",
    "wschat/names.py",
]

options: dict[str, Any] = {}
if os.environ.get("WSCHAT_COMPILE") == "1":
    options["setup_requires"] = ["mypy >= 1.11"]  # installed into the environment of the build before it compiles
    try:
        from mypyc.build import mypycify
    except ImportError:
        if "egg_info" not in sys.argv:  # by which a front end learns what the build requires
            sys.exit("WSCHAT_COMPILE=1 compiles wschat with mypyc, which this environment does not have: pip install mypy")
    else:
        # The types of the rest of the package, and of its requirements, are checked elsewhere.
        checks = ["--config-file=", "--follow-imports=silent", "--ignore-missing-imports"]
        options["ext_modules"] = mypycify([*checks, *COMPILED], opt_level="3")

setup(**options)
