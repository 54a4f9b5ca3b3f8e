"""Markov kernels that leave exp(log_density) invariant, or nearly so, with a decision for every sample.

Roberts and Tweedie 1996 (MALA); Horowitz 1991 (Hamiltonian Monte Carlo with partial refreshment). As in Du et al. 2023
(Reduce, reuse, recycle, arXiv 2302.11552), with what its released code gets wrong put right: the proposal densities of
MALA divide by 4 h, each sample is accepted on its own, and a rejection reverses the momentum.
"""

from __future__ import annotations

from collections.abc import Callable

from methods.reverse_sde import squared_norm
from problems.arrays import Array, Keys, namespace, normal, uniform

Density = Callable[[Array], Array]
"""x, (n, *shape) -> log density up to a constant, (n,)."""
Gradient = Callable[[Array], Array]
"""x -> the gradient of the log density, (n, *shape)."""


def ula(x: Array, gradient: Gradient, step: Array, keys: Keys) -> Array:
    """Langevin without a decision: x + h grad + sqrt(2 h) z. One key; biased by order h."""
    return x + step * gradient(x) + (2.0 * step) ** 0.5 * normal(keys[0], x.shape, x)


def mala(x: Array, density: Density, gradient: Gradient, step: Array, keys: Keys) -> tuple[Array, Array]:
    """The same as a proposal, accepted or not. Two keys. Returns x and which samples moved, (n, 1, ...)."""
    forward = x + step * gradient(x)
    proposed = forward + (2.0 * step) ** 0.5 * normal(keys[0], x.shape, x)
    backward = proposed + step * gradient(proposed)
    log_ratio = (squared_norm(proposed - forward) - squared_norm(x - backward)) / (4.0 * step)
    moved = _accepted(keys[1], x, _shaped(density(proposed) - density(x), x) + log_ratio)
    return namespace(x).where(moved, proposed, x), moved


def hmc(
    x: Array, v: Array, density: Density, gradient: Gradient, step: Array, leapfrogs: int, damping: float, keys: Keys
) -> tuple[Array, Array, Array]:
    """Hamiltonian dynamics with unit mass after v <- damping v + sqrt(1 - damping^2) z. Two keys.

    Returns:
        x, v and which samples moved; where a proposal is rejected x stays and v turns back.
    """
    v = damping * v + (1.0 - damping**2) ** 0.5 * normal(keys[0], x.shape, x)
    proposed, momentum = leapfrog(x, v, gradient, step, leapfrogs)
    kinetic = 0.5 * (squared_norm(v) - squared_norm(momentum))
    moved = _accepted(keys[1], x, _shaped(density(proposed) - density(x), x) + kinetic)
    xp = namespace(x)
    return xp.where(moved, proposed, x), xp.where(moved, momentum, -v), moved


def leapfrog(x: Array, v: Array, gradient: Gradient, step: Array, count: int) -> tuple[Array, Array]:
    """`count` steps of the Stoermer-Verlet scheme: reversible, and it conserves volume. count + 1 gradients."""
    v = v + 0.5 * step * gradient(x)
    for i in range(count):
        x = x + step * v
        v = v + (step if i + 1 < count else 0.5 * step) * gradient(x)
    return x, v


def _accepted(key: Array, x: Array, log_ratio: Array) -> Array:
    """Where a uniform number is below the ratio, (n, 1, ...); a ratio that is not a number is a rejection."""
    u = uniform(key, (x.shape[0],), x)
    return _shaped(namespace(x).log(u), x) < log_ratio


def _shaped(values: Array, x: Array) -> Array:
    return namespace(x).reshape(values, (x.shape[0],) + (1,) * (x.ndim - 1))
