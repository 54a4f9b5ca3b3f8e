"""What an operator says of its singular vectors, against the matrix that it is, and against itself in torch and JAX."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch

from problems.arrays import vjp
from problems.contract import to

TOLERANCE = {"float64": 1e-10, "float32": 1e-5}
QUICKLY_COMPILED = {"xla_backend_optimization_level": 0}  # here optimisation takes longer than what it saves
GRAMS = ((0.7, 0.3), (1e-4, 2.0), (30.0, 0.3), (0.0, 0.4))


def dense(operator: Any) -> np.ndarray:
    """(m, d): the operator applied to the identity."""
    d = int(np.prod(operator.shape))
    return operator(np.eye(d).reshape(d, *operator.shape)).T


def drawn(operator: Any) -> tuple[np.ndarray, np.ndarray]:
    """Three signals and three measurements, all generic."""
    rng = np.random.default_rng(17)
    x = rng.standard_normal((3, *operator.shape))
    return x, rng.standard_normal((3, operator(x).shape[1]))


def near(found: np.ndarray, expected: np.ndarray, tolerance: float = 1e-11) -> None:
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * max(np.max(np.abs(expected)), 1e-300))


def check_singular_vectors(operator: Any) -> None:
    """U and V have orthonormal columns, A = U diag(s) V^T, and numpy.linalg.svd finds the same s."""
    matrix = dense(operator)
    expected = np.linalg.svd(matrix, compute_uv=False)
    expected = expected[expected > 1e-9 * expected[0]]
    assert operator.linear is True
    assert operator.m == len(matrix)
    assert operator.rank == len(expected) == operator.singular_values.shape[0]
    near(np.sort(operator.singular_values)[::-1], expected)
    assert float(operator.norm) == np.max(operator.singular_values)
    units = np.eye(operator.rank)
    v, u = operator.from_right(units).reshape(operator.rank, -1).T, operator.from_left(units).T
    near(v.T @ v, units)
    near(u.T @ u, units)
    near((u * operator.s) @ v.T, matrix)
    x, y = drawn(operator)
    near(operator.to_right(x), x.reshape(3, -1) @ v)
    near(operator.to_left(y), y @ u)


def check_solutions(operator: Any) -> None:
    """Adjoint, pseudo-inverse and what is solved in the space of measurements."""
    matrix, (x, y) = dense(operator), drawn(operator)
    near(operator(x), x.reshape(3, -1) @ matrix.T)
    near(operator.adjoint(y), (y @ matrix).reshape(x.shape))
    near(operator.pseudo_inverse(y), (y @ np.linalg.pinv(matrix, rcond=1e-9).T).reshape(x.shape))
    for scale, shift in GRAMS:
        gram = scale * matrix @ matrix.T + shift * np.eye(len(matrix))
        near(operator.gram_solve(y, scale, shift), np.linalg.solve(gram, y.T).T)
        damped = np.linalg.solve(gram, y.T).T @ matrix
        near(operator.damped_inverse(y, scale, shift), damped.reshape(x.shape))
        found = operator.gram_log_det(np.array(scale), np.array(shift))
        np.testing.assert_allclose(found, np.linalg.slogdet(gram)[1], rtol=1e-11, atol=1e-11)


def check_spectral(operator: Any) -> None:
    """Functions of A^T A by the singular vectors of NumPy; what is no such function by those of the operator."""
    matrix, x, s = dense(operator), drawn(operator)[0], operator.singular_values
    flat = x.reshape(3, -1)
    _, values, vt = np.linalg.svd(matrix)
    rank = operator.rank

    def f(s: np.ndarray) -> np.ndarray:
        return 0.3 + s**2 / (s**2 + 0.2)

    along = flat @ vt[:rank].T
    function = (along * f(values[:rank])) @ vt[:rank]
    near(operator.spectral(x, f(s), 0.0), function.reshape(x.shape))
    beyond = flat - along @ vt[:rank]
    near(operator.spectral(x, f(s), -0.7), (function - 0.7 * beyond).reshape(x.shape))
    near(operator.project_range(x), (flat - beyond).reshape(x.shape))
    near(operator.spectral_energy(x, f(s)), along**2 @ f(values[:rank]))
    near(operator.spectral_sum(f(s)), np.sum(f(values[:rank])))
    on = np.random.default_rng(18).uniform(-1, 2, rank)
    v = operator.from_right(np.eye(rank)).reshape(rank, -1).T
    near(operator.spectral(x, on, 0.4), (0.4 * beyond + ((flat @ v) * on) @ v.T).reshape(x.shape))
    near(operator.spectral_energy(x, on), (flat @ v) ** 2 @ on)
    near(operator.spectral_sum(on), np.sum(on))


def evaluate(operator: Any, x: Any, y: Any, scale: Any, shift: Any) -> dict[str, Any]:
    """All that a sampler may ask of an operator with singular values; of one without, what it can do."""
    found = {"operator": operator(x), "adjoint": operator.adjoint(y)}
    if hasattr(operator, "spectral"):
        s = operator.singular_values
        found |= {
            "pseudo_inverse": operator.pseudo_inverse(y),
            "damped_inverse": operator.damped_inverse(y, scale, shift),
            "gram_solve": operator.gram_solve(y, scale, shift),
            "gram_log_det": operator.gram_log_det(scale, shift),
            "spectral": operator.spectral(x, 1.0 / (1.0 + s), 0.2),
            "spectral_energy": operator.spectral_energy(x, s / (1.0 + s)),
            "spectral_sum": operator.spectral_sum(s**2),
            "project_range": operator.project_range(x),
            "norm": operator.norm,
        }
    return found


def check_frameworks(operator: Any, relative: Any) -> None:
    """torch, and JAX with the operator as an argument, compute what NumPy does, in the dtype that they are given."""
    inputs = (*drawn(operator), np.array(0.7), np.array(0.3))
    for dtype, tolerance in TOLERANCE.items():
        case = [a.astype(dtype) for a in inputs]
        expected = evaluate(operator, *(a.astype("float64") for a in case))
        found = {
            "torch": evaluate(to(operator, "torch", dtype=dtype), *map(torch.tensor, case)),
            "jax": jax.jit(evaluate, compiler_options=QUICKLY_COMPILED)(
                to(operator, "jax", dtype=dtype), *map(jnp.asarray, case)
            ),
            "numpy": evaluate(to(operator, "numpy", dtype=dtype), *case),
        }
        for framework, values in found.items():
            for what, value in values.items():
                assert np.asarray(value).dtype == dtype, (framework, what)
                assert relative(value, expected[what]) < tolerance, (framework, dtype, what)


def pulled(operator: Any, x: Any, y: Any) -> Any:
    return vjp(operator, x)[1](y)


def check_derivative(operator: Any, relative: Any) -> None:
    """Automatic differentiation in torch and JAX finds the adjoint."""
    x, y = drawn(operator)
    in_torch = pulled(to(operator, "torch", dtype="float64"), torch.tensor(x), torch.tensor(y))
    compiled = jax.jit(pulled, compiler_options=QUICKLY_COMPILED)
    in_jax = compiled(to(operator, "jax", dtype="float64"), jnp.asarray(x), jnp.asarray(y))
    for found in (in_torch, in_jax):
        assert relative(found, operator.adjoint(y)) < 1e-12
