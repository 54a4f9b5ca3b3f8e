"""The worker process: it runs and scores tasks, one after the other, and tells the parent what came of each."""

from __future__ import annotations

import dataclasses
import datetime
import faulthandler
import os
import signal
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.devices import device_name, missing_device
from benchmarks.execute import Drawn, Programs, execute, instance_of
from benchmarks.judge import evaluate, floor
from benchmarks.pictures import picture
from benchmarks.plugins import load_entry_points, load_file
from benchmarks.records import Record
from benchmarks.tasks import Task
from methods import METHODS
from problems.names import UsageError

FAR = 1000.0
"""Diameters of the prior beyond which a sampler has diverged; a posterior sample is within one or two."""


@dataclass(frozen=True)
class Failure:
    """A job that raised."""

    status: str
    reason: str
    traceback: str


def main(connection: Connection, log: str, plugins: tuple[Path, ...], device: str) -> None:
    """Answers jobs, (name, arguments), until the parent hangs up."""
    _redirect(log)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    threading.Thread(target=_die_with_parent, daemon=True).start()
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # torch shares the GPU
    for backend in ("PYTORCH", "JAX", "CUPY", "TENSORFLOW"):  # optimal transport runs in NumPy: import no other
        os.environ.setdefault(f"POT_BACKEND_DISABLE_{backend}", "1")
    if device == "cpu":
        os.environ["JAX_PLATFORMS"] = "cpu"
    load_entry_points()
    for plugin in plugins:
        load_file(plugin)
    jobs = _jobs(device)
    connection.send(True)
    while True:
        try:
            name, arguments = connection.recv()
        except EOFError:
            return
        try:
            connection.send(jobs[name](*arguments))
        except BaseException as error:  # a sampler that calls sys.exit must not end the run either
            connection.send(failure(error))


def failure(error: BaseException) -> Failure:
    """What an exception means for a task: no memory, or a fault; the reason is its first line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    if isinstance(error, UsageError):  # already a sentence for the user
        reason = str(error)
    words = str(error).lower()
    starved = isinstance(error, MemoryError) or "resource_exhausted" in words or "out of memory" in words
    starved = starved or "can't allocate memory" in words
    trace = "".join(traceback.format_exception(error))
    return Failure("out_of_memory" if starved else "failed", reason, trace)


def _jobs(device: str) -> dict[str, Callable[..., Any]]:
    programs = Programs()

    def hello(frameworks: set[str]) -> tuple[str, str]:
        """What is missing ('' if nothing), and the name of the device."""
        missing = missing_device(device, frameworks)
        return missing, "" if missing else device_name(device)

    def sample(task: Task) -> tuple[Record, dict[str, np.ndarray]]:
        return run_task(task, programs)

    def check(path: Path, name: str) -> list[Any]:
        from benchmarks.conformance import check_method

        if name not in METHODS:
            load_file(path)
        return check_method(METHODS[name])

    return {
        "hello": hello,
        "compile": programs.compile,
        "sample": sample,
        "evaluate": evaluate,
        "floor": floor,
        "picture": picture,
        "plugin": load_file,
        "check": check,
    }


def run_task(task: Task, programs: Programs) -> tuple[Record, dict[str, np.ndarray]]:
    """Samples and scores; the arrays are what may be kept."""
    started_at = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    drawn = execute(task, programs)
    status, reason = verdict(drawn, instance_of(task.problem, task.instance).problem.prior)
    work = dataclasses.asdict(drawn.work) if drawn.work else {}
    record = Record(
        task=task,
        status=status,
        reason=reason,
        metrics=evaluate(task.problem, task.instance, task.seed, drawn.x, drawn.log_prob),
        seconds_compile=drawn.seconds_compile,
        seconds_train=drawn.seconds_train,
        seconds_sample=drawn.seconds_sample,
        peak_bytes=drawn.peak_bytes,
        info=drawn.info,
        started_at=started_at,
        **work,
    )
    arrays = {"x": drawn.x} if drawn.log_prob is None else {"x": drawn.x, "log_prob": drawn.log_prob}
    return record, {name: value.astype(np.float32) for name, value in arrays.items()}


def verdict(drawn: Drawn, prior: Any) -> tuple[str, str]:
    """Status and reason: samples that are not finite, or absurdly far, are counted, never dropped or repaired.

    Whether an unstable step overflows or ends before it does is an accident of the number of steps and of the dtype;
    both are 'diverged'.
    """
    n = len(drawn.x)
    with np.errstate(over="ignore", invalid="ignore"):
        distance = np.linalg.norm((drawn.x - prior.mean).reshape(n, -1), axis=1)
    told = {
        "are not finite": ~np.isfinite(drawn.x.reshape(n, -1)).all(axis=1),
        f"are farther than {FAR:g} diameters of the prior from its mean": distance > FAR * float(prior.diameter),
    }
    for words, where in told.items():
        if bad := int(where.sum()):
            return "diverged", f"{bad} of {n} samples ({100 * bad / n:.3g} %) {words}"
    return "ok", drawn.remark


def _redirect(log: str) -> None:
    """All output goes to a file: methods may print, and a crash leaves its last words there."""
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(file, 1)
    os.dup2(file, 2)
    faulthandler.enable(file)


def _die_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)
