"""What sequential Monte Carlo samplers share: independent runs of interacting particles, weights, resampling, evidence.

Particles of all runs are the rows of one array, (runs * particles, *shape), those of a run side by side. Log weights
start anew after every resampling, so that they stay small numbers whatever the evidence is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from problems.arrays import Array, Key, logsumexp, namespace, uniform

Runs = Literal["many", "one"]


@dataclass(frozen=True)
class Cloud:
    """Runs of so many particles each, of which so many are samples in the end."""

    runs: int
    particles: int
    samples: int

    @property
    def rows(self) -> int:
        return self.runs * self.particles


def cloud_of(n: int, runs: Runs, particles: int) -> Cloud:
    """How n samples come about: of 'many' runs one each, which are independent; or all of 'one' run of n particles."""
    return Cloud(n, particles, 1) if runs == "many" else Cloud(1, n, n)


def equal(cloud: Cloud, x: Array) -> Array:
    """Log weights of particles that all weigh the same, (rows,): 0, and nan where x begins with no finite number."""
    return 0.0 * namespace(x).reshape(x, (cloud.rows, -1))[:, 0]


class Drawn(NamedTuple):
    """index: rows drawn by weight. log_mean: the log of the mean weight of each run, (runs,)."""

    index: Array
    log_mean: Array


def resample(cloud: Cloud, log_weights: Array, key: Key) -> Drawn:
    """Systematic resampling in every run (Kitagawa 1996): one uniform number a run. Log weights (rows,)."""
    place = namespace(log_weights).arange(cloud.particles)
    return _drawn(cloud, log_weights, key, place, cloud.particles)


def choose(cloud: Cloud, log_weights: Array, key: Key) -> Drawn:
    """The samples: of each run one particle by its weight, or as many as a single run has."""
    return _drawn(cloud, log_weights, key, namespace(log_weights).arange(cloud.samples), cloud.samples)


def _drawn(cloud: Cloud, log_weights: Array, key: Key, place: Any, count: int) -> Drawn:
    """Particles at (place + u) / count of the cumulative weights; a run whose weights are all zero has equal ones.

    A weight that is not a number is never drawn, and the evidence of its run is not a number either.
    """
    xp = namespace(log_weights)
    table = xp.reshape(log_weights, (cloud.runs, cloud.particles))
    wrong = xp.isnan(table)
    table = xp.where(wrong, -math.inf, table)
    top = xp.max(table, axis=1, keepdims=True)
    lost = top == -math.inf
    weights = xp.where(lost, xp.ones_like(table), xp.exp(table - xp.where(lost, xp.zeros_like(top), top)))
    cumulative = xp.cumulative_sum(weights, axis=1)
    u = uniform(key, (cloud.runs,), table)[:, None]
    points = (xp.astype(place, table.dtype)[None, :] + u) / count * cumulative[:, -1:]
    index = xp.reshape(_place(cumulative, points), (-1,))
    log_mean = xp.where(lost, -math.inf * xp.ones_like(top), xp.log(cumulative[:, -1:] / cloud.particles) + top)[:, 0]
    return Drawn(index, xp.where(xp.any(wrong, axis=1), math.nan, log_mean))


def _place(cumulative: Array, points: Array) -> Array:
    """The rows that the points of each run, (runs, count), fall on: by bisection, in memory of that size."""
    xp = namespace(cumulative)
    runs, particles = cumulative.shape
    # A point that rounding put at the total falls on the last particle that weighs anything.
    ends = xp.reshape(xp.where(cumulative < cumulative[:, -1:], cumulative, math.inf), (-1,))
    first = xp.astype(xp.arange(runs), xp.int32)[:, None] * particles
    below = xp.zeros_like(points, dtype=xp.int32)
    for bit in reversed(range(particles.bit_length())):
        ahead = below + 2**bit
        last = first + xp.where(ahead < particles, ahead, xp.full_like(ahead, particles)) - 1
        below = xp.where(ends[last] <= points, ahead, below)
    return first + below


def evidence(log_evidences: Array) -> dict[str, Array]:
    """What is told of the estimates Z of p(y) of independent runs, (runs,), given as logarithms.

    log_evidence is the logarithm of their mean, whose expectation is p(y) of the discretised model (that of the mean
    logarithm is lower by half its variance); log_evidence_stderr its standard error, nan of one run.
    """
    xp = namespace(log_evidences)
    runs = log_evidences.shape[0]
    log_mean = logsumexp(log_evidences) - math.log(runs)
    relative = xp.exp(log_evidences - log_mean)
    spread = xp.sum((relative - 1.0) ** 2) / max(runs - 1, 1)
    return {
        "log_evidence": log_mean,
        "log_evidence_stderr": (spread / runs) ** 0.5 if runs > 1 else log_mean * math.nan,
    }
