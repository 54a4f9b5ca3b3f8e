"""Runs a plan: what is finished stays, what is left runs, and every outcome is written before the next begins."""

from __future__ import annotations

import dataclasses
import datetime
import json
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks.agenda import Agenda, owners
from benchmarks.cards import cards
from benchmarks.errands import Errand, keep, keep_metrics, row, to_prepare, to_score
from benchmarks.executor import Executor
from benchmarks.plan import Plan, Planned
from benchmarks.plugins import guest
from benchmarks.progress import Reporter
from benchmarks.provenance import code_of, problems_code, scores_code, versions
from benchmarks.records import Record
from benchmarks.store import RunDirectory
from benchmarks.tasks import SCHEMA, Task
from benchmarks.worker import Failure
from problems import FAMILIES
from problems.names import UsageError

_TO_RUN = ("new", "code", "config")


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
        UsageError: if the directory holds results of another seed or precision, the device is missing, or the worker
            does not start.
    """
    tasks = [planned.task for planned in plan.tasks]
    others = {record.task.seed for record in run.records.values()} - {tasks[0].seed}
    if others:  # instance 0 of one seed is not instance 0 of another, and tables pair them
        raise UsageError(f"{run.path} holds results of seed {min(others)}: choose another folder with --out")
    precisions = {record.task.precision for record in run.records.values()} - {tasks[0].precision}
    if precisions:
        raise UsageError(f"{run.path} holds results in {min(precisions)}: choose another folder with --out")
    replies = executor.call_all("hello", {p.task.framework for p in plan.tasks if not p.skip})
    for reply in replies:
        if isinstance(reply, Failure):
            last = reply.traceback.strip().rpartition("\n")[2]
            raise UsageError(f"a worker process does not start: {reply.reason}{last and f'; its last words: {last}'}")
        if reply[0]:
            raise UsageError(reply[0])
    if executor.scheduler is not None and any(code != code_of() for code in executor.call_all("code")):
        raise UsageError(f"the workers of {executor.scheduler} have another version of problems/ or methods/")
    content = {
        "schema": SCHEMA,
        "command": command,
        "suite": Path(suite).stem,
        "seed": tasks[0].seed,
        "created_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        "devices": {tasks[0].device: replies[0][1]},
        "threads": tasks[0].threads,
        "precision": tasks[0].precision,
        "code": code_of(),
        "scores_code": scores_code(),
        "foreign_truths": sorted(name for name, family in FAMILIES.items() if not family.model_truth),
        **cards(),
    }
    _keep_cards(content, run)
    run.write("run.json", json.dumps(content, indent=1).encode())


def _keep_cards(content: dict[str, Any], run: RunDirectory) -> None:
    """Adds what an earlier run.json says of problems that have results here and are registered no more."""
    try:
        told = json.loads((run.path / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    if not isinstance(told, dict):
        return
    gone = {record.task.problem for record in run.records.values()} - FAMILIES.keys()
    content["problems"] |= {name: card for name, card in told.get("problems", {}).items() if name in gone}
    content["foreign_truths"] = sorted({*content["foreign_truths"], *(gone & {*told.get("foreign_truths", ())})})


def carry_out(plan: Plan, run: RunDirectory, executor: Executor, tell: Reporter) -> None:
    """Runs what is left of a plan: problem by problem, and while the last tasks of one run, the first of the next.

    Raises:
        UsageError: if the run directory cannot be written, or no worker is left; what is finished is kept.
    """
    campaign = _Campaign(plan, run, executor, tell)
    tell.start(len(plan.tasks), plan.seconds / executor.workers)
    try:
        executor.serve(campaign.take, campaign.done)
    finally:
        tell.stop()


class _Campaign:
    """A plan on its way through the workers; `take` and `done` are called by `Executor.serve`."""

    def __init__(self, plan: Plan, run: RunDirectory, executor: Executor, tell: Reporter) -> None:
        self.plan, self.run, self.executor, self.tell = plan, run, executor, tell
        self._left = [list(group) for _, group in groupby(plan.tasks, key=lambda p: p.task.problem)][::-1]
        self._open: list[Agenda] = []

    def take(self, seat: int) -> Errand | None:
        """The next errand of a worker."""
        while True:
            for agenda in list(self._open):
                errand = self._take_from(agenda, seat)
                if errand is not None:
                    self.tell.begin(errand.what)
                    return errand
                if agenda.over:
                    self._close(agenda)
            if not self._left or len(self._open) > 1:
                return None
            self._open.append(self._agenda(self._left.pop()))

    def done(self, errand: Errand, reply: Any, seconds: float) -> None:
        """Keeps what an errand gave."""
        (agenda,) = [one for one in self._open if errand in one.under_way]
        agenda.end(errand, seconds)
        if errand.file:
            keep(errand.file, reply, errand.made_from, self.run, self.tell)
        elif errand.planned is not None:
            if errand.name == "evaluate":
                keep_metrics(self.run.records[errand.planned.task.id], reply, self.run)
            else:
                self._keep_task(errand.planned, reply, errand.remark)
            self._advance(errand.planned, ran=errand.name == "sample")

    def _take_from(self, agenda: Agenda, seat: int) -> Errand | None:
        """An errand with its arguments; tasks beyond the budget are skipped on the way."""
        budget = self.plan.sizes[agenda.problem].budget_seconds
        while (errand := agenda.take(seat)) is not None:
            if errand.planned is None:
                return errand
            task = errand.planned.task
            if errand.name == "evaluate":
                if (arguments := to_score(task, self.run)) is not None:
                    errand.arguments = arguments
                    return errand
                errand.name = "sample"
            if agenda.seconds <= budget:
                errand.arguments, errand.timeout_seconds = (task,), self.plan.timeout_seconds
                errand.guest = guest(task.method)
                return errand
            agenda.end(errand, 0.0)
            agenda.outdated += _skip(task, f"the time budget of {task.problem}, {budget:g} s, is used up", self.run)
            self._advance(errand.planned, ran=False)
        return None

    def _agenda(self, tasks: list[Planned]) -> Agenda:
        """What is to be done for one problem; tasks that need nothing are settled at once."""
        agenda = Agenda(tasks[0].task.problem)
        states = {p.task.id: _state(p, self.run, self.plan.timeout_seconds) for p in tasks if not p.skip}
        waiting = [p for p in tasks if states.get(p.task.id) in _TO_RUN]
        owner = owners(waiting, self.executor.workers)
        for worker in range(self.executor.workers):
            ours = [p.task for p in reversed(waiting) if not guest(p.task.method)]
            own = {row(task): task for task in ours if owner[row(task)] == worker}
            if own:
                what = f"compiling for {agenda.problem}"
                job = Errand("compile", (list(own.values()),), what, self.plan.timeout_seconds, seat=worker)
                agenda.errands.append(job)
        met: set[int] = set()
        for planned in tasks:
            task = planned.task
            if not planned.skip and task.instance not in met:
                met.add(task.instance)
                agenda.errands += to_prepare(task, self.plan.floor_draws, self.run)
            if planned.skip:
                agenda.outdated += _skip(task, planned.skip, self.run)
            elif states[task.id] == "finished":
                self.run.settle(task)
            else:
                name = "evaluate" if states[task.id] == "rescore" else "sample"
                what = f"{task.problem} {task.instance} {task.config}"
                seat = owner.get(row(task))
                agenda.errands.append(Errand(name, what=what, instance=task.instance, planned=planned, seat=seat))
                continue
            self._advance(planned, ran=False)
        return agenda

    def _advance(self, planned: Planned, *, ran: bool) -> None:
        self.tell.advance(planned.seconds / self.executor.workers, ran=ran)

    def _close(self, agenda: Agenda) -> None:
        self._open.remove(agenda)
        if agenda.outdated:
            self.tell.say(
                f"{agenda.problem}: {agenda.outdated} results of another code or configuration stay as they were, "
                "because their tasks would be skipped now"
            )

    def _keep_task(self, planned: Planned, reply: Any, remark: str) -> None:
        if isinstance(reply, Failure):
            record, arrays = Record(planned.task, reply.status, reply.reason, reply.traceback), None
        else:
            record, arrays = reply
        record = replace(
            record,
            reason=record.reason if arrays is None else "; ".join(filter(None, (record.reason, remark))),
            timeout_seconds=self.plan.timeout_seconds,
            versions=versions(),
            problems_code=problems_code(),
            scores_code=scores_code(),
        )
        self.run.commit(record, arrays if planned.keep else None)


def _skip(task: Task, reason: str, run: RunDirectory) -> bool:
    """Skips a task, unless its slot holds an older result: better than none, and never thrown away; True if it does."""
    held = run.records.get(task.id) or run.replaced_by(task)
    if held is not None and held.scored:
        return True
    run.commit(Record(task, "skipped", reason, versions=versions()))
    return False


def _state(planned: Planned, run: RunDirectory, timeout_seconds: float) -> str:
    """'finished', 'rescore', 'code' or 'config' (run again, because that changed), or 'new'."""
    task = planned.task
    record = run.records.get(task.id)
    if record is not None:
        if record.status == "skipped" or (record.status == "timeout" and record.timeout_seconds < timeout_seconds):
            return "new"
        changed = record.scored and record.scores_code != scores_code()
        return "rescore" if changed else "finished"
    before = run.replaced_by(task)
    if before is None:
        return "new"
    return "code" if dataclasses.replace(before.task, code=task.code) == task else "config"
