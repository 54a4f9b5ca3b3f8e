"""The probability-flow ODE by Heun's method in variance-exploding variables (Karras et al. 2022, arXiv 2206.00364)."""

from __future__ import annotations

from typing import NamedTuple

from methods.reverse_sde import karras_levels
from problems.arrays import Array, Key, namespace, scan
from problems.contract import Problem


class Interval(NamedTuple):
    """One step of the ODE, from the noise level sigma_from down to sigma_to."""

    sigma_from: Array
    sigma_to: Array


def heun(problem: Problem, key: Key, x: Array, steps: int) -> Array:
    """Carries x, (n, *shape), a state of the schedule at t = 1, to the data: dx/dsigma = (x - D(x, sigma)) / sigma.

    Over the Karras levels; the last step, to zero, returns the denoised state (algorithm 1 with S_churn = 0). Two
    denoiser calls a step, one in the last. The key is not used.
    """
    denoise = problem.prior.denoise
    levels = karras_levels(problem, steps)

    def step(x: Array, row: Interval, keys: list[Key]) -> Array:  # noqa: ARG001
        slope = (x - denoise(x, row.sigma_from)) / row.sigma_from
        h = row.sigma_to - row.sigma_from
        euler = x + h * slope
        return x + 0.5 * h * (slope + (euler - denoise(euler, row.sigma_to)) / row.sigma_to)

    alpha = problem.schedule.alpha(namespace(levels).ones_like(levels[0]))
    x = scan(step, x / alpha, Interval(levels[:-1], levels[1:]), key)
    return denoise(x, levels[-1])
