"""Sends jobs to worker processes, one at a time to each; ends one that takes too long, and blames no job for another's.

Whatever a sampler does to its process costs its own job alone: the process is ended and replaced. A job is blamed for
the end of a process only if nothing had run in it before, and nobody ended it from outside; else it is tried again.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from benchmarks.devices import memory_bytes
from benchmarks.engine import Engine
from benchmarks.prepare import cores
from benchmarks.seats import Death, Seat, SeatLost, Setup
from problems.names import UsageError

_GRACE_SECONDS = 1.0


@dataclass(eq=False)
class Job:
    """Work for a worker.

    Attributes:
        name, arguments: an entry of the worker's table of jobs. what: it in words.
        remark: what happened to its first try, or ''.
        guest: the plugin's method that it runs, or ''. What such a method leaves behind in its process, a setting or a
            thread, is met by the method's own jobs alone.
    """

    name: str
    arguments: tuple[Any, ...] = ()
    what: str = ""
    timeout_seconds: float | None = None
    remark: str = ""
    guest: str = ""


J = TypeVar("J", bound=Job)


class Executor:
    """Workers that are always there: they start with the first job, and again when they end.

    Use it as a context manager; leaving it ends the workers. While a job runs, `listen` is told every second what its
    worker printed last, a training loss for example, and what the job is.

    Args:
        plugins: files that every worker loads. device: 'cpu' or 'cuda'.
        workers: how many; None for all of a user's cluster, which `scheduler` is the address of.
        threads: of each job; every worker has so many cores to itself. precision: of products, see `Task`.
        limit_bytes: the memory of a worker beyond which it is ended; by default nine tenths of this machine's, shared
            out, so that the system need not choose somebody to end.

    Raises:
        UsageError: if there are not as many cores.

    Attributes:
        workers: how many.
        scheduler: the address of the user's cluster, None for one of this machine.
    """

    def __init__(
        self,
        plugins: tuple[Path, ...] = (),
        device: str = "cpu",
        listen: Callable[[str, str], None] = lambda line, what: None,  # noqa: ARG005
        *,
        workers: int | None = 1,
        threads: int = 1,
        precision: str = "float32",
        scheduler: str | None = None,
        limit_bytes: int | None = None,
    ) -> None:
        there, needed = len(cores()), (workers or 1) * threads
        if scheduler is None and needed > there:
            raise UsageError(f"{workers} workers of {threads} threads need {needed} cores, there are {there}")
        limit_bytes = limit_bytes or int(0.9 * memory_bytes() / (workers or 1))
        self.listen = listen
        self.scheduler = scheduler
        self._setup = Setup(tuple(path.absolute() for path in plugins), device, precision, threads, limit_bytes)
        self._wanted = workers
        self._engine: Engine | None = None
        self._seats: list[Seat] = []
        self._lock = threading.Lock()  # of the engine's beginning and end
        self._ended = False

    def __enter__(self) -> Executor:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    @property
    def workers(self) -> int:
        if self.scheduler is None:
            return self._wanted or 1
        self._start()
        return len(self._seats)

    def call(self, name: str, *arguments: Any, timeout_seconds: float | None = None, guest: str = "") -> Any:
        """The job's result, or a `Failure` with status 'failed', 'timeout' or 'out_of_memory'.

        Raises:
            UsageError: if there is no worker any more.
        """
        jobs = [Job(name, arguments, timeout_seconds=timeout_seconds, guest=guest)]
        replies: list[Any] = []
        self.serve(lambda _: jobs.pop() if jobs else None, lambda _job, reply, _seconds: replies.append(reply))
        return replies[0]

    def call_all(self, name: str, *arguments: Any) -> list[Any]:
        """The job's result, or its `Failure`, of every worker, in no order.

        Raises:
            UsageError: if there is no worker any more.
        """
        waiting = set(range(self.workers))
        replies: list[Any] = []

        def take(seat: int) -> Job | None:
            if seat not in waiting:
                return None
            waiting.remove(seat)
            return Job(name, arguments)

        self.serve(take, lambda _job, reply, _seconds: replies.append(reply))
        return replies

    def serve(self, take: Callable[[int], J | None], done: Callable[[J, Any, float], None]) -> None:
        """Gives jobs to the workers until there are none.

        Each idle worker asks `take(its number)` for its next job; None: nothing for it at the moment. `done` is told
        each job with what `call` would have returned and the seconds that it took. Both run in this thread.

        Raises:
            UsageError: if there is no worker any more; jobs that were running are lost, those that are done are not.
        """
        ended: queue.SimpleQueue[tuple[int, J, Any, float]] = queue.SimpleQueue()
        idle, running = list(range(self.workers)), 0
        orphans: deque[J] = deque()
        while True:
            for seat in list(idle):
                job = orphans.popleft() if orphans else take(seat)
                if job is not None:
                    idle.remove(seat)
                    running += 1
                    threading.Thread(target=self._attend, args=(seat, job, ended), daemon=True).start()
            if not running:
                return
            seat, job, reply, seconds = ended.get()
            running -= 1
            if isinstance(reply, SeatLost):
                orphans.append(job)
                if not idle and not running:
                    raise UsageError(f"no worker is left: {reply}; what is finished is kept")
                continue
            if isinstance(reply, BaseException):
                self._gather(ended, running, done)
                raise reply
            idle.append(seat)
            done(job, reply, seconds)

    def _gather(
        self, ended: queue.SimpleQueue[tuple[int, J, Any, float]], running: int, done: Callable[[J, Any, float], None]
    ) -> None:
        """Takes what the other workers have finished, or finish in a moment."""
        deadline = time.monotonic() + _GRACE_SECONDS
        with suppress(queue.Empty):
            for _ in range(running):
                _, job, reply, seconds = ended.get(timeout=max(deadline - time.monotonic(), 0.0))
                if not isinstance(reply, BaseException):
                    done(job, reply, seconds)

    def end(self) -> None:
        """Ends the workers at once; those of a user's cluster are started afresh by their nannies."""
        with self._lock:
            self._ended = True
            for seat in self._seats:
                seat.release()
            if self._engine is not None:
                self._engine.close()
            self._engine, self._seats = None, []

    def attempt(self, seat: int, job: Job) -> Any:
        """What a job gives on one worker, tried again where its worker's end says nothing about it."""
        self._start()
        worker = self._seats[seat]
        killed = 0
        while True:
            fresh = worker.prepare(job.guest)
            reply = worker.attempt(
                job.name, job.arguments, job.timeout_seconds, lambda line: self.listen(line, job.what)
            )
            if not isinstance(reply, Death):
                return reply
            killed += reply.from_outside
            if killed == 2 or (fresh and not reply.from_outside):
                return reply.failure()
            job.remark = f"a first try was lost when its process ended with {reply.name}"

    def _attend(self, seat: int, job: J, ended: queue.SimpleQueue[tuple[int, J, Any, float]]) -> None:
        start = time.monotonic()
        try:
            reply = self.attempt(seat, job)
        except BaseException as error:
            reply = error
        ended.put((seat, job, reply, time.monotonic() - start))

    def _start(self) -> None:
        with self._lock:
            if self._ended:
                raise UsageError("the workers have ended")
            if self._engine is None:
                self._engine = Engine(self.scheduler, self._wanted)
                places: dict[str, int] = {}
                for nanny in self._engine.nannies:
                    host = urlsplit(nanny).hostname or ""
                    places[host] = places.get(host, -1) + 1
                    self._seats.append(Seat(self._engine, nanny, places[host], self._setup))
