"""Markov kernels that leave exp(log_density) invariant, or nearly so, with a decision for every sample.

Roberts and Tweedie 1996 (MALA); Horowitz 1991 (Hamiltonian Monte Carlo with partial refreshment). As in Du et al. 2023
(Reduce, reuse, recycle, arXiv 2302.11552), with what its released code gets wrong put right: the proposal densities of
MALA divide by 4 h, each sample is accepted on its own, and a rejection reverses the momentum.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from methods.reverse_sde import squared_norm
from problems.arrays import Array, Keys, namespace, normal, uniform

Density = Callable[[Array], Array]
"""x, (n, *shape) -> log density up to a constant, (n,)."""
Gradient = Callable[[Array], Array]
"""x -> the gradient of the log density, (n, *shape)."""


class Chain(NamedTuple):
    """Where a chain is, (n, *shape), with its log density, (n,), and gradient there, so that no step asks twice."""

    x: Array
    log_density: Array
    gradient: Array


def begin(x: Array, density: Density, gradient: Gradient) -> Chain:
    """A chain at x: one density and one gradient."""
    return Chain(x, density(x), gradient(x))


def ula(x: Array, gradient: Gradient, step: Array, keys: Keys) -> Array:
    """Langevin without a decision: x + h grad + sqrt(2 h) z. One key; biased by order h."""
    return x + step * gradient(x) + (2.0 * step) ** 0.5 * normal(keys[0], x.shape, x)


def mala(chain: Chain, density: Density, gradient: Gradient, step: Array, keys: Keys) -> tuple[Chain, Array]:
    """The same as a proposal, accepted or not. Two keys, one density and one gradient.

    Returns:
        The chain and which samples moved, (n,).
    """
    x = chain.x
    forward = x + step * chain.gradient
    proposed = begin(forward + (2.0 * step) ** 0.5 * normal(keys[0], x.shape, x), density, gradient)
    backward = proposed.x + step * proposed.gradient
    log_ratio = (_squared(proposed.x - forward) - _squared(x - backward)) / (4.0 * step)
    return _decide(keys[1], chain, proposed, proposed.log_density - chain.log_density + log_ratio)


def hmc(
    chain: Chain,
    v: Array,
    density: Density,
    gradient: Gradient,
    step: Array,
    leapfrogs: int,
    damping: float,
    keys: Keys,
) -> tuple[Chain, Array, Array]:
    """Hamiltonian dynamics with unit mass after v <- damping v + sqrt(1 - damping^2) z.

    Two keys, one density and `leapfrogs` gradients.

    Returns:
        The chain, v and which samples moved, (n,); where a proposal is rejected x stays and v turns back.
    """
    v = damping * v + (1.0 - damping**2) ** 0.5 * normal(keys[0], v.shape, v)
    x, momentum, slope = leapfrog(chain.x, v, chain.gradient, gradient, step, leapfrogs)
    proposed = Chain(x, density(x), slope)
    log_ratio = proposed.log_density - chain.log_density + 0.5 * (_squared(v) - _squared(momentum))
    chain, moved = _decide(keys[1], chain, proposed, log_ratio)
    return chain, _where(moved, momentum, -v), moved


def leapfrog(
    x: Array, v: Array, slope: Array, gradient: Gradient, step: Array, count: int
) -> tuple[Array, Array, Array]:
    """`count` steps of the Stoermer-Verlet scheme: reversible, and it conserves volume.

    slope is the gradient at x, and is returned for the new x.
    """
    for _ in range(count):
        v = v + 0.5 * step * slope
        x = x + step * v
        slope = gradient(x)
        v = v + 0.5 * step * slope
    return x, v, slope


def _decide(key: Array, chain: Chain, proposed: Chain, log_ratio: Array) -> tuple[Chain, Array]:
    """Moves the samples whose uniform number is below their ratio; one that is not a number is a rejection."""
    moved = namespace(log_ratio).log(uniform(key, log_ratio.shape, log_ratio)) < log_ratio
    return Chain(*(_where(moved, new, old) for new, old in zip(proposed, chain, strict=True))), moved


def _where(moved: Array, new: Array, old: Array) -> Array:
    xp = namespace(new)
    return xp.where(xp.reshape(moved, (new.shape[0],) + (1,) * (new.ndim - 1)), new, old)


def _squared(x: Array) -> Array:
    """||x_i||^2, (n,)."""
    return namespace(x).reshape(squared_norm(x), (x.shape[0],))
