"""What a worker process does: it runs and scores tasks, one after the other, and tells what came of each."""

from __future__ import annotations

import dataclasses
import datetime
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.calibrate import run_batch
from benchmarks.chunked import starved
from benchmarks.devices import device_name, missing_device
from benchmarks.execute import Programs, execute, instance_of
from benchmarks.guard_moments import moments
from benchmarks.guard_speed import bare_speed, overhead, speed
from benchmarks.guard_values import values
from benchmarks.judge import evaluate, floor, told
from benchmarks.pictures import picture
from benchmarks.planted import gate, plantable
from benchmarks.plugins import load_entry_points, load_file
from benchmarks.provenance import code_of
from benchmarks.records import Record, writable
from benchmarks.tasks import Task
from benchmarks.verdict import verdict
from benchmarks.wire import packed_reply
from methods import METHODS
from problems.names import UsageError


@dataclass(frozen=True)
class Failure:
    """A job that raised."""

    status: str
    reason: str
    traceback: str


def answer(name: str, arguments: tuple[Any, ...], plugins: tuple[Path, ...], device: str) -> bytes:
    """Does one job, and returns its result or its `Failure`, for `unpacked_reply`.

    Only bytes leave: the parent unpickles nothing that a sampler made.
    """
    try:
        return packed_reply(_table(plugins, device)[name](*arguments))
    except BaseException as error:  # a sampler that calls sys.exit must not end the run either
        return _told(error)


def _told(error: BaseException) -> bytes:
    """The failure of a job; an exception that cannot even be read must not be pickled in its stead."""
    try:
        return packed_reply(failure(error))
    except BaseException:
        return packed_reply(Failure("failed", "the failure itself could not be told", ""))


@cache
def _table(plugins: tuple[Path, ...], device: str) -> dict[str, Callable[..., Any]]:
    """The jobs of this process, once the plugins are loaded."""
    load_entry_points()
    for plugin in plugins:
        load_file(plugin)
    return _jobs(device)


def failure(error: BaseException) -> Failure:
    """What an exception means for a task: no memory, or a fault; the reason is its first line."""
    try:
        text = str(error)
    except BaseException:  # a sampler's own exception may do anything
        text = ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    reason = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    if isinstance(error, UsageError):  # already a sentence for the user
        reason = text
    trace = "".join(traceback.format_exception(error))
    return Failure("out_of_memory" if starved(error, text) else "failed", writable(reason), writable(trace))


def _jobs(device: str) -> dict[str, Callable[..., Any]]:
    programs = Programs()

    def hello(frameworks: set[str]) -> tuple[str, str]:
        """What is missing ('' if nothing), and the name of the device."""
        missing = missing_device(device, frameworks)
        return missing, "" if missing else device_name(device)

    def sample(task: Task) -> tuple[Record, dict[str, np.ndarray]]:
        return run_task(task, programs) if task.instances == 1 else run_batch(task, programs)

    def check(path: Path, name: str) -> list[Any]:
        from benchmarks.conformance import check_method

        if name not in METHODS:
            load_file(path)
        return check_method(METHODS[name])

    def load(frameworks: set[str]) -> None:
        """What is imported and started once in a process; the plugins are there already."""
        if "jax" in frameworks:
            import jax

            jax.devices()
        if "torch" in frameworks:
            import torch

            torch.zeros(1, device=device)

    return {
        "hello": hello,
        "load": load,
        "code": code_of,
        "compile": programs.compile,
        "sample": sample,
        "evaluate": evaluate,
        "floor": floor,
        "picture": picture,
        "plantable": plantable,
        "gate": gate,
        "plugin": load_file,
        "check": check,
        "guard_moments": partial(moments, programs=programs),
        "guard_values": values,
        "guard_speed": speed,
        "guard_bare": bare_speed,
        "guard_overhead": partial(overhead, programs=programs),
    }


def run_task(task: Task, programs: Programs) -> tuple[Record, dict[str, np.ndarray]]:
    """Samples and scores; the arrays are what may be kept."""
    started_at = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    drawn = execute(task, programs)
    status, reason = verdict(drawn, instance_of(task.problem, task.instance).problem.prior)
    work = dataclasses.asdict(drawn.work) if drawn.work else {}
    densities = {name: getattr(drawn, name) for name in ("log_prob", "exact_x", "exact_log_prob")}
    log_evidence, point = told(task.method, drawn.info)
    record = Record(
        task=task,
        status=status,
        reason=reason,
        metrics=evaluate(
            task.problem,
            task.instance,
            task.seed,
            x=drawn.x,
            **densities,
            log_evidence=log_evidence,
            point=point,
        ),
        seconds_compile=drawn.seconds_compile,
        seconds_train=drawn.seconds_train,
        seconds_sample=drawn.seconds_sample,
        peak_bytes=drawn.peak_bytes,
        info=drawn.info,
        started_at=started_at,
        **work,
    )
    arrays = {"x": drawn.x, **densities}
    return record, {name: value.astype(np.float32) for name, value in arrays.items() if value is not None}
