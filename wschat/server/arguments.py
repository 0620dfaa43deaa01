"""Arguments of a server that could never work: found when it is made."""

from __future__ import annotations

from collections.abc import Iterable

from wschat.errors import UsageError
from wschat.limits import Limits
from wschat.protocol.deflate import Deflate
from wschat.protocol.syntax import is_token


def check_types(limits: object, deflate: object) -> None:
    """Raise UsageError for limits and a compression that are none."""
    if not isinstance(limits, Limits):
        raise UsageError(f"limits must be a wschat.Limits, not {limits!r}")
    if deflate is not None and not isinstance(deflate, Deflate):
        raise UsageError(f"deflate must be a wschat.Deflate, or None for no compression, not {deflate!r}")


def check_lists(**lists: Iterable[object]) -> None:
    """Raise UsageError for a list that is one text, or holds something else than texts; of `subprotocols` also for a bad name."""
    for name, values in lists.items():
        if isinstance(values, (str, bytes)):
            raise UsageError(f"{name} must be a list of texts, not the text {values!r}")
        for value in values:
            if not isinstance(value, str):
                raise UsageError(f"{name} must be a list of texts: {value!r} is none")
            if name == "subprotocols" and not is_token(value):
                raise UsageError(f"a subprotocol must have letters, digits and !#$%&'*+.^_`|~- only, not {value!r}")
