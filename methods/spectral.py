"""Diffusion in the singular vectors of A, each of which is measured as precisely as its singular value allows.

Kawar et al. 2022 (arXiv 2201.11793), equations 4, 7 and 8.
"""

from __future__ import annotations

from methods.levels import Interval
from problems.arrays import Array, Key, namespace, normal
from problems.contract import Problem


def start_measured(problem: Problem, key: Key, n: int, sigma: Array) -> Array:
    """y / s + sqrt(sigma^2 - (noise_std / s)^2) z where the measurement is less noisy than sigma, elsewhere sigma z."""
    operator, s = problem.operator, problem.operator.singular_values
    xp = namespace(s)
    spread = sigma**2 - (problem.noise.std / s) ** 2
    covered = spread > 0
    z = normal(key, (n, *problem.shape), problem.y)
    std = xp.where(covered, xp.maximum(spread, xp.zeros_like(s)) ** 0.5, sigma * xp.ones_like(s))
    centre = operator.spectral(operator.pseudo_inverse(problem.y[None, :]), xp.astype(covered, s.dtype), 0.0)
    return centre + operator.spectral(z, std, sigma)


def spectral_step(problem: Problem, x: Array, z: Array, row: Interval, eta: float, eta_b: float) -> tuple[Array, Array]:
    """One step from sigma_from to sigma_to in the singular vectors of A; also the denoised state it is made of.

    In a direction with singular value s, of which the measurement says y / s to within noise_std / s:
    unmeasured       x0_hat + sqrt(1 - eta^2) sigma' eps_hat + eta sigma' z
    s sigma' < std   x0_hat + sqrt(1 - eta^2) sigma' s (y / s - x0_hat) / std + eta sigma' z
    s sigma' >= std  (1 - eta_b) x0_hat + eta_b y / s + sqrt(sigma'^2 - (eta_b std / s)^2) z
    """
    xp, operator, noise_std = namespace(x), problem.operator, problem.noise.std
    s, to = operator.singular_values, row.sigma_to
    x0_hat = problem.prior.denoise(x, row.sigma_from)
    eps_hat = (x - x0_hat) / row.sigma_from
    deterministic = (1.0 - eta**2) ** 0.5 * to
    louder = s * to >= noise_std  # than the measurement: the diffusion's noise covers that of y
    zero = xp.zeros_like(s)
    pull = xp.where(louder, zero + eta_b, deterministic * s / noise_std)
    spread = xp.where(louder, xp.maximum(to**2 - (eta_b * noise_std / s) ** 2, zero) ** 0.5, eta * to + zero)
    measured = operator.pseudo_inverse(problem.y[None, :]) - x0_hat
    moved = operator.spectral(measured, pull, 0.0) + operator.spectral(eps_hat, zero, deterministic)
    return x0_hat + moved + operator.spectral(z, spread, eta * to), x0_hat
