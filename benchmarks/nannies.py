"""Functions that run in the nanny of a worker: it outlives the worker's process, watches it, and ends it.

A nanny belongs to the engine and starts its worker again when that ends. These functions are sent to it, and know the
worker's process by its number; a process that hangs, whatever it holds, cannot keep them from answering.
"""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_LAST_WORDS = 16000  # a crash ends with the names of all extension modules, which take half of that
_LOG_BYTES = 2**24  # a sampler that prints without end must not fill the disk
_WATCH_SECONDS = 0.1


@dataclass
class Child:
    """The process of a worker.

    Attributes:
        exit_code: as in subprocess, negative for a signal; None while it lives. starved: it was ended because it used
            more memory than it may. log: what it prints.
    """

    pid: int
    address: str
    log: Path
    exit_code: int | None = None
    starved: bool = False


_CHILDREN: dict[str, Child] = {}
"""The last child of each nanny, by the nanny's id."""


def adopt(memory_bytes: int, dask_worker: Any) -> tuple[int, str, str] | None:
    """The number, address and log of the nanny's worker process, watched from now on; None while there is none."""
    process = dask_worker.process
    if process is None or process.status.name != "running" or process.pid is None:
        return None
    key, known = dask_worker.id, _CHILDREN.get(dask_worker.id)
    if known is None or known.pid != process.pid:
        if known is None:
            process.on_exit = _mourner(key, process.on_exit)
        else:
            known.log.unlink(missing_ok=True)
        handle, name = tempfile.mkstemp(prefix="posterior-bench-", suffix=".log")
        os.close(handle)
        known = _CHILDREN[key] = Child(process.pid, process.worker_address, Path(name))
        _watch(known, memory_bytes)
    return known.pid, known.address, str(known.log)


def look(pid: int, dask_worker: Any) -> tuple[int | None, bool, str]:
    """The exit code of an adopted process (None while it lives), whether memory was the reason, and its last words."""
    child = _CHILDREN[dask_worker.id]
    if child.pid != pid:
        return 255, False, ""
    with child.log.open("rb") as log:
        log.seek(max(child.log.stat().st_size - _LAST_WORDS, 0))
        return child.exit_code, child.starved, log.read().decode(errors="replace")


def end(pid: int, dask_worker: Any, *, forget: bool = False) -> None:
    """Ends an adopted process and all that it started, at once; the nanny starts another."""
    child = _CHILDREN[dask_worker.id]
    if child.pid == pid and child.exit_code is None:
        _kill(pid)
    if forget:
        child.log.unlink(missing_ok=True)


def _kill(pid: int) -> None:
    for kill in (os.killpg, os.kill):  # the group exists once the worker is prepared
        with suppress(ProcessLookupError):
            kill(pid, signal.SIGKILL)


def _mourner(key: str, then: Any) -> Any:
    """Keeps the exit code, ends what the worker left behind, and goes on as the nanny would."""

    def on_exit(exit_code: int) -> None:
        child = _CHILDREN[key]
        child.exit_code = exit_code
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
        then(exit_code)

    return on_exit


def _watch(child: Child, memory_bytes: int) -> None:
    """Ends a worker that uses more memory than it may, before the system must choose somebody to end."""
    import psutil

    process = psutil.Process(child.pid)
    loop = asyncio.get_running_loop()  # tornado's own callbacks go by the clock on the wall, which may jump

    def check() -> None:
        with suppress(FileNotFoundError):
            if child.log.stat().st_size > _LOG_BYTES:
                os.truncate(child.log, 0)  # it is written with O_APPEND, and goes on from there
        try:
            child.starved = process.memory_info().rss > memory_bytes
        except psutil.NoSuchProcess:
            return
        if child.starved:
            _kill(child.pid)
        else:
            loop.call_later(_WATCH_SECONDS, check)

    loop.call_later(_WATCH_SECONDS, check)
