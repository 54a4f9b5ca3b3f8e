"""Sampling importance resampling from the prior (Rubin 1987)."""

from __future__ import annotations

from methods.particles import Runs, choose, cloud_of, evidence
from methods.registry import Count, Samples, method
from problems.arrays import Key, split
from problems.contract import Problem


@method(
    "sir",
    requires={"likelihood", "prior_sample"},
    presets={"one-run": {"runs": "one"}},
    particle=True,
)
def sir(problem: Problem, key: Key, *, n: int, particles: Count = 1000, runs: Runs = "many") -> Samples:
    """Draws of the prior, chosen by their likelihood (Rubin 1987).

    Exact with enough of them, a number exponential in KL(p(x | y) || p(x)) (Chatterjee and Diaconis 2018).
    """
    first, second = split(key, 2)
    crowd = cloud_of(n, runs, particles)
    x = problem.prior.sample(first, crowd.rows)
    drawn = choose(crowd, problem.log_likelihood(x), second)
    return Samples(x[drawn.index], nfe=0, info=evidence(drawn.log_mean))
