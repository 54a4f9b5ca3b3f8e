"""Which tasks to run: a suite, the user's selections, and what each problem provides."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from benchmarks.devices import default_threads
from benchmarks.estimate import estimate_seconds
from benchmarks.plugins import code_files, plugin_methods
from benchmarks.provenance import code_of
from benchmarks.selection import Override, Row, is_glob, label, overrides_of, select, select_rows
from benchmarks.suites import Limit, Sizes, Suite
from benchmarks.tasks import Task, canonical
from benchmarks.tuned_presets import NAME, tuned_on
from methods import METHODS
from methods.registry import FRAMEWORKS, Method
from problems import FAMILIES, Family
from problems.names import UsageError

_RANKS = 64
"""Bytes of the ranks of one instance of a batch."""


@dataclass(frozen=True)
class Request:
    """What the command line asks for, beside the suite; None means: as the suite says."""

    problems: tuple[str, ...] | None = None
    methods: tuple[str, ...] | None = None
    overrides: tuple[Override, ...] = ()
    n: int | None = None
    instances: int | None = None
    framework: str = "auto"
    device: str = "cpu"
    seed: int | None = None
    timeout_seconds: float | None = None
    threads: int | None = None
    precision: str = "float32"


@dataclass(frozen=True)
class Planned:
    """A task, why it cannot run (or ''), the seconds it will take by estimate, and whether its samples are kept."""

    task: Task
    skip: str
    seconds: float
    keep: bool = True


@dataclass(frozen=True)
class Plan:
    """The tasks in the order in which they run, the sizes and the budget of each problem, and the limit of a task.

    gates: whether the metrics are tried on exact and on faulty samples too. guard: whether the run takes what the
    regression gate needs.
    """

    tasks: tuple[Planned, ...]
    sizes: dict[str, Sizes]
    timeout_seconds: float
    floor_draws: int
    gates: bool = False
    guard: bool = False

    @property
    def seconds(self) -> float:
        """The estimate for all that can run, in seconds."""
        return sum(planned.seconds for planned in self.tasks)


def make_plan(suite: Suite, request: Request) -> Plan:
    """The plan of a run. One problem's tasks follow each other, and in it one instance's.

    Raises:
        UsageError: for a name that does not exist, a value out of range, or a framework that a named method lacks.
    """
    if suite.batched and request.precision != "float32":
        raise UsageError(f"--precision {request.precision} is not for suites that test calibration in batches")
    problems = select("problem", request.problems or suite.problems, list(FAMILIES))
    rows = _rows(suite, request)
    _check_overrides(request.overrides, rows)
    _check_framework(request, rows)
    tasks: list[Planned] = []
    for problem in problems:
        family = FAMILIES[problem]
        sizes = suite.sizes_of(family)
        instances = request.instances or sizes.instances
        runs, batch = (1, instances) if suite.batched else (instances, 1)
        cells: list[tuple[Planned, Planned, float]] = []
        for row, one in _cells(rows, family, request, suite, sizes):
            cell = replace(one, task=replace(one.task, instances=batch))
            first, later = (replace(cell, seconds=_estimate(cell, row, family, suite, first=f)) for f in (True, False))
            cells.append((first, later, _most_instances(row, problem, suite.limits, request)))
        for instance in range(runs):
            for first, later, most in cells:
                chosen = later if instance else first
                for repeat in range(suite.repeats if instance < most else 0):
                    tasks.append(replace(chosen, task=replace(chosen.task, instance=instance, repeat=repeat)))
    if not tasks:
        raise UsageError("nothing to run: the suite's limits exclude every selected pair of a problem and a method")
    sizes_used = {problem: suite.sizes_of(FAMILIES[problem]) for problem in problems}
    timeout = request.timeout_seconds or suite.timeout_seconds
    kept = tuple(_keep_within(tasks, suite.keep_gib))
    return Plan(kept, sizes_used, timeout, suite.floor_draws, suite.gates, suite.guard)


def _rows(suite: Suite, request: Request) -> list[Row]:
    if request.methods:
        return select_rows(request.methods)
    rows = select_rows(suite.methods)
    return rows + [row for name in plugin_methods() if (row := Row(name)) not in rows]


def _check_overrides(overrides: Sequence[Override], rows: list[Row]) -> None:
    for override in overrides:
        if not any(fnmatchcase(row.method, override.pattern) for row in rows):
            selected = ", ".join(sorted({row.method for row in rows}))
            raise UsageError(f"--set names {override.pattern!r}, which is not among the methods to run: {selected}")


def _check_framework(request: Request, rows: list[Row]) -> None:
    """A method that is named outright, or all that are selected, must have the framework."""
    lacking = [row.method for row in rows if _framework(METHODS[row.method], request.framework) is None]
    named = {p.partition("[")[0] for p in request.methods or () if not is_glob(p.partition("[")[0])}
    wrong = [name for name in lacking if name in named or len(lacking) == len(rows)]
    if wrong:
        has = " and ".join(FRAMEWORKS[METHODS[wrong[0]].framework])
        raise UsageError(f"method {wrong[0]!r} runs in {has}, not in {request.framework}")


def _framework(method: Method, wanted: str) -> str | None:
    """The framework that a method runs in; None if it lacks the wanted one."""
    available = FRAMEWORKS[method.framework]
    if wanted == "auto":
        return available[0]
    return wanted if wanted in available else None


def _cells(
    rows: list[Row], family: Family, request: Request, suite: Suite, sizes: Sizes
) -> Iterator[tuple[Row, Planned]]:
    """Every row, and again with more steps those that have as many as the suite says, and from it."""
    for row in rows:
        first = _cell(row, family, request, suite, sizes)
        yield row, first
        asked = {**METHODS[row.method].presets.get(row.preset, {}), **overrides_of(row.method, request.overrides)}
        steps = json.loads(first.task.hyper).get("steps")
        if "steps" in asked or not sizes.steps == _steps(row, suite, sizes) == steps:
            continue
        for steps in sizes.more_steps:
            chosen = (*request.overrides, Override(row.method, "steps", steps))
            yield row, _cell(row, family, replace(request, overrides=chosen), suite, sizes)


def _steps(row: Row, suite: Suite, sizes: Sizes) -> int:
    """The steps that a suite gives to a row, unless its preset has its own; 0 leaves it those of the method."""
    limits = (limit.steps for limit in suite.limits if limit.concerns(row.method, row.preset))
    return next((steps for steps in limits if steps is not None), 0 if METHODS[row.method].own_steps else sizes.steps)


def _cell(row: Row, family: Family, request: Request, suite: Suite, sizes: Sizes) -> Planned:
    """The first task of a cell, with the reason if it cannot run."""
    method = METHODS[row.method]
    chosen = overrides_of(row.method, request.overrides)
    preset = tuned_on(family.name, row.method) if row.preset == NAME else method.presets[row.preset]
    fixed = {**(preset or {}), **chosen}
    steps = _steps(row, suite, sizes)
    sized: dict[str, Any] = {"steps": steps} if steps and "steps" in method.hyper and "steps" not in fixed else {}
    framework = _framework(method, request.framework)
    missing = sorted(method.requires - family.provides)
    skip = f"{row.method} needs {' and '.join(missing)}, which {family.name} does not provide" if missing else ""
    if method.max_dim is not None and family.dim > method.max_dim:
        skip = f"{row.method} takes at most {method.max_dim} dimensions, {family.name} has {family.dim}"
    if suite.batched and method.point:
        skip = f"{row.method} estimates one signal, and its spread is no statement that could be calibrated"
    if preset is None:
        skip = f"{row.method} was not tuned on {family.name}"
    if framework is None:
        skip = f"{row.method} does not run in {request.framework}"
    task = Task(
        problem=family.name,
        instance=0,
        method=row.method,
        config=label(row, chosen),
        framework=framework or FRAMEWORKS[method.framework][0],
        repeat=0,
        n=request.n or sizes.n,
        hyper=canonical(method.configure("default", {**sized, **fixed})),
        seed=suite.seed if request.seed is None else request.seed,
        device=request.device,
        threads=request.threads or default_threads(request.device),
        code=code_of(*code_files(row.method)),
        oracle=method.oracle,
        precision=request.precision,
    )
    return Planned(task, skip, 0.0)


def _estimate(cell: Planned, row: Row, family: Family, suite: Suite, *, first: bool) -> float:
    told = [limit.seconds for limit in suite.limits if limit.seconds and limit.concerns(row.method, row.preset)]
    if cell.skip:
        return 0.0
    return told[0] if told else estimate_seconds(METHODS[row.method], cell.task, family, first=first)


def _most_instances(row: Row, problem: str, limits: list[Limit], request: Request) -> float:
    """The suite's limits hold, except where the user names problems and methods, or the number of instances."""
    most = math.inf
    for limit in limits:
        if limit.concerns(row.method, row.preset):
            named = request.problems and request.methods
            if not named and not any(fnmatchcase(problem, pattern) for pattern in limit.problems):
                return 0
            if request.instances is None and limit.instances is not None:
                most = min(most, limit.instances)
    return most


def sample_bytes(task: Task) -> int:
    """What is kept of a task takes on the disk, in bytes: x and a log density, float32, or ranks, and headers."""
    if task.instances > 1:
        return _RANKS * task.instances + 4096
    return 4 * task.n * (FAMILIES[task.problem].dim + 1) + 1024


def _keep_within(tasks: list[Planned], gib: float) -> list[Planned]:
    """Samples are given up from the last instances of the largest problems, and from instance 0 last of all."""
    sizes = [0 if p.skip else sample_bytes(p.task) for p in tasks]
    excess = sum(sizes) - gib * 2**30
    dropped: set[int] = set()
    for i in sorted(range(len(tasks)), key=lambda i: (tasks[i].task.instance == 0, -sizes[i], -tasks[i].task.instance)):
        if excess <= 0:
            break
        if sizes[i]:
            dropped.add(i)
            excess -= sizes[i]
    return [replace(p, keep=False) if i in dropped else p for i, p in enumerate(tasks)]
