"""A step of the reverse SDE, then one down the residual of the denoised state (Chung et al. 2023, arXiv 2209.14687)."""

from __future__ import annotations

from methods.guidance import denoiser
from methods.integrators import Steps
from methods.reverse_sde import squared_norm
from problems.arrays import Array, namespace, vjp
from problems.contract import Problem


def guided_step(problem: Problem, x: Array, z: Array, row: Steps, scale: float, weight: str) -> Array:
    """The unconditional step from x, and the gradient step of `dps`."""
    operator = problem.operator
    x0_hat, pull = vjp(denoiser(problem, row.alpha, row.sigma), x)
    residual = problem.y[None, :] - operator(x0_hat)
    descent = pull(operator.adjoint(residual))  # -grad ||r||^2 / 2
    if weight == "normalised":
        norm = squared_norm(residual) ** 0.5
        # r = 0 has no direction: no step.
        norm = namespace(norm).where(norm > 0, norm, namespace(norm).ones_like(norm))
        shift = scale * descent / namespace(x).reshape(norm, (x.shape[0],) + (1,) * (x.ndim - 1))
    else:
        shift = scale * row.gain * descent / problem.noise.std**2
    score = (row.alpha * x0_hat - x) / row.sigma**2
    return row.growth * x + row.gain * score + row.noise_std * z + shift
