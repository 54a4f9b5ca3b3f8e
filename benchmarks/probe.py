"""Whether a plugin can be imported at all, tried in a process of its own before this one imports it."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path

from benchmarks.plugins import load_file
from problems.names import UsageError

_SECONDS = 120.0
_CAME_BACK = 86


def check_import(path: Path, limit_seconds: float = _SECONDS) -> None:
    """Tries the import of a plugin; one that raises comes back as well, and is told by `plugins.load_file`.

    Raises:
        UsageError: if it ends the process, or takes too long.
    """
    process = multiprocessing.get_context("spawn").Process(target=_try, args=(path,), daemon=True)
    process.start()
    process.join(limit_seconds)
    if process.exitcode is None:
        process.kill()
        process.join()
        raise UsageError(f"the plugin {path} is not imported after {limit_seconds:g} s")
    code = process.exitcode
    if code != _CAME_BACK:
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        raise UsageError(f"the plugin {path} ends the process that imports it, with {how}")


def _try(path: Path) -> None:
    silent = os.open(os.devnull, os.O_WRONLY)  # it will say it again when it is loaded
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    try:
        load_file(path)
    finally:
        os._exit(_CAME_BACK)
