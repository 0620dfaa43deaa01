"""Handlers named on the command line: `--app MODULE:HANDLER` or `--app FILE.py:HANDLER`."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from wschat.errors import UsageError


def load_handler(name: str) -> Any:
    """Import and return the handler that `MODULE:HANDLER` or `FILE.py:HANDLER` names. Raises UsageError for any error of the module."""
    module_name, _, attribute = name.rpartition(":")
    if not module_name or not attribute:
        raise UsageError(f"--app must be chat, MODULE:HANDLER or FILE.py:HANDLER, not {name!r}")
    try:
        module = _import_file(Path(module_name)) if module_name.endswith(".py") else importlib.import_module(module_name)
        handler = getattr(module, attribute)
    except SystemExit as error:
        raise UsageError(f"--app {name}: the module exited ({error!r}): put code for scripts under `if __name__ == '__main__'`") from None
    except Exception as error:
        raise UsageError(f"--app {name}: {type(error).__name__}: {' '.join(str(error).split())}") from None
    if not callable(handler):
        raise UsageError(f"--app {name}: {attribute} must be a function or a WebSocketHandler class, not {handler!r}")
    return handler


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
