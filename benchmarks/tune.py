"""Chooses hyper-parameters per problem, on tuning instances: `python -m benchmarks.tune [PROBLEM ...]`.

For every method in GRIDS, whose parameters their papers tune per task, and every problem (but twins, which take the
choice of their sibling), each candidate runs on TUNING_INSTANCES instances with indices from TUNING_START on, at the
sizes of the full suite with N samples, and the one with the lowest mean sliced W1 wins. The choices go to
benchmarks/tuned.toml, where the preset 'tuned' of a method finds them. Scoring instances are never looked at.
"""

from __future__ import annotations

import copy
import dataclasses
import itertools
import math
import sys
from typing import Any

from benchmarks.execute import Programs, execute
from benchmarks.judge import evaluate
from benchmarks.plan import Request, make_plan
from benchmarks.selection import Override
from benchmarks.suites import load_suite
from benchmarks.tasks import Task
from benchmarks.tuned_presets import FILE, tuned
from problems import FAMILIES, TUNING_START
from problems.digits import MODEL

TUNING_INSTANCES = 3
N = 128

GRIDS: dict[str, dict[str, list[float]]] = {
    "dps": {"scale": [0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0]},
    "annealed-langevin": {"steps_per_level": [1, 5, 20]},
    "projection": {"lam": [0.1, 0.3, 0.6, 1.0], "snr": [0.0, 0.16, 0.5]},
    "langevin-projection": {"lam": [0.1, 0.3, 0.6, 1.0], "snr": [0.16, 0.4, 0.8]},
}
"""The paper of DPS finds useful zeta' in .1 to 1; that of the projection samplers lam in .36 to 1, snr in 0 to .6."""


def choose(problem: str, method: str, programs: Programs) -> tuple[dict[str, Any], float]:
    """The candidate with the lowest mean sliced W1 over the tuning instances, and that figure (inf: all diverged)."""
    grid = GRIDS[method]
    best: tuple[dict[str, Any], float] = ({}, math.inf)
    for values in itertools.product(*grid.values()):
        chosen = dict(zip(grid, values, strict=True))
        overrides = tuple(Override(method, name, value) for name, value in chosen.items())
        request = Request(problems=(problem,), methods=(method,), overrides=overrides, n=N, instances=1)
        task = make_plan(load_suite("full"), request).tasks[0].task
        distance = sum(_distance(task, TUNING_START + k, programs) for k in range(TUNING_INSTANCES))
        if distance / TUNING_INSTANCES < best[1]:
            best = (chosen, distance / TUNING_INSTANCES)
    return best


def _distance(task: Task, instance: int, programs: Programs) -> float:
    drawn = execute(dataclasses.replace(task, instance=instance), programs)
    value = evaluate(task.problem, instance, task.seed, drawn.x, None)["sw1"][0]
    return value if math.isfinite(value) else math.inf


def main(problems: list[str]) -> None:
    """Tunes on the named problems, or on all, and rewrites their part of tuned.toml."""
    table = copy.deepcopy(tuned())
    for problem in problems or [name for name in FAMILIES if not name.endswith(MODEL)]:
        programs = Programs()
        for method in GRIDS:
            chosen, distance = choose(problem, method, programs)
            if chosen:
                table.setdefault(problem, {})[method] = chosen
            print(f"{problem:22s} {method:22s} {chosen} mean sw1 {distance:.4g}", flush=True)
        FILE.write_text(_toml(table), encoding="utf-8")


def _toml(table: dict[str, dict[str, dict[str, Any]]]) -> str:
    lines = ["# Chosen on tuning instances by `python -m benchmarks.tune`."]
    for problem in sorted(table):
        lines += ["", f"[{problem}]"]
        for method, chosen in sorted(table[problem].items()):
            inside = ", ".join(f"{name} = {value}" for name, value in chosen.items())
            lines.append(f"{method} = {{ {inside} }}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main(sys.argv[1:])
