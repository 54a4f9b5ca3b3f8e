"""Monte Carlo guided diffusion (MCGDiff: Cardoso et al. 2024, arXiv 2308.07983), algorithm 1 and its noisy form."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

from methods.adam import counts
from methods.guidance import denoiser, log_marginal, tweedie
from methods.integrators import ddim_steps
from methods.levels import ddpm_levels
from methods.particles import Runs, choose, cloud_of, evidence, resample
from methods.registry import Count, Fraction, Samples, method
from methods.reverse_sde import start_normal
from problems.arrays import Array, Key, Keys, namespace, normal, scan, split
from problems.contract import Problem


class Particles(NamedTuple):
    """x, what was known of its log weight before the next step, and the log evidence of each run so far, (runs,)."""

    x: Array
    log_weight: Array
    log_evidence: Array


class Row(NamedTuple):
    """A DDIM step from alpha, sigma, see `methods.integrators.Steps`; the next level's alpha and its number from 0."""

    alpha: Array
    sigma: Array
    growth: Array
    gain: Array
    noise_std: Array
    alpha_next: Array
    next_level: Array


@method(
    "mcgdiff",
    requires={"linear", "svd", "gaussian_noise"},
    presets={"one-run": {"runs": "one"}, "released": {"last_weight": "released"}},
    particle=True,
)
def mcgdiff(
    problem: Problem,
    key: Key,
    *,
    n: int,
    steps: Count = 100,
    particles: Count = 64,
    runs: Runs = "many",
    eta: Fraction = 1.0,
    kappa: Fraction = 1e-4,
    last_weight: Literal["none", "released"] = "none",
) -> Samples:
    """MCGDiff: in singular coordinates y is the exact state at the level whose noise is that of the measurement.

    Coordinate j has the level tau_j whose alpha^2 is nearest to s_j^2 / (s_j^2 + noise_std^2). At levels above it the
    particles meet the potential N(x_j; alpha y_j / s_j, 1 - (1 - kappa) alpha^2 / alpha_tau^2), of which proposal and
    weight are exact integrals over a DDIM step; below it they move freely. Exact for many particles and any prior as
    kappa tends to 0, of the discretised model and of a noise that is rounded to that of a level. info tells the
    evidence of that model, but not of last_weight 'released', which weighs the last particles by p(y | x_0), as the
    released code does, without its division by the first potential of a particle, whose weights have no finite
    variance: it counts the data twice. Two more departures: resampling is systematic, in the code multinomial; and the
    potential of tau_j itself is kept, which the code divides out on leaving that level.
    """
    first, second, third = split(key, 3)
    crowd = cloud_of(n, runs, particles)
    operator, s = problem.operator, problem.operator.singular_values
    levels = ddpm_levels(problem, steps)
    xp = namespace(s)
    measured = operator.pseudo_inverse(problem.y[None, :])
    shares = xp.reshape(levels.alpha**2, (-1,) + (1,) * s.ndim)
    tau = xp.argmin(xp.abs(shares - (s**2 / (s**2 + problem.noise.std**2))[None]), axis=0)
    alpha_tau, tau = levels.alpha[tau], xp.astype(tau, s.dtype)

    def potential(x: Array, alpha: Array, spread: Array, active: Array) -> Array:
        """The sum over active j of log N(x_j; alpha y_j / s_j, 1 - (1 - kappa) alpha^2 / alpha_tau^2 + spread)."""
        variance = xp.where(active, _variance(alpha) + spread, xp.ones_like(s))
        weight = xp.where(active, -0.5 / variance, xp.zeros_like(s))
        logs = xp.where(active, -0.5 * xp.log(2 * math.pi * variance), xp.zeros_like(s))
        return operator.spectral_energy(x - alpha * measured, weight) + operator.spectral_sum(logs)

    def _variance(alpha: Array) -> Array:
        return 1.0 - (1.0 - kappa) * (alpha / alpha_tau) ** 2

    def step(state: Particles, row: Row, keys: Keys) -> Particles:
        spread = row.noise_std**2
        there = row.next_level < tau + 0.5  # whole numbers, to rounding
        x0_hat = denoiser(problem, row.alpha, row.sigma)(state.x)
        score = tweedie(state.x, x0_hat, row.alpha, row.sigma)
        mean = row.growth * state.x + row.gain * score
        log_weight = potential(mean, row.alpha_next, spread, there) - potential(state.x, row.alpha, 0.0, there)
        drawn = resample(crowd, log_weight + state.log_weight, keys[0])
        mean = mean[drawn.index]
        variance = xp.where(there, _variance(row.alpha_next), xp.ones_like(s))
        gain = xp.where(there, spread / (spread + variance), xp.zeros_like(s))
        std = xp.where(there, (gain * variance) ** 0.5, row.noise_std)
        z = normal(keys[1], mean.shape, mean)
        x = (
            mean
            + operator.spectral(row.alpha_next * measured - mean, gain, 0.0)
            + operator.spectral(z, std, row.noise_std)
        )
        return Particles(x, 0.0 * state.log_weight, state.log_evidence + drawn.log_mean)

    x = start_normal(problem, first, crowd.rows)
    top = potential(x, levels.alpha[0], 0.0, tau >= 0)
    alpha_next = xp.concat([levels.alpha[1:], xp.ones_like(levels.alpha[:1])])
    rows = Row(*ddim_steps(levels, eta)[:5], alpha_next, counts(steps, levels.alpha))
    x, equal, log_evidence = scan(step, Particles(x, top, 0.0 * top[: crowd.runs]), rows, second, draws=2)
    twice = last_weight == "released"
    index = choose(crowd, log_marginal(problem, x, 0.0 * problem.noise.std) if twice else equal, third).index
    log_evidence = log_evidence + operator.spectral_sum(xp.log(alpha_tau / s))  # from densities of alpha_tau y_j / s_j
    unreached = problem.y.shape[0] - operator.rank
    if unreached:  # by any signal: what y has there is noise
        off, variance = problem.y[None, :] - operator(measured), problem.noise.std**2
        log_evidence = log_evidence - 0.5 * (xp.sum(off**2) / variance + unreached * xp.log(2 * math.pi * variance))
    return Samples(x[index], nfe=steps * crowd.rows // n, info={} if twice else evidence(log_evidence))
