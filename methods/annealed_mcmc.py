"""Annealed Markov chains on the exact diffused densities (Du et al. 2023, arXiv 2302.11552).

Levels as of annealed Langevin; between two of them a step of the reverse SDE, at each some steps of a kernel for
p_sigma(x) N(y; A x, (noise_std^2 + (||A|| gamma sigma)^2) I).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from methods.levels import langevin_levels
from methods.mcmc import hmc, mala, ula
from methods.registry import Count, Fraction, Positive, Samples, method
from problems.arrays import Array, Key, Keys, namespace, normal, scan, split
from problems.contract import Problem

_REQUIRES = {"linear", "gaussian_noise"}


class Rung(NamedTuple):
    """One noise level and the one before it, from which the chain arrives (the same at the top)."""

    sigma: Array
    before: Array


@dataclass(frozen=True)
class Target:
    """The density at one level."""

    problem: Problem
    sigma: Array
    gamma: float

    @property
    def variance(self) -> Array:
        return self.problem.noise.std**2 + (self.gamma * self.problem.operator.norm * self.sigma) ** 2

    def gradient(self, x: Array) -> Array:
        residual = self.problem.y[None, :] - self.problem.operator(x)
        return self.problem.prior.score(x, self.sigma) + self.problem.operator.adjoint(residual) / self.variance

    def log_density(self, x: Array) -> Array:
        """Up to a constant, (n,)."""
        residual = self.problem.y[None, :] - self.problem.operator(x)
        misfit = namespace(x).sum(residual**2, axis=-1) / self.variance
        return self.problem.prior.log_prob(x, self.sigma) - 0.5 * misfit


State = tuple[Array, Array]
Kernel = Callable[[State, Target, Keys], State]
"""(x, momentum), the density, keys -> the next (x, momentum)."""


def _anneal(
    problem: Problem, key: Key, n: int, steps: int, per_level: int, gamma: float, draws: int, kernel: Kernel
) -> tuple[Array, int, int]:
    """Runs the chains down the levels, `steps` kernel steps in all; `draws` is the number of keys of one.

    Returns:
        x, and the numbers of levels and of kernel steps.
    """
    first, second = split(key, 2)
    per_level = min(per_level, steps)
    levels = steps // per_level
    sigma = langevin_levels(problem, levels, 1, None, None).sigma
    xp = namespace(sigma)
    rungs = Rung(sigma, xp.concat([sigma[:1], sigma[:-1]]))

    def step(state: State, row: Rung, keys: Keys) -> State:
        x, v = state
        above = Target(problem, row.before, gamma)
        fall = row.before**2 - row.sigma**2
        noise_std = row.sigma * fall**0.5 / row.before
        x = x + fall * above.gradient(x) + noise_std * normal(keys[0], x.shape, x)
        target = Target(problem, row.sigma, gamma)
        return scan(lambda state, _, own: kernel(state, target, own), (x, v), None, keys[1:], draws=draws)

    x = sigma[0] * normal(first, (n, *problem.shape), problem.y)
    return scan(step, (x, 0.0 * x), rungs, second, draws=1 + per_level * draws)[0], levels, levels * per_level


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
    """Reverse steps with unadjusted Langevin steps of size step_size sigma^2 at every level."""

    def kernel(state: State, target: Target, keys: Keys) -> State:
        return ula(state[0], target.gradient, step_size * target.sigma**2, keys), state[1]

    x, levels, count = _anneal(problem, key, n, steps, steps_per_level, gamma, 1, kernel)
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
    """Reverse steps with Metropolis-adjusted Langevin steps of size step_size sigma^2 at every level."""

    def kernel(state: State, target: Target, keys: Keys) -> State:
        step = step_size * target.sigma**2
        return mala(state[0], target.log_density, target.gradient, step, keys)[0], state[1]

    x, levels, count = _anneal(problem, key, n, steps, steps_per_level, gamma, 2, kernel)
    return Samples(x, nfe=levels + 2 * count)


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
    """Reverse steps with Hamiltonian Monte Carlo at every level: leapfrog steps of step_size sigma, momentum kept."""

    def kernel(state: State, target: Target, keys: Keys) -> State:
        step = step_size * target.sigma
        x, v, _ = hmc(*state, target.log_density, target.gradient, step, leapfrogs, damping, keys)
        return x, v

    x, levels, count = _anneal(problem, key, n, steps, steps_per_level, gamma, 2, kernel)
    return Samples(x, nfe=levels + count * (leapfrogs + 1))
