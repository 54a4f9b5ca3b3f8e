"""Decoupled annealing posterior sampling (DAPS: Zhang et al. 2025, arXiv 2407.01521), algorithm 1."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from methods.conditioning import denoised_with_cov, near, within
from methods.levels import powered, refuse_rising, unit
from methods.mcmc import ula
from methods.registry import Count, Positive, Samples, method
from problems.arrays import Array, Key, Keys, linspace, namespace, normal, scan, split
from problems.contract import Problem


class Annealing(NamedTuple):
    """One outer step: from sigma to the next noise level, 0 after the last; decay is that of the inner step size."""

    sigma: Array
    sigma_next: Array
    decay: Array


MAX_STEP = 1.9
"""Of an inner step times the curvature; from 2 on Langevin steps grow without bound."""
MAX_SHARE = 0.5
"""Of sigma^2 in an inner step. Where y says nothing, one step of share s leaves the variance 2 s sigma^2, many of them
sigma^2 / (1 - s / 2): with a half it is sigma^2 after one and 4/3 sigma^2 after any number."""
Inner = Callable[[Array, Annealing, Keys], Array]
"""x_t, the level and the keys -> a draw of x_0."""


@method("daps", requires={"gaussian_noise"}, presets={"calibrated": {"tau": 2**0.5, "step_size": 0.5}})
def daps(
    problem: Problem,
    key: Key,
    *,
    n: int,
    steps: Count = 1000,
    ode_steps: Count = 5,
    inner_steps: Count = 100,
    tau: Positive = 0.2,
    step_size: Positive = 1.0,
    sigma_max: Positive = 100.0,
    sigma_min: Positive = 0.1,
) -> Samples:
    """DAPS: denoise by a short ODE, run Langevin on x_0 given the denoised state and y, diffuse to the next level.

    The inner law is N(x_0; D, sigma^2 I) exp(-||y - A x_0||^2 / tau'^2), tau' = tau noise_std, the step that of
    step_size tau'^2 / ||A||^2, falling to a hundredth of it. The missing half before the square makes it a noise of
    tau' / sqrt(2); published are .01 for a noise of .05, which is tau = .2, and a step of 1e-4: where y tells more than
    the prior, samples are .14 times as wide as they should be. 'calibrated' has the tau whose noise is that of y, and
    half the step, which is at the edge of stability at its full length. Where that step would
    be unstable, which the published settings just miss, it is cut to MAX_STEP over the curvature, and it is never more
    than MAX_SHARE of sigma^2, which the published steps do not reach: a noise so loud that y says nothing would leave
    x_0 with twenty times the variance sigma^2. steps are denoiser evaluations, ode_steps of them for each level;
    sigma_max and sigma_min are in units of the prior's standard deviation.
    """
    ode_steps = min(ode_steps, steps)
    spread = tau * problem.noise.std

    def inner(x: Array, row: Annealing, keys: Keys) -> Array:
        curvature = 2.0 * (problem.operator.norm / spread) ** 2 + 1.0 / row.sigma**2
        eta = step_size * row.decay * (spread / problem.operator.norm) ** 2
        largest = namespace(curvature).minimum(MAX_STEP / curvature, MAX_SHARE * row.sigma**2)
        eta = namespace(eta).minimum(eta, largest)
        return _langevin(problem, _denoise(problem, x, row.sigma, ode_steps), row.sigma, spread, eta, keys)

    count = steps // ode_steps
    return Samples(_anneal(problem, key, n, count, (sigma_max, sigma_min), inner, inner_steps), nfe=count * ode_steps)


@method("daps-exact-inner", requires={"linear", "svd", "gaussian_noise"})
def daps_exact_inner(
    problem: Problem,
    key: Key,
    *,
    n: int,
    steps: Count = 200,
    tau: Positive = 1.0,
    sigma_max: Positive = 100.0,
    sigma_min: Positive = 0.1,
) -> Samples:
    """DAPS without the errors of its parts: D = E[x_0 | x_t], and exact draws of N(D, sigma^2 I) given y.

    What is left is that sigma^2 I stands for Cov[x_0 | x_t]. The noise of y is taken as tau noise_std, that of `daps`
    as tau noise_std / sqrt(2).
    """

    def inner(x: Array, row: Annealing, keys: Keys) -> Array:
        return near(problem, problem.prior.denoise(x, row.sigma), row.sigma, tau * problem.noise.std, keys)

    return Samples(_anneal(problem, key, n, steps, (sigma_max, sigma_min), inner, 2), nfe=steps)


@method("daps-covariance", requires={"linear", "gaussian_noise", "differentiable"}, own_steps=True, max_dim=256)
def daps_covariance(
    problem: Problem,
    key: Key,
    *,
    n: int,
    steps: Count = 200,
    tau: Positive = 1.0,
    sigma_max: Positive = 100.0,
    sigma_min: Positive = 0.1,
) -> Samples:
    """The same with Cov[x_0 | x_t] in place of sigma^2 I: exact for Gaussian priors; d backward passes a step."""

    def inner(x: Array, row: Annealing, keys: Keys) -> Array:
        return within(problem, *denoised_with_cov(problem, x, row.sigma), tau * problem.noise.std, keys)

    x = _anneal(problem, key, n, steps, (sigma_max, sigma_min), inner, 2)
    return Samples(x, nfe=steps, vjp=steps * problem.dim)


def _anneal(
    problem: Problem, key: Key, n: int, steps: int, ends: tuple[float, float], inner: Inner, draws: int
) -> Array:
    """x_0 by the inner draw, then noise of the next level, from the top down; x_0 after the last."""
    refuse_rising("sigma", *ends)
    first, second = split(key, 2)
    top, bottom = (end * unit(problem) for end in ends)
    levels = powered(top, bottom, steps + 1)
    xp = namespace(levels)
    after = xp.concat([levels[1:-1], xp.zeros_like(levels[:1])])
    rows = Annealing(levels[:-1], after, 1.0 - 0.99 * linspace(0.0, 1.0, steps + 2, levels)[:steps])

    def step(x: Array, row: Annealing, keys: Keys) -> Array:
        return inner(x, row, keys[1:]) + row.sigma_next * normal(keys[0], x.shape, x)

    return scan(step, top * normal(first, (n, *problem.shape), problem.y), rows, second, draws=1 + draws)


def _denoise(problem: Problem, x: Array, sigma: Array, steps: int) -> Array:
    """Euler steps of the probability-flow ODE from sigma to .01 units, or to a tenth of a lower sigma, (n, *shape)."""
    levels = powered(sigma, namespace(sigma).minimum(0.01 * unit(problem), 0.1 * sigma), steps + 1)
    for i in range(steps):
        x = x + (levels[i + 1] - levels[i]) * (x - problem.prior.denoise(x, levels[i])) / levels[i]
    return x


def _langevin(problem: Problem, centre: Array, sigma: Array, spread: Array, eta: Array, keys: Keys) -> Array:
    """Langevin steps of size eta from the denoised state, at the law of `daps`; one for each key."""

    def gradient(x: Array) -> Array:
        pull = 2.0 * problem.operator.pull(x, problem.y[None, :] - problem.operator(x)) / spread**2
        return pull + (centre - x) / sigma**2

    return scan(lambda x, _, own: ula(x, gradient, eta, own), centre, None, keys)
