"""Samplers that replace the measured part of the state (Song et al. 2022, arXiv 2111.08005, algorithms 1 and 2)."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Ge

from methods.guidance import denoiser, guided_score, none
from methods.integrators import Steps, advance, ancestral_steps, reverse_diffusion_steps
from methods.levels import ddpm_levels, score_sde_levels
from methods.registry import Count, Fraction, NonNegative, Samples, method
from methods.replacement import merge, project
from methods.reverse_sde import Corrector, correct, start_normal
from problems.arrays import Array, Key, Keys, normal, scan, split
from problems.contract import Problem

_REQUIRES = {"linear", "svd", "gaussian_noise"}
_PRESETS = {"snr": {"corrector": "langevin"}}  # the published corrector; norms per sample


def _finish(problem: Problem, x: Array, tables: Steps, lam: float, denoise: bool) -> Array:
    """Tweedie's step at the last level, then the noise-free merge with the measurement."""
    if denoise:
        x = denoiser(problem, tables.alpha[-1], tables.sigma[-1])(x)
    return merge(problem, x, problem.operator.pseudo_inverse(problem.y[None, :]), lam)


@method(
    "projection",
    requires=_REQUIRES,
    presets={**_PRESETS, "replacement": {"predictor": "ancestral", "corrector_steps": 0, "denoise": False}},
)
def projection(
    problem: Problem,
    key: Key,
    *,
    n: int,
    steps: Count = 1000,
    predictor: Literal["reverse-diffusion", "ancestral"] = "reverse-diffusion",
    corrector_steps: Annotated[int, Ge(0)] = 1,
    corrector: Literal["ald", "langevin"] = "ald",
    snr: NonNegative = 0.16,
    lam: Fraction = 1.0,
    denoise: bool = True,
) -> Samples:
    """Projection before every corrector and every predictor step; the measurement is taken as noise-free.

    x <- x + lam A^+A (alpha A^+y + sigma z - x) with fresh z, then the unconditional update. At the end Tweedie's step
    and a merge with coefficient 1. predictor 'ancestral' runs on the DDPM levels with the small variance and ends in
    the denoised state, so that Tweedie's step is left out; without a corrector it is the replacement method, the preset
    of that name. snr and lam are tuned per task in the paper (lam .355 to 1, snr 0 to .52), where the corrector is
    'langevin', the schedule VE, and A a masked transform that can be inverted: of another A, the A^+ divides the noise
    of y by the singular values.
    """
    first, second = split(key, 2)
    if predictor == "ancestral":
        denoise, tables = False, ancestral_steps(ddpm_levels(problem, steps))
    else:
        tables = reverse_diffusion_steps(score_sde_levels(problem, steps), last_noise=denoise)
    rule = Corrector(corrector, snr, corrector_steps)

    def step(x: Array, row: Steps, keys: Keys) -> Array:
        draws = [normal(k, x.shape, x) for k in keys]
        for i in range(rule.steps):
            x = project(problem, x, draws[2 * i], row, lam)
            x = correct(x, guided_score(none, problem, x, row.alpha, row.sigma), draws[2 * i + 1], row, rule)
        x = project(problem, x, draws[-2], row, lam)
        score = guided_score(none, problem, x, row.alpha, row.sigma)
        return advance(row, x, score, draws[-1])

    x = scan(step, start_normal(problem, first, n), tables, second, draws=2 * corrector_steps + 2)
    return Samples(_finish(problem, x, tables, 1.0, denoise), nfe=steps * (corrector_steps + 1) + int(denoise))


@method("langevin-projection", requires=_REQUIRES, presets=_PRESETS)
def langevin_projection(
    problem: Problem,
    key: Key,
    *,
    n: int,
    steps: Count = 1000,
    corrector: Literal["ald", "langevin"] = "ald",
    snr: NonNegative = 0.16,
    lam: Fraction = 1.0,
) -> Samples:
    """Projection before Langevin steps at decreasing levels, no predictor; the last merge keeps lam."""
    first, second = split(key, 2)
    tables = reverse_diffusion_steps(score_sde_levels(problem, steps))
    rule = Corrector(corrector, snr, 1)

    def step(x: Array, row: Steps, keys: Keys) -> Array:
        z, w = (normal(k, x.shape, x) for k in (keys[0], keys[1]))
        x = project(problem, x, z, row, lam)
        return correct(x, guided_score(none, problem, x, row.alpha, row.sigma), w, row, rule)

    x = scan(step, start_normal(problem, first, n), tables, second, draws=2)
    return Samples(_finish(problem, x, tables, lam, True), nfe=steps + 1)
