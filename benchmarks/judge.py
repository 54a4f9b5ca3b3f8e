"""Scores samples: the exact reference of an instance, its floor, and the metrics of one task."""

from __future__ import annotations

import dataclasses
from functools import lru_cache

import numpy as np

import scores
from benchmarks.execute import instance_of
from benchmarks.tasks import seed_words
from methods import METHODS
from problems import FAMILIES, seeded_as

Metrics = dict[str, tuple[float, float]]


def evaluate(
    problem: str,
    index: int,
    seed: int,
    x: np.ndarray,
    log_prob: np.ndarray | None,
    exact_x: np.ndarray | None = None,
    exact_log_prob: np.ndarray | None = None,
    log_evidence: tuple[float, float] | None = None,
    point: bool = False,
    x_true: np.ndarray | None = None,
) -> Metrics:
    """The metrics of samples x, (n, *shape), of one instance; the reference is that of the instance, seed and n.

    The log densities of a method that has them: at its samples, and at exact draws. `x_true`: in place of the truth of
    the instance. See `told` for the rest.
    """
    instance = instance_of(problem, index)
    values = scores.evaluate(
        x,
        instance if x_true is None else dataclasses.replace(instance, x_true=x_true),
        _frame(problem, index, len(x), seed),
        data_range=FAMILIES[problem].data_range,
        log_prob=log_prob,
        exact_x=exact_x,
        exact_log_prob=exact_log_prob,
        log_evidence=log_evidence,
        point=point,
    )
    return {name: (float(value), float(error)) for name, (value, error) in values.items()}


def told(method: str, info: dict[str, float]) -> tuple[tuple[float, float] | None, bool]:
    """What a method says of itself that its metrics depend on: `log_evidence` and `point` of `evaluate`."""
    estimate = info.get("log_evidence")
    evidence = None if estimate is None else (estimate, info.get("log_evidence_stderr", float("nan")))
    return evidence, method in METHODS and METHODS[method].point  # the plugin may be absent now


def floor(problem: str, index: int, n: int, seed: int, draws: int) -> dict[str, np.ndarray]:
    """Metric -> (draws,): what exact samples of size n score against the reference that the methods meet."""
    return scores.floor(
        instance_of(problem, index),
        _frame(problem, index, n, seed),
        draws=draws,
        seed_words=_words(problem, index, seed),
        data_range=FAMILIES[problem].data_range,
    )


@lru_cache(maxsize=4)  # the floor of an instance is made while tasks of the one before it run
def _frame(problem: str, index: int, n: int, seed: int) -> scores.Frame:
    """The reference of an instance, or its frame if its posterior is not known."""
    instance = instance_of(problem, index)
    if instance.known is None:
        return scores.frame(instance, n)
    return scores.reference(instance, n, _words(problem, index, seed))


def _words(problem: str, index: int, seed: int) -> list[int]:
    """What the reference and the floor are seeded with (they are streams apart): the same for every method."""
    return seed_words(seed, seeded_as(problem), index, "scores")
