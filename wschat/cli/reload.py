"""`--reload`: run the command as a subprocess, and again whenever a Python file has changed. For development."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

from wschat.errors import UsageError

FLAG = "--reload"
"""The option."""
VARIABLE = "WSCHAT_RELOAD"
"""Its environment variable."""


def run_reloading(*names: str) -> None:
    """Run this command without `--reload`, again after each change of a Python file, until it is interrupted.

    The files are those below the working directory and beside each `FILE.py` in `names`. Raises UsageError without watchfiles.
    """
    try:
        from watchfiles import PythonFilter, run_process
    except ImportError:
        raise UsageError(f"{FLAG} needs watchfiles: pip install 'wschat[reload]'") from None
    os.environ.pop(VARIABLE, None)
    # What Python has compiled counts as up to date for a file of the same size and second: a quick change would have no effect.
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    command = [sys.executable, *(word for word in sys.orig_argv[1:] if word != FLAG)]
    run_process(*folders_of(names), target=shlex.join(command), target_type="command", watch_filter=PythonFilter())


def folders_of(names: tuple[str, ...]) -> list[str]:
    """Return the folders to watch: the working directory, and that of each `FILE.py:NAME`, unless it is below."""
    here = Path.cwd()
    folders = {Path(name.rpartition(":")[0]).resolve().parent for name in names if ".py:" in name}
    return [str(here), *sorted(str(folder) for folder in folders if not folder.is_relative_to(here))]
