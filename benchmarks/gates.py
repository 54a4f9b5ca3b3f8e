"""The gates: on which problems a metric may be believed, at the plan's n and number of instances."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import bdtrc

from benchmarks.executor import Executor, Job
from benchmarks.plan import Plan
from benchmarks.planted import GateDraws, evaluations, label
from benchmarks.progress import Reporter
from benchmarks.provenance import scores_code
from benchmarks.store import RunDirectory
from benchmarks.tasks import Task, digest
from benchmarks.worker import Failure
from problems import FAMILIES
from scores import METRICS, Metric
from scores.decision import LEVEL, Parts, cells_of, disjoint_cells, flagged, parts_of
from scores.effect import CLAIMED_EFFECT
from scores.faults import FAULTS, Fault

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    *("problem", "n", "instances", "metric", "fault", "size", "size_unit", "nominal", "claimed", "planted"),
    *("share_found", "found", "smallest", "null_rate", "null_cells", "null_ok", "believed", "own_reason", "reason"),
)
"""The columns of gates.parquet, in this order: one row per (problem, metric, fault, size).

planted: on how many of the instances the fault can be planted; on the others its cells have exact samples. claimed:
the metric must find it at the nominal size, as it claims to see it and the problem has it (see PLANTED_SHARE), large
enough (see `scores.effect`).
smallest: see `smallest_found`. null_rate: the share of the null_cells exact cells that are flagged. believed and reason
belong to (problem, metric) and are the same in all its rows. own_reason is that of the problem alone, to which reason
adds what all problems of the table say together: it follows from the other columns, and so is never out of date.
"""

FOUND = 0.9
"""A fault is found if this share of its cells is flagged."""

PLANTED_SHARE = 0.5
"""A fault that can be planted on a smaller share of the instances decides nothing.

In the mean over all of them it is so much smaller than its size says: a problem with one mode on most instances is no
test of mode weights.
"""

NULL_LEVEL = 1e-4
"""Chance of the null gate to fail a metric whose exact cells are flagged as stated; a table has a thousand of them."""

POOLED_LEVEL = 0.01
"""The same of the null gate over all problems together, for any of the metrics."""

DRAWS = GateDraws()
FILE = "gates.parquet"
_SECONDS = 0.03
"""Of one run and its metrics, for the estimate: from .013 to .13 by dimension and n."""

Arrays = dict[str, np.ndarray]


def run_gates(plan: Plan, run: RunDirectory, executor: Executor, tell: Reporter, draws: GateDraws = DRAWS) -> None:
    """Makes what is missing of the gates of a plan's problems, keeping each instance, then writes gates.parquet.

    An instance whose job fails is told and left out; rows of problems outside the plan stay.

    Raises:
        UsageError: if the run directory cannot be written; what is finished is kept.
    """
    trials = _trials(plan, executor, tell, draws)
    kept: dict[tuple[str, int], Arrays] = {}
    left = deque(trials)

    def take(_: int) -> _Trial | None:
        while left:
            trial = left.popleft()
            arrays = run.kept_arrays(trial.file, trial.made_from)
            if arrays is None:
                tell.begin(trial.what)
                return trial
            kept[trial.task.problem, trial.task.instance] = arrays
            tell.advance(trial.seconds, ran=False)
        return None

    def done(trial: _Trial, reply: Arrays | Failure, _: float) -> None:
        task = trial.task
        if isinstance(reply, Failure):
            tell.say(f"the gates of {task.problem} go without instance {task.instance}: {reply.reason}")
        else:
            run.keep_arrays(trial.file, reply, trial.made_from)
            kept[task.problem, task.instance] = reply
        tell.advance(trial.seconds, ran=True)

    tell.start(len(trials), sum(trial.seconds for trial in trials) / executor.workers)
    try:
        executor.serve(take, done)
    finally:
        tell.stop()
    rows: list[dict[str, Any]] = []
    for problem, n in {trial.task.problem: trial.task.n for trial in trials}.items():
        instances = [kept[where] for where in sorted(kept) if where[0] == problem]
        rows += verdicts(problem, n, instances, draws)
    run.write(FILE, pooled(_with_other_problems(rows, run)).to_parquet(index=False))


@dataclass(eq=False, kw_only=True)
class _Trial(Job):
    """The job 'gate' on one instance; trials do not depend on each other.

    Attributes:
        file, made_from: where its arrays are kept, and the digest of all that they depend on.
        seconds: that it takes by estimate.
    """

    task: Task
    file: str
    made_from: str
    seconds: float


def _trials(plan: Plan, executor: Executor, tell: Reporter, draws: GateDraws) -> list[_Trial]:
    """One for every instance of the plan whose problem has an exact posterior.

    Those of a problem whose instances cannot be built are told and left out.
    """
    sizes = {fault.name: [fault.nominal, *fault.sizes] for fault in FAULTS.values()}
    shared = [dataclasses.asdict(draws), sizes, sorted(METRICS), scores_code()]
    trials = []
    problems = dict.fromkeys(planned.task.problem for planned in plan.tasks)
    for problem in (name for name in problems if "posterior" in FAMILIES[name].provides):
        tasks = {p.task.instance: p.task for p in plan.tasks if p.task.problem == problem}
        plantable = executor.call("plantable", problem, list(tasks), timeout_seconds=plan.timeout_seconds)
        if isinstance(plantable, Failure):
            tell.say(f"the gates go without {problem}: {plantable.reason}")
            continue
        for index, task in tasks.items():
            trials.append(
                _Trial(
                    name="gate",
                    arguments=(problem, index, task.n, task.seed, draws),
                    what=f"gates of {problem} {index}",
                    timeout_seconds=plan.timeout_seconds,
                    task=task,
                    file=f"gates/{problem}-{index}-{task.n}.npz",
                    made_from=digest([*shared, task.seed]),
                    seconds=_SECONDS * evaluations(draws, plantable[index]),
                )
            )
    return trials


def verdicts(problem: str, n: int, instances: list[Arrays], draws: GateDraws) -> Iterator[dict[str, Any]]:
    """The rows of one problem alone, from what `planted.gate` found on each instance."""
    for metric in METRICS.values():
        having = [arrays for arrays in instances if metric.name in arrays["metrics"]]
        if having:
            yield from _verdict(problem, n, metric, having, draws)


def pooled(table: pd.DataFrame) -> pd.DataFrame:
    """The table with the null gate of all its problems together, a sharper test than that of each.

    On one problem few exact cells are judged, which shows gross faults alone; a metric that cries wolf somewhat too
    often everywhere shows in their sum, and is then believed nowhere. One-sided binomial, at POOLED_LEVEL over the
    number of metrics. (Cells of one problem share a yardstick, whose error makes their counts scatter a little more.)
    """
    once = table.drop_duplicates(["problem", "metric"])
    loud = {}
    for metric, rows in once[once["null_rate"].notna()].groupby("metric"):
        cells, problems = int(rows["null_cells"].sum()), len(rows)
        count = int((rows["null_rate"] * rows["null_cells"]).round().sum())
        if problems > 1 and bdtrc(count - 1, cells, LEVEL) <= POOLED_LEVEL / once["metric"].nunique():
            loud[metric] = (
                f"flags {100 * count / cells:.0f} % of {cells} exact cells over {problems} problems instead of "
                f"{100 * LEVEL:.0f} %"
            )
    told = [loud.get(name, "") for name in table["metric"]]
    reason = ["; ".join(filter(None, both)) for both in zip(table["own_reason"], told, strict=True)]
    nulls = zip(table["null_rate"], table["null_cells"], told, strict=True)
    return table.assign(
        null_ok=[null_ok(rate, cells) and not why for rate, cells, why in nulls],
        believed=[not why for why in reason],
        reason=reason,
    )


def null_ok(rate: float, cells: int) -> bool:
    """Whether so many of the exact cells of one problem may be flagged; no rate (nan) is not."""
    return bool(np.isfinite(rate)) and float(bdtrc(round(rate * cells) - 1, cells, LEVEL)) > NULL_LEVEL


def _verdict(
    problem: str, n: int, metric: Metric, instances: list[Arrays], draws: GateDraws
) -> Iterator[dict[str, Any]]:
    exact = [_parts(arrays, "exact", metric) for arrays in instances]
    yardstick = cells_of([tuple(part[: draws.yardstick] for part in parts) for parts in exact], stream=1)
    unused = [tuple(part[draws.yardstick :] for part in parts) for parts in exact]
    fresh = disjoint_cells(unused)
    finite = bool(np.isfinite(yardstick).all() and np.isfinite(fresh).all())

    def share(cells: np.ndarray) -> float:
        return float(np.mean(flagged(cells, yardstick, metric.better, draws.yardstick))) if finite else float("nan")

    null_rate = share(fresh)
    rows, missed = [], []
    for fault in FAULTS.values():
        count = sum(fault.name in arrays["planted"] for arrays in instances)
        shares = {size: share(cells) for size, cells in _faulty_cells(fault, metric, instances, unused)}
        smallest = smallest_found({size: found >= FOUND for size, found in shares.items()}, fault.nominal)
        claimed = fault.name in metric.claims and count >= PLANTED_SHARE * len(instances)
        if claimed and metric.in_x:
            claimed = _mean_effect(fault, instances) >= CLAIMED_EFFECT
        if shares and claimed and not shares[fault.nominal] >= FOUND:
            where = f" (planted on {count} of {len(instances)} instances)" if count < len(instances) else ""
            missed.append(fault.said(fault.nominal) + where)
        rows += [
            {
                "fault": fault.name,
                "size": size,
                "size_unit": fault.size_unit,
                "nominal": size == fault.nominal,
                "claimed": claimed,
                "planted": count,
                "share_found": found,
                "found": found >= FOUND,
                "smallest": size == smallest,
            }
            for size, found in shares.items()
        ]
    at = f"at n = {n}, {len(instances)} instance{'s' * (len(instances) > 1)}"
    if not finite:
        reason = f"has no finite value on exact samples {at}"
    else:
        told = (
            []
            if null_ok(null_rate, len(fresh))
            else [f"flags {100 * null_rate:.0f} % of exact cells instead of {100 * LEVEL:.0f} %"]
        )
        told += [f"misses {_listed(missed)}"] if missed else []
        reason = f"{' and '.join(told)} {at}" if told else ""
    shared = {"problem": problem, "n": n, "instances": len(instances), "metric": metric.name}
    null = {"null_rate": null_rate, "null_cells": len(fresh), "null_ok": null_ok(null_rate, len(fresh))}
    verdict = null | {"believed": not reason, "own_reason": reason, "reason": reason}
    yield from (shared | row | verdict for row in rows)


def _mean_effect(fault: Fault, instances: list[Arrays]) -> float:
    """The size in x of a fault at its nominal size, the mean over the instances that can have it."""
    planted = [dict(zip(arrays["planted"], arrays["effects"], strict=True)) for arrays in instances]
    return float(np.mean([effects[fault.name] for effects in planted if fault.name in effects]))


def _parts(arrays: Arrays, key: str, metric: Metric) -> Parts:
    names = arrays["metrics"].tolist()
    return parts_of(metric.name, lambda name: arrays[key][:, names.index(name)])


def _faulty_cells(
    fault: Fault, metric: Metric, instances: list[Arrays], unused: list[Parts]
) -> Iterator[tuple[float, np.ndarray]]:
    """The cells of each size; instances without the fault stay exact, with draws that are not of the yardstick."""
    for size in fault.sizes:
        key = label(fault.name, size)
        if any(key in arrays for arrays in instances):
            pairs = zip(instances, unused, strict=True)
            yield size, cells_of([_parts(one, key, metric) if key in one else base for one, base in pairs], stream=3)


def smallest_found(found: dict[float, bool], nominal: float) -> float | None:
    """The smallest size that is found together with all sizes from it up to the nominal one.

    If the nominal size is missed, the first larger one that is found; None if there is none.
    """
    smallest = None
    for size in sorted(found, reverse=True):
        if found[size]:
            smallest = size
        elif size <= nominal:
            break
    return smallest


def _listed(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _with_other_problems(rows: list[dict[str, Any]], run: RunDirectory) -> pd.DataFrame:
    """The new rows, and those of other problems that an earlier call wrote."""
    import pandas as pd

    table = pd.DataFrame(rows, columns=list(COLUMNS))
    with suppress(OSError, ValueError):  # there is none yet, or it is torn: it can be made again from what is kept
        before = pd.read_parquet(run.path / FILE)
        others = before[~before["problem"].isin(table["problem"])]
        if list(before.columns) == list(COLUMNS) and len(others):
            return pd.concat([others, table], ignore_index=True)
    return table
