"""The evidence bound of a score prior, b(x) <= log p(x), cheap enough to train against.

Feng and Bouman 2023 (arXiv 2309.01949), with the bound of Song et al. 2021 (arXiv 2101.09258, theorem 3). Time is
measured by B, the integral of beta, in which the variance-preserving diffusion has no parameter left: from any start
B_0, x_b = e^{-b/2} x + sigma_b z with sigma_b^2 = 1 - e^{-b}, b = B - B_0, and

    b(x) = E log N(x_T; 0, I) - 1/2 int E [ ||s(x_b) + z / sigma_b||^2 - ||z||^2 / sigma_b^2 + d ] db - offset(x)

over b_eps < b < b_T. The first expectation is taken in closed form. b is drawn with density proportional to
1 / sigma_b^2, the published importance weighting; times are spread evenly and noises come in pairs of both signs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from problems.arrays import Array, Key
from problems.contract import Problem

GOLDEN_RATIO = (1 + math.sqrt(5)) / 2


def bound(
    prior: Any,
    schedule: Any,
    x: Array,
    key: Key,
    *,
    eps: float,
    draws: int,
    sigma_bar: Array | float = 0.0,
    scale: Array | float = 1.0,
) -> Array:
    """An unbiased estimate of b(x), the bound on the log density of x_0 + sigma_bar z, in nats, (n,).

    Args:
        prior: what has `score(x, sigma)`. schedule: the variance-preserving schedule.
        x: (n, *shape).
        key: a JAX key.
        eps: the time at which the integral stops; the offset pays for the step from there to 0.
        draws: the number of times per point, each with one pair of noises.
        sigma_bar: the noise already in x; 0 for the prior itself.
        scale: about the standard deviation of x_0. It changes the variance of the estimate, not its mean.
    """
    n, d = x.shape[0], math.prod(x.shape[1:])
    start = jnp.log1p(jnp.asarray(sigma_bar, x.dtype) ** 2)
    x = x * jnp.exp(-0.5 * start)
    b_eps = schedule.integral(jnp.asarray(eps, x.dtype))
    b_end = schedule.integral(jnp.ones((), x.dtype)) - start
    time_key, noise_key, offset_key = jax.random.split(key, 3)

    def excess(b: Array, z: Array) -> Array:
        """sigma_b^2 (||s + z / sigma_b||^2 - ||z||^2 / sigma_b^2), averaged over z and -z, for b of shape (n,).

        A share of ||z||^2, which does not depend on x, is replaced by its mean d (control variate). Far below the
        scale of x the score knows nothing of z, and all of ||z||^2 should cancel; far above it undoes z, and nothing.
        """
        sigma, by_row = jnp.sqrt(-jnp.expm1(-b)), (n, *[1] * (x.ndim - 1))
        signal = jnp.exp(-0.5 * b).reshape(by_row) * x
        noise = sigma.reshape(by_row) * z
        kept = 1.0 / (1.0 + jnp.expm1(b) / scale**2) ** 2

        def mismatch(sign: int) -> Array:
            score = jax.vmap(lambda row, b: _score_at(prior, row[None], start + b)[0])(signal + sign * noise, b)
            return jnp.sum((sigma.reshape(by_row) * score + sign * z).reshape(n, d) ** 2, axis=1)

        return 0.5 * (mismatch(1) + mismatch(-1)) - kept * jnp.sum(z.reshape(n, d) ** 2, axis=1) - (1 - kept) * d

    times, width = importance_times(time_key, n * draws, b_eps, b_end)
    noises = jax.random.normal(noise_key, (draws, *x.shape), x.dtype)
    terms = [excess(b, z) - d * jnp.expm1(-b) for b, z in zip(times.reshape(n, draws).T, noises, strict=True)]
    integral = width * sum(terms[1:], terms[0]) / draws

    # -log p(x | x_eps) of the Gaussian that the score implies, less the entropy of x_eps given x.
    offset = 0.5 * excess(jnp.full(n, b_eps), jax.random.normal(offset_key, x.shape, x.dtype)) + 0.5 * d * b_eps
    squared = jnp.sum(x.reshape(n, d) ** 2, axis=1)
    terminal = -0.5 * (jnp.exp(-b_end) * squared - d * jnp.expm1(-b_end)) - 0.5 * d * math.log(2 * math.pi)
    return terminal - 0.5 * integral - offset - 0.5 * d * start


def _score_at(prior: Any, x: Array, b: Array) -> Array:
    """The score of x_t at B(t) = b: x / alpha has the noise level sqrt(e^b - 1)."""
    alpha = jnp.exp(-0.5 * b)
    return prior.score(x / alpha, jnp.sqrt(jnp.expm1(b))) / alpha


def importance_times(key: Key, count: int, b_eps: Array, b_end: Array) -> tuple[Array, Array]:
    """Times, (count,), of density 1 / (width sigma_b^2) on [b_eps, b_end]; and the width.

    The integral of 1 / sigma_b^2 = 1 / (1 - e^-b) is log(e^b - 1), so the inverse of the cumulative is closed. Its
    argument is a golden-ratio sequence with a random shift: each time alone is uniform, and every run of neighbours
    (the draws of one component of a mixture, say) covers the interval evenly.
    """
    low, high = jnp.log(jnp.expm1(b_eps)), jnp.log(jnp.expm1(b_end))
    even = jnp.asarray(np.arange(count) * GOLDEN_RATIO % 1, b_eps.dtype)
    u = (even + jax.random.uniform(key, (), b_eps.dtype)) % 1
    return jax.nn.softplus(low + u * (high - low)), high - low


@dataclass(frozen=True)
class ElboDensity:
    """A lower bound on the log density of x_0 + sigma_bar z under a problem's prior, for training."""

    eps: float
    draws: int

    def __call__(self, problem: Problem, x: Array, key: Key, sigma_bar: Array) -> Array:
        """(n, *shape) -> (n,), in nats."""
        scale = jnp.sqrt(jnp.mean(problem.prior.std**2))
        return bound(
            problem.prior, problem.schedule, x, key, eps=self.eps, draws=self.draws, sigma_bar=sigma_bar, scale=scale
        )
