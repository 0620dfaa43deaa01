"""Whether the engine is compiled: the modules that `setup.py` lists, by mypyc, from the same source."""

from __future__ import annotations

from types import FunctionType

from wschat.protocol.frames import encode_frame

IS_COMPILED = not isinstance(encode_frame, FunctionType)
"""True if the engine is compiled, False if the interpreter runs it."""
