"""One step of every integrator, as numbers: a multiple of x plus a multiple of the score plus noise.

Song et al. 2021 (arXiv 2011.13456), appendices D to F. Which numbers these are is all that tells Euler-Maruyama from
DDIM.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from methods.levels import Levels, following, karras_levels
from problems.arrays import Array, linspace, namespace
from problems.contract import Problem


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


def advance(row: Steps, x: Array, score: Array, z: Array) -> Array:
    """The step from x, (n, *shape), with the score there and fresh noise z."""
    return row.growth * x + row.gain * score + row.noise_std * z


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
        h = t - following(t)
    drift, diffusion = h * schedule.drift(t), h * schedule.diffusion(t)
    noise_std = 0.0 * diffusion if flow else _silent_last(diffusion**0.5)
    gain = 0.5 * diffusion if flow else diffusion
    return Steps(schedule.alpha(t), schedule.sigma(t), 1.0 - drift, gain, noise_std, _kept(-2.0 * drift))


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


def _silent_last(noise_std: Array) -> Array:
    xp = namespace(noise_std)
    return xp.concat([noise_std[:-1], xp.zeros_like(noise_std[-1:])])
