"""Operators on the columns and rows of images: against their matrix, and values against independent programs."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import scipy.ndimage
import scipy.signal
import skimage.measure
import torch

from problems.names import UsageError
from problems.operator_resolution import (
    BLURS,
    Blur,
    average_pooling,
    bicubic,
    blur,
    gaussian_blur,
    gaussian_weights,
    walsh,
)
from problems.operator_separable import separable
from tests.problems.dense import agrees_in_all_frameworks, close, every_law, matrix_of, obeys

RNG = np.random.default_rng(12)
LOW_RANK = RNG.standard_normal((7, 2)) @ RNG.standard_normal((2, 4))
OPERATORS = {
    "wide": separable(RNG.standard_normal((3, 4)), RNG.standard_normal((2, 5)), (4, 5)),
    "tall, in colour": separable(RNG.standard_normal((6, 4)), RNG.standard_normal((7, 5)), (2, 4, 5)),
    "square and wide": separable(RNG.standard_normal((4, 4)), RNG.standard_normal((3, 6)), (4, 6)),
    "low rank, in colour": separable(LOW_RANK, RNG.standard_normal((3, 5)), (3, 4, 5)),
    "pooling": average_pooling((3, 4, 6), 2),
    "bicubic": bicubic((8, 12)),
    "blur": blur((9, 14)),
    "blur, in colour": blur((3, 6, 7), "ddrm-anisotropic"),
    "walsh": walsh((2, 8, 4), 3),
}
IMAGES = RNG.uniform(size=(2, 3, 16, 24))


def grid(operator, measured):
    """(n, m) -> (n, channels, a, b)."""
    return measured.reshape(len(measured), -1, *(factor.u.shape[0] for factor in (operator.left, operator.right)))


@every_law
@pytest.mark.parametrize("name", OPERATORS)
def test_it_does_what_its_matrix_does(name, law):
    obeys(OPERATORS[name], law)


def test_every_singular_vector_may_have_a_weight_of_its_own():
    """They are numbered by the two factors, which a function of the singular values alone does not tell."""
    operator = OPERATORS["tall, in colour"]
    rng = np.random.default_rng(3)
    x, on = rng.standard_normal((3, 2, 4, 5)), rng.uniform(size=(4, 5))
    vt = np.kron(np.eye(2), np.kron(operator.left.vt, operator.right.vt))
    weights = np.tile(on.ravel(), 2)
    expected = x.reshape(3, -1) @ ((vt.T * weights) @ vt)
    close(operator.spectral(x, on, 0.0), expected.reshape(x.shape))
    close(operator.spectral_energy(x, on), (x.reshape(3, -1) @ vt.T) ** 2 @ weights)
    close(operator.spectral_sum(on), 2 * np.sum(on))


@pytest.mark.parametrize("name", ["low rank, in colour", "blur"])
def test_torch_and_jax_compute_what_numpy_does(name):
    agrees_in_all_frameworks(OPERATORS[name])


def test_small_singular_values_of_a_factor_are_zero_in_the_operator_too():
    nearly = np.diag([1.0, 0.2, 1e-3]) @ scipy.linalg.hadamard(4)[:3] / 2
    assert separable(nearly, nearly, (4, 4)).rank == 9
    cut = separable(nearly, np.eye(4), (4, 4), rcond=0.1)
    assert cut.rank == 8
    close(matrix_of(cut), np.kron(np.diag([1.0, 1.0, 0.0]) @ nearly, np.eye(4)))


def test_what_is_not_cut_keeps_its_bits():
    left = RNG.standard_normal((3, 4))
    assert np.array_equal(separable(left, left, (4, 4)).left.matrix, left)


def test_pooling_is_the_mean_of_blocks():
    operator = average_pooling((3, 16, 24), 4)
    expected = skimage.measure.block_reduce(IMAGES, (1, 1, 4, 4), np.mean)
    close(grid(operator, operator(IMAGES)), expected)
    close(operator.singular_values, np.full((4, 6), 0.25))


@pytest.mark.parametrize(("shape", "factor"), [((16, 24), 4), ((16, 24), 2), ((15, 24), 3), ((4, 8), 4)])
def test_bicubic_reduction_is_that_of_torch_on_the_mirrored_image(shape, factor):
    """torch cuts the kernel off at the border; here its support ends in the mirror image, which is then removed."""
    images = IMAGES[:, :, : shape[0], : shape[1]]
    operator = bicubic((3, *shape), factor)
    pad = 2 * factor
    mirrored = np.pad(images, ((0, 0), (0, 0), (pad, pad), (pad, pad)), mode="symmetric")
    reduced = torch.nn.functional.interpolate(
        torch.tensor(mirrored), scale_factor=1 / factor, mode="bicubic", antialias=True
    )
    close(grid(operator, operator(images)), reduced.numpy()[:, :, 2:-2, 2:-2])


@pytest.mark.parametrize("std", [0.6, 1.3, 3.0])
def test_the_gaussian_blur_is_that_of_scipy(std):
    operator = gaussian_blur((3, 16, 24), std, rcond=1e-12)
    expected = scipy.ndimage.gaussian_filter(IMAGES, (0, 0, std, std), mode="mirror")
    close(grid(operator, operator(IMAGES)), expected)


def test_the_blur_of_dps_is_made_as_published():
    """61 x 61 weights from the blur of a single pixel, and a convolution of the reflected image (arXiv 2209.14687)."""
    images = RNG.uniform(size=(2, 1, 33, 40))
    point = np.zeros((61, 61))
    point[30, 30] = 1.0
    kernel = torch.tensor(scipy.ndimage.gaussian_filter(point, 3.0))
    assert torch.count_nonzero(kernel) == 25**2
    reflected = torch.nn.ReflectionPad2d(30)(torch.tensor(images))
    expected = torch.nn.functional.conv2d(reflected, kernel[None, None]).numpy()
    operator = blur((1, 33, 40), "dps", rcond=1e-12)
    close(grid(operator, operator(images)), expected)


@pytest.mark.parametrize("name", ["ddrm-uniform", "ddrm-gaussian", "ddrm-anisotropic"])
def test_the_blurs_of_ddrm_see_zeros_outside(name):
    """Kernels of arXiv 2201.11793: equal weights, std 10, and std 1 down by 20 across."""
    steps = np.arange(-4, 5)
    down, across = {
        "ddrm-uniform": (np.ones(9), np.ones(9)),
        "ddrm-gaussian": (np.exp(-(steps[2:-2] ** 2) / 200), np.exp(-(steps[2:-2] ** 2) / 200)),
        "ddrm-anisotropic": (np.exp(-(steps**2) / 2), np.exp(-(steps**2) / 800)),
    }[name]
    kernel = np.outer(down / down.sum(), across / across.sum())
    operator = blur((16, 24), name, rcond=1e-12)
    expected = scipy.signal.convolve2d(IMAGES[0, 0], kernel, mode="same")
    close(operator(IMAGES[:1, 0]).reshape(16, 24), expected)


def test_an_asymmetric_kernel_is_convolved():
    down, across = np.array([0.1, 0.2, 0.7]), np.array([0.3, 0.1, 0.0, 0.4, 0.2])
    operator = blur((16, 24), Blur(down, across, "constant"), rcond=1e-12)
    expected = scipy.signal.convolve2d(IMAGES[0, 0], np.outer(down, across), mode="same")
    close(operator(IMAGES[:1, 0]).reshape(16, 24), expected)


def test_a_blur_drops_what_it_dims_more_than_thirty_times():
    """L and R lose their singular values below .03 of the largest, and what is left stays as it was."""
    operator = blur((20, 32))
    kept = []
    for side in (20, 32):
        whole = scipy.ndimage.gaussian_filter1d(np.eye(side), 3.0, axis=0, mode="mirror")
        u, s, vt = np.linalg.svd(whole)
        keep = s >= 0.03 * s[0]
        assert 3 < keep.sum() < side / 2
        kept.append((u[:, keep] * s[keep]) @ vt[keep])
    close(matrix_of(operator), np.kron(*kept))


def test_walsh_functions_are_sorted_by_their_changes_of_sign():
    rows = walsh((8, 4), 4).left.matrix
    assert np.count_nonzero(np.diff(np.sign(rows), axis=1), axis=1).tolist() == [0, 1, 2, 3]
    close(np.sort(np.abs(rows @ scipy.linalg.hadamard(8)), axis=1), np.eye(8)[[7] * 4] * 8**0.5)


def test_walsh_functions_of_low_sequency_see_what_pooling_sees():
    """Those with fewer changes of sign than there are blocks are constant on the blocks."""
    square = IMAGES[..., :16]
    close(walsh((3, 16, 16), 4).project_range(square), average_pooling((3, 16, 16), 4).project_range(square))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: separable(np.eye(3), np.eye(4), (4, 3)), r"act on 3 x 4 pixels, got images of \(4, 3\)"),
        (lambda: separable(np.eye(3), np.eye(4), (12,)), r"got \(12,\)"),
        (lambda: average_pooling((8, 6), 4), "divides both sides of the image, got 4"),
        (lambda: average_pooling((8, 8), 0), "got 0"),
        (lambda: bicubic((6, 8)), "divides both sides"),
        (lambda: blur((8, 8), "dsp"), "no blur 'dsp'; did you mean 'dps'"),
        (lambda: blur((8, 8), Blur(np.ones(4), np.ones(5))), "odd number of weights, .* got 4"),
        (lambda: gaussian_blur((8, 8), 0.0), "positive std"),
        (lambda: gaussian_weights(1.0, 4), "odd count"),
        (lambda: walsh((8, 12), 4), "powers of 2"),
        (lambda: walsh((8, 8), 9), "at most"),
        (lambda: walsh((8, 8), 0), "at most"),
    ],
)
def test_bad_input_is_refused(build, message):
    with pytest.raises(UsageError, match=message):
        build()


def test_the_papers_blurs_have_the_weights_they_state():
    counts = {name: (len(kernel.down), len(kernel.across), kernel.outside) for name, kernel in BLURS.items()}
    assert counts == {
        "dps": (25, 25, "mirror"),
        "ddrm-uniform": (9, 9, "constant"),
        "ddrm-gaussian": (5, 5, "constant"),
        "ddrm-anisotropic": (9, 9, "constant"),
    }
