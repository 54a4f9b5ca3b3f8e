"""The jobs of a campaign: what is sent to a worker for a task or an instance, and how its reply is kept."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchmarks.executor import Job
from benchmarks.judge import Metrics, told
from benchmarks.pictures import INSTANCES
from benchmarks.plan import Planned
from benchmarks.progress import Reporter
from benchmarks.provenance import problems_code, scores_code
from benchmarks.records import Record
from benchmarks.store import RunDirectory, floor_file
from benchmarks.tasks import Task, digest
from benchmarks.worker import Failure


@dataclass(eq=False)
class Errand(Job):
    """A job of a problem.

    Attributes:
        instance: that it concerns; None for compiling.
        planned: the task that it advances; None for what is done beside the tasks.
        file, made_from: where the arrays of its reply are kept; '' for other replies.
        seat: the worker that should do it. A task may go to another worker rather than wait, compiling may not.
    """

    instance: int | None = None
    planned: Planned | None = None
    file: str = ""
    made_from: str = ""
    seat: int | None = None

    def ready(self, undone: set[int | None]) -> bool:
        """A task waits for what is made for its instance."""
        return self.planned is None or self.instance not in undone


def row(task: Task) -> tuple[str, str]:
    """The row of the table that a task belongs to: its tasks on one problem share a program."""
    return task.config, task.framework


def to_prepare(task: Task, draws: int, run: RunDirectory) -> list[Errand]:
    """Making the floor and the picture of a task's instance, unless they are there."""
    if task.instances > 1:  # scored without a reference
        return []
    problem, index, seed = task.problem, task.instance, task.seed
    what = f"exact samples of {problem} {index}"
    floor, made_from = floor_file(task), digest([seed, draws, problems_code(), scores_code()])
    errands = []
    if run.kept_arrays(floor, made_from) is None:
        wanted = (problem, index, task.n, seed, draws)
        errands.append(Errand("floor", wanted, what, instance=index, file=floor, made_from=made_from))
    picture, made_from = f"pictures/{problem}-{index}.npz", digest([seed, problems_code()])
    if index < INSTANCES and run.kept_arrays(picture, made_from) is None:
        errands.append(
            Errand("picture", (problem, index, seed), what, instance=index, file=picture, made_from=made_from)
        )
    return errands


def to_score(task: Task, run: RunDirectory) -> tuple[Any, ...] | None:
    """The arguments that score a task's kept samples; None if they are not there."""
    kept = run.samples(task)
    if kept is None or "x" not in kept:  # of a batch the ranks alone are kept
        return None
    arrays = [kept.get(name) for name in ("x", "log_prob", "exact_x", "exact_log_prob")]
    return task.problem, task.instance, task.seed, *arrays, *told(task.method, run.records[task.id].info)


def keep_metrics(record: Record, reply: Metrics | Failure, run: RunDirectory) -> None:
    """Replaces the metrics of a record."""
    if isinstance(reply, Failure):
        run.commit(replace(record, status=reply.status, reason=reply.reason, traceback=reply.traceback))
    else:
        run.commit(replace(record, metrics=reply, scores_code=scores_code()))


def keep(name: str, reply: dict[str, np.ndarray] | Failure, made_from: str, run: RunDirectory, tell: Reporter) -> None:
    """Keeps the arrays of an instance, or says why they are missing."""
    if isinstance(reply, Failure):
        tell.say(f"{name} is missing: {reply.reason}")
    else:
        run.keep_arrays(name, reply, made_from)
