"""Diffusion posterior sampling (Chung et al. 2023, arXiv 2209.14687, algorithm 1)."""

from __future__ import annotations

from functools import partial
from typing import Literal

from methods import guidance
from methods.integrators import Steps, ancestral_steps
from methods.levels import ddpm_levels
from methods.registry import Count, Positive, Samples, method
from methods.residual_step import guided_step
from methods.reverse_sde import reverse_sde, start_normal
from problems.arrays import Array, Key, Keys, normal, scan, split
from problems.contract import Problem


@method(
    "dps",
    requires={"likelihood", "gaussian_noise", "differentiable"},
    presets={
        "paper": {"scale": 2.0},
        "code": {"scale": 0.3},
        "calibrated": {"scale": 1.0, "weight": "likelihood"},
    },
)
def dps(
    problem: Problem,
    key: Key,
    *,
    n: int,
    steps: Count = 1000,
    scale: Positive | None = None,
    weight: Literal["normalised", "likelihood"] = "normalised",
) -> Samples:
    """DPS: an ancestral step, then a gradient step on the residual of the denoised state.

    x' = ancestral mean + std z;  x <- x' - scale grad ||y - A x0_hat(x)||  (weight 'normalised'). The paper's step
    zeta' / ||r|| in front of grad ||r||^2 is scale = 2 zeta', zeta' = 1; the released configurations use .3 to 1. The
    norm is per sample (the released code takes one over the batch). weight 'likelihood' uses the score of the
    likelihood, -(1 / (2 noise_std^2)) grad ||r||^2, which moves the ancestral mean by beta / sqrt(1 - beta) of it: the
    paper's eq. 16 without its slip of a factor 2, and the same sampler as `ancestral-dps`. scale None is 2, and 1 of
    the weight 'likelihood'. The denoised image is not clamped. Returns the last x, as the code does.
    """
    if scale is None:
        scale = 1.0 if weight == "likelihood" else 2.0
    first, second = split(key, 2)
    tables = ancestral_steps(ddpm_levels(problem, steps))

    def step(x: Array, row: Steps, keys: Keys) -> Array:
        return guided_step(problem, x, normal(keys[0], x.shape, x), row, scale)

    x = start_normal(problem, first, n)
    if weight == "likelihood":
        x = reverse_sde(problem, second, x, tables, partial(guidance.dps, scale=scale))
    else:
        x = scan(step, x, tables, second)
    return Samples(x, nfe=steps, vjp=steps)
