"""Denoising diffusion null-space models (Wang et al. 2023, arXiv 2212.00490), algorithms 1 to 3."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from methods.levels import Interval, ddpm_levels, noise_ratios
from methods.registry import Count, Fraction, Samples, method
from methods.reverse_sde import start_normal
from methods.spectral import spectral_step
from problems.arrays import Array, Key, Keys, linspace, namespace, normal, scan, split
from problems.contract import Problem

_REQUIRES = {"linear", "svd", "gaussian_noise"}
_PRESETS = {"travel": {"travel": 10, "repeats": 3}}
Update = Callable[[Array, Array, Interval], tuple[Array, Array]]


class Visit(NamedTuple):
    """A step down the levels; where `again` is 1, the last denoised state is first diffused back up to sigma_from.

    As in the released code: that state is E[x_0 | x_t] itself, before y has entered it.
    """

    sigma_from: Array
    sigma_to: Array
    again: Array


def itinerary(levels: Interval, travel: int, repeats: int) -> Visit:
    """The order of visits: every stretch of `travel` steps is walked `repeats` times (time travel, algorithm 3).

    Counted from the noise down, all of them; the released code counts from the data up, and walks its first stretch and
    the step to the data once.
    """
    steps = len(levels.sigma_from)
    stretches = [range(start, min(start + travel, steps)) for start in range(0, steps, travel)]
    visits = [(i, again and i == one[0]) for one in stretches for again in range(repeats) for i in one]
    order, again = np.array([i for i, _ in visits]), np.array([int(bool(flag)) for _, flag in visits])
    flags = linspace(0.0, 1.0, 2, levels.sigma_from)
    return Visit(levels.sigma_from[order], levels.sigma_to[order], flags[again])


def _sample(problem: Problem, key: Key, n: int, visits: Visit, update: Update) -> Array:
    """Runs (x, last denoised state) through the visits, x_T from N(0, I); update is (x, z, levels) -> both."""
    first, second = split(key, 2)

    def step(state: tuple[Array, Array], row: Visit, keys: Keys) -> tuple[Array, Array]:
        x, x0_hat = state
        diffused = x0_hat + row.sigma_from * normal(keys[0], x.shape, x)
        x = namespace(x).where(row.again > 0, diffused, x)
        return update(x, normal(keys[1], x.shape, x), Interval(row.sigma_from, row.sigma_to))

    x = start_normal(problem, first, n) * (1.0 + visits.sigma_from[0] ** 2) ** 0.5  # N(0, I) in the scaling x_t / alpha
    return scan(step, (x, x), visits, second, draws=2)[0]


@method("ddnm", requires=_REQUIRES, presets=_PRESETS, own_steps=True)
def ddnm(
    problem: Problem,
    key: Key,
    *,
    n: int,
    steps: Count = 100,
    eta: Fraction = 0.85,
    travel: Count = 1,
    repeats: Count = 1,
) -> Samples:
    """DDNM: the measured part of the denoised state is y itself, as if the measurement had no noise.

    x' = x0_hat + A^+(y - A x0_hat) + sigma' (eta z + sqrt(1 - eta^2) eps_hat), eps_hat that of the state before. A^+
    divides the noise of y by the singular values. With repeats, every stretch of `travel` steps is walked so often,
    see `itinerary`.
    """

    def update(x: Array, z: Array, row: Interval) -> tuple[Array, Array]:
        x0_hat = problem.prior.denoise(x, row.sigma_from)
        eps_hat = (x - x0_hat) / row.sigma_from
        residual = problem.y[None, :] - problem.operator(x0_hat)
        consistent = x0_hat + problem.operator.pseudo_inverse(residual)
        return consistent + row.sigma_to * (eta * z + (1.0 - eta**2) ** 0.5 * eps_hat), x0_hat

    visits = itinerary(noise_ratios(ddpm_levels(problem, steps)), travel, repeats)
    return Samples(_sample(problem, key, n, visits, update), nfe=len(visits.again))


@method("ddnm-plus", requires=_REQUIRES, presets=_PRESETS, own_steps=True)
def ddnm_plus(
    problem: Problem,
    key: Key,
    *,
    n: int,
    steps: Count = 100,
    eta: Fraction = 0.85,
    travel: Count = 1,
    repeats: Count = 1,
) -> Samples:
    """DDNM+: the measured part moves towards y by how noisy y is: the update of DDRM at eta_b = 1, and time travel."""

    def update(x: Array, z: Array, row: Interval) -> tuple[Array, Array]:
        return spectral_step(problem, x, z, row, eta, 1.0)

    visits = itinerary(noise_ratios(ddpm_levels(problem, steps)), travel, repeats)
    return Samples(_sample(problem, key, n, visits, update), nfe=len(visits.again))
