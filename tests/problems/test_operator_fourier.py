"""Fourier sampling: what is measured, by numpy.fft, and its singular vectors, by the matrix written down."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from problems.fourier_masks import cartesian_lines, poisson_disc
from problems.names import UsageError
from problems.operator_fourier import fourier_sampling, low_frequencies
from tests.problems.dense import agrees_in_all_frameworks, every_law_of_vectors, obeys

RNG = np.random.default_rng(23)
ONE = 1 / np.sqrt(2)
"""The singular value of a frequency measured without its mirror image."""


def only(shape: tuple[int, int], *places: tuple[int, int]) -> np.ndarray:
    """A mask of the centred frequencies."""
    mask = np.zeros(shape, bool)
    for row, column in places:
        mask[row + shape[0] // 2, column + shape[1] // 2] = True
    return mask


MASKS = {
    "even": RNG.uniform(size=(6, 8)) < 0.4,
    "odd": RNG.uniform(size=(5, 7)) < 0.4,
    "even by odd": RNG.uniform(size=(6, 5)) < 0.4,
    "odd by even": RNG.uniform(size=(5, 6)) < 0.4,
    "all": np.ones((4, 6), bool),
    "constant": only((4, 4), (0, 0)),
    "lines": cartesian_lines((8, 8), 2, 2),
    "disc": poisson_disc((12, 12), 4, 2),
}
LOW = {"low": ((16, 16), 8), "low with mirror images": ((6, 9), 5), "low and all": ((4, 4), 4)}


def build(name: str) -> Any:
    return fourier_sampling(MASKS[name]) if name in MASKS else low_frequencies(*LOW[name])


@pytest.fixture(params=[*MASKS, *LOW])
def operator(request) -> Any:
    return build(request.param)


def alone(shape: tuple[int, int]) -> np.ndarray:
    """Which frequencies, as fft2 orders them, are their own mirror images: 2 k is a multiple of the side, twice."""
    row, column = np.indices(shape)
    return (2 * row % shape[0] == 0) & (2 * column % shape[1] == 0)


def stacked(spectrum: np.ndarray, imaginary: np.ndarray) -> np.ndarray:
    """Real parts, then the imaginary parts of some, of complex rows; the others must be zero."""
    assert np.max(np.abs(spectrum.imag[:, ~imaginary]), initial=0.0) < 1e-12 * np.max(np.abs(spectrum))
    return np.concatenate([spectrum.real, spectrum.imag[:, imaginary]], axis=1)


@pytest.mark.parametrize("name", MASKS)
def test_it_measures_the_centred_orthonormal_transform_in_the_order_of_the_mask(name):
    mask, x = MASKS[name], RNG.standard_normal((3, *MASKS[name].shape))
    spectrum = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(x, axes=(1, 2)), norm="ortho"), axes=(1, 2))
    expected = stacked(spectrum[:, mask], ~np.fft.fftshift(alone(mask.shape))[mask])
    np.testing.assert_allclose(fourier_sampling(mask)(x), expected, atol=1e-13)


@pytest.mark.parametrize("name", LOW)
def test_the_lowest_frequencies_are_a_corner_of_the_unnormalised_transform(name):
    (shape, keep), x = LOW[name], RNG.standard_normal((3, *LOW[name][0]))
    corner = np.fft.fft2(x)[:, :keep, :keep].reshape(3, -1)
    expected = stacked(corner, ~alone(shape)[:keep, :keep].ravel())
    np.testing.assert_allclose(low_frequencies(shape, keep)(x), expected, atol=1e-12)


def test_a_frequency_counts_once_or_twice():
    """By hand, on 6 x 8: zero and the three other frequencies with k = -k, one of +-k, both of +-k."""
    for place in ((0, 0), (-3, 0), (0, -4), (-3, -4)):
        found = fourier_sampling(only((6, 8), place))
        assert (found.m, found.singular_values.tolist()) == (1, [1.0])
    for place in ((1, 2), (-1, -2), (1, 0), (-1, 0), (2, -4), (-2, -4), (0, 3), (-3, 1)):
        found = fourier_sampling(only((6, 8), place))
        assert found.m == 2
        np.testing.assert_allclose(found.singular_values, [ONE, ONE], rtol=1e-14)
    for place, mirror in (((1, 2), (-1, -2)), ((1, 0), (-1, 0)), ((2, -4), (-2, -4)), ((-3, 1), (-3, -1))):
        found = fourier_sampling(only((6, 8), place, mirror))
        assert (found.m, found.rank) == (4, 2)
        np.testing.assert_allclose(found.singular_values, [1.0, 1.0], rtol=1e-14)
    found = fourier_sampling(only((6, 8), (0, 0), (1, 1), (2, 3), (-2, -3)))
    np.testing.assert_allclose(np.sort(found.singular_values), [ONE, ONE, 1, 1, 1], rtol=1e-14)


def test_all_frequencies_are_an_isometry():
    found, x = build("all"), RNG.standard_normal((2, 4, 6))
    assert found.rank == 24
    assert found.m == 2 * 24 - 4
    np.testing.assert_allclose(found.adjoint(found(x)), x, atol=1e-13)


@every_law_of_vectors
def test_it_does_what_its_matrix_does(operator, law):
    obeys(operator, law)


@pytest.mark.parametrize("name", ["even", "odd"])
def test_torch_and_jax_compute_what_numpy_does(name):
    agrees_in_all_frameworks(build(name))


def test_zero_filling_is_not_the_pseudo_inverse():
    """It returns half of what was measured at every frequency but zero, which A^+ returns whole."""
    shape, keep = (16, 16), 8
    found, x = low_frequencies(shape, keep), RNG.standard_normal((2, 16, 16))
    y = found(x)
    filled = np.zeros((2, *shape), complex)
    filled[:, :keep, :keep] = np.fft.fft2(x)[:, :keep, :keep]
    zero_fill = np.fft.ifft2(filled).real
    half = np.full(found.m, 0.5)
    half[0] = 1.0  # frequency zero; its imaginary part is left out
    np.testing.assert_allclose(found(zero_fill), half * y, atol=1e-11)
    np.testing.assert_allclose(found(found.pseudo_inverse(y)), y, atol=1e-11)
    doubled = 2 * zero_fill - np.mean(x, axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(found.pseudo_inverse(y), doubled, atol=1e-12)


@pytest.mark.parametrize("shape", [(32, 32), (24, 40)])
def test_a_poisson_disc_has_its_number_its_centre_and_its_distances(shape):
    mask = poisson_disc(shape)
    assert mask.sum() == shape[0] * shape[1] // 8
    row, column = (slice(side // 2 - 2, side // 2 + 2) for side in shape)
    assert np.all(mask[row, column])
    place = np.argwhere(mask) - np.array(shape) // 2
    reach = np.hypot(*(2 * place / shape).T)
    apart = np.hypot(*(place[:, None] - place[None]).transpose(2, 0, 1)) + 1e9 * np.eye(len(place))
    assert np.min(apart[reach > 0.6][:, reach > 0.6]) >= 2  # independent draws have many neighbours out there
    everywhere = np.hypot(
        *(2 * (index - side // 2) / side for index, side in zip(np.indices(shape), shape, strict=True))
    )
    assert np.mean(mask[everywhere < 0.5]) > 2 * np.mean(mask[everywhere > 0.8])
    assert np.mean(mask[everywhere > 1.1]) > 0.02


def test_lines_are_whole_columns_with_the_lowest_among_them():
    mask = cartesian_lines((10, 48), 6, 4)
    assert np.array_equal(mask, np.tile(mask[:1], (10, 1)))
    assert mask[0].sum() == 8
    assert np.all(mask[0, 22:26])
    assert not np.array_equal(mask, cartesian_lines((10, 48), 6, 4, seed=1))


@pytest.mark.parametrize("draw", [poisson_disc, cartesian_lines])
def test_a_mask_is_a_function_of_its_seed(draw):
    assert np.array_equal(draw((16, 32), 4, 2), draw((16, 32), 4, 2))
    assert not np.array_equal(draw((16, 32), 4, 2), draw((16, 32), 4, 2, seed=1))
    assert np.all(draw((6, 8), 1, 2))


@pytest.mark.parametrize(
    ("draw", "match"),
    [
        (lambda: poisson_disc((8, 8)), "an acceleration of 8 leaves 8 of 64 frequencies, which is not between the 16"),
        (lambda: cartesian_lines((8, 8), 4), "an acceleration of 4 leaves 2 of 8 columns, which is not between the 4"),
        (lambda: cartesian_lines((8, 8), 0.5), "leaves 16 of 8 columns"),
        (lambda: fourier_sampling(np.ones((4, 4))), "boolean .* got float64 of shape"),
        (lambda: fourier_sampling(np.ones(4, bool)), r"\(h, w\) and boolean"),
        (lambda: fourier_sampling(np.zeros((4, 4), bool)), "one or more of them True, .* with 0"),
        (lambda: low_frequencies((8, 6), 7), "1 to 6 a side for images 8 x 6, got 7"),
        (lambda: low_frequencies((8, 6), 0), "got 0"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(draw, match):
    with pytest.raises(UsageError, match=match):
        draw()
