"""The probability-flow ODE by Heun's method in variance-exploding variables (Karras et al. 2022, arXiv 2206.00364)."""

from __future__ import annotations

from methods.guidance import Guidance, none
from methods.levels import Interval, karras_levels
from problems.arrays import Array, Key, Keys, scan
from problems.contract import Problem


def heun(problem: Problem, key: Key, x: Array, steps: int, guide: Guidance = none) -> Array:
    """Carries x, (n, *shape), a state of the schedule at t = 1, to the data: dx/dsigma = -sigma score(x, sigma).

    Over the Karras levels; the last step, to zero, is Euler's and returns the denoised state (algorithm 1 with
    sigma(t) = t). Two guided scores a step, one in the last. The key is not used.
    """
    levels = karras_levels(problem, steps)
    one = problem.schedule.one

    def slope(x: Array, sigma: Array) -> Array:
        x0_hat, g = guide(problem, x, one, sigma)
        return (x - x0_hat) / sigma - sigma * g

    def step(x: Array, row: Interval, keys: Keys) -> Array:  # noqa: ARG001
        first, h = slope(x, row.sigma_from), row.sigma_to - row.sigma_from
        return x + 0.5 * h * (first + slope(x + h * first, row.sigma_to))

    x = scan(step, x / problem.schedule.alpha(one), Interval(levels[:-1], levels[1:]), key)
    x0_hat, g = guide(problem, x, one, levels[-1])
    return x0_hat + levels[-1] ** 2 * g
