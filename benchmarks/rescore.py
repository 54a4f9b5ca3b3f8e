"""Scores the kept samples of a run again, without sampling."""

from __future__ import annotations

from typing import Any

from benchmarks.errands import Errand, keep, keep_metrics, to_prepare, to_score
from benchmarks.executor import Executor
from benchmarks.plan import Planned
from benchmarks.progress import Reporter
from benchmarks.provenance import problems_code
from benchmarks.store import RunDirectory, floor_file
from problems import FAMILIES

_FLOOR_DRAWS = 20
"""Where a floor was lost."""


def rescore(run: RunDirectory, executor: Executor, tell: Reporter) -> list[str]:
    """Scores the kept samples of a run again; returns one sentence for each reason why some could not be."""
    scored = [record for record in run.records.values() if record.scored]
    known = [record for record in scored if record.task.problem in FAMILIES]
    current = [record for record in known if record.problems_code == problems_code()]
    errands: list[Errand] = []
    left = sorted(current, key=lambda record: record.task.slot, reverse=True)
    without = 0

    def take(_: int) -> Errand | None:
        nonlocal without
        while not errands and left:
            task = left.pop().task
            old = run.kept_arrays(floor_file(task)) or {}
            draws = max((len(values) for values in old.values()), default=_FLOOR_DRAWS)
            errands.extend(e for e in to_prepare(task, draws, run) if e.file not in asked)
            asked.update(errand.file for errand in errands)
            if (arguments := to_score(task, run)) is not None:
                what = f"{task.problem} {task.instance} {task.config}"
                errands.append(Errand("evaluate", arguments, what, planned=Planned(task, "", 0.1)))
            else:
                without += 1
                tell.advance(0.1, ran=False)
        if not errands:
            return None
        tell.begin(errands[0].what)
        return errands.pop(0)

    def done(errand: Errand, reply: Any, _: float) -> None:
        if errand.planned is None:
            keep(errand.file, reply, errand.made_from, run, tell)
        else:
            keep_metrics(run.records[errand.planned.task.id], reply, run)
            tell.advance(0.1, ran=True)

    asked: set[str] = set()
    tell.start(len(current), 0.1 * len(current) / executor.workers)
    try:
        executor.serve(take, done)
    finally:
        tell.stop()
    told = [
        (len(current) - without, "tasks scored again"),
        (without, "tasks left as they were, because their samples were not kept"),
        (len(known) - len(current), "tasks left as they were, because the problems changed since; run them again"),
        (
            len(scored) - len(known),
            "tasks left as they were, because their problems are of a folder or a plugin that is not given here; the "
            "command of the run scores them",
        ),
    ]
    return [f"{what}: {count}" for count, what in told if count]
