"""The probability-flow ODE by an adaptive Runge-Kutta method (Song et al. 2021, arXiv 2011.13456, section 4.3)."""

from __future__ import annotations

import diffrax
import jax
import jax.numpy as jnp

from methods.guidance import Guidance
from methods.levels import SIGMA_MIN
from problems.arrays import Array
from problems.contract import Problem

MAX_STEPS = 4096
STAGES = 6
"""Evaluations a step of Tsit5, whose last stage is the first of the next step."""
EXTRA = 2
"""The first stage of the first step, and the step to zero."""
FIRST_STEP = 0.01
"""In log sigma; given, because a solver that chooses it may or may not spend evaluations on that."""


def adaptive(problem: Problem, x: Array, guide: Guidance, tolerance: float) -> tuple[Array, Array]:
    """Carries x, (n, *shape), a state of the schedule at t = 1, to the data; also the evaluations per sample, (n,).

    dx / dlog sigma = x - x0_hat - sigma^2 g in variance-exploding variables, by Tsit5 from the top down to SIGMA_MIN,
    then Euler's step to zero. Every sample has a step size of its own; `tolerance` is both relative and absolute. A
    sample that needs more than MAX_STEPS is nan.
    """
    one = problem.schedule.one
    top = problem.schedule.sigma(one) / problem.schedule.alpha(one)

    def slope(log_sigma: Array, x: Array, problem: Problem) -> Array:
        sigma = jnp.exp(log_sigma)
        x0_hat, g = guide(problem, x[None], one, sigma)
        return (x[None] - x0_hat - sigma**2 * g)[0]

    def carry(x: Array) -> tuple[Array, Array]:
        solution = diffrax.diffeqsolve(
            diffrax.ODETerm(slope),
            diffrax.Tsit5(),
            t0=jnp.log(top),
            t1=jnp.log(SIGMA_MIN * one),
            dt0=-FIRST_STEP,
            y0=x,
            args=problem,
            stepsize_controller=diffrax.PIDController(rtol=tolerance, atol=tolerance),
            max_steps=MAX_STEPS,
            throw=False,
        )
        reached = solution.result == diffrax.RESULTS.successful
        return jnp.where(reached, solution.ys[-1], jnp.nan), solution.stats["num_steps"]

    x, steps = jax.vmap(carry)(x / problem.schedule.alpha(one))
    x0_hat, g = guide(problem, x, one, SIGMA_MIN * one)
    return x0_hat + SIGMA_MIN**2 * g, STAGES * steps + EXTRA
