"""Runs a plan: what is finished stays, what is left runs, and every outcome is written before the next begins."""

from __future__ import annotations

import dataclasses
import datetime
import json
import time
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import numpy as np

from benchmarks.executor import Executor
from benchmarks.judge import Metrics
from benchmarks.pictures import INSTANCES
from benchmarks.plan import Plan, Planned
from benchmarks.progress import Reporter
from benchmarks.provenance import code_of, problems_code, scores_code, versions
from benchmarks.records import Record
from benchmarks.store import RunDirectory, floor_file
from benchmarks.tasks import SCHEMA, Task, digest
from benchmarks.worker import Failure
from problems import FAMILIES
from problems.names import UsageError

_TO_RUN = ("new", "code", "config")
_FLOOR_DRAWS = 20
"""Where a floor was lost."""


@dataclass(frozen=True)
class Backlog:
    """What a run directory already holds of a plan.

    Attributes:
        finished: need nothing. rescore: have samples, but other metrics. code, config: run again because the code or
            the configuration changed.
    """

    finished: int
    rescore: int
    code: int
    config: int

    def sentences(self) -> list[str]:
        """What to tell the user."""
        told = [
            (self.finished, "tasks that are finished and stay"),
            (self.rescore, "tasks to score again, because the metrics changed"),
            (self.code, "tasks to run again, because the code of problems or methods changed"),
            (self.config, "tasks to run again, because their configuration changed"),
        ]
        return [f"{what}: {count}" for count, what in told if count]


def take_stock(plan: Plan, run: RunDirectory) -> Backlog:
    """Compares a plan with the finished tasks of a run directory."""
    states = [_state(planned, run, plan.timeout_seconds) for planned in plan.tasks if not planned.skip]
    return Backlog(*(states.count(name) for name in ("finished", "rescore", "code", "config")))


def start(plan: Plan, run: RunDirectory, executor: Executor, *, command: list[str], suite: str) -> None:
    """Looks for the device, then writes run.json: what the results of a run share.

    Raises:
        UsageError: if the device is missing, or the worker does not start.
    """
    tasks = [planned.task for planned in plan.tasks]
    reply = executor.call("hello", {p.task.framework for p in plan.tasks if not p.skip})
    if isinstance(reply, Failure):
        last = reply.traceback.strip().rpartition("\n")[2]
        raise UsageError(f"the worker process does not start: {reply.reason}{last and f'; its last words: {last}'}")
    missing, name = reply
    if missing:
        raise UsageError(missing)
    content = {
        "schema": SCHEMA,
        "command": command,
        "suite": Path(suite).stem,
        "seed": tasks[0].seed,
        "created_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        "devices": {tasks[0].device: name},
        "threads": tasks[0].threads,
        "code": code_of(),
        "scores_code": scores_code(),
        "foreign_truths": sorted(name for name, family in FAMILIES.items() if not family.model_truth),
    }
    run.write("run.json", json.dumps(content, indent=1).encode())


def carry_out(plan: Plan, run: RunDirectory, executor: Executor, tell: Reporter) -> None:
    """Runs what is left of a plan.

    Raises:
        UsageError: if the run directory cannot be written; what is finished is kept.
    """
    tell.start(len(plan.tasks), plan.seconds)
    try:
        for _, group in groupby(plan.tasks, key=lambda p: p.task.problem):
            start = time.monotonic()
            tasks = list(group)
            waiting = [p.task for p in tasks if not p.skip and _state(p, run, plan.timeout_seconds) in _TO_RUN]
            if waiting:
                tell.begin(f"compiling for {waiting[0].problem}")
                one_per_row = {(task.config, task.framework): task for task in reversed(waiting)}
                executor.call("compile", list(one_per_row.values()), timeout_seconds=plan.timeout_seconds)
            _carry_out_problem(tasks, plan, time.monotonic() - start, run, executor, tell)
    finally:
        tell.stop()


def _carry_out_problem(
    tasks: list[Planned], plan: Plan, spent: float, run: RunDirectory, executor: Executor, tell: Reporter
) -> None:
    """The tasks of one problem, which has already taken `spent` seconds of its budget."""
    prepared: set[int] = set()
    outdated = 0
    for planned in tasks:
        start = time.monotonic()
        task = planned.task
        if not planned.skip and task.instance not in prepared:
            tell.begin(f"exact samples of {task.problem} {task.instance}")
            _prepare(task, plan.floor_draws, run, executor, tell)
            prepared.add(task.instance)
        tell.begin(f"{task.problem} {task.instance} {task.config}")
        outcome = _advance(planned, plan, spent > plan.sizes[task.problem].budget_seconds, run, executor)
        outdated += outcome == "outdated"
        spent += time.monotonic() - start
        tell.advance(planned.seconds, ran=outcome == "ran")
    if outdated:
        tell.say(
            f"{tasks[0].task.problem}: {outdated} results of another code or configuration stay as they were, because "
            "their tasks would be skipped now"
        )


def _prepare(task: Task, draws: int, run: RunDirectory, executor: Executor, tell: Reporter) -> None:
    """Stores the floor and the picture of a task's instance, unless they are there."""
    problem, index, seed = task.problem, task.instance, task.seed
    floor, made_from = floor_file(task), digest([seed, draws, problems_code(), scores_code()])
    if run.kept_arrays(floor, made_from) is None:
        _keep(floor, executor.call("floor", problem, index, task.n, seed, draws), made_from, run, tell)
    picture, made_from = f"pictures/{problem}-{index}.npz", digest([seed, problems_code()])
    if index < INSTANCES and run.kept_arrays(picture, made_from) is None:
        _keep(picture, executor.call("picture", problem, index, seed), made_from, run, tell)


def rescore(run: RunDirectory, executor: Executor, tell: Reporter) -> list[str]:
    """Scores the kept samples of a run again; returns one sentence for each reason why some could not be."""
    scored = [record for record in run.records.values() if record.metrics]
    current = [r for r in scored if r.problems_code == problems_code() and r.task.problem in FAMILIES]
    without = 0
    tell.start(len(current), 0.1 * len(current))
    try:
        for record in sorted(current, key=lambda record: record.task.slot):
            task = record.task
            tell.begin(f"{task.problem} {task.instance} {task.config}")
            old = run.kept_arrays(floor_file(task)) or {}
            _prepare(task, max((len(draws) for draws in old.values()), default=_FLOOR_DRAWS), run, executor, tell)
            without += not _score_again(record, run, executor)
            tell.advance(0.1, ran=True)
    finally:
        tell.stop()
    told = [
        (len(current) - without, "tasks scored again"),
        (without, "tasks left as they were, because their samples were not kept"),
        (len(scored) - len(current), "tasks left as they were, because the problems changed since; run them again"),
    ]
    return [f"{what}: {count}" for count, what in told if count]


def _advance(planned: Planned, plan: Plan, exhausted: bool, run: RunDirectory, executor: Executor) -> str:
    """One task: 'ran', 'idle' (skipped, already there or scored again), or 'outdated' (see `_skip`)."""
    task = planned.task
    if planned.skip:
        return _skip(task, planned.skip, run)
    state = _state(planned, run, plan.timeout_seconds)
    if state == "rescore" and _score_again(run.records[task.id], run, executor):
        return "idle"
    if state == "finished":
        run.settle(task)
        return "idle"
    if exhausted:
        limit = plan.sizes[task.problem].budget_seconds
        return _skip(task, f"the time budget of {task.problem}, {limit:g} s, is used up", run)
    reply = executor.call("sample", task, timeout_seconds=plan.timeout_seconds)
    if isinstance(reply, Failure):
        record, arrays = Record(task, reply.status, reply.reason, reply.traceback), None
    else:
        record, arrays = reply
    record = replace(
        record,
        timeout_seconds=plan.timeout_seconds,
        versions=versions(),
        problems_code=problems_code(),
        scores_code=scores_code(),
    )
    run.commit(record, arrays if planned.keep else None)
    return "ran"


def _skip(task: Task, reason: str, run: RunDirectory) -> str:
    """Skips a task, unless its slot holds an older result: better than none, and never thrown away."""
    held = run.records.get(task.id) or run.replaced_by(task)
    if held is not None and held.metrics:
        return "outdated"
    run.commit(Record(task, "skipped", reason, versions=versions()))
    return "idle"


def _state(planned: Planned, run: RunDirectory, timeout_seconds: float) -> str:
    """'finished', 'rescore', 'code' or 'config' (run again, because that changed), or 'new'."""
    task = planned.task
    record = run.records.get(task.id)
    if record is not None:
        if record.status == "skipped" or (record.status == "timeout" and record.timeout_seconds < timeout_seconds):
            return "new"
        changed = record.metrics and record.scores_code != scores_code()
        return "rescore" if changed else "finished"
    before = run.replaced_by(task)
    if before is None:
        return "new"
    return "code" if dataclasses.replace(before.task, code=task.code) == task else "config"


def _score_again(record: Record, run: RunDirectory, executor: Executor) -> bool:
    """Replaces the metrics of a record; False if its samples are not there."""
    task, kept = record.task, run.samples(record.task)
    if kept is None:
        return False
    reply: Metrics | Failure = executor.call(
        "evaluate", task.problem, task.instance, task.seed, kept["x"], kept.get("log_prob")
    )
    if isinstance(reply, Failure):
        run.commit(replace(record, status=reply.status, reason=reply.reason, traceback=reply.traceback))
    else:
        run.commit(replace(record, metrics=reply, scores_code=scores_code()))
    return True


def _keep(name: str, reply: dict[str, np.ndarray] | Failure, made_from: str, run: RunDirectory, tell: Reporter) -> None:
    if isinstance(reply, Failure):
        tell.say(f"{name} is missing: {reply.reason}")
    else:
        run.keep_arrays(name, reply, made_from)
