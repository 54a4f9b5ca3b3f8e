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

    For any system. The images of the basis are made orthogonal as they come, so that no least-squares problem is left.
    The basis grows by the residual where that has just fallen, else by the last image, which is never spent before the
    system is solved (Jiranek and Rozloznik 2008, adaptive simpler GMRES).
    """
    xp = namespace(b)
    x, residual, direction = xp.zeros_like(b), b, b
    squared = xp.sum(b * b, axis=-1, keepdims=True)
    rounding = (10.0 * xp.finfo(b.dtype).eps) ** 2
    converged = rounding * squared
    images: list[tuple[Array, Array]] = []
    for _ in range(iterations):
        image = matvec(direction)
        before = xp.sum(image * image, axis=-1, keepdims=True)
        for _ in range(2):  # once more for what rounding left
            for old_direction, old_image in images:
                share = xp.sum(image * old_image, axis=-1, keepdims=True)
                direction, image = direction - share * old_direction, image - share * old_image
        left = xp.sum(image * image, axis=-1, keepdims=True)
        active = (squared > converged) & (left > rounding * before)
        scale = xp.where(active, 1.0 / xp.where(active, left, xp.ones_like(left)) ** 0.5, xp.zeros_like(left))
        direction, image = scale * direction, scale * image
        images.append((direction, image))
        step = xp.sum(residual * image, axis=-1, keepdims=True)
        x, residual = x + step * direction, residual - step * image
        previous, squared = squared, xp.sum(residual * residual, axis=-1, keepdims=True)
        direction = xp.where(squared < 0.5 * previous, residual, image)
    return x
