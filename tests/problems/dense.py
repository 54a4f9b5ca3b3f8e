"""What an operator must compute, from its matrix written down and numpy.linalg alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from problems.arrays import vjp
from problems.contract import Problem, to
from problems.noise import GaussianNoise
from problems.schedules import VP

SHIFTS = [(0.7, 0.25), (1e-4, 2.0), (30.0, 1e-3), (0.0, 0.4)]
"""Pairs (scale, shift) of gram_solve and gram_log_det."""

QUICKLY_COMPILED = {"xla_backend_optimization_level": 0}  # here optimisation takes longer than what it saves


def matrix_of(operator: Any) -> np.ndarray:
    """(m, d): the operator on the unit vectors."""
    d = math.prod(operator.shape)
    return operator(np.eye(d).reshape(d, *operator.shape)).T


def positive_part(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The singular values above zero, falling, (r,), and their right singular vectors, (r, d)."""
    _, s, vt = np.linalg.svd(matrix, full_matrices=False)
    keep = s > 1e-10 * s[0]
    return s[keep], vt[keep]


def close(found: Any, expected: Any, tolerance: float = 1e-10) -> None:
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape
    assert np.max(np.abs(found - expected)) <= tolerance * np.max(np.abs(expected))


def generic(s: Any) -> Any:
    """A function of singular values that none of the laws can take for another."""
    return 0.3 + 1.7 * s / (1.0 + s**2)


def adjoint(operator: Any, a: np.ndarray, x: np.ndarray, v: np.ndarray) -> None:
    close(operator(x), x.reshape(len(x), -1) @ a.T)
    close(operator.adjoint(v), (v @ a).reshape(x.shape))


def pseudo_inverse(operator: Any, a: np.ndarray, x: np.ndarray, v: np.ndarray) -> None:
    close(operator.pseudo_inverse(v), (v @ np.linalg.pinv(a, rcond=1e-10).T).reshape(x.shape))


def project_range(operator: Any, a: np.ndarray, x: np.ndarray, v: np.ndarray) -> None:  # noqa: ARG001
    _, vt = positive_part(a)
    close(operator.project_range(x), (x.reshape(len(x), -1) @ vt.T @ vt).reshape(x.shape))


def gram_solve(operator: Any, a: np.ndarray, x: np.ndarray, v: np.ndarray) -> None:  # noqa: ARG001
    """By the left singular vectors: np.linalg.solve loses more digits than the operator does.

    An operator that knows A A^T alone mixes its range and the rest by the rounding errors of the former.
    """
    u, s, _ = np.linalg.svd(a)
    s = np.pad(s, (0, len(a) - len(s)))
    s[s < 1e-10 * s[0]] = 0.0
    for scale, shift in SHIFTS:
        rounding = np.finfo(float).eps * (scale * s[0] ** 2 + shift) / shift
        expected = v @ (u / (scale * s**2 + shift)) @ u.T
        close(operator.gram_solve(v, scale, shift), expected, 1e-10 + 4 * rounding)


def damped_inverse(operator: Any, a: np.ndarray, x: np.ndarray, v: np.ndarray) -> None:
    """In float32 as well, at a shift by which rounding errors off the range of A must not be divided."""
    u, s, vt = np.linalg.svd(a, full_matrices=False)
    s = np.where(s < 1e-10 * s[0], 0.0, s)
    for scale, shift in SHIFTS:
        expected = ((v @ u) * (s / (scale * s**2 + shift)) @ vt).reshape(x.shape)
        close(operator.damped_inverse(v, scale, shift), expected)
    scale, shift = 2e6 / s[0] ** 2, 1.0
    expected = ((v @ u) * (s / (scale * s**2 + shift)) @ vt).reshape(x.shape)
    one = np.float32
    found = to(operator, "numpy", dtype="float32").damped_inverse(v.astype(one), one(scale), one(shift))
    assert np.max(np.abs(found - expected)) < 1e-3 * np.max(np.abs(expected))


def gram_log_det(operator: Any, a: np.ndarray, x: np.ndarray, v: np.ndarray) -> None:  # noqa: ARG001
    for scale, shift in SHIFTS:
        close(operator.gram_log_det(scale, shift), np.linalg.slogdet(scale * a @ a.T + shift * np.eye(len(a)))[1])


def spectral(operator: Any, a: np.ndarray, x: np.ndarray, v: np.ndarray) -> None:  # noqa: ARG001
    s, vt = positive_part(a)
    for off in (0.0, 1.0, -0.6):
        expected = off * np.eye(a.shape[1]) + (vt.T * (generic(s) - off)) @ vt
        found = operator.spectral(x, generic(operator.singular_values), off)
        close(found, (x.reshape(len(x), -1) @ expected).reshape(x.shape))


def spectral_energy(operator: Any, a: np.ndarray, x: np.ndarray, v: np.ndarray) -> None:  # noqa: ARG001
    s, vt = positive_part(a)
    found = operator.spectral_energy(x, generic(operator.singular_values))
    close(found, (x.reshape(len(x), -1) @ vt.T) ** 2 @ generic(s))


def singular_values(operator: Any, a: np.ndarray, x: np.ndarray, v: np.ndarray) -> None:  # noqa: ARG001
    """Those of the matrix, each as often as channels share it; rank, norm and sums over them."""
    s, _ = positive_part(a)
    found = np.ravel(operator.singular_values)
    close(np.sort(np.repeat(found, len(s) // len(found)))[::-1], s)
    assert type(operator.rank) is int
    assert operator.rank == len(s)
    close(operator.norm, s[0])
    close(operator.spectral_sum(generic(operator.singular_values)), np.sum(generic(s)))


Law = Callable[[Any, np.ndarray, np.ndarray, np.ndarray], None]
LAWS: list[Law] = [
    adjoint,
    pseudo_inverse,
    project_range,
    gram_solve,
    damped_inverse,
    gram_log_det,
    spectral,
    spectral_energy,
    singular_values,
]
every_law = pytest.mark.parametrize("law", LAWS, ids=[law.__name__ for law in LAWS])


def singular_vectors(operator: Any, a: np.ndarray, x: np.ndarray, v: np.ndarray) -> None:
    """U and V have orthonormal columns, and A = U diag(s) V^T, in whatever order."""
    units = np.eye(operator.rank)
    assert operator.m == len(a)
    right, left = operator.from_right(units).reshape(operator.rank, -1).T, operator.from_left(units).T
    close(right.T @ right, units)
    close(left.T @ left, units)
    close((left * operator.s) @ right.T, a)
    close(operator.to_right(x), x.reshape(len(x), -1) @ right)
    close(operator.to_left(v), v @ left)


def weights_of_vectors(operator: Any, a: np.ndarray, x: np.ndarray, v: np.ndarray) -> None:  # noqa: ARG001
    """What is no function of A^T A: every singular vector with a weight of its own."""
    on = np.random.default_rng(18).uniform(-1, 2, operator.rank)
    right = operator.from_right(np.eye(operator.rank)).reshape(operator.rank, -1).T
    along = x.reshape(len(x), -1) @ right
    expected = 0.4 * x.reshape(len(x), -1) + (along * (on - 0.4)) @ right.T
    close(operator.spectral(x, on, 0.4), expected.reshape(x.shape))
    close(operator.spectral_energy(x, on), along**2 @ on)
    close(operator.spectral_sum(on), np.sum(on))


VECTOR_LAWS: list[Law] = [*LAWS, singular_vectors, weights_of_vectors]
every_law_of_vectors = pytest.mark.parametrize("law", VECTOR_LAWS, ids=[law.__name__ for law in VECTOR_LAWS])
"""For operators that are asked for single singular vectors."""


def obeys(operator: Any, law: Law) -> None:
    """One law, on three generic signals and three generic measurements that no signal explains."""
    assert operator.linear is True
    rng, a = np.random.default_rng(4), matrix_of(operator)
    law(operator, a, rng.standard_normal((3, *operator.shape)), rng.standard_normal((3, len(a))))


def uses(problem: Problem, x: Any, v: Any) -> dict[str, Any]:
    """All that a sampler may ask of the operator of a problem; of one without singular values, what it can do."""
    operator, scale, shift = problem.operator, 3.0 * problem.noise.std, problem.noise.std**2
    found = {"call": operator(x), "log_likelihood": problem.log_likelihood(x), "adjoint": operator.adjoint(v)}
    if not hasattr(operator, "spectral"):
        return found
    on = generic(operator.singular_values)
    return found | {
        "pseudo_inverse": operator.pseudo_inverse(v),
        "damped_inverse": operator.damped_inverse(v, scale, shift),
        "gram_solve": operator.gram_solve(v, scale, shift),
        "gram_log_det": operator.gram_log_det(scale, shift),
        "spectral": operator.spectral(x, on, problem.noise.std),
        "spectral_energy": operator.spectral_energy(x, on),
        "spectral_sum": operator.spectral_sum(on),
        "project_range": operator.project_range(x),
        "singular_values": operator.singular_values,
        "norm": operator.norm,
    }


def pulled(problem: Problem, x: Any, v: Any) -> Any:
    return vjp(problem.operator, x)[1](v)


def agrees_in_all_frameworks(operator: Any) -> None:
    """A problem carried into torch, and into JAX where it is the argument of a compiled function, computes the same.

    In float64 and in float32. Automatic differentiation finds the adjoint.
    """
    rng = np.random.default_rng(8)
    x = rng.standard_normal((3, *operator.shape))
    v = rng.standard_normal(operator(x).shape)
    noise = GaussianNoise(np.array(0.2))
    problem = Problem(prior=None, operator=operator, noise=noise, y=v[0], schedule=VP(), shape=operator.shape)
    expected = uses(problem, x, v)
    single = torch.float32
    with_torch, with_jax = (problem.to(framework, dtype="float64") for framework in ("torch", "jax"))
    in_torch = uses(with_torch, torch.tensor(x), torch.tensor(v))
    in_single = uses(problem.to("torch"), torch.tensor(x, dtype=single), torch.tensor(v, dtype=single))
    compiled = jax.jit(uses, compiler_options=QUICKLY_COMPILED)
    in_jax = compiled(with_jax, jnp.asarray(x), jnp.asarray(v))
    close(pulled(with_torch, torch.tensor(x), torch.tensor(v)), expected["adjoint"])
    close(
        jax.jit(pulled, compiler_options=QUICKLY_COMPILED)(with_jax, jnp.asarray(x), jnp.asarray(v)),
        expected["adjoint"],
    )
    single_jax = compiled(problem.to("jax"), jnp.asarray(x, "float32"), jnp.asarray(v, "float32"))
    for what, value in expected.items():
        for found, dtype, tolerance in (
            (in_torch[what], "float64", 1e-10),
            (in_jax[what], "float64", 1e-10),
            (in_single[what], "float32", 2e-5),
            (single_jax[what], "float32", 2e-5),
        ):
            assert np.asarray(found).dtype == dtype, what
            assert np.shape(found) == np.shape(value), what
            assert np.max(np.abs(np.asarray(found) - value)) <= tolerance * np.max(np.abs(value)), what
