"""Sends jobs to one persistent worker process; ends it when a job takes too long, and starts it again."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from benchmarks.worker import Failure, main

_LAST_WORDS = 4000
_LISTEN_SECONDS = 1.0


class Executor:
    """A worker that is always there: `call` starts it when it is not.

    Use it as a context manager; leaving it ends the worker. While a job runs, `listen` is told every second what the
    worker printed last: a training loss, for example.
    """

    def __init__(
        self, plugins: tuple[Path, ...] = (), device: str = "cpu", listen: Callable[[str], None] = lambda _: None
    ) -> None:
        self.plugins = plugins
        self.device = device
        self.listen = listen
        self._worker: tuple[SpawnProcess, Connection] | None = None
        handle, name = tempfile.mkstemp(prefix="posterior-bench-", suffix=".log")
        os.close(handle)
        self._log = Path(name)
        self._ready = False

    def __enter__(self) -> Executor:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        self._log.unlink(missing_ok=True)

    def call(self, name: str, *arguments: Any, timeout_seconds: float | None = None) -> Any:
        """The job's result, or a `Failure` with status 'failed', 'timeout' or 'out_of_memory'.

        A worker that was killed from outside gets a second try: it may not have been this job's memory. Killed
        twice, the job is out of memory.
        """
        reply = self._attempt(name, arguments, timeout_seconds)
        if isinstance(reply, Failure) and reply.status == "out_of_memory" and self._worker is None:
            return self._attempt(name, arguments, timeout_seconds)
        return reply

    def end(self) -> None:
        """Ends the worker at once."""
        if self._worker is not None:
            process, connection = self._worker
            process.kill()
            process.join()
            connection.close()
            self._worker = None

    def _attempt(self, name: str, arguments: tuple[Any, ...], timeout_seconds: float | None) -> Any:
        process, connection = self._worker or self._start()
        try:
            if not self._ready:  # imports do not count towards the limit
                self._ready = connection.recv()
            connection.send((name, arguments))
            if self._answered(connection, timeout_seconds):
                return connection.recv()
        except (EOFError, OSError):
            return self._post_mortem(process)
        self.end()
        return Failure("timeout", f"stopped after {timeout_seconds:g} s, the limit of one task", "")

    def _answered(self, connection: Connection, timeout_seconds: float | None) -> bool:
        deadline = time.monotonic() + (math.inf if timeout_seconds is None else timeout_seconds)
        while (left := deadline - time.monotonic()) > 0:
            if connection.poll(min(left, _LISTEN_SECONDS)):
                return True
            self.listen(self._last_words().strip().rpartition("\n")[2])
        return False

    def _last_words(self) -> str:
        with self._log.open("rb") as log:
            log.seek(max(self._log.stat().st_size - _LAST_WORDS, 0))
            return log.read().decode(errors="replace")

    def _start(self) -> tuple[SpawnProcess, Connection]:
        self._log.write_bytes(b"")
        self._ready = False
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=main, args=(theirs, str(self._log), self.plugins, self.device))
        process.start()
        theirs.close()
        self._worker = process, ours
        return self._worker

    def _post_mortem(self, process: SpawnProcess) -> Failure:
        process.join()
        code = process.exitcode or 0
        self.end()
        last_words = self._last_words()
        if code == -signal.SIGKILL:
            return Failure("out_of_memory", "the system killed the process, most likely for want of memory", last_words)
        name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return Failure("failed", f"the process ended with {name}", last_words)
