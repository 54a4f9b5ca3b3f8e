"""Monte Carlo guided diffusion (MCGDiff: Cardoso et al. 2024, arXiv 2308.07983), algorithm 1 and its noisy form."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

from methods.guidance import log_marginal, none
from methods.integrators import ddim_steps
from methods.levels import ddpm_levels
from methods.particles import Runs, choose, cloud_of, resample
from methods.registry import Count, Fraction, Samples, method
from methods.reverse_sde import start_normal
from problems.arrays import Array, Key, Keys, namespace, normal, scan, split
from problems.contract import Problem


class Particles(NamedTuple):
    """x, and what was known of its log weight before the next step."""

    x: Array
    log_weight: Array


class Row(NamedTuple):
    """A DDIM step from alpha, sigma: see `methods.integrators.Steps`; and the alpha of the next level."""

    alpha: Array
    sigma: Array
    growth: Array
    gain: Array
    noise_std: Array
    alpha_next: Array


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

    Coordinate j has the level tau_j with sigma / alpha = noise_std / s_j, the nearest of the grid. At levels above it
    the particles meet the potential N(x_j; alpha y_j / s_j, 1 - (1 - kappa) alpha^2 / alpha_tau^2), of which proposal
    and weight are exact integrals over a DDIM step; below it they move freely. last_weight 'released' weighs the last
    particles by p(y | x_0), as the released code does, without its division by the first potential of a particle, whose
    weights have no finite variance: it counts the data twice. Resampling is systematic, in the code multinomial.
    """
    first, second, third = split(key, 3)
    crowd = cloud_of(n, runs, particles)
    operator, s = problem.operator, problem.operator.singular_values
    levels = ddpm_levels(problem, steps)
    xp = namespace(s)
    measured = operator.pseudo_inverse(problem.y[None, :])
    ratios = xp.reshape(levels.sigma / levels.alpha, (-1,) + (1,) * s.ndim)
    nearest = xp.argmin(xp.abs(xp.log(ratios) - xp.log(problem.noise.std / s)[None]), axis=0)
    alpha_tau = levels.alpha[nearest]

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
        there = row.alpha_next <= alpha_tau
        score = (row.alpha * none(problem, state.x, row.alpha, row.sigma)[0] - state.x) / row.sigma**2
        mean = row.growth * state.x + row.gain * score
        log_weight = potential(mean, row.alpha_next, spread, there) - potential(state.x, row.alpha, 0.0, there)
        mean = mean[resample(crowd, log_weight + state.log_weight, keys[0]).index]
        variance = xp.where(there, _variance(row.alpha_next), xp.ones_like(s))
        gain = xp.where(there, spread / (spread + variance), xp.zeros_like(s))
        std = xp.where(there, (gain * variance) ** 0.5, row.noise_std)
        z = normal(keys[1], mean.shape, mean)
        x = (
            mean
            + operator.spectral(row.alpha_next * measured - mean, gain, 0.0)
            + operator.spectral(z, std, row.noise_std)
        )
        return Particles(x, 0.0 * state.log_weight)

    x = start_normal(problem, first, crowd.rows)
    top = potential(x, levels.alpha[0], 0.0, levels.alpha[0] <= alpha_tau)
    # The very numbers of `alpha`: a quotient may miss alpha_tau by its rounding, and with it the level of y.
    alpha_next = xp.concat([levels.alpha[1:], xp.ones_like(levels.alpha[:1])])
    rows = Row(*ddim_steps(levels, eta)[:5], alpha_next)
    x, equal = scan(step, Particles(x, top), rows, second, draws=2)
    index = choose(
        crowd, log_marginal(problem, x, 0.0 * problem.noise.std) if last_weight == "released" else equal, third
    ).index
    return Samples(x[index], nfe=steps * crowd.rows // n)
