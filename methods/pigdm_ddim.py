"""Pseudoinverse-guided diffusion as published, inside DDIM (Song et al. 2023, ICLR, algorithm 1)."""

from __future__ import annotations

from methods.guidance import pigdm, r_squared, tweedie
from methods.integrators import Steps, advance, ddim_steps
from methods.levels import ddpm_levels
from methods.registry import Count, Fraction, Positive, Samples, method
from methods.reverse_sde import start_normal
from problems.arrays import Array, Key, Keys, normal, scan, split
from problems.contract import Problem


@method(
    "pigdm-ddim",
    requires={"linear", "svd", "gaussian_noise", "differentiable"},
    presets={"deterministic": {"eta": 0.0}, "calibrated": {"prior_std": None}},
    own_steps=True,
)
def pigdm_ddim(
    problem: Problem,
    key: Key,
    *,
    n: int,
    steps: Count = 100,
    eta: Fraction = 1.0,
    prior_std: Positive | None = 1.0,
) -> Samples:
    """PiGDM in the paper's form: an unguided DDIM step plus alpha_t r_t^2 g.

    r_t^2 = v prior_std^2 / (v + prior_std^2), v = sigma^2 / alpha^2, and g as in `ancestral-pigdm`. The weight does not
    shrink with the step, so that more steps pull more: at 1000 the samples collapse onto y. The guidance as a score
    (`ancestral-pigdm` and its kin) has a limit.
    """
    first, second = split(key, 2)

    def step(x: Array, row: Steps, keys: Keys) -> Array:
        x0_hat, g = pigdm(problem, x, row.alpha, row.sigma, prior_std=prior_std)
        score = tweedie(x, x0_hat, row.alpha, row.sigma)
        weight = row.alpha * r_squared(problem, row.alpha, row.sigma, prior_std)
        return advance(row, x, score, normal(keys[0], x.shape, x)) + weight * g

    tables = ddim_steps(ddpm_levels(problem, steps), eta)
    return Samples(scan(step, start_normal(problem, first, n), tables, second), nfe=steps, vjp=steps)
