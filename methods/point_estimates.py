"""Baselines that are no samplers: local maxima, ridge, and the Gaussian around the highest maximum."""

from __future__ import annotations

from collections.abc import Callable

from methods.adam import Adam, Pass, adam, counts, start_adam
from methods.registry import Count, Positive, Samples, method
from methods.target import posterior
from problems.arrays import Array, Key, Keys, eye, namespace, normal, scan, split, vjp
from problems.contract import Problem

_LAPLACE = {"linear", "svd", "gaussian_noise", "likelihood", "differentiable", "prior_log_prob", "prior_sample"}


def ascend(problem: Problem, x: Array, steps: int, rate: float, key: Key) -> Array:
    """Adam on log p(x | y) from every row of x; steps of `rate` prior standard deviations, falling to nothing."""
    target = posterior(problem)

    def step(state: tuple[Array, Adam], row: Pass, keys: Keys) -> tuple[Array, Adam]:  # noqa: ARG001
        x, averages = state
        left = 1.0 - (row.count - 1.0) / steps
        own = rate * left * problem.prior.std[None]
        change, averages = adam(averages, -target.gradient(x), row.count, own, 0.9, 0.99)
        return x + change, averages

    return scan(step, (x, start_adam(x)), Pass(counts(steps, problem.y)), key)[0]


@method("map", requires={"likelihood", "prior_sample"}, point=True, own_steps=True)
def maximum_a_posteriori(
    problem: Problem, key: Key, *, n: int, steps: Count = 500, learning_rate: Positive = 0.1
) -> Samples:
    """Local maxima of p(x | y), found by Adam from draws of the prior: where each start leads to."""
    first, second = split(key, 2)
    return Samples(ascend(problem, problem.prior.sample(first, n), steps, learning_rate, second), nfe=steps)


@method("laplace", requires=_LAPLACE, particle=True, own_steps=True, max_dim=1024)
def laplace(
    problem: Problem,
    key: Key,
    *,
    n: int,
    steps: Count = 500,
    newton_steps: Count = 5,
    learning_rate: Positive = 0.1,
) -> Samples:
    """The Gaussian at the highest maximum of p(x | y) that n starts find, with the curvature there."""
    first, second, third = split(key, 3)
    x = ascend(problem, problem.prior.sample(first, n), steps, learning_rate, second)
    xp = namespace(x)
    best = xp.argmax(posterior(problem).log_density(x))
    mode = x[best][None]
    for _ in range(newton_steps):
        scale, precision = _scaled_precision(problem, mode)
        gradient = xp.reshape(scale(posterior(problem).gradient(mode)), (-1, 1))
        mode = mode + scale(xp.reshape(xp.linalg.solve(precision, gradient), mode.shape))
    scale, precision = _scaled_precision(problem, mode)
    root = xp.linalg.inv(xp.linalg.cholesky(precision))  # L^-1 with L L^T the precision; L^-T z has its inverse
    drawn = xp.reshape(normal(third, (n, problem.dim), x) @ root, (n, *problem.shape))
    evaluations = steps + 1 + (newton_steps * (problem.dim + 1) + problem.dim) / n
    return Samples(mode + scale(drawn), nfe=evaluations, vjp=(newton_steps + 1) * problem.dim / n)


def _scaled_precision(problem: Problem, mode: Array) -> tuple[Callable[[Array], Array], Array]:
    """A symmetric map W, and W H W (d, d) of the negative second derivatives H of log p(x | y) at one point, (1, d).

    W = (I + v A^T A / noise_std^2)^(-1/2), v the prior's mean variance: however quiet the noise, W H W is about I / v,
    and what it holds of the prior is not lost beside the data.
    """
    xp, d, operator = namespace(mode), problem.dim, problem.operator
    variance = xp.mean(problem.prior.std**2)
    told = variance * (operator.singular_values / problem.noise.std) ** 2

    def scale(x: Array) -> Array:
        return operator.spectral(x, (1.0 + told) ** -0.5, 1.0)

    units = xp.reshape(eye(d, mode), (d, *problem.shape))
    _, pull = vjp(lambda x: problem.prior.score(x, 0.0), xp.broadcast_to(mode, units.shape))
    of_prior = scale(-pull(scale(units)))
    of_data = operator.spectral(units, told / (1.0 + told) / variance, 0.0)
    rows = xp.reshape(of_prior + of_data, (d, d))
    return scale, 0.5 * (rows + rows.T)


@method("tikhonov", requires={"linear", "svd", "gaussian_noise"}, point=True)
def tikhonov(problem: Problem, key: Key, *, n: int) -> Samples:  # noqa: ARG001
    """The ridge estimate: least squares with the prior taken for N(mean, v I), v the mean variance of its entries."""
    xp = namespace(problem.y)
    mean, variance = problem.prior.mean[None], xp.mean(problem.prior.std**2)
    residual = problem.y[None, :] - problem.operator(mean)
    x = mean + variance * problem.operator.damped_inverse(residual, variance, problem.noise.std**2)
    return Samples(xp.broadcast_to(x, (n, *problem.shape)), nfe=0)
