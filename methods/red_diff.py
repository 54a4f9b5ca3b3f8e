"""Regularisation by denoising diffusion (RED-diff: Mardani et al. 2023, arXiv 2305.04391), algorithm 1."""

from __future__ import annotations

from typing import NamedTuple

from methods.adam import Adam, adam, counts, start_adam
from methods.guidance import denoiser
from methods.levels import ddpm_levels, unit
from methods.registry import Count, NonNegative, Positive, Samples, method
from problems.arrays import Array, Key, Keys, namespace, normal, scan
from problems.contract import Problem


class Pass(NamedTuple):
    """One step: the noise level, and its number from 1 on."""

    alpha: Array
    sigma: Array
    count: Array


@method(
    "red-diff",
    requires={"linear", "svd", "gaussian_noise"},
    presets={"readme": {"learning_rate": 0.5}},
    point=True,
)
def red_diff(
    problem: Problem,
    key: Key,
    *,
    n: int,
    steps: Count = 1000,
    learning_rate: Positive = 0.1,
    lam: NonNegative = 0.25,
    data_weight: Positive = 1.0,
) -> Samples:
    """RED-diff: Adam on the residual plus a denoising penalty, noise levels falling; a point estimate, no sample.

    The gradient is data_weight A^T (A mu - y) / m + lam (sigma / alpha) (eps_hat - eps) / d at alpha mu + sigma eps;
    starts at A^+ y; the learning rate is in units of the prior's standard deviation. noise_std is never asked for. What
    differs between its results is the noise of the optimisation.
    """
    levels = ddpm_levels(problem, steps)
    m, d = problem.y.shape[0], problem.dim
    start = problem.operator.pseudo_inverse(problem.y[None, :])
    mu = namespace(start).broadcast_to(start, (n, *problem.shape))

    def step(state: tuple[Array, Adam], row: Pass, keys: Keys) -> tuple[Array, Adam]:
        mu, averages = state
        eps = normal(keys[0], mu.shape, mu)
        x = row.alpha * mu + row.sigma * eps
        eps_hat = (x - row.alpha * denoiser(problem, row.alpha, row.sigma)(x)) / row.sigma
        data = problem.operator.adjoint(problem.operator(mu) - problem.y[None, :]) / m
        gradient = data_weight * data + lam * row.sigma / row.alpha * (eps_hat - eps) / d
        change, averages = adam(averages, gradient, row.count, learning_rate * unit(problem), 0.9, 0.99)
        return mu + change, averages

    tables = Pass(levels.alpha, levels.sigma, counts(steps, levels.alpha))
    return Samples(scan(step, (mu, start_adam(mu)), tables, key)[0], nfe=steps)
