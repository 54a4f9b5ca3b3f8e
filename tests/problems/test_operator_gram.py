"""Singular values from A A^T against the matrix written down."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pytest

from problems.contract import to
from problems.names import UsageError
from problems.operator_fourier import fourier_sampling
from problems.operator_gram import with_gram
from problems.operators import Matrix, matrix_operator
from tests.problems.dense import agrees_in_all_frameworks, every_law_of_vectors, obeys

RNG = np.random.default_rng(41)
LOW_RANK = RNG.standard_normal((7, 3)) @ RNG.standard_normal((3, 6))
INNER: dict[str, Any] = {
    "wide": matrix_operator(RNG.standard_normal((5, 12)), (3, 4)),
    "tall": matrix_operator(RNG.standard_normal((9, 4)), (4,)),
    "low rank": matrix_operator(LOW_RANK, (3, 2)),
    "more rows than are built at once": matrix_operator(RNG.standard_normal((150, 400)), (20, 20)),
    "frequencies": fourier_sampling(RNG.uniform(size=(5, 6)) < 0.5),
}


@pytest.fixture(params=INNER)
def operator(request) -> Any:
    return with_gram(INNER[request.param])


def diagonal(*values: float) -> Matrix:
    return matrix_operator(np.diag(values), (len(values),))


@every_law_of_vectors
def test_it_does_what_its_matrix_does(operator, law):
    obeys(operator, law)


def test_torch_and_jax_compute_what_numpy_does():
    agrees_in_all_frameworks(with_gram(INNER["wide"]))


def test_it_measures_what_the_operator_inside_does(operator):
    x = RNG.standard_normal((3, *operator.shape))
    y = RNG.standard_normal((3, operator.m))
    np.testing.assert_array_equal(operator(x), operator.inner(x))
    np.testing.assert_array_equal(operator.adjoint(y), operator.inner.adjoint(y))


def test_small_eigenvalues_are_zero_where_they_would_be_divided_by():
    """Singular values 1, 2e-4 and 1e-5 of the largest: the last has an eigenvalue below the threshold of 1e-8."""
    inner = diagonal(2.0, 4e-4, 2e-5)
    found, y = with_gram(inner), np.array([[2.0, 3.0, 5.0]])
    assert found.rank == 2
    np.testing.assert_allclose(found.singular_values, [2.0, 4e-4], rtol=1e-9)
    np.testing.assert_allclose(found.pseudo_inverse(y), [[1.0, 7500.0, 0.0]], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found.project_range(y), [[2.0, 3.0, 0.0]], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found.spectral(y, np.array([0.5, 0.25]), 3.0), [[1.0, 0.75, 15.0]], rtol=1e-9)
    np.testing.assert_allclose(found(y), y * [2.0, 4e-4, 2e-5])
    assert with_gram(inner, threshold=1e-12).rank == 3
    assert with_gram(inner, threshold=1e-6).rank == 1


def test_what_is_solved_among_the_measurements_knows_all_eigenvalues():
    """scale A A^T is larger than shift even where the eigenvalue counts as zero, as at the start of a sampler."""
    found, values = with_gram(diagonal(2.0, 4e-4, 2e-5)), np.array([4.0, 1.6e-7, 4e-10])
    scale, shift = 2e4, 1e-6
    np.testing.assert_allclose(found.gram_solve(np.ones((1, 3)), scale, shift)[0], 1 / (scale * values + shift))
    log_det = found.gram_log_det(np.array(scale), np.array(shift))
    np.testing.assert_allclose(log_det, np.sum(np.log(scale * values + shift)))


def test_no_matrix_of_the_size_of_the_operator_is_added():
    found = with_gram(INNER["more rows than are built at once"])
    added = dataclasses.replace(to(found, "jax", dtype="float64"), inner=None)
    assert sum(leaf.size for leaf in jax.tree.leaves(added)) == 150**2 + 2 * 150


NOTHING = Matrix(np.zeros((2, 3)), np.zeros((2, 0)), np.zeros(0), np.zeros((0, 3)), (3,))


@pytest.mark.parametrize(
    ("build", "match"),
    [
        (lambda: with_gram(fourier_sampling(np.ones((46, 46), bool))), "for at most 2048 measurements, got 4228"),
        (lambda: with_gram(SimpleNamespace(linear=False)), "those of linear operators, got a SimpleNamespace"),
        (lambda: with_gram(NOTHING), "an operator that measures nothing, A = 0"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(build, match):
    with pytest.raises(UsageError, match=match):
        build()
