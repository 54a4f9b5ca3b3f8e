"""Which noise levels a sampler visits, and the schedules they are taken from.

Song et al. 2021 (arXiv 2011.13456), appendices C and D; Ho et al. 2020 (arXiv 2006.11239); Karras et al. 2022
(arXiv 2206.00364), eq. 5; Song and Ermon 2020 (arXiv 2006.09011).
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal, NamedTuple

import numpy as np

from problems.arrays import Array, linspace, namespace
from problems.contract import Problem
from problems.names import UsageError
from problems.schedules import VE, SubVP


class Levels(NamedTuple):
    """Noise levels from noise to data, x_t = alpha x_0 + sigma z, each with the one after it; after the last, x_0.

    ratio is alpha over that of the next level, beta the variance that the forward step from there adds:
    beta = sigma^2 - ratio^2 sigma_next^2. Of a variance-preserving schedule ratio^2 = 1 - beta. The published levels of
    `score_sde_levels` on such a schedule fulfil only the last: their beta is not that of their alpha and sigma.
    """

    alpha: Array
    sigma: Array
    sigma_next: Array
    ratio: Array
    beta: Array


class Interval(NamedTuple):
    """One row per step in variance-exploding variables, x = x_0 + sigma z: from one noise level down to the next."""

    sigma_from: Array
    sigma_to: Array


class LangevinLevels(NamedTuple):
    """One row per Langevin step: its noise level."""

    sigma: Array


MAX_BETA = 0.999
"""No step removes all of the signal (Nichol and Dhariwal 2021, arXiv 2102.09672, section 3.2)."""
SIGMA_MIN = 2e-3
"""The last noise level of the Karras grid in the units of x (Karras et al. 2022, arXiv 2206.00364, table 1)."""
VE_SIGMA_MIN = 0.01
ScheduleName = Literal["vp", "subvp", "ve"]


def on_schedule(problem: Problem, name: ScheduleName) -> Problem:
    """The problem with another schedule: 'vp' is its own, 'subvp' has the same beta(t).

    've' goes from VE_SIGMA_MIN up to the diameter of the prior (Song and Ermon 2020, arXiv 2006.09011, technique 1).
    Samplers start there from N(0, sigma_max^2 I), which in few dimensions leaves a part of the prior's mean behind.
    """
    if name == "subvp":
        return replace(problem, schedule=SubVP(problem.schedule.beta_min, problem.schedule.beta_max))
    if name == "ve":
        one = problem.schedule.one
        return replace(problem, schedule=VE(VE_SIGMA_MIN * one, problem.prior.diameter * one))
    return problem


def unit(problem: Problem) -> Array:
    """The mean standard deviation of an entry of x, in which noise levels and step lengths of papers are taken here.

    The numbers are those published for images, as they stand, though values in [-1, 1] deviate by a half rather than 1.
    """
    return namespace(problem.prior.std).mean(problem.prior.std)


def karras_levels(problem: Problem, steps: int, rho: float = 7.0) -> Array:
    """sigma / alpha from the schedule's t = 1 down to SIGMA_MIN, its rho-th root equally spaced (eq. 5), (steps,)."""
    schedule = problem.schedule
    return powered(schedule.sigma(schedule.one) / schedule.alpha(schedule.one), SIGMA_MIN, steps, rho)


def powered(top: Array, bottom: Array | float, count: int, rho: float = 7.0) -> Array:
    """count levels from top to bottom whose rho-th roots are equally spaced, (count,)."""
    ramp = linspace(0.0, 1.0, count, top)
    return (top ** (1 / rho) + ramp * (bottom ** (1 / rho) - top ** (1 / rho))) ** rho


def score_sde_levels(problem: Problem, steps: int) -> Levels:
    """alpha, sigma at t = linspace(1, 1e-3, steps), and the beta of the published code at those t.

    beta = linspace(beta_min, beta_max, steps)[floor(t (steps - 1))] / steps.
    beta_i is cut at MAX_BETA, which it reaches only in beta_max steps or fewer. Of a VE schedule: sigma geometric from
    sigma_max to sigma_min, both included.
    """
    schedule = problem.schedule
    xp = namespace(schedule.one)
    if isinstance(schedule, VE):
        ramp = linspace(1.0, 0.0, steps, schedule.one)
        sigma = schedule.sigma_min * xp.exp(ramp * xp.log(schedule.sigma_max / schedule.sigma_min))
        return Levels(
            xp.ones_like(sigma), sigma, following(sigma), xp.ones_like(sigma), sigma**2 - following(sigma) ** 2
        )
    t = linspace(1.0, schedule.END, steps, schedule.one)
    index = xp.floor(t * (steps - 1))
    beta = (schedule.beta_min + (schedule.beta_max - schedule.beta_min) * index / max(steps - 1, 1)) / steps
    beta = xp.minimum(beta, MAX_BETA * xp.ones_like(beta))
    sigma = schedule.sigma(t)
    return Levels(schedule.alpha(t), sigma, following(sigma), (1.0 - beta) ** 0.5, beta)


def ddpm_levels(problem: Problem, steps: int, spacing: Literal["uniform", "quadratic"] = "uniform") -> Levels:
    """Ho et al. 2020 (arXiv 2006.11239): beta_i linear in 1000 levels, every (1000 / steps)-th is visited.

    After a stride beta = 1 - abar / abar_next. More than 1000 steps refine the levels to the next multiple of 1000.
    spacing 'quadratic' visits floor(999 sqrt(k / (steps - 1))) below the top, which is dense near the data.
    """
    count = 1000 * -(-steps // 1000)
    schedule = problem.schedule
    ramp = linspace(0.0, 1.0, count, schedule.one)
    xp = namespace(ramp)
    beta_i = (schedule.beta_min + (schedule.beta_max - schedule.beta_min) * ramp) / count
    if spacing == "uniform":
        visited = np.array([count * i // steps for i in reversed(range(steps))])
    else:
        visited = count - 1 - np.floor((count - 1) * np.sqrt(np.linspace(0.0, 1.0, steps))).astype(int)
    log_abar = xp.cumulative_sum(xp.log1p(-beta_i))[visited]
    log_next = following(log_abar)
    sigma, sigma_next = ((-xp.expm1(one)) ** 0.5 for one in (log_abar, log_next))
    log_ratio = log_abar - log_next
    return Levels(xp.exp(0.5 * log_abar), sigma, sigma_next, xp.exp(0.5 * log_ratio), -xp.expm1(log_ratio))


def noise_ratios(levels: Levels) -> Interval:
    """The levels in the variables x_t / alpha, whose noise is sigma / alpha."""
    return Interval(levels.sigma / levels.alpha, levels.sigma_next * levels.ratio / levels.alpha)


def langevin_levels(
    problem: Problem, steps: int, steps_per_level: int, sigma_max: float | None, sigma_min: float | None
) -> LangevinLevels:
    """Geometric levels, each steps_per_level times, as many whole levels as `steps` allows.

    From sigma_max (None: the diameter of the prior, as in Song and Ermon 2020, arXiv 2006.09011, technique 1) to
    sigma_min (None: a tenth of noise_std / ||A||, unless there is no noise, or of the least standard deviation of an
    entry of x, whichever is smaller, because the raw last state keeps this noise; directions of x in which the prior
    is narrower than its entries stay that wide).

    Raises:
        UsageError: if both are given and the levels would rise.
    """
    if sigma_max is not None and sigma_min is not None:
        refuse_rising("sigma", sigma_max, sigma_min)
    noise_std = problem.noise.std
    xp = namespace(noise_std)
    if sigma_max is None:
        top = xp.maximum(problem.prior.diameter, (sigma_min or 0.0) * xp.ones_like(noise_std))
    else:
        top = sigma_max * xp.ones_like(noise_std)
    seen = xp.where(noise_std > 0, noise_std / problem.operator.norm, math.inf * xp.ones_like(noise_std))
    finest = xp.minimum(seen, xp.min(problem.prior.std))
    bottom = xp.minimum(0.1 * finest, top) if sigma_min is None else sigma_min * xp.ones_like(noise_std)
    steps_per_level = min(steps_per_level, steps)
    ramp = linspace(0.0, 1.0, steps // steps_per_level, noise_std)
    return LangevinLevels(xp.repeat(xp.exp(xp.log(top) + ramp * (xp.log(bottom) - xp.log(top))), steps_per_level))


def refuse_rising(name: str, top: float, bottom: float) -> None:
    """Levels go from `name`_max down to `name`_min.

    Raises:
        UsageError: if that were up.
    """
    if top < bottom:
        raise UsageError(f"the levels fall, so {name}_max is at least {name}_min, got {top:g} < {bottom:g}")


def following(values: Array) -> Array:
    """The value of the level after each; 0 after the last."""
    xp = namespace(values)
    return xp.concat([values[1:], xp.zeros_like(values[:1])])
