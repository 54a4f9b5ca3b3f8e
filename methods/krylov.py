"""Krylov solvers for a batch of systems, each row with its own step sizes; `iterations` unrolls the loop."""

from __future__ import annotations

from collections.abc import Callable

from problems.arrays import Array, namespace


def conjugate_gradient(matvec: Callable[[Array], Array], b: Array, iterations: int) -> Array:
    """Approximates matvec^-1 b, row by row, from zero (Hestenes and Stiefel 1952). b is (n, m).

    For symmetric positive systems. A row that has converged to rounding stops: further steps would divide rounding
    errors by rounding errors.
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


def gmres(matvec: Callable[[Array], Array], b: Array, iterations: int) -> Array:
    """The x of the Krylov space of b with the least ||matvec x - b||, row by row (Saad and Schultz 1986). b is (n, m).

    For any system. Images of the basis are made orthogonal as they come (generalised conjugate residuals), which gives
    the same iterates as the Arnoldi process and needs no small least-squares problem.
    """
    xp = namespace(b)
    x, residual = xp.zeros_like(b), b
    converged = (10.0 * xp.finfo(b.dtype).eps) ** 2 * xp.sum(b * b, axis=-1, keepdims=True)
    directions: list[tuple[Array, Array]] = []
    for _ in range(iterations):
        direction, image = residual, matvec(residual)
        for _ in range(2):  # once more for what rounding left
            for old_direction, old_image in directions:
                share = xp.sum(image * old_image, axis=-1, keepdims=True)
                direction, image = direction - share * old_direction, image - share * old_image
        norm = xp.sum(image * image, axis=-1, keepdims=True) ** 0.5
        active = (xp.sum(residual * residual, axis=-1, keepdims=True) > converged) & (norm > 0)
        scale = xp.where(active, 1.0 / xp.where(active, norm, xp.ones_like(norm)), xp.zeros_like(norm))
        direction, image = scale * direction, scale * image
        directions.append((direction, image))
        step = xp.sum(residual * image, axis=-1, keepdims=True)
        x, residual = x + step * direction, residual - step * image
    return x
