"""Annealed Langevin dynamics with an annealed likelihood (Jalal et al. 2021, arXiv 2108.01368)."""

from __future__ import annotations

from typing import Literal

from methods.levels import LangevinLevels, langevin_levels
from methods.mcmc import ula
from methods.registry import Count, NonNegative, Positive, Samples, method
from methods.reverse_sde import squared_norm
from methods.target import softened
from problems.arrays import Array, Key, Keys, namespace, normal, scan, split
from problems.contract import Problem


@method(
    "annealed-langevin",
    requires={"gaussian_noise", "likelihood"},
    presets={"normalised": {"likelihood": "normalised"}},
)
def annealed_langevin(
    problem: Problem,
    key: Key,
    *,
    n: int,
    steps: Count = 1000,
    steps_per_level: Count = 5,
    step_size: Positive = 1 / 9,
    gamma: NonNegative = 1.0,
    sigma_max: Positive | None = None,
    sigma_min: Positive | None = None,
    likelihood: Literal["gaussian", "normalised"] = "gaussian",
    data_weight: Positive = 5.0,
) -> Samples:
    """Langevin at decreasing noise levels, the measurement's variance annealed with them.

    x <- x + eta [score(x, sigma) + A^T (y - A x) / (noise_std^2 + gamma_t^2)] + sqrt(2 eta) z, eta = step_size sigma^2,
    gamma_t = gamma ||A|| sigma, which keeps eta times the curvature below step_size (1 + 1 / gamma^2); A^T is the
    adjoint of the derivative where A is not linear. steps = levels times steps_per_level, see `langevin_levels`. x
    starts at sigma_max z, the law of the first level up to the prior's own spread, and the raw last state is returned.
    likelihood 'normalised' is the update of the released code: neither variance enters, the data gradient is rescaled
    to data_weight times the norm of the score (per sample; over the batch in the code), with steps a tenth as long as
    there unless step_size is given. It has no stationary law tied to noise_std, and no gamma.
    """
    levels = langevin_levels(problem, steps, steps_per_level, sigma_max, sigma_min)
    first, second = split(key, 2)
    xp = namespace(problem.y)

    def step(x: Array, row: LangevinLevels, keys: Keys) -> Array:
        eta = step_size * row.sigma**2
        if likelihood == "gaussian":
            return ula(x, softened(problem, row.sigma, gamma).gradient, eta, keys)
        score = problem.prior.score(x, row.sigma)
        pull = problem.operator.pull(x, problem.y[None, :] - problem.operator(x))
        squared = squared_norm(pull)
        longer = squared_norm(score) / xp.where(squared > 0, squared, xp.ones_like(squared))
        return ula(x, lambda _: score + data_weight * longer**0.5 * pull, eta, keys)

    x = levels.sigma[0] * normal(first, (n, *problem.shape), problem.y)
    return Samples(scan(step, x, levels, second), nfe=len(levels.sigma))
