"""Mixture-guided diffusion model (MGDM: Janati et al. 2025, arXiv 2502.03332), algorithm 1."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import numpy as np
from annotated_types import Ge, Interval

from methods.adam import Adam, Pass, adam, counts, start_adam
from methods.guidance import denoiser
from methods.levels import ddpm_levels, unit
from methods.registry import Count, Positive, Samples, method
from methods.reverse_sde import start_normal
from problems.arrays import Array, Key, Keys, linspace, namespace, normal, scan, split, uniform, vjp
from problems.contract import Problem

LEVELS, LOWEST = 1000, 10
"""Levels of the diffusion, level 0 being the data; and the lowest intermediate level of the first steps."""


class Row(NamedTuple):
    """One outer step at a level: its number, those of the levels above and below; whether tau is free; Adam's rate."""

    level: Array
    above: Array
    below: Array
    free: Array
    rate: Array


@method(
    "mgdm",
    requires={"likelihood", "differentiable"},
    presets={"ffhq": {"gradient_steps": 5, "last_steps": 30}},
    particle=True,
    own_steps=True,
)
def mgdm(
    problem: Problem,
    key: Key,
    *,
    n: int,
    steps: Annotated[int, Interval(ge=4, le=900)] = 100,
    gradient_steps: Count = 3,
    last_gradient_steps: Count = 20,
    last_steps: Count = 10,
    denoising_steps: Annotated[int, Ge(2)] = 20,
    learning_rate: Positive = 0.03,
) -> Samples:
    """MGDM: the likelihood of the denoised state at a level drawn below the present one, met by a fitted Gaussian.

    Each outer step draws x_t from the bridge between x_0 and the state above, fits a Gaussian at the intermediate level
    tau to p(y | E[x_0 | x_tau]) times the bridge between x_0 and x_t by Adam, draws x_tau, and from it
    x_0 by DDIM (eta = 1). tau is uniform on the levels from 10 up for the first 70 % of the steps, then the next level;
    all samples share it and so depend on each other. The fit takes `last_gradient_steps` from the step `steps` -
    `last_steps` on, and a third of the learning rate in the first 11 % of the steps. As in the released code, `steps`
    levels make three outer steps fewer: 4 make one, and of up to 900 no two are the same. The learning rate of the mean
    is in units of the prior's standard deviation. Returns x_0, which scatters more than the posterior.
    """
    first, *own = split(key, 3)
    abar, rows = _abar(problem), _rows(problem, steps, learning_rate)
    x, outer = start_normal(problem, first, n), len(rows.level)
    state = denoiser(problem, abar[LEVELS - 1] ** 0.5, (1.0 - abar[LEVELS - 1]) ** 0.5)(x), x
    change, fitted = min(max(steps - last_steps, 0), outer), 0
    for stretch, fits, key in (
        (slice(0, change), gradient_steps, own[0]),
        (slice(change, outer), last_gradient_steps, own[1]),
    ):

        def step(state: tuple[Array, Array], row: Row, keys: Keys, fits: int = fits) -> tuple[Array, Array]:
            return _outer(problem, abar, state, row, keys, fits)

        part = Row(*(column[stretch] for column in rows))
        count = stretch.stop - stretch.start
        state = scan(step, state, part, key, draws=3 + fits + denoising_steps) if count else state
        fitted += count * fits
    return Samples(state[0], nfe=1 + fitted + outer * (denoising_steps - 1), vjp=fitted)


def _abar(problem: Problem) -> Array:
    """alpha^2 of all levels, from level 0, the data, up: (LEVELS + 1,)."""
    alpha = ddpm_levels(problem, LEVELS).alpha
    xp = namespace(alpha)
    return xp.concat([xp.ones_like(alpha[:1]), xp.flip(alpha) ** 2])


def _rows(problem: Problem, steps: int, rate: float) -> Row:
    times = np.floor(np.linspace(LEVELS - 1, 0, steps))
    above, level, below = times[:-3], times[1:-2], times[2:-1]
    index = np.arange(len(level))
    columns = level, above, below, index < 0.7 * steps, np.where(index < 0.11 * steps, rate / 3, rate)
    return Row(*(_column(values, problem.schedule.one) for values in columns))


def _column(values: np.ndarray, like: Array) -> Array:
    """The values in the framework, dtype and device of `like`."""
    return namespace(like).stack([float(value) * like for value in values])


def _outer(problem: Problem, abar: Array, state: tuple[Array, Array], row: Row, keys: Keys, fits: int) -> Any:
    """One outer step from (x_0, the state at the level above) to (x_0, the state at this level)."""
    x0, above = state
    xp = namespace(x0)
    free = xp.floor(LOWEST + uniform(keys[0], (1,), x0)[0] * (row.below - LOWEST))
    tau = xp.where(row.free > 0, xp.maximum(xp.minimum(free, row.below), xp.ones_like(free)), row.below)
    at, level, top = abar[_index(tau)], abar[_index(row.level)], abar[_index(row.above)]
    one = xp.ones_like(at)
    mean, std = bridge(x0, above, one, level, top)
    x = mean + std * normal(keys[1], x0.shape, x0)
    mean, std = bridge(x0, x, one, at, level)
    shift, log_scale = _fit(problem, mean, std, at, row.rate, keys[4 : 4 + fits])
    inside = mean + shift + std * xp.exp(log_scale) * normal(keys[2], x0.shape, x0)
    mean, std = bridge(inside, above, at, level, top)
    x = mean + std * normal(keys[3], x0.shape, x0)
    return _denoised(problem, inside, tau, abar, keys[4 + fits :]), x


def bridge(early: Array, late: Array, a_early: Array, a: Array, a_late: Array) -> tuple[Array, Array]:
    """Mean and standard deviation of the state at abar = a between two states, from data to noise early, late."""
    ratio, rest, whole = a / a_early, a_late / a, a_late / a_early
    variance = (1.0 - rest) * (1.0 - ratio) / (1.0 - whole)
    weight = ((1.0 - ratio - variance) / (1.0 - whole)) ** 0.5
    return weight * late + (ratio**0.5 - weight * whole**0.5) * early, variance**0.5


def _fit(problem: Problem, mean: Array, std: Array, at: Array, rate: Array, keys: Keys) -> tuple[Array, Array]:
    """Adam on KL(N(mean + shift, (std e^v)^2) || N(mean, std^2)) - log p(y | E[x_0 | x_tau]).

    The divergence by one draw, as in the released code: its noise is what Adam normalises by.
    """
    xp, fits = namespace(mean), keys
    alpha, sigma, length = at**0.5, (1.0 - at) ** 0.5, unit(problem)

    def step(state: tuple[Array, Adam], row: Pass, keys: Keys) -> tuple[Array, Adam]:
        parameters, averages = state
        shift, log_scale = length * parameters[0], parameters[1]
        noise = std * xp.exp(log_scale) * normal(keys[0], mean.shape, mean)
        x0_hat, pull = vjp(denoiser(problem, alpha, sigma), mean + shift + noise)
        ascent = (shift + noise) / std**2 - pull(problem.likelihood_score(x0_hat))
        gradient = xp.stack([length * ascent, ascent * noise - 1.0])
        change, averages = adam(averages, gradient, row.count, rate, 0.9, 0.999)
        return parameters + change, averages

    start = xp.stack([0.0 * mean, 0.0 * mean])
    fitted = scan(step, (start, start_adam(start)), Pass(counts(len(fits), mean)), fits)[0]
    return length * fitted[0], fitted[1]


class Descent(NamedTuple):
    """A step from one level down to another."""

    level: Array
    below: Array


def _denoised(problem: Problem, x: Array, tau: Array, abar: Array, keys: Keys) -> Array:
    """x_0 by DDIM (eta = 1) from level tau through as many levels as there are keys and one more, the data."""
    xp = namespace(x)
    grid = xp.floor(tau * linspace(1.0, 0.0, len(keys) + 1, x))

    def step(x: Array, row: Descent, keys: Keys) -> Array:
        a, after = abar[_index(row.level)], abar[_index(row.below)]
        moves = after > a
        x0_hat = denoiser(problem, a**0.5, (1.0 - a) ** 0.5)(x)
        mean, std = bridge(x0_hat, x, xp.ones_like(a), xp.where(moves, after, 0.5 * (1.0 + a)), a)
        return xp.where(moves, mean + std * normal(keys[0], x.shape, x), x)

    return scan(step, x, Descent(grid[:-1], grid[1:]), keys)


def _index(level: Array) -> Array:
    xp = namespace(level)
    return xp.astype(level, xp.int32)
