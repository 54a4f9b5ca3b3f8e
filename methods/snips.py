"""Langevin sampling in the singular vectors of A, with noise shared by state and measurement.

SNIPS: Kawar et al. 2021 (arXiv 2105.14951), equations 7 to 9 and algorithm 1.
"""

from __future__ import annotations

from methods.levels import LangevinLevels, langevin_levels
from methods.registry import Count, Positive, Samples, method
from problems.arrays import Array, Key, Keys, namespace, normal, scan, split
from problems.contract import Problem


@method("snips", requires={"linear", "svd", "gaussian_noise"}, presets={"paper": {"step_size": 0.033, "steps": 2500}})
def snips(
    problem: Problem,
    key: Key,
    *,
    n: int,
    steps: Count = 1000,
    steps_per_level: Count = 5,
    step_size: Positive = 0.1,
    sigma_max: Positive | None = None,
    sigma_min: Positive | None = None,
) -> Samples:
    """SNIPS: annealed Langevin whose likelihood knows that the noise of y is part of the noise of the state.

    In a direction with singular value s the step is, with c = step_size,
    s sigma > std  c (sigma^2 - std^2 / s^2), the gradient that of the measurement alone;
    s sigma < std  c sigma^2 (1 - s^2 sigma^2 / std^2), the score plus s (y - s x) / (std^2 - s^2 sigma^2);
    unmeasured     c sigma^2, the score alone.
    Levels as for annealed Langevin; the raw last state is returned. Where the released code finds no unmeasured
    direction it takes all for unmeasured and ignores the data.
    """
    first, second = split(key, 2)
    operator, noise_std, s = problem.operator, problem.noise.std, problem.operator.singular_values
    xp = namespace(s)
    levels = langevin_levels(problem, steps, steps_per_level, sigma_max, sigma_min)
    measured = operator.pseudo_inverse(problem.y[None, :])

    def step(x: Array, row: LangevinLevels, keys: Keys) -> Array:
        c, ratio = step_size, (s * row.sigma / noise_std) ** 2
        inside = ratio < 1.0  # the diffusion's noise is a part of that of y
        pull = c * xp.where(inside, ratio, xp.ones_like(s))
        weight = c * row.sigma**2 * xp.where(inside, 1.0 - ratio, xp.zeros_like(s))
        size = c * row.sigma**2 * xp.where(inside, 1.0 - ratio, 1.0 - 1.0 / xp.where(inside, xp.ones_like(s), ratio))
        unmeasured = c * row.sigma**2
        x = (
            x
            + operator.spectral(measured - x, pull, 0.0)
            + operator.spectral(problem.prior.score(x, row.sigma), weight, unmeasured)
        )
        z = normal(keys[0], x.shape, x)
        return x + operator.spectral(z, (2.0 * size) ** 0.5, (2.0 * unmeasured) ** 0.5)

    x = levels.sigma[0] * normal(first, (n, *problem.shape), noise_std)
    return Samples(scan(step, x, levels, second), nfe=len(levels.sigma))
