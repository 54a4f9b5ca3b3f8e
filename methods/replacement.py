"""Replacing the measured part of a state (Song et al. 2022, arXiv 2111.08005, equations 10 and 11)."""

from __future__ import annotations

from methods.integrators import Steps
from problems.arrays import Array
from problems.contract import Problem


def merge(problem: Problem, x: Array, target: Array, lam: float) -> Array:
    """x + lam A^+A (target - x): moves the measured part of x towards the target's."""
    return x + lam * problem.operator.project_range(target - x)


def project(problem: Problem, x: Array, z: Array, row: Steps, lam: float) -> Array:
    """Merges x with the measurement diffused to this level, alpha A^+y + sigma z."""
    measured = problem.operator.pseudo_inverse(problem.y[None, :])
    return merge(problem, x, row.alpha * measured + row.sigma * z, lam)
