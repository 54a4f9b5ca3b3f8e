"""The exact log density of a score prior, by its probability-flow ODE (Song et al. 2021, arXiv 2011.13456, eq. 39).

dx = v dt, dl = div v dt, v = -(beta/2) (x + score_t(x)), from t0 to 1;  log p_t0(x) = log N(x_1; 0, I) + l_1.

The batch is one state, so the adaptive step follows an RMS error over the batch, as published.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import diffrax
import jax
import jax.numpy as jnp

from problems.arrays import Array, Key
from problems.contract import Problem

MAX_STEPS = 4096
EXACT_TRACE_DIM = 16
DEFAULT_PROBES = 16


def log_prob(
    prior: Any,
    schedule: Any,
    x: Array,
    *,
    t0: Array,
    rtol: float,
    atol: float,
    probes: Array | None = None,
    adjoint: Any = None,
) -> Array:
    """log p_t0(x) of x_t = alpha x_0 + sigma z at t = t0, in nats, (n,).

    Args:
        prior: what has `score(x, sigma)`. schedule: the variance-preserving schedule.
        x: (n, *shape), points at time t0.
        t0: where the integral starts, a scalar; 0 < t0 < 1.
        rtol, atol: tolerances of Dopri5's step-size controller.
        probes: (k, n, *shape), the directions of Hutchinson's trace, the same along a whole trajectory (an adaptive
            solver needs a deterministic field); None for the exact trace, d directional derivatives per evaluation.
        adjoint: how diffrax differentiates the solve; None for RecursiveCheckpointAdjoint.
    """
    n, d = x.shape[0], math.prod(x.shape[1:])

    def field(t: Array, state: tuple[Array, Array], args: tuple[Any, Any, Array | None]) -> tuple[Array, Array]:
        prior, schedule, probes = args
        v, push = jax.linearize(lambda x: velocity(prior, schedule, t, x), state[0])
        return v, exact_trace(push, x.shape, x.dtype) if probes is None else hutchinson_trace(push, probes)

    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(field),
        diffrax.Dopri5(),
        t0=jnp.asarray(t0, x.dtype),
        t1=jnp.ones((), x.dtype),
        dt0=None,
        y0=(x, jnp.zeros(n, x.dtype)),
        args=(prior, schedule, probes),
        stepsize_controller=diffrax.PIDController(rtol=rtol, atol=atol),
        adjoint=diffrax.RecursiveCheckpointAdjoint() if adjoint is None else adjoint,
        max_steps=MAX_STEPS,
    )
    end, integral = solution.ys[0][-1], solution.ys[1][-1]
    return integral - 0.5 * jnp.sum(end.reshape(n, d) ** 2, axis=1) - 0.5 * d * math.log(2 * math.pi)


def velocity(prior: Any, schedule: Any, t: Array, x: Array) -> Array:
    """v(x, t), (n, *shape), from the score of x_t: that of x_t / alpha at noise sigma / alpha, divided by alpha."""
    alpha, sigma = schedule.alpha(t), schedule.sigma(t)
    return -0.5 * schedule.beta(t) * (x + prior.score(x / alpha, sigma / alpha) / alpha)


def exact_trace(push: Any, shape: tuple[int, ...], dtype: Any) -> Array:
    """sum_i e_i^T J e_i for each of n samples, J v = push(v). One pass per coordinate over the whole batch."""
    total = jnp.zeros(shape[0], dtype)
    for i in range(math.prod(shape[1:])):
        direction = jnp.zeros((1, math.prod(shape[1:])), dtype).at[0, i].set(1.0).reshape(1, *shape[1:])
        total = total + push(jnp.broadcast_to(direction, shape)).reshape(shape[0], -1)[:, i]
    return total


def hutchinson_trace(push: Any, probes: Array) -> Array:
    """The mean over probes e, (k, n, *shape), of e^T J e."""
    products = [jnp.sum((e * push(e)).reshape(e.shape[0], -1), axis=1) for e in probes]
    return sum(products[1:], products[0]) / len(products)


@dataclass(frozen=True)
class OdeDensity:
    """log density of x_0 + sigma_bar z under a problem's prior, for training: through the ODE."""

    rtol: float
    atol: float
    t0: float
    probes: int | None

    def __call__(self, problem: Problem, x: Array, key: Key, sigma_bar: Array) -> Array:
        """(n, *shape) -> (n,), in nats. At sigma_bar = 0 this is log p_t0(x), as published."""
        schedule = problem.schedule
        t = schedule.time(sigma_bar)
        alpha = schedule.alpha(t)
        probes = None
        if self.probes is not None or problem.dim > EXACT_TRACE_DIM:
            probes = jax.random.rademacher(key, (self.probes or DEFAULT_PROBES, *x.shape), x.dtype)
        value = log_prob(
            problem.prior,
            schedule,
            alpha * x,
            t0=jnp.maximum(t, self.t0),
            rtol=self.rtol,
            atol=self.atol,
            probes=probes,
        )
        return value + problem.dim * jnp.log(alpha)
