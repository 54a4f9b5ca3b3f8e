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

_REQUIRES = {"linear", "gaussian_noise"}


class Rung(NamedTuple):
    """One noise level and the one before it, from which the chain arrives (the same at the top)."""

    sigma: Array
    before: Array


State = tuple[Array, ...]
"""Of a chain: x, then what its kernel remembers."""
Start = Callable[[Array, Target, Keys], State]
"""At a level, from x."""
Kernel = Callable[[State, Target, Keys], State]
"""One step at a level."""


def _anneal(
    problem: Problem,
    key: Key,
    n: int,
    steps: int,
    per_level: int,
    gamma: float,
    draws: tuple[int, int],
    start: Start,
    kernel: Kernel,
) -> tuple[Array, int, int]:
    """Runs the chains down the levels, `steps` kernel steps in all; every level starts anew.

    Args:
        draws: the keys of a start and of a kernel step.

    Returns:
        x, and the numbers of levels and of kernel steps.
    """
    first, second = split(key, 2)
    per_level = min(per_level, steps)
    levels = steps // per_level
    sigma = langevin_levels(problem, levels, 1, None, None).sigma
    xp = namespace(sigma)
    rungs = Rung(sigma, xp.concat([sigma[:1], sigma[:-1]]))
    at_start, each = draws

    def step(x: Array, row: Rung, keys: Keys) -> Array:
        above, target = (softened(problem, level, gamma) for level in (row.before, row.sigma))
        fall = (row.before - row.sigma) * (row.before + row.sigma)  # 0 at the top, as no compiled x^2 - y^2
        noise_std = row.sigma * fall**0.5 / row.before
        x = x + fall * above.gradient(x) + noise_std * normal(keys[0], x.shape, x)
        state = start(x, target, keys[1 : 1 + at_start])
        return scan(lambda state, _, own: kernel(state, target, own), state, None, keys[1 + at_start :], draws=each)[0]

    x = sigma[0] * normal(first, (n, *problem.shape), problem.y)
    return scan(step, x, rungs, second, draws=1 + at_start + per_level * each), levels, levels * per_level


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
) -> Samples:
    """Reverse steps with unadjusted Langevin steps at every level (Du et al. 2023, arXiv 2302.11552).

    Steps of size step_size sigma^2, for the target of annealed-mala.
    """

    def kernel(state: State, target: Target, keys: Keys) -> State:
        return (ula(state[0], target.gradient, step_size * target.sigma**2, keys),)

    x, levels, count = _anneal(problem, key, n, steps, steps_per_level, gamma, (0, 1), lambda x, *_: (x,), kernel)
    return Samples(x, nfe=levels + count)


@method("annealed-mala", requires=_REQUIRES | {"prior_log_prob"})
def annealed_mala(
    problem: Problem,
    key: Key,
    *,
    n: int,
    steps: Count = 1000,
    steps_per_level: Count = 10,
    step_size: Positive = 0.3,
    gamma: Positive = 1.0,
) -> Samples:
    """Reverse steps with Metropolis-adjusted Langevin steps at every level (Du et al. 2023, arXiv 2302.11552).

    Steps of size step_size sigma^2 for p_sigma(x) N(y; A x, noise_std^2 + (gamma ||A|| sigma)^2), which each leaves as
    it is. That is not the diffused posterior, so that chains which do not travel between modes weigh them as the levels
    on the way did.
    """

    def kernel(state: State, target: Target, keys: Keys) -> State:
        return mala(Chain(*state), target.log_density, target.gradient, step_size * target.sigma**2, keys)[0]

    x, levels, count = _anneal(problem, key, n, steps, steps_per_level, gamma, (0, 2), _chain, kernel)
    return Samples(x, nfe=3 * levels + 2 * count)


@method("annealed-hmc", requires=_REQUIRES | {"prior_log_prob"})
def annealed_hmc(
    problem: Problem,
    key: Key,
    *,
    n: int,
    steps: Count = 1000,
    steps_per_level: Count = 10,
    leapfrogs: Count = 3,
    step_size: Positive = 0.5,
    damping: Fraction = 0.7,
    gamma: Positive = 1.0,
) -> Samples:
    """Reverse steps with Hamiltonian Monte Carlo at every level (Du et al. 2023, arXiv 2302.11552).

    Leapfrog steps of step_size sigma; the momentum is drawn at the start of a level and damped within it. The chains
    are as those of annealed-mala in what they have for a target.
    """

    def start(x: Array, target: Target, keys: Keys) -> State:
        return *_chain(x, target, keys), normal(keys[0], x.shape, x)

    def kernel(state: State, target: Target, keys: Keys) -> State:
        *chain, v = state
        step = step_size * target.sigma
        after, v, _ = hmc(Chain(*chain), v, target.log_density, target.gradient, step, leapfrogs, damping, keys)
        return *after, v

    x, levels, count = _anneal(problem, key, n, steps, steps_per_level, gamma, (1, 2), start, kernel)
    return Samples(x, nfe=3 * levels + count * (leapfrogs + 1))
