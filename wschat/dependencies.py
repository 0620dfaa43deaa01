"""Checks that no file hides a library that wschat needs by having its name. Imported before the libraries."""

from __future__ import annotations

import sys
from importlib.util import find_spec

# Import names, and the projects that provide them. Each is a package, so a plain module of that name is another file.
_LIBRARIES = {"h11": "h11", "simple_websocket": "simple-websocket", "websocket": "websocket-client", "wsproto": "wsproto"}
_LIBRARIES_OF_COMMANDS = {"click": "click", "platformdirs": "platformdirs"}


def check_dependencies() -> None:
    """Raise ImportError if a module hides a library, as a script called `websocket.py` does."""
    # `python -m` imports the packages around a module while it looks for it; the first argument is "-m" meanwhile.
    is_command = sys.argv[:1] == ["-m"]
    for name, project in (_LIBRARIES | _LIBRARIES_OF_COMMANDS if is_command else _LIBRARIES).items():
        try:
            spec = find_spec(name)
        except ValueError:  # a module that was put into sys.modules without a spec
            continue
        if spec is not None and spec.submodule_search_locations is None:
            raise ImportError(f"{spec.origin} hides {project}, which wschat needs: rename it", name=name, path=spec.origin)


check_dependencies()
