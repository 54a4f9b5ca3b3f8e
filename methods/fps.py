"""Filtering posterior sampling with particles (FPS-SMC: Dou and Song 2024, ICLR), algorithms 1 and 2."""

from __future__ import annotations

from typing import NamedTuple

from methods.conditioning import near
from methods.guidance import denoiser, log_marginal
from methods.levels import Levels, ddpm_levels
from methods.particles import Runs, choose, cloud_of, equal, resample
from methods.registry import Count, Fraction, Samples, method
from methods.reverse_sde import start_normal
from problems.arrays import Array, Key, Keys, namespace, normal, scan, split
from problems.contract import Problem


class Filtered(NamedTuple):
    """Particles x, and the diffused measurement y of each run, (runs, m)."""

    x: Array
    y: Array


@method(
    "fps",
    requires={"linear", "svd", "gaussian_noise"},
    presets={"one-run": {"runs": "one"}, "paper": {"particles": 5, "steps": 1000}},
    particle=True,
    own_steps=True,
)
def fps(
    problem: Problem,
    key: Key,
    *,
    n: int,
    steps: Count = 100,
    particles: Count = 20,
    runs: Runs = "many",
    c: Fraction = 0.95,
) -> Samples:
    """FPS: a diffused path of the measurement is drawn first, and particles are filtered along it.

    y' = alpha' y + sqrt(1 - c) (sigma' / sigma) (y_t - alpha y) + sqrt(c) sigma' A z with the noise that a state would
    have; x' is drawn from N(mu, c sigma'^2 I) N(y'; A x', alpha'^2 noise_std^2 I) with the DDIM mean mu, and particles
    are weighed by the integral of that product, which does not depend on the draw. y' is that of the level of x', where
    the released code takes the level before. Not exact for any number of particles: the noise of y is one draw that is
    taken for a new one at every level, so that it grows over-confident with the number of steps (the spread of a
    standard normal measured with std .3 is .125 at 100 steps, not .287); and the kernel of variance c sigma'^2 is not
    that of the prior. It tells no evidence, as its measurements are drawn; and the samples of 'one' run share a path of
    them, so that they scatter less than those of many runs. Departures: systematic resampling, a start that ignores y,
    and a weighted last step. The default numbers of steps and particles are those of InverseBench (Zheng et al. 2025,
    ICLR).
    """
    first, second, third = split(key, 3)
    crowd = cloud_of(n, runs, particles)
    clean, noise_std = problem.y[None, :], problem.noise.std

    def step(state: Filtered, row: Levels, keys: Keys) -> Filtered:
        x0_hat = denoiser(problem, row.alpha, row.sigma)(state.x)
        eps_hat = (state.x - row.alpha * x0_hat) / row.sigma
        alpha_next = row.alpha / row.ratio
        shared = problem.operator(normal(keys[0], (crowd.runs, *problem.shape), state.x))
        y = alpha_next * clean + row.sigma_next * (
            (1.0 - c) ** 0.5 * (state.y - row.alpha * clean) / row.sigma + c**0.5 * shared
        )
        mean = alpha_next * x0_hat + (1.0 - c) ** 0.5 * row.sigma_next * eps_hat
        radius, own = c**0.5 * row.sigma_next, namespace(y).repeat(y, crowd.particles, axis=0)
        log_weight = log_marginal(problem, mean, radius**2, y=own, noise_std=alpha_next * noise_std)
        drawn = resample(crowd, log_weight, keys[1])
        return Filtered(near(problem, mean[drawn.index], radius, alpha_next * noise_std, keys[2:], y=own), y)

    x = start_normal(problem, first, crowd.rows)
    y = problem.operator(normal(second, (crowd.runs, *problem.shape), problem.y))
    keys = split(third, 2)
    x = scan(step, Filtered(x, y), ddpm_levels(problem, steps), keys[0], draws=4).x
    index = choose(crowd, equal(crowd, x), keys[1]).index
    return Samples(x[index], nfe=steps * crowd.rows // n)
