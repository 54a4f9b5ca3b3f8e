"""Sequential Monte Carlo from the prior to the posterior, along p(x) p(y | x)^b (Del Moral, Doucet and Jasra 2006)."""

from __future__ import annotations

from typing import NamedTuple

from methods.mcmc import mala
from methods.particles import Cloud, Runs, choose, cloud_of, evidence, resample
from methods.registry import Count, Positive, Samples, method
from problems.arrays import Array, Key, Keys, linspace, namespace, scan, split
from problems.contract import Problem

TARGET_ACCEPTANCE = 0.57
"""Of Metropolis-adjusted Langevin in many dimensions (Roberts and Rosenthal 1998)."""


class Particles(NamedTuple):
    """x, the log step of each run's kernel, (runs,), and its log evidence so far."""

    x: Array
    log_step: Array
    log_evidence: Array


class Rung(NamedTuple):
    """The exponent of the likelihood, and that of the rung before."""

    power: Array
    before: Array


@method(
    "smc",
    requires={"linear", "gaussian_noise", "likelihood", "prior_log_prob", "prior_sample"},
    presets={"one-run": {"runs": "one"}},
    particle=True,
)
def smc(
    problem: Problem,
    key: Key,
    *,
    n: int,
    steps: Count = 100,
    particles: Count = 64,
    moves: Count = 2,
    runs: Runs = "many",
    growth: Positive = 4.0,
) -> Samples:
    """Tempering without diffusion, the control of the particle methods: reweigh, resample, move by MALA.

    The exponents are (k / steps)^growth. The step of each run follows its acceptance from rung to rung, from a
    hundredth of the prior's least variance on; that it follows the particles biases the evidence by order 1 /
    particles. Exact for any prior as particles grow, whatever the moves do.
    """
    first, second, third = split(key, 3)
    crowd = cloud_of(n, runs, particles)
    power = linspace(0.0, 1.0, steps + 1, problem.y) ** growth

    def step(state: Particles, row: Rung, keys: Keys) -> Particles:
        log_weight = (row.power - row.before) * problem.log_likelihood(state.x)
        drawn = resample(crowd, log_weight, keys[0])
        x, log_step = state.x[drawn.index], state.log_step
        for i in range(moves):
            x, log_step = _move(problem, crowd, x, log_step, row.power, keys[1 + 2 * i : 3 + 2 * i])
        return Particles(x, log_step, state.log_evidence + drawn.log_mean)

    xp = namespace(power)
    start = xp.log(0.01 * xp.min(problem.prior.std) ** 2)
    x = problem.prior.sample(first, crowd.rows)
    zero = xp.zeros_like(power[:1]) + xp.zeros_like(x.reshape(crowd.rows, -1)[: crowd.runs, 0])
    state = scan(step, Particles(x, start + zero, zero), Rung(power[1:], power[:-1]), second, draws=1 + 2 * moves)
    index = choose(crowd, xp.zeros_like(state.x.reshape(crowd.rows, -1)[:, 0]), third).index
    work = 2 * moves * steps * crowd.rows // n
    return Samples(state.x[index], nfe=work, info=evidence(state.log_evidence))


def _move(problem: Problem, crowd: Cloud, x: Array, log_step: Array, power: Array, keys: Keys) -> tuple[Array, Array]:
    """A MALA step for p(x) p(y | x)^power, and the log steps moved towards the acceptance that they should have."""
    xp, operator = namespace(x), problem.operator
    step = xp.repeat(xp.exp(log_step), crowd.particles, axis=0)
    step = xp.reshape(step, (crowd.rows,) + (1,) * len(problem.shape))

    def gradient(x: Array) -> Array:
        pull = operator.adjoint(problem.y[None, :] - operator(x)) / problem.noise.std**2
        return problem.prior.score(x, 0.0) + power * pull

    x, moved = mala(x, lambda x: problem.prior.log_prob(x) + power * problem.log_likelihood(x), gradient, step, keys)
    acceptance = xp.mean(xp.reshape(xp.astype(moved, x.dtype), (crowd.runs, crowd.particles)), axis=1)
    return x, log_step + acceptance - TARGET_ACCEPTANCE
