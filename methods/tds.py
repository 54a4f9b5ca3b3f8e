"""Twisted diffusion sampler (TDS: Wu et al. 2023, arXiv 2306.17775), algorithm 1."""

from __future__ import annotations

from typing import NamedTuple

from methods.guidance import log_marginal, pigdm, r_squared, tweedie
from methods.integrators import Steps, ancestral_steps
from methods.levels import ddpm_levels
from methods.particles import Runs, choose, cloud_of, equal, evidence, resample
from methods.registry import Count, Positive, Samples, method
from methods.reverse_sde import squared_norm, start_normal
from problems.arrays import Array, Key, Keys, namespace, normal, scan, split
from problems.contract import Problem


class Particles(NamedTuple):
    """x, the part of its log weight that is known before its twist, and the log evidence of each run so far."""

    x: Array
    log_weight: Array
    log_evidence: Array


@method(
    "tds",
    requires={"linear", "svd", "gaussian_noise", "likelihood", "differentiable"},
    presets={"one-run": {"runs": "one"}, "released": {"prior_std": 0.12**0.5}, "calibrated": {"prior_std": None}},
    particle=True,
)
def tds(
    problem: Problem,
    key: Key,
    *,
    n: int,
    steps: Count = 100,
    particles: Count = 64,
    runs: Runs = "many",
    prior_std: Positive | None = 1.0,
) -> Samples:
    """TDS: ancestral steps twisted by the PiGDM likelihood; with many particles exact, of the discretised model.

    For any prior. The twist is N(y; A x0_hat, noise_std^2 I + r_t^2 A A^T), r_t as in PiGDM, which prior_std 1 makes
    that of type 2 of the released script for images, and 'released' that of its default, type 6; the proposal adds
    beta / sqrt(1 - beta) of its gradient to the ancestral mean, and the weight is
    p(x' | x) twist(x') / (q(x' | x) twist(x)). The last step is the untwisted mean and is weighed by the exact
    likelihood. Resampling is systematic, at every step. 'many' runs of `particles` each give independent samples, at so
    many times the cost; 'one' run of n particles gives n that share ancestors.
    """
    first, second, third = split(key, 3)
    crowd = cloud_of(n, runs, particles)

    def step(state: Particles, row: Steps, keys: Keys) -> Particles:
        xp = namespace(state.x)
        x0_hat, g = pigdm(problem, state.x, row.alpha, row.sigma, prior_std=prior_std)
        log_twist = log_marginal(problem, x0_hat, r_squared(problem, row.alpha, row.sigma, prior_std))
        drawn = resample(crowd, state.log_weight + log_twist, keys[0])
        x, x0_hat, g, log_twist = (one[drawn.index] for one in (state.x, x0_hat, g, log_twist))
        last = row.noise_std == 0.0  # it has no density
        mean = row.growth * x + row.gain * tweedie(x, x0_hat, row.alpha, row.sigma)
        shift = xp.where(last, 0.0 * g, row.gain * g)
        z = normal(keys[1], x.shape, x)
        # log p(x' | x) - log q(x' | x), with x' = mean + shift + noise_std z
        scaled = shift / xp.where(last, row.noise_std + 1.0, row.noise_std)
        log_ratio = xp.reshape(0.5 * (squared_norm(z) - squared_norm(z + scaled)), (x.shape[0],))
        return Particles(mean + shift + row.noise_std * z, log_ratio - log_twist, state.log_evidence + drawn.log_mean)

    x = start_normal(problem, first, crowd.rows)
    zero = equal(crowd, x)
    state = scan(
        step, Particles(x, zero, zero[: crowd.runs]), ancestral_steps(ddpm_levels(problem, steps)), second, draws=2
    )
    drawn = choose(crowd, state.log_weight + problem.log_likelihood(state.x), third)
    work = steps * crowd.rows // n
    return Samples(state.x[drawn.index], nfe=work, vjp=work, info=evidence(state.log_evidence + drawn.log_mean))
