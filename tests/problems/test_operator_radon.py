"""The Radon transform, against scikit-image and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.transform import radon as radon_of_skimage

from problems.names import UsageError
from problems.operator_gram import with_gram
from problems.operator_radon import angles, noise_std, radon
from tests.problems.dense import agrees_in_all_frameworks, every_law_of_vectors, matrix_of, obeys

RNG = np.random.default_rng(52)
DEGREES = np.array([0.0, 17.3, 45.0, 90.0, 123.4, 180.0, -30.0, 271.0])
SMALL = radon(8, np.array([10.0, 45.0, 100.0, 140.0]))


def in_the_circle(side: int, n: int) -> np.ndarray:
    """Random images, zero outside the inscribed circle."""
    row, column = np.indices((side, side)) - side // 2
    return RNG.standard_normal((n, side, side)) * (row**2 + column**2 <= (side // 2) ** 2)


@pytest.mark.parametrize("side", [2, 7, 8, 33])
def test_it_is_the_transform_of_scikit_image(side):
    x = in_the_circle(side, 2)
    expected = [radon_of_skimage(image, DEGREES, circle=True) for image in x]
    found = radon(side, DEGREES)(x)
    assert found.shape == (2, side * len(DEGREES))
    np.testing.assert_allclose(found.reshape(2, side, len(DEGREES)), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("geometry", ["sparse", "limited"])
def test_the_geometries_at_32_pixels(geometry):
    x = in_the_circle(32, 1)
    expected = radon_of_skimage(x[0], angles(geometry), circle=True)
    np.testing.assert_allclose(radon(32, angles(geometry))(x)[0], expected.ravel(), rtol=0, atol=1e-10)


@pytest.mark.parametrize("side", [7, 8])
def test_corners_are_measured_as_they_are(side):
    """scikit-image warns of an image that is not zero there, and then sums it like any other."""
    x = RNG.standard_normal((1, side, side))
    with pytest.warns(UserWarning, match="must be zero outside the reconstruction circle"):
        expected = radon_of_skimage(x[0], DEGREES, circle=True)
    np.testing.assert_allclose(radon(side, DEGREES)(x)[0], expected.ravel(), rtol=0, atol=1e-10)


def test_right_angles_add_columns_and_rows():
    x = RNG.standard_normal((3, 7, 7))
    found = radon(7, np.array([0.0, 90.0, 180.0, 270.0]))(x).reshape(3, 7, 4)
    columns, rows = x.sum(axis=1), x.sum(axis=2)
    expected = [columns, rows[:, ::-1], columns[:, ::-1], rows]
    np.testing.assert_allclose(found, np.stack(expected, axis=-1), rtol=0, atol=1e-13)


def test_no_pixel_is_kept_for_a_rounding_error():
    """At right angles every ray runs through the centres of the pixels of one row or column."""
    found = radon(7, np.array([0.0, 90.0, 180.0, 270.0]))
    assert found.rays.weight.shape == (7, 28)
    assert found.pixels.weight.shape == (4, 49)
    np.testing.assert_array_equal(found.rays.weight, 1.0)


@pytest.mark.parametrize("side", [5, 8])
def test_the_adjoint_is_the_transpose(side):
    found = radon(side, DEGREES)
    back = found.adjoint(np.eye(side * len(DEGREES)))
    assert back.shape == (side * len(DEGREES), side, side)
    np.testing.assert_allclose(back.reshape(len(back), -1), matrix_of(found), rtol=1e-14)


def test_torch_and_jax_compute_what_numpy_does():
    assert SMALL.linear is True
    agrees_in_all_frameworks(SMALL)


@every_law_of_vectors
def test_singular_values_come_from_its_gram_matrix(law):
    obeys(with_gram(SMALL), law)


def test_thirty_angles_over_the_span():
    np.testing.assert_allclose(angles("sparse"), np.arange(0, 180, 6), rtol=1e-14)
    np.testing.assert_allclose(angles("limited"), np.arange(0, 90, 3), rtol=1e-14)
    np.testing.assert_allclose(angles("limited", 4), [0, 22.5, 45, 67.5], rtol=1e-14)
    with pytest.raises(UsageError, match="no geometry 'spares'; did you mean 'sparse'"):
        angles("spares")


def test_the_noise_is_a_twentieth_of_the_mean_size_of_the_measurement():
    assert noise_std(np.array([1.0, -3.0, 0.0, 4.0])) == pytest.approx(0.1, rel=1e-14)


@pytest.mark.parametrize(
    ("side", "degrees"), [(1, [0.0]), (8, []), (8, 30.0), (8, [[0.0, 1.0]]), (8, [0.0, np.nan]), (8, [np.inf])]
)
def test_bad_input_is_refused_in_a_sentence(side, degrees):
    with pytest.raises(UsageError, match="a side of 2 or more and one or more finite angles"):
        radon(side, np.array(degrees))
