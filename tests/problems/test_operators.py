"""Operators: each family's own and generic ones, on generic inputs, against the matrix written down."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.ndimage
import scipy.sparse.linalg

from problems.contract import to
from problems.noise import GaussianNoise
from problems.operators import FourierFilter, fourier_multiply, matrix_operator
from tests.problems.closed import CLOSED

RNG = np.random.default_rng(31)
LOW_RANK = RNG.standard_normal((7, 3)) @ RNG.standard_normal((3, 6))


def even_transfer(side: int) -> np.ndarray:
    """A generic positive even transfer function, on the whole grid: T(-k) = T(k), T(k, l) unlike T(l, k)."""
    rows, columns = np.meshgrid(*2 * [2 * np.pi * np.fft.fftfreq(side)], indexing="ij")
    return 1.3 + 0.5 * np.cos(rows) + 0.2 * np.cos(columns) + 0.3 * np.cos(rows + 2 * columns)


GENERIC = {
    "wide": matrix_operator(RNG.standard_normal((3, 5)), (5,)),
    "tall": matrix_operator(RNG.standard_normal((8, 6)), (2, 3)),
    "low rank": matrix_operator(LOW_RANK, (3, 2)),
    "filter": FourierFilter(even_transfer(6)[:, :4], (6, 6)),
}


@pytest.fixture(params=[*GENERIC, *CLOSED])
def operator(request, instance) -> Any:
    return GENERIC[request.param] if request.param in GENERIC else instance(request.param, 3).problem.operator


@pytest.fixture
def pair(operator) -> tuple[np.ndarray, np.ndarray]:
    """Four signals and four measurements, all generic."""
    rng = np.random.default_rng(5)
    x = rng.standard_normal((4, *operator.shape))
    return x, rng.standard_normal(operator(x).shape)


def inner(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """All inner products of the rows."""
    return a.reshape(len(a), -1) @ b.reshape(len(b), -1).T


def dense(operator: Any) -> np.ndarray:
    d = int(np.prod(operator.shape))
    return operator(np.eye(d).reshape(d, *operator.shape)).T


def test_it_is_linear_and_says_so(operator, pair):
    x = pair[0]
    assert operator.linear is True
    np.testing.assert_allclose(
        operator(2.0 * x[:1] - 0.3 * x[1:2]), 2.0 * operator(x)[:1] - 0.3 * operator(x)[1:2], atol=1e-12
    )


def test_adjoint(operator, pair):
    x, v = pair
    assert operator.adjoint(v).shape == x.shape
    np.testing.assert_allclose(inner(operator(x), v), inner(x, operator.adjoint(v)), rtol=1e-10, atol=1e-11)


def test_the_pseudo_inverse_meets_the_four_conditions_of_penrose(operator, pair, relative):
    x, v = pair
    ax, pv = operator(x), operator.pseudo_inverse(v)
    assert relative(operator(operator.pseudo_inverse(ax)), ax) < 1e-10
    assert relative(operator.pseudo_inverse(operator(pv)), pv) < 1e-10
    along_y = inner(operator(pv), v)
    along_x = inner(operator.pseudo_inverse(ax), x)
    assert relative(along_y, along_y.T) < 1e-10
    assert relative(along_x, along_x.T) < 1e-10


def test_project_range_is_what_the_measurement_sees(operator, pair, relative):
    x = pair[0]
    assert relative(operator.project_range(x), operator.pseudo_inverse(operator(x))) < 1e-10


@pytest.mark.parametrize(("scale", "shift"), [(0.7, 0.3), (1e-4, 2.0), (30.0, 1e-3), (0.0, 0.4)])
def test_gram_solve_solves(operator, pair, scale, shift, relative):
    v = pair[1]
    solved = operator.gram_solve(v, scale, shift)
    assert relative(scale * operator(operator.adjoint(solved)) + shift * solved, v) < 1e-9


def test_the_damped_inverse_is_the_adjoint_of_what_gram_solve_gives(operator, pair, relative):
    v = pair[1]
    expected = operator.adjoint(operator.gram_solve(v, 0.7, 0.3))
    assert relative(operator.damped_inverse(v, 0.7, 0.3), expected) < 1e-10


def test_digits_are_kept_in_float32_when_the_shift_is_small(operator, pair, relative):
    """scale >> shift as at the start of a sampler, where 1 / shift must not multiply rounding errors."""
    v, (scale, shift) = pair[1].astype("float32"), np.array([2e6, 1.0], "float32")
    single = to(operator, "numpy", dtype="float32")
    for what, bound in (("gram_solve", 1e-5), ("damped_inverse", 1e-4)):
        exact = getattr(operator, what)(v.astype("float64"), float(scale), float(shift))
        assert relative(getattr(single, what)(v, scale, shift), exact) < bound


def test_norm_is_the_largest_singular_value(operator):
    d = int(np.prod(operator.shape))
    gram = scipy.sparse.linalg.LinearOperator(
        (d, d), matvec=lambda x: operator.adjoint(operator(x.reshape(1, *operator.shape))).ravel(), dtype=np.float64
    )
    start = np.random.default_rng(1).standard_normal(d)
    largest = (
        np.linalg.norm(dense(operator), 2) ** 2
        if d <= 3
        else scipy.sparse.linalg.eigsh(gram, k=1, v0=start, return_eigenvectors=False)
    )
    assert operator.norm**2 == pytest.approx(float(np.squeeze(largest)), rel=1e-9)


def test_rank(operator):
    if np.prod(operator.shape) <= 800:
        assert operator.rank == np.linalg.matrix_rank(dense(operator))
    else:  # a filter without zeros
        assert operator.rank == np.prod(operator.shape)


@pytest.mark.parametrize("name", [*GENERIC, *CLOSED])
def test_the_decomposition_gives_the_matrix_back(name, instance):
    """A matrix is U diag(s) V^T with orthonormal U and V and positive, falling s, and acts as it says."""
    operator = GENERIC[name] if name in GENERIC else instance(name, 3).problem.operator
    if isinstance(operator, FourierFilter):
        pytest.skip("no matrix is stored")
    np.testing.assert_allclose((operator.u * operator.s) @ operator.vt, operator.matrix, atol=1e-13)
    np.testing.assert_allclose(operator.u.T @ operator.u, np.eye(operator.rank), atol=1e-12)
    np.testing.assert_allclose(operator.vt @ operator.vt.T, np.eye(operator.rank), atol=1e-12)
    assert np.all(operator.s > 0)
    assert np.all(np.diff(operator.s) <= 0)
    np.testing.assert_allclose(dense(operator), operator.matrix, atol=1e-15)


def test_small_singular_values_are_dropped():
    assert GENERIC["low rank"].rank == 3
    assert GENERIC["low rank"].u.shape == (7, 3)
    assert GENERIC["low rank"].vt.shape == (3, 6)
    nearly = np.diag([1.0, 1e-5, 1e-14])
    assert matrix_operator(nearly, (3,)).rank == 2
    assert matrix_operator(nearly, (3,), rcond=1e-3).rank == 1


def test_a_filter_is_a_circular_convolution():
    """Entry by entry: y[i] = sum_j kernel[i - j] x[j], the kernel transformed from the transfer function."""
    side = 6
    whole = even_transfer(side)
    waves = np.arange(side)
    kernel = np.empty((side, side))
    for a in range(side):
        for b in range(side):
            phase = 2 * np.pi * (a * waves[:, None] + b * waves[None, :]) / side
            kernel[a, b] = np.sum(whole * np.cos(phase)) / side**2
    x = np.random.default_rng(2).standard_normal((2, side, side))
    expected = sum(kernel[a, b] * np.roll(x, (a, b), axis=(1, 2)) for a in range(side) for b in range(side))
    filtered = GENERIC["filter"](x)
    assert filtered.shape == (2, side**2)
    np.testing.assert_allclose(filtered.reshape(x.shape), expected, atol=1e-13)
    np.testing.assert_allclose(fourier_multiply(x, whole[:, :4]), expected, atol=1e-13)


def test_noise_of_a_given_standard_deviation():
    noise = GaussianNoise(np.array(0.3))
    ax = np.array([[1.0, -2.0], [0.5, 0.25]])
    y = np.array([0.8, -1.0])
    expected = [-0.5 * np.sum((y - row) ** 2) / 0.09 - np.log(2 * np.pi * 0.09) for row in ax]
    np.testing.assert_allclose(noise.log_likelihood(y, ax), expected, rtol=1e-13)
    drawn = noise.sample(np.random.default_rng(0), np.full((50_000, 2), [3.0, -1.0]))
    np.testing.assert_allclose(drawn.mean(axis=0), [3.0, -1.0], atol=5 * 0.3 / np.sqrt(50_000))
    np.testing.assert_allclose(drawn.std(axis=0), 0.3, rtol=5 / np.sqrt(2 * 50_000))


IMAGES = np.random.default_rng(6).uniform(size=(3, 8, 8))


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("denoise", IMAGES),
        ("inpaint", IMAGES[:, :4]),
        ("blur", scipy.ndimage.gaussian_filter(IMAGES, (0.0, 1.0, 1.0), mode="reflect")),
        ("superres", (IMAGES[:, ::2, ::2] + IMAGES[:, 1::2, ::2] + IMAGES[:, ::2, 1::2] + IMAGES[:, 1::2, 1::2]) / 4),
    ],
)
def test_the_measurements_of_digits(task, expected, instance):
    found = instance(f"digits-{task}", 0).problem.operator(IMAGES)
    np.testing.assert_allclose(found, expected.reshape(3, -1), atol=1e-14)


@pytest.mark.parametrize("side", [16, 64])
def test_the_blur_of_the_fields(side, instance):
    """On the whole grid of a complex transform, by the formula: exp(-(k / (side / 4))^2 / 2)."""
    k = np.hypot(*np.meshgrid(*2 * [np.fft.fftfreq(side, 1 / side)], indexing="ij"))
    x = np.random.default_rng(7).standard_normal((2, side, side))
    expected = np.fft.ifft2(np.exp(-0.5 * (k / (side / 4)) ** 2) * np.fft.fft2(x)).real
    found = instance(f"gaussian-field-{side}", 0).problem.operator(x)
    np.testing.assert_allclose(found, expected.reshape(2, -1), atol=1e-12)
