"""A step of the reverse SDE, then one down the residual of the denoised state (Chung et al. 2023, arXiv 2209.14687)."""

from __future__ import annotations

from methods.guidance import denoiser, tweedie
from methods.integrators import Steps, advance
from methods.reverse_sde import squared_norm
from problems.arrays import Array, namespace, vjp
from problems.contract import Problem


def guided_step(problem: Problem, x: Array, z: Array, row: Steps, scale: float) -> Array:
    """The unconditional step from x, (n, *shape), minus scale grad ||y - A x0_hat(x)||, a norm for every sample."""
    operator = problem.operator
    x0_hat, pull = vjp(denoiser(problem, row.alpha, row.sigma), x)
    residual = problem.y[None, :] - operator(x0_hat)
    norm = squared_norm(residual) ** 0.5
    # r = 0 has no direction: no step.
    norm = namespace(norm).where(norm > 0, norm, namespace(norm).ones_like(norm))
    norm = namespace(x).reshape(norm, (x.shape[0],) + (1,) * (x.ndim - 1))
    shift = scale * pull(operator.pull(x0_hat, residual)) / norm
    return advance(row, x, tweedie(x, x0_hat, row.alpha, row.sigma), z) + shift
