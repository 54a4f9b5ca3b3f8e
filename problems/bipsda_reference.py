"""Draws of a mixture of Gaussians given X-ray counts, or given squares, by importance resampling.

The proposal is a mixture of Student laws about the modes: of counts behind an absorber those of each component of the
prior, which are log-concave; of squares those of u = A x for each component and each choice of signs, after which x
given u is Gaussian. Both give log p(y) as well.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from problems.arrays import Key, logsumexp
from problems.gaussian_mixture import GaussianMixture, gaussian_mixture

PROPOSED, KEPT = 200_000, 4_000
"""Draws of the proposal, and how many of them stand for the posterior."""
FREEDOM = 8.0
"""Degrees of freedom of the Student laws: tails heavier than the posterior's."""
NEGLIGIBLE = 15.0
"""A mode whose mass is so many nats below that of the largest is left out."""
SAME = 1e-2
"""Modes closer than this are one; of u, whose noise is of the order of 1."""
_NEWTON_STEPS = 60


class Gaussian(NamedTuple):
    """A component of the prior: its weight, mean (d,) and covariance (d, d)."""

    weight: float
    mean: np.ndarray
    cov: np.ndarray


class Resampled(NamedTuple):
    """Draws (KEPT, d), log p(y), and the effective sample size of the weights among the PROPOSED."""

    x: np.ndarray
    log_evidence: float
    effective: float


class Mode(NamedTuple):
    """Where a proposal stands, and with what scale: its log weight, (up to a constant), place (k,), and root of cov."""

    log_weight: float
    place: np.ndarray
    root: np.ndarray


def behind_absorber(
    components: Sequence[Gaussian],
    matrix: np.ndarray,
    y: np.ndarray,
    intensity: float,
    log_joint: Callable[[np.ndarray], np.ndarray],
    key: Key,
) -> Resampled:
    """Given y ~ Poisson(intensity exp(-matrix (x + 10))); log_joint is log p(x, y) of rows x."""
    x, log_weights = _proposed([mode_behind_absorber(one, matrix, y, intensity) for one in components], key)
    return _resampled(x, log_weights + log_joint(x), key)


def of_squares(
    components: Sequence[Gaussian], matrix: np.ndarray, y: np.ndarray, noise_std: float, key: Key
) -> Resampled:
    """Given y = (matrix x)^2 + noise_std z."""
    modes = [mode for one in components for mode in _signed(one, matrix, y, noise_std)]
    u, log_weights = _proposed(modes, key)
    of_u = gaussian_mixture(
        np.array([one.weight for one in components]),
        np.array([matrix @ one.mean for one in components]),
        np.array([matrix @ one.cov @ matrix.T for one in components]),
        (len(y),),
    )
    residual = (y - u**2) / noise_std
    log_likelihood = -0.5 * np.sum(residual**2, axis=1) - len(y) * math.log(noise_std * math.sqrt(2 * math.pi))
    kept = _resampled(u, log_weights + of_u.log_prob(u) + log_likelihood, key)
    return kept._replace(x=_given(components, matrix, kept.x, of_u, key))


def mode_behind_absorber(one: Gaussian, matrix: np.ndarray, y: np.ndarray, intensity: float) -> Mode:
    """Newton's method on -log p(x, y) of a component, which is convex."""
    precision = np.linalg.inv(one.cov)

    def rates(x: np.ndarray) -> np.ndarray:
        return intensity * np.exp(-matrix @ (x + 10.0))

    def energy(x: np.ndarray) -> float:
        r = x - one.mean
        return float(0.5 * r @ precision @ r + y @ matrix @ (x + 10.0) + rates(x).sum())

    x = one.mean
    for _ in range(_NEWTON_STEPS):
        rate = rates(x)
        hessian = precision + (matrix.T * rate) @ matrix
        step = np.linalg.solve(hessian, precision @ (x - one.mean) + matrix.T @ (y - rate))
        size = 1.0
        while energy(x - size * step) > energy(x) and size > 1e-6:
            size /= 2
        x = x - size * step
    return _mode(np.log(one.weight) - energy(x) + 0.5 * np.linalg.slogdet(precision)[1], x, hessian)


def _signed(one: Gaussian, matrix: np.ndarray, y: np.ndarray, noise_std: float) -> list[Mode]:
    """Gauss-Newton steps on -log p(u, y) from u = +-sqrt(y), for every choice of signs."""
    mean, precision = matrix @ one.mean, np.linalg.inv(matrix @ one.cov @ matrix.T)
    size = np.sqrt(np.maximum(y, 1.0))

    def energy(u: np.ndarray) -> float:
        r = u - mean
        return float(0.5 * r @ precision @ r + 0.5 * np.sum((u**2 - y) ** 2) / noise_std**2)

    modes: list[Mode] = []
    for signs in itertools.product((-1.0, 1.0), repeat=len(y)):
        u = np.array(signs) * size
        for _ in range(_NEWTON_STEPS):
            curvature = precision + np.diag(4 * u**2 / noise_std**2)
            slope = precision @ (u - mean) + 2 * u * (u**2 - y) / noise_std**2
            step, size_of_step = np.linalg.solve(curvature, slope), 1.0
            while energy(u - size_of_step * step) > energy(u) and size_of_step > 1e-6:
                size_of_step /= 2
            u = u - size_of_step * step
        if any(np.linalg.norm(u - other.place) < SAME for other in modes):
            continue  # from some signs the way leads to the mode of others
        curvature = precision + np.diag(4 * u**2 / noise_std**2)
        modes.append(_mode(np.log(one.weight) - energy(u) + 0.5 * np.linalg.slogdet(precision)[1], u, curvature))
    return modes


def _mode(log_height: float, place: np.ndarray, curvature: np.ndarray) -> Mode:
    """Laplace's approximation of the mass of a mode, and the root of its covariance."""
    root = np.linalg.inv(np.linalg.cholesky(curvature)).T
    return Mode(float(log_height - 0.5 * np.linalg.slogdet(curvature)[1]), place, root)


def _proposed(modes: list[Mode], key: Key) -> tuple[np.ndarray, np.ndarray]:
    """Draws (PROPOSED, k) of a mixture of Student laws about the modes, and minus the log density there."""
    highest = max(mode.log_weight for mode in modes)
    modes = [mode for mode in modes if mode.log_weight > highest - NEGLIGIBLE]
    logs = np.array([mode.log_weight for mode in modes])
    weights = np.exp(logs - logsumexp(logs))
    weights = 0.9 * weights + 0.1 / len(modes)  # Laplace's approximation may be poor
    counts = np.asarray(key.multinomial(PROPOSED, weights))
    k = len(modes[0].place)
    stretch = np.sqrt(FREEDOM / key.chisquare(FREEDOM, PROPOSED))[:, None]
    z = key.standard_normal((PROPOSED, k)) * stretch
    labels = np.repeat(np.arange(len(modes)), counts)
    places, roots = (np.array(part) for part in zip(*((mode.place, mode.root) for mode in modes), strict=True))
    x = places[labels] + np.einsum("nij,nj->ni", roots[labels], z)
    log_density = np.full(PROPOSED, -np.inf)
    constant = math.lgamma((FREEDOM + k) / 2) - math.lgamma(FREEDOM / 2) - k / 2 * math.log(FREEDOM * math.pi)
    for weight, mode in zip(weights, modes, strict=True):
        whitened = np.linalg.solve(mode.root, (x - mode.place).T)
        student = (
            constant
            - np.linalg.slogdet(mode.root)[1]
            - (FREEDOM + k) / 2 * np.log1p(np.sum(whitened**2, axis=0) / FREEDOM)
        )
        log_density = np.logaddexp(log_density, np.log(weight) + student)
    return x, -log_density


def _resampled(x: np.ndarray, log_weights: np.ndarray, key: Key) -> Resampled:
    """KEPT of the draws, by systematic resampling in random order."""
    total = logsumexp(log_weights)
    weights = np.exp(log_weights - total)
    order = key.permutation(len(x))
    places = (np.arange(KEPT) + key.random()) / KEPT
    chosen = order[np.minimum(np.searchsorted(np.cumsum(weights[order]), places), len(x) - 1)]
    return Resampled(x[key.permutation(chosen)], float(total - np.log(len(x))), float(1 / np.sum(weights**2)))


def _given(
    components: Sequence[Gaussian], matrix: np.ndarray, u: np.ndarray, of_u: GaussianMixture, key: Key
) -> np.ndarray:
    """Draws of x given A x = u, (n, d): a component by its responsibility, then a draw that is moved onto u."""
    shares = of_u.responsibilities(u)
    labels = np.array(
        [np.searchsorted(np.cumsum(row), level) for row, level in zip(shares, key.random(len(u)), strict=True)]
    )
    labels = np.minimum(labels, len(components) - 1)
    x = np.zeros((len(u), matrix.shape[1]))
    for label, one in enumerate(components):
        own = labels == label
        drawn = one.mean + key.standard_normal((int(own.sum()), matrix.shape[1])) @ np.linalg.cholesky(one.cov).T
        gain = one.cov @ matrix.T @ np.linalg.inv(matrix @ one.cov @ matrix.T)
        x[own] = drawn + (u[own] - drawn @ matrix.T) @ gain.T
    return x
