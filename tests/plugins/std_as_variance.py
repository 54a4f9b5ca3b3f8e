"""Planted fault: the likelihood is weighted with 1 / noise_std where 1 / noise_std^2 is meant."""

from typing import Any, NamedTuple

from methods import Samples, method
from problems.arrays import linspace, normal, scan, split, vjp


class Time(NamedTuple):
    t: Any


@method("std-as-variance", requires={"linear", "gaussian_noise", "differentiable", "svd"})
def std_as_variance(problem, key, *, n, steps=250):
    """Euler-Maruyama with pseudo-inverse guidance, in array arithmetic."""
    first, second = split(key, 2)
    schedule, operator = problem.schedule, problem.operator

    def step(x, row, keys):
        t = row.t
        a, s, beta = schedule.alpha(t), schedule.sigma(t), schedule.beta(t) / steps
        x0_hat, pull = vjp(lambda x: problem.prior.denoise(x / a, s / a), x)
        residual = problem.y[None, :] - operator(x0_hat)
        solved = operator.gram_solve(residual, s**2, problem.noise.std)  # the fault
        score = (a * x0_hat - x) / s**2 + pull(operator.adjoint(solved))
        return x + beta * (x / 2 + score) + beta**0.5 * normal(keys[0], x.shape, x)

    start = normal(first, (n, *problem.shape), problem.y)
    return Samples(scan(step, start, Time(linspace(1.0, 1e-3, steps, problem.y)), second), nfe=steps, vjp=steps)
