"""`--app`: a handler of the user's own, from a module or a file."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from wschat.errors import UsageError


def load_handler(name: str) -> Any:
    """Import the handler that `MODULE:HANDLER` or `FILE.py:HANDLER` names. Raises UsageError, whatever the module raises."""
    module_name, _, attribute = name.rpartition(":")
    if not module_name or not attribute:
        raise UsageError(f"--app must be chat, MODULE:HANDLER or FILE.py:HANDLER, not {name!r}")
    try:
        module = _import_file(Path(module_name)) if module_name.endswith(".py") else importlib.import_module(module_name)
        handler = getattr(module, attribute)
    except SystemExit as error:
        raise UsageError(
            f"--app {name}: the module ended the program ({error!r}); what only a script does goes under `if __name__`"
        ) from None
    except Exception as error:
        raise UsageError(f"--app {name}: {type(error).__name__}: {' '.join(str(error).split())}") from None
    if not callable(handler):
        raise UsageError(f"--app {name}: {attribute} must be a function or a WebSocketHandler class, not {handler!r}")
    return handler


def _import_file(path: Path) -> ModuleType:
    """Import a file as a module; what it imports itself may be beside it, as for a script."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be imported")
    sys.path.insert(0, str(path.resolve().parent))
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)
    spec.loader.exec_module(module)
    return module
