"""What metrics say of exact samples and of planted faults on one instance: the evidence that the gates judge."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.execute import instance_of
from benchmarks.judge import evaluate
from benchmarks.tasks import seed_words
from problems import Instance
from problems.arrays import Key, make_key
from scores.effect import effect
from scores.faults import FAULTS


@dataclass(frozen=True)
class GateDraws:
    """How many runs of exact and of faulty samples each instance has; one run is n samples and their metrics.

    Attributes:
        yardstick: exact runs that make the yardstick, as many as make a floor. fresh: exact runs that are judged by it.
        faulty: runs of every fault at each of its sizes.
    """

    yardstick: int = 20
    fresh: int = 10
    faulty: int = 2


def plantable(problem: str, indices: list[int]) -> dict[int, list[str]]:
    """The names of the faults that can be planted on each instance."""
    return {index: _applicable(instance_of(problem, index)) for index in indices}


def gate(problem: str, index: int, n: int, seed: int, draws: GateDraws) -> dict[str, np.ndarray]:
    """The metrics of exact and of faulty samples of size n, against the reference that the methods meet.

    Every run has a truth of its own, a draw of the exact posterior: given y that is its law. Were the truth the same in
    all, what metrics of the truth scatter by in a table would cancel here, and they would find faults that they miss
    there. Metrics of the density are given that of the law, at its samples and at n exact draws.

    Returns:
        'metrics': their names (M,). 'planted': the names of the faults that apply. 'effects': how large each is in x at
        its nominal size (`scores.effect`). 'exact': (yardstick + fresh, M).
        'fault@size', for each that was planted: (runs, M). A run depends on the names and on its number alone.
    """
    instance = instance_of(problem, index)
    posterior, applicable = instance.posterior, _applicable(instance)

    def rows(law: Any, name: str, size: float | None, runs: int) -> Iterator[dict[str, float]]:
        for run in range(runs):

            def key(*stream: str, run: int = run) -> Key:
                return make_key("numpy", seed_words(seed, problem, index, "gates", name, str(size), run, *stream))

            x, exact_x = law.sample(key(), n), posterior.sample(key("exact"), n)
            truth = posterior.sample(key("truth"), 1)[0]
            densities = law.log_prob(x), exact_x, law.log_prob(exact_x)
            values = evaluate(problem, index, seed, x, *densities, x_true=truth)
            yield {metric: value for metric, (value, _) in values.items()}

    exact = list(rows(posterior, "exact", None, draws.yardstick + draws.fresh))
    metrics = list(exact[0])
    found = {"exact": exact}
    for name in applicable:
        for size in FAULTS[name].sizes:
            law = FAULTS[name].law(instance, size)
            found[label(name, size)] = list(rows(law, name, size, draws.faulty))
    tables = {key: np.array([[row[metric] for metric in metrics] for row in runs]) for key, runs in found.items()}
    faults = [FAULTS[name] for name in applicable]
    effects = np.array([effect(fault.law(instance, fault.nominal), posterior) for fault in faults])
    return {"metrics": np.array(metrics), "planted": np.array(applicable, dtype=str), "effects": effects, **tables}


def _applicable(instance: Instance) -> list[str]:
    return [name for name, fault in FAULTS.items() if fault.applies(instance)]


def label(fault: str, size: float) -> str:
    """The name of a fault of some size among the arrays of `gate`."""
    return f"{fault}@{size:g}"


def evaluations(draws: GateDraws, planted: Iterable[str]) -> int:
    """How many runs `gate` makes."""
    return draws.yardstick + draws.fresh + draws.faulty * sum(len(FAULTS[name].sizes) for name in planted)
