"""The libraries that wschat needs are not hidden by files of the same names. Imported before any of them is."""

from __future__ import annotations

import sys
from importlib.util import find_spec

# The names that are imported, and the projects that they are of. Each is a package: a plain module is something else.
_LIBRARIES = {"h11": "h11", "simple_websocket": "simple-websocket", "websocket": "websocket-client", "wsproto": "wsproto"}
_LIBRARIES_OF_COMMANDS = {"click": "click", "platformdirs": "platformdirs"}


def check_dependencies() -> None:
    """Raise ImportError if a module has the name of a library, as a script called `websocket.py` has."""
    # While `python -m` looks for a module, which imports the packages around it, the first argument is "-m".
    is_command = sys.argv[:1] == ["-m"]
    for name, project in (_LIBRARIES | _LIBRARIES_OF_COMMANDS if is_command else _LIBRARIES).items():
        try:
            spec = find_spec(name)
        except ValueError:  # a module that was put into sys.modules by hand
            continue
        if spec is not None and spec.submodule_search_locations is None:
            raise ImportError(f"{spec.origin} is in the way of {project}, which wschat needs: rename it", name=name, path=spec.origin)


check_dependencies()
