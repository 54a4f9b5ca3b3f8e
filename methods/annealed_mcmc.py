"""Annealed Markov chains on the exact diffused densities (Du et al. 2023, arXiv 2302.11552).

Levels as of annealed Langevin; between two of them a step of the reverse SDE, at each some steps of a kernel for
p_sigma(x) N(y; A x, (noise_std^2 + (||A|| gamma sigma)^2) I).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from methods.levels import langevin_levels
from methods.mcmc import Chain, begin, hmc, mala, ula
from methods.registry import Count, Fraction, Positive, Samples, method
from methods.target import Target, softened
from problems.arrays import Array, Key, Keys, namespace, normal, scan, split
from problems.contract import Problem

_REQUIRES = {"gaussian_noise", "likelihood"}


class Rung(NamedTuple):
    """One noise level and the one before it, from which the chain arrives (the same at the top)."""

    sigma: Array
    before: Array


State = tuple[Array, ...]
"""Of a chain: x, then what its kernel remembers."""
Start = Callable[[Array, Target, Keys], State]
"""At a level, from x."""
Kernel = Callable[[State, Target, Keys], tuple[State, Array | None]]
"""One step at a level, and which samples moved, (n,); None for all of them."""


def _anneal(
    problem: Problem,
    key: Key,
    n: int,
    steps: int,
    per_level: int,
    ends: tuple[float | None, float | None],
    gamma: float,
    draws: tuple[int, int],
    start: Start,
    kernel: Kernel,
) -> tuple[Array, Array, int, int]:
    """Runs the chains down the levels, `steps` kernel steps in all; every level starts anew.

    Args:
        ends: sigma_max and sigma_min, see `langevin_levels`.
        draws: the keys of a start and of a kernel step.

    Returns:
        x, the share of the kernel steps that moved, and the numbers of levels and of kernel steps.
    """
    first, second = split(key, 2)
    per_level = min(per_level, steps)
    levels = steps // per_level
    sigma = langevin_levels(problem, levels, 1, *ends).sigma
    xp = namespace(sigma)
    rungs = Rung(sigma, xp.concat([sigma[:1], sigma[:-1]]))
    at_start, each = draws

    def step(carried: State, row: Rung, keys: Keys) -> State:
        x, moves = carried
        above, target = (softened(problem, level, gamma) for level in (row.before, row.sigma))
        fall = (row.before - row.sigma) * (row.before + row.sigma)  # 0 at the top, as no compiled x^2 - y^2
        noise_std = row.sigma * fall**0.5 / row.before
        x = x + fall * above.gradient(x) + noise_std * normal(keys[0], x.shape, x)
        state = (*start(x, target, keys[1 : 1 + at_start]), moves)
        x, *_, moves = scan(
            lambda state, _, own: counted(state, target, own), state, None, keys[1 + at_start :], draws=each
        )
        return x, moves

    def counted(state: State, target: Target, keys: Keys) -> State:
        *chain, moves = state
        after, moved = kernel(tuple(chain), target, keys)
        return *after, moves + (1.0 if moved is None else xp.where(moved, xp.ones_like(moves), xp.zeros_like(moves)))

    x = sigma[0] * normal(first, (n, *problem.shape), problem.y)
    still = xp.zeros_like(xp.reshape(x, (n, -1))[:, 0])
    x, moves = scan(step, (x, still), rungs, second, draws=1 + at_start + per_level * each)
    return x, xp.mean(moves) / (levels * per_level), levels, levels * per_level


def _chain(x: Array, target: Target, _: Keys) -> Chain:
    return begin(x, target.log_density, target.gradient)


@method("annealed-ula", requires=_REQUIRES)
def annealed_ula(
    problem: Problem,
    key: Key,
    *,
    n: int,
    steps: Count = 1000,
    steps_per_level: Count = 10,
    step_size: Positive = 0.1,
    gamma: Positive = 1.0,
    sigma_max: Positive | None = None,
    sigma_min: Positive | None = None,
) -> Samples:
    """Reverse steps with unadjusted Langevin steps at every level (Du et al. 2023, arXiv 2302.11552).

    Steps of size step_size sigma^2, for the target of annealed-mala; step_size (1 + 1 / gamma^2), which bounds them
    times the curvature, has to stay below 2. The raw last state is returned, as wide as its level at least. steps are
    those of the kernel, one evaluation each, and one more for every level.
    """

    def kernel(state: State, target: Target, keys: Keys) -> tuple[State, None]:
        return (ula(state[0], target.gradient, step_size * target.sigma**2, keys),), None

    ends, draws = (sigma_max, sigma_min), (0, 1)
    x, _, levels, count = _anneal(
        problem, key, n, steps, steps_per_level, ends, gamma, draws, lambda x, *_: (x,), kernel
    )
    return Samples(x, nfe=levels + count)


@method("annealed-mala", requires=_REQUIRES | {"prior_log_prob"})
def annealed_mala(
    problem: Problem,
    key: Key,
    *,
    n: int,
    steps: Count = 1000,
    steps_per_level: Count = 10,
    step_size: Positive = 0.4,
    gamma: Positive = 1.0,
    sigma_max: Positive | None = None,
    sigma_min: Positive | None = None,
) -> Samples:
    """Reverse steps with Metropolis-adjusted Langevin steps at every level (Du et al. 2023, arXiv 2302.11552).

    Steps of size step_size sigma^2 / d^(1/3), at which as many are accepted in any number d of dimensions (Roberts and
    Rosenthal 1998); info tells the share. Each leaves p_sigma(x) N(y; A x, noise_std^2 + (gamma ||A|| sigma)^2) as it
    is. That is not the diffused posterior, so that chains which do not travel between modes weigh them as the levels on
    the way did. steps are those of the kernel, two evaluations each, and three more for every level.
    """
    size = step_size * problem.dim ** (-1 / 3)

    def kernel(state: State, target: Target, keys: Keys) -> tuple[State, Array]:
        return mala(Chain(*state), target.log_density, target.gradient, size * target.sigma**2, keys)

    ends, draws = (sigma_max, sigma_min), (0, 2)
    x, share, levels, count = _anneal(problem, key, n, steps, steps_per_level, ends, gamma, draws, _chain, kernel)
    return Samples(x, nfe=3 * levels + 2 * count, info={"acceptance": share})


@method("annealed-hmc", requires=_REQUIRES | {"prior_log_prob"})
def annealed_hmc(
    problem: Problem,
    key: Key,
    *,
    n: int,
    steps: Count = 1000,
    steps_per_level: Count = 10,
    leapfrogs: Count = 3,
    step_size: Positive = 0.6,
    damping: Fraction = 0.7,
    gamma: Positive = 1.0,
    sigma_max: Positive | None = None,
    sigma_min: Positive | None = None,
) -> Samples:
    """Reverse steps with Hamiltonian Monte Carlo at every level (Du et al. 2023, arXiv 2302.11552).

    Leapfrog steps of step_size sigma / d^(1/4), at which as many are accepted in any number d of dimensions (Beskos et
    al. 2013); info tells the share. The momentum is drawn at the start of a level and damped within it. The chains are
    as those of annealed-mala in what they have for a target. steps are those of the kernel, leapfrogs + 1 evaluations
    each, and three more for every level.
    """
    size = step_size * problem.dim ** (-1 / 4)

    def start(x: Array, target: Target, keys: Keys) -> State:
        return *_chain(x, target, keys), normal(keys[0], x.shape, x)

    def kernel(state: State, target: Target, keys: Keys) -> tuple[State, Array]:
        *chain, v = state
        step = size * target.sigma
        after, v, moved = hmc(Chain(*chain), v, target.log_density, target.gradient, step, leapfrogs, damping, keys)
        return (*after, v), moved

    ends, draws = (sigma_max, sigma_min), (1, 2)
    x, share, levels, count = _anneal(problem, key, n, steps, steps_per_level, ends, gamma, draws, start, kernel)
    return Samples(x, nfe=3 * levels + count * (leapfrogs + 1), info={"acceptance": share})
