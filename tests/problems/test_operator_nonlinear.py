"""Non-linear operators: their values by other means, their symmetries, and their Jacobians by differences."""

from __future__ import annotations

import jax
import numpy as np
import pytest
import scipy.ndimage

from problems.arrays import vjp
from problems.contract import to
from problems.names import UsageError
from problems.operator_nonlinear import camera_blur, high_dynamic_range, phase_retrieval
from problems.operators import matrix_operator

PADDED = phase_retrieval((8, 8), 2.0, epsilon=0.03)
OPERATORS = {
    "phase": PADDED,
    "phase, colour": phase_retrieval((3, 5, 5), 4.0, positive=True),
    "exposure": high_dynamic_range((5, 4), 1.6),
    "camera": camera_blur(8, blur_std=1.2, gain=1.7),
}


def points(operator, n=4):
    return np.random.default_rng(6).uniform(-1.0, 1.0, (n, *operator.shape))


def jacobian(operator, x):
    """(m, d) at one x, from its transpose."""
    m = operator(x).shape[1]
    return operator.pull(np.repeat(x, m, axis=0), np.eye(m)).reshape(m, -1)


@pytest.fixture(params=OPERATORS)
def operator(request):
    return OPERATORS[request.param]


def test_it_is_not_linear_and_says_so(operator):
    x = points(operator)
    assert operator.linear is False
    assert operator(x).shape[0] == len(x)
    assert operator(x).ndim == 2
    assert np.max(np.abs(operator(x[:1] + x[1:2]) - operator(x[:1]) - operator(x[1:2]))) > 0.05


def test_pull_is_the_transposed_jacobian(operator):
    x = points(operator)
    rng = np.random.default_rng(52)
    v, along = rng.standard_normal(operator(x).shape), rng.standard_normal(x.shape)
    step = 1e-6
    pushed = (operator(x + step * along) - operator(x - step * along)) / (2 * step)
    found = operator.pull(x, v)
    assert found.shape == x.shape
    expected = np.sum(pushed * v, axis=1)
    np.testing.assert_allclose(np.sum((found * along).reshape(len(x), -1), axis=1), expected, rtol=1e-6, atol=1e-7)


def evaluate(operator, x, v):
    """A(x), and J^T v by automatic differentiation and by `pull`."""
    value, pull = vjp(operator, x)
    return value, pull(v), operator.pull(x, v)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 2e-5)])
@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_frameworks_agree_and_differentiate_to_pull(operator, framework, dtype, tolerance, relative):
    """In JAX compiled, the operator an argument."""
    x = points(operator)
    v = np.random.default_rng(52).standard_normal(operator(x).shape)
    there = [to(part, framework, dtype=dtype) for part in (operator, x, v)]
    value, differentiated, pulled = (jax.jit(evaluate) if framework == "jax" else evaluate)(*there)
    assert np.asarray(value).dtype == np.asarray(pulled).dtype == dtype
    assert relative(value, operator(x)) < tolerance
    assert relative(differentiated, operator.pull(x, v)) < tolerance
    assert relative(pulled, operator.pull(x, v)) < tolerance


def test_no_jacobian_exceeds_the_norm(operator):
    for x in (points(operator, 1), 0.1 * points(operator, 1), np.zeros((1, *operator.shape))):
        assert np.linalg.norm(jacobian(operator, x), 2) <= float(operator.norm) * (1 + 1e-12)


@pytest.mark.parametrize("name", ["exposure", "camera"])
def test_the_norm_is_reached_at_grey(name):
    operator = OPERATORS[name]
    largest = np.linalg.norm(jacobian(operator, np.zeros((1, *operator.shape))), 2)
    assert largest == pytest.approx(float(operator.norm), rel=1e-12)


def test_amplitudes_are_those_of_the_centred_transform_of_the_padded_image():
    for name, pad, positive, epsilon in (("phase", 2, False, 0.03), ("phase, colour", 2, True, 1e-4)):
        x = points(OPERATORS[name])
        image = (x + 1) / 2 if positive else x
        padded = np.pad(image, [(0, 0)] * (x.ndim - 2) + [(pad, pad)] * 2)
        axes = (-2, -1)
        transform = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(padded, axes=axes), norm="ortho"), axes=axes)
        expected = np.sqrt(np.abs(transform) ** 2 + epsilon**2).reshape(len(x), -1)
        np.testing.assert_allclose(OPERATORS[name](x), expected, rtol=1e-11)


@pytest.mark.parametrize(("oversample", "side"), [(2.0, 384), (4.0, 512)])
def test_the_published_padding(oversample, side):
    operator = phase_retrieval((256, 256), oversample)
    assert operator(np.zeros((1, 256, 256))).shape == (1, side**2)
    assert operator.pad == (side - 256) // 2


def test_amplitudes_do_not_tell_the_sign_the_orientation_or_the_place():
    x = np.zeros((3, 8, 8))
    rng = np.random.default_rng(52)
    x[:, 2:6, 1:5] = rng.standard_normal((3, 4, 4))
    for twin in (-x, x[:, ::-1, ::-1], np.roll(x, (-2, 3), axis=(1, 2))):
        np.testing.assert_allclose(PADDED(twin), PADDED(x), atol=1e-12)
    assert np.max(np.abs(PADDED(x[:, ::-1]) - PADDED(x))) > 0.05


def test_a_dark_image_has_amplitude_epsilon_and_gradient_zero():
    dark = np.zeros((1, 8, 8))
    np.testing.assert_allclose(PADDED(dark), 0.03, rtol=1e-14)
    np.testing.assert_array_equal(PADDED.pull(dark, np.ones((1, 144))), 0.0)


def test_exposure_doubles_and_clips():
    x = np.array([[[-0.7, -0.4, 0.1], [0.3, 0.51, 2.0]]])
    operator = high_dynamic_range((2, 3))
    np.testing.assert_allclose(operator(x), [[-1.0, -0.8, 0.2, 0.6, 1.0, 1.0]], rtol=1e-14)
    np.testing.assert_allclose(operator.pull(x, np.full((1, 6), 0.5)), [[[0.0, 1.0, 1.0], [1.0, 0.0, 0.0]]])


def test_the_camera_sees_the_response_of_the_blurred_scene():
    rng = np.random.default_rng(52)
    x = rng.uniform(-1.0, 1.0, (2, 24, 24))
    blurred = scipy.ndimage.gaussian_filter(x, (0.0, 3.0, 3.0), mode="wrap", truncate=10.0)
    expected = np.tanh(2.0 * blurred) / np.tanh(2.0)
    np.testing.assert_allclose(camera_blur(24)(x), expected.reshape(2, -1), atol=1e-10)


def test_the_camera_keeps_white_grey_and_black():
    levels = np.array([-1.0, 0.0, 1.0])[:, None, None] * np.ones((3, 8, 8))
    np.testing.assert_allclose(camera_blur(8)(levels), levels.reshape(3, -1), atol=1e-14)


def test_any_linear_blur_may_stand_before_the_camera():
    rng = np.random.default_rng(52)
    blur = matrix_operator(rng.standard_normal((3, 4)), (2, 2))
    operator = type(OPERATORS["camera"])(blur, np.array(0.5), (2, 2))
    x = points(operator)
    np.testing.assert_allclose(operator(x), np.tanh(0.5 * blur(x)) / np.tanh(0.5), rtol=1e-14)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: phase_retrieval((8, 6)), r"square images, got shape \(8, 6\)"),
        (lambda: phase_retrieval((8,)), r"square images, got shape \(8,\)"),
        (lambda: phase_retrieval((8, 8), -1.0), "oversample is at least 0 and epsilon positive, got -1"),
        (lambda: phase_retrieval((8, 8), epsilon=0.0), "oversample is at least 0 and epsilon positive, got 2 and 0"),
        (lambda: high_dynamic_range((8, 8), np.nan), "the gain is positive and finite, got nan"),
        (lambda: camera_blur(8, blur_std=0.0), "positive and finite, got 0 and 2"),
        (lambda: camera_blur(8, gain=np.inf), "positive and finite, got 3 and inf"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(make, sentence):
    with pytest.raises(UsageError, match=sentence):
        make()
