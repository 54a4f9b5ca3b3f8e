"""Sequential Monte Carlo from the prior to the posterior, along p(x) p(y | x)^b (Del Moral, Doucet and Jasra 2006)."""

from __future__ import annotations

from typing import NamedTuple

from methods.adam import counts
from methods.mcmc import begin, mala
from methods.particles import Cloud, Runs, choose, cloud_of, equal, evidence, resample
from methods.registry import Count, Positive, Samples, method
from methods.target import Target
from problems.arrays import Array, Key, Keys, linspace, namespace, scan, split
from problems.contract import Problem

TARGET_ACCEPTANCE = 0.57
"""Of Metropolis-adjusted Langevin in many dimensions (Roberts and Rosenthal 1998)."""


class Particles(NamedTuple):
    """x, the log evidence of each run so far, (runs,); of a pilot its log step, and those that it has had, (steps,)."""

    x: Array
    log_evidence: Array
    log_step: Array
    log_steps: Array


class Rung(NamedTuple):
    """Its number, the exponent of the likelihood, that of the rung before, and the log step of the moves."""

    number: Array
    power: Array
    before: Array
    log_step: Array


@method(
    "smc",
    requires={"likelihood", "prior_log_prob", "prior_sample"},
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

    The exponents are (k / steps)^growth. The step of each rung is that of a pilot run of `particles`, in which it
    follows the acceptance from a hundredth of the prior's least variance on; as no other run changes it, their
    evidences are unbiased. Exact for any prior as particles grow, whatever the moves do.
    """
    first, second, third, fourth, fifth = split(key, 5)
    crowd, alone = cloud_of(n, runs, particles), Cloud(1, particles, particles)
    power = linspace(0.0, 1.0, steps + 1, problem.y) ** growth
    rungs = Rung(counts(steps, problem.y), power[1:], power[:-1], 0.0 * power[1:])

    def explore(state: Particles, row: Rung, keys: Keys) -> Particles:
        log_steps = namespace(power).where(row.number == rungs.number, state.log_step, state.log_steps)
        moved = _rung(problem, alone, state, row._replace(log_step=state.log_step), keys, moves)
        return moved._replace(log_steps=log_steps)

    def step(state: Particles, row: Rung, keys: Keys) -> Particles:
        return _rung(problem, crowd, state, row, keys, moves)

    draws = 1 + 2 * moves
    pilot = scan(explore, _start(problem, alone, rungs, first), rungs, second, draws=draws)
    start = _start(problem, crowd, rungs, third)
    state = scan(step, start, rungs._replace(log_step=pilot.log_steps), fourth, draws=draws)
    index = choose(crowd, equal(crowd, state.x), fifth).index
    work = 2 * (moves + 1) * steps * (crowd.rows + alone.rows) / n
    return Samples(state.x[index], nfe=work, info=evidence(state.log_evidence))


def _start(problem: Problem, crowd: Cloud, rungs: Rung, key: Key) -> Particles:
    """Draws of the prior, and the step that a pilot begins with."""
    x = problem.prior.sample(key, crowd.rows)
    xp = namespace(x)
    return Particles(
        x, equal(crowd, x)[: crowd.runs], xp.log(0.01 * xp.min(problem.prior.std) ** 2), 0.0 * rungs.number
    )


def _rung(problem: Problem, crowd: Cloud, state: Particles, row: Rung, keys: Keys, moves: int) -> Particles:
    """Reweighs, resamples and moves; the log step of the state moves towards the acceptance that it should have."""
    xp = namespace(state.x)
    drawn = resample(crowd, (row.power - row.before) * problem.log_likelihood(state.x), keys[0])
    log_step = state.log_step

    target = Target(problem, 0.0, row.power)
    chain = begin(state.x[drawn.index], target.log_density, target.gradient)
    for i in range(moves):
        chain, moved = mala(
            chain, target.log_density, target.gradient, xp.exp(row.log_step), keys[1 + 2 * i : 3 + 2 * i]
        )
        log_step = log_step + xp.mean(xp.astype(moved, log_step.dtype)) - TARGET_ACCEPTANCE
    return Particles(chain.x, state.log_evidence + drawn.log_mean, log_step, state.log_steps)
