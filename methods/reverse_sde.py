"""The reverse-time SDE: noise levels, integrators, Langevin correctors and the loop that all of them share.

Song et al. 2021 (arXiv 2011.13456), appendices D to G. Every integrator is the same update, a multiple of x plus a
multiple of the score plus noise; which numbers these are is all that tells Euler-Maruyama from DDIM.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, NamedTuple

import numpy as np

from methods.guidance import Guidance, guided_score
from problems.arrays import Array, Key, Keys, linspace, namespace, normal, scan
from problems.contract import Problem
from problems.schedules import VE, SubVP


class Levels(NamedTuple):
    """Noise levels from noise to data, x_t = alpha x_0 + sigma z, each with the one after it; after the last, x_0.

    ratio is alpha over that of the next level, beta the variance that the forward step from there adds:
    beta = sigma^2 - ratio^2 sigma_next^2. Of a variance-preserving schedule ratio^2 = 1 - beta.
    """

    alpha: Array
    sigma: Array
    sigma_next: Array
    ratio: Array
    beta: Array


class Steps(NamedTuple):
    """One row per step: x <- growth x + gain score + noise_std z, the score that of x = alpha x_0 + sigma z.

    kept is the share of the signal's variance that the forward step keeps, which scales Langevin steps (0 if none).
    """

    alpha: Array
    sigma: Array
    growth: Array
    gain: Array
    noise_std: Array
    kept: Array


class Interval(NamedTuple):
    """One row per step in variance-exploding variables, x = x_0 + sigma z: from one noise level down to the next."""

    sigma_from: Array
    sigma_to: Array


MAX_BETA = 0.999
"""No step removes all of the signal (Nichol and Dhariwal 2021, arXiv 2102.09672, section 3.2)."""
SIGMA_MIN = 2e-3
"""The last noise level of the Karras grid in the units of x (Karras et al. 2022, arXiv 2206.00364, table 1)."""
VE_SIGMA_MIN = 0.01

ScheduleName = Literal["vp", "subvp", "ve"]


def on_schedule(problem: Problem, name: ScheduleName) -> Problem:
    """The problem with another schedule: 'vp' is its own, 'subvp' has the same beta(t).

    've' goes from VE_SIGMA_MIN up to the diameter of the prior (Song and Ermon 2020, arXiv 2006.09011, technique 1).
    """
    if name == "subvp":
        return replace(problem, schedule=SubVP(problem.schedule.beta_min, problem.schedule.beta_max))
    if name == "ve":
        one = problem.schedule.one
        return replace(problem, schedule=VE(VE_SIGMA_MIN * one, problem.prior.diameter * one))
    return problem


def karras_levels(problem: Problem, steps: int, rho: float = 7.0) -> Array:
    """sigma / alpha from the schedule's t = 1 down to SIGMA_MIN, its rho-th root equally spaced (eq. 5), (steps,)."""
    schedule = problem.schedule
    top = schedule.sigma(schedule.one) / schedule.alpha(schedule.one)
    ramp = linspace(0.0, 1.0, steps, schedule.one)
    return (top ** (1 / rho) + ramp * (SIGMA_MIN ** (1 / rho) - top ** (1 / rho))) ** rho


def continuous_steps(
    problem: Problem, steps: int, grid: Literal["karras", "score-sde"] = "karras", *, flow: bool = False
) -> Steps:
    """Euler steps of the continuous SDE, or with `flow` of its probability-flow ODE; the last step is silent.

    'karras' places t_k at the Karras levels and ends at t = 0. 'score-sde' is the published linspace(1, END, steps)
    with the step 1 / steps: its spacing is not its step and the last step goes past t = 0, which at 250 steps
    shrinks a standard deviation of .02 to .002, where 'karras' gives .0204.
    """
    schedule = problem.schedule
    if grid == "score-sde":
        t = linspace(1.0, schedule.END, steps, schedule.one)
        h = namespace(t).ones_like(t) / steps
    else:
        t = schedule.time(karras_levels(problem, steps))
        h = t - _next(t)
    drift, diffusion = h * schedule.drift(t), h * schedule.diffusion(t)
    noise_std = 0.0 * diffusion if flow else _silent_last(diffusion**0.5)
    gain = 0.5 * diffusion if flow else diffusion
    return Steps(schedule.alpha(t), schedule.sigma(t), 1.0 - drift, gain, noise_std, _kept(-2.0 * drift))


def score_sde_levels(problem: Problem, steps: int) -> Levels:
    """alpha, sigma at t = linspace(1, 1e-3, steps); beta_i = linspace(beta_min, beta_max, steps)[t (steps - 1)] / steps.

    beta_i is cut at MAX_BETA, which it reaches only in beta_max steps or fewer. Of a VE schedule: sigma geometric from
    sigma_max to sigma_min, both included.
    """
    schedule = problem.schedule
    xp = namespace(schedule.one)
    if isinstance(schedule, VE):
        ramp = linspace(1.0, 0.0, steps, schedule.one)
        sigma = schedule.sigma_min * xp.exp(ramp * xp.log(schedule.sigma_max / schedule.sigma_min))
        return Levels(xp.ones_like(sigma), sigma, _next(sigma), xp.ones_like(sigma), sigma**2 - _next(sigma) ** 2)
    t = linspace(1.0, schedule.END, steps, schedule.one)
    index = xp.floor(t * (steps - 1))
    beta = (schedule.beta_min + (schedule.beta_max - schedule.beta_min) * index / max(steps - 1, 1)) / steps
    beta = xp.minimum(beta, MAX_BETA * xp.ones_like(beta))
    sigma = schedule.sigma(t)
    return Levels(schedule.alpha(t), sigma, _next(sigma), (1.0 - beta) ** 0.5, beta)


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
    log_next = _next(log_abar)
    sigma, sigma_next = ((-xp.expm1(one)) ** 0.5 for one in (log_abar, log_next))
    log_ratio = log_abar - log_next
    return Levels(xp.exp(0.5 * log_abar), sigma, sigma_next, xp.exp(0.5 * log_ratio), -xp.expm1(log_ratio))


def noise_ratios(levels: Levels) -> Interval:
    """The levels in the variables x_t / alpha, whose noise is sigma / alpha."""
    return Interval(levels.sigma / levels.alpha, levels.sigma_next * levels.ratio / levels.alpha)


def ancestral_steps(levels: Levels, variance: Literal["small", "large"] = "small") -> Steps:
    """The mean of q(x_next | x_t, x_0) at x_0 = E[x_0 | x_t]; 'small' is its variance, 'large' is beta."""
    small = levels.beta**0.5 * levels.sigma_next / levels.sigma
    noise_std = small if variance == "small" else _silent_last(levels.beta**0.5)
    return _steps(levels, 1.0 / levels.ratio, levels.beta / levels.ratio, noise_std)


def reverse_diffusion_steps(levels: Levels, *, last_noise: bool = False) -> Steps:
    """The forward step's mean and variance, discretised in reverse (appendix E).

    last_noise keeps the noise of the last step, for samplers that denoise afterwards.
    """
    noise_std = levels.beta**0.5
    return _steps(levels, 2.0 - levels.ratio, levels.beta, noise_std if last_noise else _silent_last(noise_std))


def ddim_steps(levels: Levels, eta: float) -> Steps:
    """Song et al. 2021 (denoising diffusion implicit models, arXiv 2010.02502), eq. 12 and 16.

    x' = alpha' x0_hat + sqrt(sigma'^2 - c^2) eps_hat + c z with c = eta times the 'small' standard deviation: eta = 1
    is the ancestral step, eta = 0 a deterministic one.
    """
    fresh = eta * levels.beta**0.5 / levels.sigma  # c / sigma'
    gain = levels.beta / levels.ratio
    if eta < 1:  # sigma (sigma / ratio - sqrt(sigma'^2 - c^2)), without subtracting numbers that are nearly equal
        kept = levels.sigma * (1.0 - fresh**2) ** 0.5 + levels.ratio * levels.sigma_next
        gain = gain - (1.0 - eta**2) * levels.beta * levels.sigma_next / kept
    return _steps(levels, 1.0 / levels.ratio, gain, fresh * levels.sigma_next)


def _steps(levels: Levels, growth: Array, gain: Array, noise_std: Array) -> Steps:
    return Steps(levels.alpha, levels.sigma, growth, gain, noise_std, levels.ratio**2)


def _kept(beta: Array) -> Array:
    return namespace(beta).where(beta < 1.0, 1.0 - beta, namespace(beta).zeros_like(beta))


class Corrector(NamedTuple):
    """Langevin steps at a fixed level, before each predictor step.

    rule 'ald': step 2 a (snr sigma)^2, a the `kept` of the level. rule 'langevin': 2 a (snr ||z|| / ||score||)^2, norms
    per sample (the published code averages them over the batch, which couples the samples). A step that depends on the
    state does not leave p_t invariant, however small it is, and in few dimensions the ratio of norms has heavy tails.
    """

    rule: Literal["langevin", "ald"]
    snr: float
    steps: int


def correct(x: Array, score: Array, z: Array, row: Steps, corrector: Corrector) -> Array:
    """One Langevin step x + e score + sqrt(2 e) z."""
    xp = namespace(x)
    if corrector.rule == "ald":
        step = 2.0 * row.kept * (corrector.snr * row.sigma) ** 2
    else:
        squared = squared_norm(score)
        squared = xp.where(squared > 0, squared, xp.ones_like(squared))
        step = 2.0 * row.kept * corrector.snr**2 * squared_norm(z) / squared
    return x + step * score + (2.0 * step) ** 0.5 * z


def squared_norm(x: Array) -> Array:
    """||x_i||^2 for every sample, shaped to multiply x: (n, 1, ...)."""
    return namespace(x).sum(x * x, axis=tuple(range(1, x.ndim)), keepdims=True)


def start_normal(problem: Problem, key: Key, n: int) -> Array:
    """n draws of N(0, I), or of N(0, sigma_max^2 I) on a VE schedule: where every practical sampler starts."""
    schedule = problem.schedule
    return schedule.start_std * normal(key, (n, *problem.shape), schedule.one)


def reverse_sde(
    problem: Problem,
    key: Key,
    x: Array,
    tables: Steps,
    guide: Guidance,
    corrector: Corrector | None = None,
) -> Array:
    """Runs x, (n, *shape), from the first level to the data: corrector steps, then one of the integrator, per level."""
    corrections = corrector.steps if corrector else 0

    def step(x: Array, row: Steps, keys: Keys) -> Array:
        for k in range(corrections):
            assert corrector is not None
            z = normal(keys[k], x.shape, x)
            x = correct(x, guided_score(guide, problem, x, row.alpha, row.sigma), z, row, corrector)
        score = guided_score(guide, problem, x, row.alpha, row.sigma)
        return row.growth * x + row.gain * score + row.noise_std * normal(keys[-1], x.shape, x)

    return scan(step, x, tables, key, draws=corrections + 1)


def _next(values: Array) -> Array:
    """The value of the level after each; 0 after the last."""
    xp = namespace(values)
    return xp.concat([values[1:], xp.zeros_like(values[:1])])


def _silent_last(noise_std: Array) -> Array:
    xp = namespace(noise_std)
    return xp.concat([noise_std[:-1], xp.zeros_like(noise_std[-1:])])
