"""Sentences about a run: what it will do, and how it ended."""

from __future__ import annotations

from collections import defaultdict

from benchmarks.listing import aligned
from benchmarks.plan import Plan, Planned, sample_bytes
from benchmarks.progress import duration
from benchmarks.records import Record
from benchmarks.store import RunDirectory
from benchmarks.tasks import STATUSES


def plan_lines(plan: Plan) -> list[str]:
    """A plan as two tables: its problems with their sizes, and its cells, with the estimated time of each."""
    by_problem: defaultdict[str, list[Planned]] = defaultdict(list)
    by_config: defaultdict[str, list[Planned]] = defaultdict(list)
    for planned in plan.tasks:
        by_problem[planned.task.problem].append(planned)
        by_config[planned.task.config].append(planned)
    problems = [
        (
            name,
            str(tasks[0].task.n),
            str(plan.sizes[name].steps),
            str(max(p.task.instance + p.task.instances for p in tasks)),
            str(len(tasks)),
            duration(sum(p.seconds for p in tasks)),
            duration(plan.sizes[name].budget_seconds),
        )
        for name, tasks in by_problem.items()
    ]
    configs = [(name, duration(sum(p.seconds for p in tasks)), _where(tasks)) for name, tasks in by_config.items()]
    kept = sum(sample_bytes(p.task) for p in plan.tasks if p.keep and not p.skip)
    cells = len({(p.task.problem, p.task.config) for p in plan.tasks})
    return [
        *aligned([("problem", "n", "steps", "instances", "tasks", "estimate", "budget")], problems),
        "",
        *aligned([("method", "estimate", "problems")], configs),
        "",
        *_skips(plan.tasks),
        f"{cells} cells, {len(plan.tasks)} tasks, about {duration(plan.seconds)}; "
        f"the kept samples take {kept / 2**20:.0f} MiB",
    ]


def outcome_lines(plan: Plan, run: RunDirectory) -> list[str]:
    """How a run ended: tasks by status, and one line for each cell that has something other than ok."""
    records = [run.records[p.task.id] for p in plan.tasks if p.task.id in run.records]
    by_status = {status: [r for r in records if r.status == status] for status in STATUSES}
    lines = []
    for status, found in by_status.items():
        cells: defaultdict[tuple[str, str], list[Record]] = defaultdict(list)
        for record in found if status not in ("ok", "skipped") else ():
            cells[record.task.problem, record.task.config].append(record)
        lines += [f"{status}: {config} on {problem}: {same[0].reason}" for (problem, config), same in cells.items()]
    counts = ", ".join(f"{len(found)} {status}" for status, found in by_status.items() if found)
    return [*lines, f"{len(records)} of {len(plan.tasks)} tasks are finished: {counts or 'none'}"]


def any_failed(plan: Plan, run: RunDirectory) -> bool:
    """Whether a task of the plan ended with a fault."""
    return any(run.records[p.task.id].status == "failed" for p in plan.tasks if p.task.id in run.records)


def _where(tasks: list[Planned]) -> str:
    names = list(dict.fromkeys(p.task.problem for p in tasks if not p.skip))
    return ", ".join(names) if len(names) <= 5 else f"{len(names)} problems"


def _skips(tasks: tuple[Planned, ...]) -> list[str]:
    reasons = dict.fromkeys(p.skip for p in tasks if p.skip)
    return [f"skipped: {reason}" for reason in reasons]
