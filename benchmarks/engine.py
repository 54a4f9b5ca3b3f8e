"""The engine below the executor, Dask distributed: its settings, its start and its end, and calls into its processes.

A cluster of this machine by default, or one that the user has. Jobs are sent one at a time to a named worker and never
wait in one, so that a worker takes nothing with it when it dies; the engine's own retries, stealing, spilling and
memory limits are off. It listens on the loopback interface only, and speaks to those alone that hold the certificate
of this start, which is in memory and nowhere else: whoever reaches a Dask scheduler can run code as its user.
"""

from __future__ import annotations

import logging
import signal
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

from problems.names import UsageError

_SETTINGS: dict[str, Any] = {
    "distributed.scheduler.allowed-failures": 0,  # a job whose worker died is ours again, at once
    "distributed.scheduler.work-stealing": False,
    "distributed.scheduler.worker-ttl": None,  # a sampler may hold the interpreter for minutes
    "distributed.scheduler.active-memory-manager.start": False,
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    "distributed.worker.profile.enabled": False,
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": False,
    "distributed.nanny.pre-spawn-environ": {},  # it would be set in this process as well
    "distributed.comm.timeouts.connect": "30s",
    "distributed.deploy.lost-worker-timeout": "1000d",  # else a second death at that time after a first ends the nanny
    "distributed.diagnostics.nvml": False,
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.tick.limit": "1h",
    "distributed.admin.system-monitor.interval": "30s",
    "distributed.admin.system-monitor.gil.enabled": False,
    "distributed.admin.large-graph-warning-threshold": "1TiB",
}
_CONNECT_SECONDS = 10.0


class EngineGone(Exception):
    """The scheduler, or the process that was called, does not answer any more."""


class Engine:
    """A connection to a scheduler; with `address` None, to a cluster of `workers` workers that is started for it.

    Raises:
        UsageError: if no scheduler answers at the address, or it has no workers that a nanny looks after.

    Attributes:
        nannies: the addresses of the nannies, one for each worker.
    """

    def __init__(self, address: str | None, workers: int | None) -> None:
        _configure()
        from distributed import Client, LocalCluster

        self.address = address
        self._cluster: Any = None
        # Threads and processes inherit it: Ctrl-C is for this process to hear, not for its workers.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            if address is None:
                self._cluster = LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,  # jobs at a time, not threads of a job
                    memory_limit=0,
                    dashboard_address=None,
                    scheduler_kwargs={"dashboard": False, "dashboard_address": "127.0.0.1:0"},  # any free port
                    silence_logs=logging.CRITICAL,
                    security=True,
                )
            try:
                target = self._cluster if address is None else address
                self._client = Client(target, timeout=_CONNECT_SECONDS, set_as_default=False)
            except (OSError, ValueError) as error:
                raise UsageError(f"no scheduler answers at {address}: {_first_line(error)}") from None
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        try:
            self.nannies = self._find_nannies(workers)
        except BaseException:
            self.close()
            raise

    @property
    def alive(self) -> bool:
        """Whether the scheduler is there."""
        return self._client.status == "running"

    def submit(self, worker: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """Starts a call in the worker at an address; returns its future."""
        return self._client.submit(
            function,
            *arguments,
            key=f"job-{uuid.uuid4().hex}",
            workers=[worker],
            allow_other_workers=False,
            pure=False,
            retries=0,
        )

    def run(self, address: str, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Calls a function in a nanny, or in a worker beside its jobs.

        Raises:
            EngineGone: if it does not answer.
            Exception: whatever the function raises.
        """
        try:
            return self._client.sync(self._run, address, function, arguments, named, callback_timeout=_CONNECT_SECONDS)
        except (OSError, TimeoutError, RuntimeError) as error:
            raise EngineGone(f"{address} does not answer") from error

    async def _run(self, address: str, function: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        from distributed.protocol.pickle import dumps

        reply = await self._client.rpc(address).run(
            function=dumps(function), args=dumps(arguments), kwargs=dumps(named), wait=True
        )
        if reply["status"] != "OK":
            raise reply["exception"].data if hasattr(reply["exception"], "data") else reply["exception"]
        return reply["result"]

    def close(self) -> None:
        """Lets go of the scheduler, and ends it if it was started here."""
        with suppress(Exception):
            self._client.close(timeout=2)
        if self._cluster is not None:
            self._cluster.close(timeout=10)

    def _find_nannies(self, workers: int | None) -> list[str]:
        found = self._client.scheduler_info(n_workers=-1)["workers"].values()
        nannies = sorted(worker["nanny"] for worker in found if worker["nanny"])
        if not nannies:
            lacking = "without a nanny, which is what ends a task that hangs" if found else "at all"
            raise UsageError(f"the scheduler at {self.address} has no worker {lacking}; start them with: dask worker")
        return nannies[:workers]


def _configure() -> None:
    """The engine's settings, whatever files and variables the user has for a Dask of his own."""
    import dask

    dask.config.refresh(paths=[], env={})
    import distributed.batched  # adds its defaults
    import distributed.utils
    from tornado.ioloop import IOLoop

    dask.config.set(_SETTINGS)
    # A job that is sent just before the clock on the wall is set back would wait in the engine until that time is there
    # again, and its sampler be blamed: what the engine sends in this process goes by a clock that does not jump, and
    # what it says about slow disks too.
    loop, batched, utils = cast(Any, IOLoop), cast(Any, distributed.batched), cast(Any, distributed.utils)
    loop.time, batched.time, utils.time = staticmethod(time.monotonic), time.monotonic, time.monotonic
    for name in ("distributed", "distributed.client", "distributed.gc"):  # they have levels of their own
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
