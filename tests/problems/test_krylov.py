"""Krylov solvers against dense solves and least squares over the Krylov space."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from problems.arrays import Array
from problems.krylov import conjugate_gradient, gmres
from tests.methods.formulas import krylov, least_residual

Solver = Callable[[Callable[[Array], Array], Array, int], Array]
BOTH = pytest.mark.parametrize("solver", [conjugate_gradient, gmres])


def _systems(n: int, m: int, condition: float) -> tuple[np.ndarray, np.ndarray]:
    """n symmetric positive matrices of their own with eigenvalues from 1 / condition to 1, and right-hand sides."""
    rng = np.random.default_rng(9)
    q = np.linalg.qr(rng.standard_normal((n, m, m)))[0]
    return (q * np.geomspace(1 / condition, 1.0, m)) @ q.transpose(0, 2, 1), rng.standard_normal((n, m))


def _indefinite(n: int, m: int) -> tuple[np.ndarray, np.ndarray]:
    """n matrices that are neither symmetric nor definite."""
    rng = np.random.default_rng(10)
    return np.linalg.qr(rng.standard_normal((n, m, m)))[0] * np.geomspace(0.3, 2.0, m), rng.standard_normal((n, m))


def _solved(
    solver: Solver, matrices: np.ndarray, b: np.ndarray, iterations: int, dtype: torch.dtype = torch.float64
) -> np.ndarray:
    a = torch.tensor(matrices, dtype=dtype)

    def matvec(v: Array) -> Array:
        return (a @ v[:, :, None])[:, :, 0]

    return solver(matvec, torch.tensor(b, dtype=dtype), iterations).numpy()


@BOTH
@pytest.mark.parametrize(("m", "condition"), [(1, 1.0), (3, 50.0), (6, 1e3)])
def test_as_many_iterations_as_unknowns_solve(solver: Solver, m: int, condition: float):
    matrices, b = _systems(4, m, condition)
    expected = np.linalg.solve(matrices, b[:, :, None])[:, :, 0]
    np.testing.assert_allclose(_solved(solver, matrices, b, m), expected, rtol=0, atol=1e-8 * np.abs(expected).max())


@pytest.mark.parametrize("iterations", [1, 2, 4])
@pytest.mark.parametrize(("solver", "best"), [(conjugate_gradient, krylov), (gmres, least_residual)])
def test_fewer_iterations_give_the_best_of_the_krylov_space(
    solver: Solver, best: Callable[..., np.ndarray], iterations: int
):
    """In the norm of the error that each minimises."""
    matrices, b = _systems(4, 6, 30.0)
    expected = np.array([best(a, v, iterations) for a, v in zip(matrices, b, strict=True)])
    np.testing.assert_allclose(_solved(solver, matrices, b, iterations), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("iterations", [1, 2, 4, 6, 9])
def test_gmres_needs_no_symmetric_matrix(iterations: int):
    matrices, b = _indefinite(5, 6)
    expected = np.array([least_residual(a, v, min(iterations, 6)) for a, v in zip(matrices, b, strict=True)])
    np.testing.assert_allclose(_solved(gmres, matrices, b, iterations), expected, rtol=0, atol=1e-9)


def test_gmres_goes_on_where_the_residual_does_not_fall():
    """A quarter turn moves b away from itself: one step gains nothing, the second solves."""
    turn, b = np.array([[[0.0, 1.0], [-1.0, 0.0]]]), np.array([[1.0, 0.0]])
    np.testing.assert_array_equal(_solved(gmres, turn, b, 1), [[0.0, 0.0]])
    np.testing.assert_allclose(_solved(gmres, turn, b, 2), [[0.0, 1.0]], rtol=0, atol=1e-14)
    cycle = np.roll(np.eye(5), 1, axis=0)[None]
    np.testing.assert_allclose(_solved(gmres, cycle, np.eye(5)[:1], 5), np.eye(5)[4:], rtol=0, atol=1e-14)


@BOTH
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_iterations_beyond_the_solution_change_nothing(solver: Solver, dtype: torch.dtype):
    """A row that is solved in one step and a row of zeros stand beside one that needs all of them."""
    matrices, b = _systems(3, 4, 5.0)
    b[1] = 3.0 * np.linalg.eigh(matrices[1])[1][:, 2]
    b[2] = 0.0
    tolerance = 1e-4 if dtype == torch.float32 else 1e-12
    found = _solved(solver, matrices, b, 40, dtype)
    np.testing.assert_allclose(found, np.linalg.solve(matrices, b[:, :, None])[:, :, 0], rtol=0, atol=tolerance)
    np.testing.assert_array_equal(found[2], 0.0)


@BOTH
def test_rows_do_not_meet(solver: Solver):
    matrices, b = _systems(6, 5, 20.0)
    together = _solved(solver, matrices, b, 3)
    np.testing.assert_allclose(_solved(solver, matrices[2:4], b[2:4], 3), together[2:4], rtol=0, atol=1e-14)
    b[0] *= 1e12
    np.testing.assert_allclose(_solved(solver, matrices, b, 3)[1:], together[1:], rtol=0, atol=1e-14)
