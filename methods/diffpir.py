"""Plug-and-play restoration with a diffusion prior (DiffPIR: Zhu et al. 2023, arXiv 2305.08995), algorithm 1."""

from __future__ import annotations

from methods.guidance import denoiser
from methods.levels import Levels, ddpm_levels
from methods.registry import Count, Fraction, Positive, Samples, method
from methods.reverse_sde import start_normal
from problems.arrays import Array, Key, Keys, namespace, normal, scan, split
from problems.contract import Problem


@method(
    "diffpir",
    requires={"linear", "svd", "gaussian_noise"},
    presets={"inpainting": {"zeta": 1.0, "steps": 20}, "strong-prior": {"lam": 8.0, "zeta": 1.0}},
    own_steps=True,
)
def diffpir(
    problem: Problem,
    key: Key,
    *,
    n: int,
    steps: Count = 100,
    lam: Positive = 1.0,
    zeta: Fraction = 0.1,
    eta: Fraction = 0.0,
) -> Samples:
    """DiffPIR: denoise, move to the data by a proximal step, and diffuse back to the next level.

    x0_hat = argmin_u ||y - A u||^2 + rho ||u - D||^2, rho = lam noise_std^2 alpha^2 / sigma^2, D the denoised state;
    x' = alpha' x0_hat + sqrt(1 - zeta) (DDIM noise) + sqrt(zeta) sigma' z. The levels are dense near the data; the last
    one returns D. Starts from N(0, I), where the released code starts at the diffused y, and does not paste y
    into the result, as it does for inpainting. noise_std is in the units of y: there is no factor between image ranges.
    No setting of lam, zeta and eta is calibrated: x0_hat is an estimate, which the noise is added to.
    """
    first, second = split(key, 2)
    levels = ddpm_levels(problem, steps, "quadratic")
    xp = namespace(levels.sigma)

    def step(x: Array, row: Levels, keys: Keys) -> Array:
        x0_hat = denoiser(problem, row.alpha, row.sigma)(x)
        rho = lam * (problem.noise.std * row.alpha / row.sigma) ** 2
        residual = problem.y[None, :] - problem.operator(x0_hat)
        x0_hat = x0_hat + problem.operator.damped_inverse(residual, 1.0, rho)
        eps_hat = (x - row.alpha * x0_hat) / row.sigma
        fresh = eta * row.beta**0.5 * row.sigma_next / row.sigma
        kept = xp.maximum(row.sigma_next**2 - fresh**2, xp.zeros_like(fresh)) ** 0.5 * eps_hat + fresh * normal(
            keys[0], x.shape, x
        )
        noise = (1.0 - zeta) ** 0.5 * kept + zeta**0.5 * row.sigma_next * normal(keys[1], x.shape, x)
        return row.alpha / row.ratio * x0_hat + noise

    x = scan(step, start_normal(problem, first, n), Levels(*(column[:-1] for column in levels)), second, draws=2)
    return Samples(denoiser(problem, levels.alpha[-1], levels.sigma[-1])(x), nfe=steps)
