"""One worker as the parent sees it: its nanny, the process that the nanny has started last, and one job at a time."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.engine import Engine, EngineGone
from benchmarks.nannies import adopt, end, look
from benchmarks.prepare import prepare
from benchmarks.tasks import Task
from benchmarks.wire import unpacked_reply
from benchmarks.worker import Failure, answer
from problems.names import UsageError

_LISTEN_SECONDS = 1.0
_START_SECONDS = 120.0
_LOAD_SECONDS = 120.0
_MOURN_SECONDS = 5.0
_POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Setup:
    """What every worker of a run has: plugins, a device and its precision, threads of a job, a limit of its memory."""

    plugins: tuple[Path, ...]
    device: str
    precision: str
    threads: int
    limit_bytes: int


@dataclass(frozen=True)
class Death:
    """How a process ended under a job."""

    exit_code: int
    starved: bool
    last_words: str

    @property
    def from_outside(self) -> bool:
        return self.starved or self.exit_code == -signal.SIGKILL

    def failure(self) -> Failure:
        if self.starved:
            return Failure("out_of_memory", "it used more memory than one worker may", self.last_words)
        if self.exit_code == -signal.SIGKILL:
            reason = "the system killed the process, most likely for want of memory"
            return Failure("out_of_memory", reason, self.last_words)
        return Failure("failed", f"the process ended with {self.name}", self.last_words)

    @property
    def name(self) -> str:
        code = self.exit_code
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"


class SeatLost(Exception):
    """A worker that does not come back."""


class Seat:
    """One worker: its nanny, and the process that the nanny has started last."""

    def __init__(self, engine: Engine, nanny: str, place: int, setup: Setup) -> None:
        self._engine, self._nanny, self._place, self._setup = engine, nanny, place, setup
        self._pid: int | None = None
        self._dead: int | None = None
        self._address = ""
        self._jobs = 0
        self._guest = ""
        self._loaded: set[str] = set()

    def prepare(self, guest: str = "") -> bool:
        """Waits for a process that is ready, and in which no other guest than this has run; see `Job`.

        Returns:
            whether nothing has run in it.

        Raises:
            UsageError: if it cannot be ours. SeatLost: if none comes.
        """
        if self._pid is not None and self._guest not in ("", guest):
            self._end()
        deadline = time.monotonic() + _START_SECONDS
        while self._pid is None:
            self._check_engine()
            try:
                found = self._engine.run(self._nanny, adopt, self._setup.limit_bytes)
                if found is not None and found[0] != self._dead:
                    self._occupy(*found)
            except EngineGone:
                self._pid = None
            except ImportError as error:
                raise UsageError(f"the workers of {self._engine.address} lack this program: {error}") from None
            if self._pid is None:
                if time.monotonic() > deadline:
                    raise SeatLost(f"{self._nanny} starts none")
                time.sleep(_POLL_SECONDS)
        self._guest = guest
        return self._jobs == 0

    def attempt(
        self, name: str, arguments: tuple[Any, ...], timeout_seconds: float | None, listen: Callable[[str], None]
    ) -> Any:
        """A job's reply, or how the process ended under it; while it runs, `listen` hears what it prints last.

        What a process needs once, plugins and frameworks, it loads before: the limit is one of the job alone.
        """
        frameworks = {one.framework for one in arguments if isinstance(one, Task)}
        if self._jobs == 0 or not frameworks <= self._loaded:
            said = self._do("load", (frameworks,), _LOAD_SECONDS, listen)
            if isinstance(said, Death):
                return said
            if self._pid is None:
                return Failure("failed", f"its process was not ready after {_LOAD_SECONDS:g} s", "")
            self._loaded |= frameworks
        return self._do(name, arguments, timeout_seconds, listen)

    def release(self) -> None:
        """Ends the process; a user's nanny starts another, as it was before."""
        if self._pid is not None:
            with suppress(EngineGone):
                self._engine.run(self._nanny, end, self._pid, forget=True)
            self._pid = None

    def _do(
        self, name: str, arguments: tuple[Any, ...], timeout_seconds: float | None, listen: Callable[[str], None]
    ) -> Any:
        self._jobs += 1
        setup = self._setup
        future = self._engine.submit(self._address, answer, name, arguments, setup.plugins, setup.device)
        finished = threading.Event()
        future.add_done_callback(lambda _: finished.set())
        deadline = time.monotonic() + (math.inf if timeout_seconds is None else timeout_seconds)
        while not finished.wait(max(min(deadline - time.monotonic(), _LISTEN_SECONDS), 0.0)):
            if time.monotonic() >= deadline:
                self._end()
                return Failure("timeout", f"stopped after {timeout_seconds:g} s, the limit of one task", "")
            self._check_engine()
            exit_code, starved, words = self._look()
            if exit_code is not None:
                return self._bury(Death(exit_code, starved, words))
            listen(words.strip().rpartition("\n")[2])
        self._check_engine()
        if future.status == "finished":
            try:
                return unpacked_reply(future.result(timeout=_START_SECONDS))
            except Exception:  # the process ended before it could be fetched
                future.release()
        return self._post_mortem()

    def _occupy(self, pid: int, address: str, log: str) -> None:
        setup = self._setup
        said = self._engine.run(address, prepare, log, self._place, setup.threads, setup.device, setup.precision)
        self._pid, self._address, self._jobs, self._loaded = pid, address, 0, set()
        if said == "stale":
            self._end()
        elif said:
            raise UsageError(said)

    def _post_mortem(self) -> Death:
        """A process that lost its connection has ended, or is ended now."""
        deadline = time.monotonic() + _MOURN_SECONDS
        while (found := self._look())[0] is None and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        exit_code, starved, words = found
        if exit_code is None:
            self._end()
            return Death(255, False, words)
        return self._bury(Death(exit_code, starved, words))

    def _look(self) -> tuple[int | None, bool, str]:
        try:
            return self._engine.run(self._nanny, look, self._pid)
        except EngineGone:
            self._check_engine()
            self._pid = None
            raise SeatLost(f"{self._nanny} does not answer") from None

    def _bury(self, death: Death) -> Death:
        self._dead, self._pid = self._pid, None
        return death

    def _end(self) -> None:
        try:
            self._engine.run(self._nanny, end, self._pid)
        except EngineGone:
            self._check_engine()
        self._dead, self._pid = self._pid, None

    def _check_engine(self) -> None:
        if not self._engine.alive:
            where = f"at {self._engine.address} " if self._engine.address else ""
            raise UsageError(f"the scheduler {where}is gone; what is finished is kept, and the same command goes on")
