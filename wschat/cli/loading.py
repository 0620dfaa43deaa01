"""Objects named on the command line: `--app MODULE:HANDLER`, `--app FILE.py:HANDLER`, and `--wsgi` in the same way."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from wschat.errors import UsageError


def load_handler(name: str) -> Any:
    """Import and return the handler of `--app`. Raises UsageError for any error of the module."""
    handler = load_object("--app", name, "chat, MODULE:HANDLER or FILE.py:HANDLER")
    if not callable(handler) and not isinstance(handler, Mapping):
        attribute = name.rpartition(":")[2]
        raise UsageError(f"--app {name}: {attribute} must be a function, a mapping of paths or a WebSocketHandler class, not {handler!r}")
    return handler


def load_object(flag: str, name: str, forms: str) -> Any:
    """Import and return the object that `MODULE:NAME` or `FILE.py:NAME` names. Raises UsageError for any error of the module.

    `flag` is the option, and `forms` are the forms of its value, for messages.
    """
    module_name, _, attribute = name.rpartition(":")
    if not module_name or not attribute:
        raise UsageError(f"{flag} must be {forms}, not {name!r}")
    try:
        module = _import_file(Path(module_name)) if module_name.endswith(".py") else _import_module(module_name)
        return getattr(module, attribute)
    except SystemExit as error:
        raise UsageError(f"{flag} {name}: the module exited ({error!r}): put code for scripts under `if __name__ == '__main__'`") from None
    except Exception as error:
        raise UsageError(f"{flag} {name}: {type(error).__name__}: {' '.join(str(error).split())}") from None


def _import_module(name: str) -> ModuleType:
    """Import a module, also from the working directory: `python -m` puts that on the path, a console script does not."""
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.insert(0, os.getcwd())
    return importlib.import_module(name)


def _import_file(path: Path) -> ModuleType:
    """Import a file as a module. Its folder is put on the path, as for a script."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be imported")
    sys.path.insert(0, str(path.resolve().parent))
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)
    spec.loader.exec_module(module)
    return module
