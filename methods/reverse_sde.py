"""The reverse-time SDE: time grids, predictors, Langevin correctors and the loop that all of them share.

Song et al. 2021 (arXiv 2011.13456), appendices D to G. A predictor is the mean of one step of variance beta; which
numbers beta, alpha and sigma take along the way is the grid's choice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np

from methods.guidance import Guidance, guided_score
from problems.arrays import Array, Key, linspace, namespace, normal, scan
from problems.contract import Problem


class Steps(NamedTuple):
    """One row per step, from noise to data: x_t = alpha x_0 + sigma z, step variance beta, std of the fresh noise."""

    alpha: Array
    sigma: Array
    beta: Array
    noise_std: Array


Predictor = Callable[[Array, Array, Array], Array]
PREDICTORS: dict[str, Predictor] = {
    "euler-maruyama": lambda x, score, beta: x + beta * (0.5 * x + score),
    "reverse-diffusion": lambda x, score, beta: (2.0 - (1.0 - beta) ** 0.5) * x + beta * score,
    "ancestral": lambda x, score, beta: (x + beta * score) / (1.0 - beta) ** 0.5,
    "probability-flow": lambda x, score, beta: x + 0.5 * beta * (x + score),
}


MAX_BETA = 0.999
"""No step removes all of the signal (Nichol and Dhariwal 2021, arXiv 2102.09672, section 3.2)."""
SIGMA_MIN = 2e-3
"""The last noise level of the Karras grid in the units of x (Karras et al. 2022, arXiv 2206.00364, table 1)."""


def karras_levels(problem: Problem, steps: int, rho: float = 7.0) -> Array:
    """sigma / alpha from the schedule's t = 1 down to SIGMA_MIN, its rho-th root equally spaced (eq. 5), (steps,)."""
    schedule = problem.schedule
    one = namespace(schedule.beta_min).ones_like(schedule.beta_min)
    top = schedule.sigma(one) / schedule.alpha(one)
    ramp = linspace(0.0, 1.0, steps, one)
    return (top ** (1 / rho) + ramp * (SIGMA_MIN ** (1 / rho) - top ** (1 / rho))) ** rho


def continuous_steps(problem: Problem, steps: int, grid: Literal["karras", "score-sde"] = "karras") -> Steps:
    """Euler steps of the continuous SDE: coefficients at t_k, variance beta(t_k) (t_k - t_{k+1}), last step silent.

    'karras' places t_k at the Karras levels and ends at t = 0. 'score-sde' is the published linspace(1, 1e-3, steps)
    with the step 1 / steps: its spacing is not its step and the last step goes past t = 0, which at 250 steps
    shrinks a standard deviation of .02 to .002, where 'karras' gives .0204.
    """
    schedule = problem.schedule
    if grid == "score-sde":
        t = linspace(1.0, 1e-3, steps, schedule.beta_min)
        beta = schedule.beta(t) / steps
    else:
        t = schedule.time(karras_levels(problem, steps))
        xp = namespace(t)
        beta = schedule.beta(t) * (t - xp.concat([t[1:], xp.zeros_like(t[:1])]))
    return Steps(schedule.alpha(t), schedule.sigma(t), beta, _silent_last(beta**0.5))


def score_sde_steps(problem: Problem, steps: int, *, last_noise: bool = False) -> Steps:
    """t = linspace(1, 1e-3, steps), beta_i = linspace(beta_min, beta_max, steps)[floor(t (steps - 1))] / steps.

    beta_i is cut at MAX_BETA, which it reaches only in beta_max steps or fewer. last_noise keeps the noise of the last
    step, for samplers that denoise afterwards.
    """
    t = linspace(1.0, 1e-3, steps, problem.schedule.beta_min)
    xp = namespace(t)
    index = xp.floor(t * (steps - 1))
    schedule = problem.schedule
    beta = (schedule.beta_min + (schedule.beta_max - schedule.beta_min) * index / max(steps - 1, 1)) / steps
    beta = xp.minimum(beta, MAX_BETA * xp.ones_like(beta))
    noise_std = beta**0.5
    return Steps(schedule.alpha(t), schedule.sigma(t), beta, noise_std if last_noise else _silent_last(noise_std))


def ddpm_steps(problem: Problem, steps: int, variance: Literal["small", "large"] = "small") -> Steps:
    """Ho et al. 2020 (arXiv 2006.11239): beta_i linear in 1000 levels, every (1000 / steps)-th is visited.

    After a stride beta = 1 - abar / abar_previous. 'small' is the variance of q(x_{t-1} | x_t, x_0), 'large' is beta.
    More than 1000 steps refine the levels to the next multiple of 1000.
    """
    levels = 1000 * -(-steps // 1000)
    ramp = linspace(0.0, 1.0, levels, problem.schedule.beta_min)
    xp = namespace(ramp)
    schedule = problem.schedule
    beta_i = (schedule.beta_min + (schedule.beta_max - schedule.beta_min) * ramp) / levels
    log_abar_i = xp.cumulative_sum(xp.log1p(-beta_i))
    log_abar = log_abar_i[np.array([levels * i // steps for i in reversed(range(steps))])]
    log_previous = xp.concat([log_abar[1:], xp.zeros_like(log_abar[:1])])
    beta = -xp.expm1(log_abar - log_previous)
    posterior = beta * xp.expm1(log_previous) / xp.expm1(log_abar)
    noise_std = (posterior if variance == "small" else beta) ** 0.5
    return Steps(xp.exp(0.5 * log_abar), (-xp.expm1(log_abar)) ** 0.5, beta, _silent_last(noise_std))


class Corrector(NamedTuple):
    """Langevin steps at a fixed level, before each predictor step.

    rule 'ald': step 2 a (snr sigma)^2, a = 1 - beta, or 0 where beta > 1. rule 'langevin': 2 a (snr ||z|| /
    ||score||)^2, norms per sample (the published code averages them over the batch, which couples the samples). A step
    that depends on the state does not leave p_t invariant, however small it is, and in few dimensions the ratio of
    norms has heavy tails.
    """

    rule: Literal["langevin", "ald"]
    snr: float
    steps: int


def correct(x: Array, score: Array, z: Array, row: Steps, corrector: Corrector) -> Array:
    """One Langevin step x + e score + sqrt(2 e) z."""
    xp = namespace(x)
    a = xp.where(row.beta < 1.0, 1.0 - row.beta, xp.zeros_like(row.beta))
    if corrector.rule == "ald":
        step = 2.0 * a * (corrector.snr * row.sigma) ** 2
    else:
        squared = squared_norm(score)
        squared = xp.where(squared > 0, squared, xp.ones_like(squared))
        step = 2.0 * a * corrector.snr**2 * squared_norm(z) / squared
    return x + step * score + (2.0 * step) ** 0.5 * z


def squared_norm(x: Array) -> Array:
    """||x_i||^2 for every sample, shaped to multiply x: (n, 1, ...)."""
    return namespace(x).sum(x * x, axis=tuple(range(1, x.ndim)), keepdims=True)


def start_normal(problem: Problem, key: Key, n: int) -> Array:
    """n draws of N(0, I), where every practical sampler starts."""
    return normal(key, (n, *problem.shape), problem.schedule.beta_min)


def reverse_sde(
    problem: Problem,
    key: Key,
    x: Array,
    tables: Steps,
    predictor: str,
    guide: Guidance,
    corrector: Corrector | None = None,
) -> Array:
    """Runs x, (n, *shape), from the first level to the data: corrector steps, then a predictor step, at every level."""
    mean = PREDICTORS[predictor]
    corrections = corrector.steps if corrector else 0

    def step(x: Array, row: Steps, keys: list[Key]) -> Array:
        for k in range(corrections):
            assert corrector is not None
            z = normal(keys[k], x.shape, x)
            x = correct(x, guided_score(guide, problem, x, row.alpha, row.sigma), z, row, corrector)
        x_mean = mean(x, guided_score(guide, problem, x, row.alpha, row.sigma), row.beta)
        return x_mean + row.noise_std * normal(keys[-1], x.shape, x)

    return scan(step, x, tables, key, draws=corrections + 1)


def _silent_last(noise_std: Array) -> Array:
    xp = namespace(noise_std)
    return xp.concat([noise_std[:-1], xp.zeros_like(noise_std[-1:])])
