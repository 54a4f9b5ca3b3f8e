"""Planted fault: the guidance is computed and then left out."""

from typing import Any, NamedTuple

from methods import Samples, method
from problems.arrays import linspace, normal, scan, split


class Time(NamedTuple):
    t: Any


@method("data-ignored", requires={"linear", "gaussian_noise"})
def data_ignored(problem, key, *, n, steps=250):
    """Euler-Maruyama with the likelihood of the noisy state, in array arithmetic."""
    first, second = split(key, 2)
    schedule, operator = problem.schedule, problem.operator

    def step(x, row, keys):
        t = row.t
        a, s, beta = schedule.alpha(t), schedule.sigma(t), schedule.beta(t) / steps
        residual = problem.y[None, :] - operator(x / a)
        guidance = operator.adjoint(residual) / (a * (problem.noise.std**2 + (s / a) ** 2))
        score = (a * problem.prior.denoise(x / a, s / a) - x) / s**2
        score + guidance  # the fault
        return x + beta * (x / 2 + score) + beta**0.5 * normal(keys[0], x.shape, x)

    start = normal(first, (n, *problem.shape), problem.y)
    return Samples(scan(step, start, Time(linspace(1.0, 1e-3, steps, problem.y)), second), nfe=steps)
