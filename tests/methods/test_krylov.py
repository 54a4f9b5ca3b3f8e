"""Conjugate gradients against dense solves."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from methods.krylov import conjugate_gradient
from problems.arrays import Array
from tests.methods.formulas import krylov


def _systems(n: int, m: int, condition: float) -> tuple[np.ndarray, np.ndarray]:
    """n symmetric positive matrices of their own with eigenvalues from 1 / condition to 1, and right-hand sides."""
    rng = np.random.default_rng(9)
    q = np.linalg.qr(rng.standard_normal((n, m, m)))[0]
    return (q * np.geomspace(1 / condition, 1.0, m)) @ q.transpose(0, 2, 1), rng.standard_normal((n, m))


def _solved(matrices: np.ndarray, b: np.ndarray, iterations: int, dtype: torch.dtype = torch.float64) -> np.ndarray:
    a = torch.tensor(matrices, dtype=dtype)

    def matvec(v: Array) -> Array:
        return (a @ v[:, :, None])[:, :, 0]

    return conjugate_gradient(matvec, torch.tensor(b, dtype=dtype), iterations).numpy()


@pytest.mark.parametrize(("m", "condition"), [(1, 1.0), (3, 50.0), (6, 1e3)])
def test_as_many_iterations_as_unknowns_solve(m: int, condition: float):
    matrices, b = _systems(4, m, condition)
    expected = np.linalg.solve(matrices, b[:, :, None])[:, :, 0]
    np.testing.assert_allclose(_solved(matrices, b, m), expected, rtol=0, atol=1e-8 * np.abs(expected).max())


@pytest.mark.parametrize("iterations", [1, 2, 4])
def test_fewer_iterations_give_the_best_of_the_krylov_space(iterations: int):
    matrices, b = _systems(4, 6, 30.0)
    expected = np.array([krylov(a, v, iterations) for a, v in zip(matrices, b, strict=True)])
    np.testing.assert_allclose(_solved(matrices, b, iterations), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_iterations_beyond_the_solution_change_nothing(dtype: torch.dtype):
    """A row that is solved in one step and a row of zeros stand beside one that needs all of them."""
    matrices, b = _systems(3, 4, 5.0)
    b[1] = 3.0 * np.linalg.eigh(matrices[1])[1][:, 2]
    b[2] = 0.0
    tolerance = 1e-4 if dtype == torch.float32 else 1e-12
    found = _solved(matrices, b, 40, dtype)
    np.testing.assert_allclose(found, np.linalg.solve(matrices, b[:, :, None])[:, :, 0], rtol=0, atol=tolerance)
    np.testing.assert_array_equal(found[2], 0.0)


def test_rows_do_not_meet():
    matrices, b = _systems(6, 5, 20.0)
    together = _solved(matrices, b, 3)
    np.testing.assert_allclose(_solved(matrices[2:4], b[2:4], 3), together[2:4], rtol=0, atol=1e-14)
    b[0] *= 1e12
    np.testing.assert_allclose(_solved(matrices, b, 3)[1:], together[1:], rtol=0, atol=1e-14)
