"""Manifold constrained gradients (Chung et al. 2022, arXiv 2206.00941), algorithm 1."""

from __future__ import annotations

from methods.integrators import Steps, ancestral_steps
from methods.levels import ddpm_levels
from methods.registry import Count, Positive, Samples, method
from methods.replacement import merge, project
from methods.residual_step import guided_step
from methods.reverse_sde import start_normal
from problems.arrays import Array, Key, Keys, normal, scan, split
from problems.contract import Problem


@method("mcg", requires={"linear", "svd", "gaussian_noise", "differentiable"})
def mcg(problem: Problem, key: Key, *, n: int, steps: Count = 1000, scale: Positive = 1.0) -> Samples:
    """MCG: the gradient step of DPS, and before every step the projection onto the diffused measurement.

    The measurement is taken as noise-free, and replaced once more at the end. The norm of the residual is per sample,
    where the released code takes one over the batch; there the measurement is diffused to the level before the step,
    which leaves noise on the returned image. What is not measured is biased too: steps towards the data along the
    gradient move it, and nothing moves it back.
    """
    first, second = split(key, 2)

    def step(x: Array, row: Steps, keys: Keys) -> Array:
        x = project(problem, x, normal(keys[0], x.shape, x), row, 1.0)
        return guided_step(problem, x, normal(keys[1], x.shape, x), row, scale)

    tables = ancestral_steps(ddpm_levels(problem, steps))
    x = scan(step, start_normal(problem, first, n), tables, second, draws=2)
    x = merge(problem, x, problem.operator.pseudo_inverse(problem.y[None, :]), 1.0)
    return Samples(x, nfe=steps, vjp=steps)
