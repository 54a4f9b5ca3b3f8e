"""Conjugate gradients for a batch of symmetric positive systems, each with its own step sizes."""

from __future__ import annotations

from collections.abc import Callable

from problems.arrays import Array, namespace


def conjugate_gradient(matvec: Callable[[Array], Array], b: Array, iterations: int) -> Array:
    """Approximates matvec^-1 b, row by row, from zero (Hestenes and Stiefel 1952). b is (n, m).

    A row that has converged to rounding stops: further steps would divide rounding errors by rounding errors.
    `iterations` is a Python number: the loop is unrolled.
    """
    xp = namespace(b)
    x, residual, direction = xp.zeros_like(b), b, b
    squared = xp.sum(b * b, axis=-1, keepdims=True)
    converged = (10.0 * xp.finfo(b.dtype).eps) ** 2 * squared
    for _ in range(iterations):
        mapped = matvec(direction)
        curvature = xp.sum(direction * mapped, axis=-1, keepdims=True)
        active = squared > converged
        step = xp.where(active, squared, xp.zeros_like(squared)) / xp.where(active, curvature, xp.ones_like(curvature))
        x, residual = x + step * direction, residual - step * mapped
        previous, squared = squared, xp.sum(residual * residual, axis=-1, keepdims=True)
        direction = residual + squared / xp.where(active, previous, xp.ones_like(previous)) * direction
    return x
