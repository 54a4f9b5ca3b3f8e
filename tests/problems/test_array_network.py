"""The operations of a network are what they are called, and the same in NumPy, torch and JAX."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal
import scipy.special
import torch

from problems.array_network import (
    EPSILON,
    attention,
    conv2d,
    dense,
    depth_to_space,
    doubled,
    group_norm,
    halved,
    pieces,
    scaled,
    silu,
    space_to_depth,
)
from problems.arrays import framework_of

RNG = np.random.default_rng(3)
X = RNG.standard_normal((2, 6, 4, 8))


@pytest.fixture(params=["numpy", "torch", "jax"])
def put(request: pytest.FixtureRequest) -> Any:
    """Carries a NumPy array into a framework."""
    return {"numpy": np.asarray, "torch": torch.tensor, "jax": jnp.asarray}[request.param]


def same(found: Any, expected: Any, put: Any) -> None:
    assert framework_of(found) == framework_of(put(np.zeros(1)))
    np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("side", [1, 3, 5])
def test_convolution_is_scipys_correlation_summed_over_channels(put, side):
    weight, bias = RNG.standard_normal((5, 6, side, side)), RNG.standard_normal(5)
    expected = np.zeros((2, 5, 4, 8)) + bias[:, None, None]
    for n, o, c in np.ndindex(2, 5, 6):
        expected[n, o] += scipy.signal.correlate2d(X[n, c], weight[o, c], mode="same")
    same(conv2d(put(X), put(weight), put(bias)), expected, put)


def test_dense_is_affine(put):
    x, weight, bias = RNG.standard_normal((3, 4)), RNG.standard_normal((4, 5)), RNG.standard_normal(5)
    same(dense(put(x), put(weight), put(bias)), np.einsum("nc,co->no", x, weight) + bias, put)


@pytest.mark.parametrize("x", [3 * X + 2, RNG.standard_normal((4, 6))], ids=["pictures", "vectors"])
@pytest.mark.parametrize("groups", [1, 2, 6])
def test_groups_have_mean_0_and_variance_1(put, x, groups):
    if x.ndim == 2 and groups == 6:
        x = np.concatenate([x, -x], axis=1)  # a group of a single number is constant
    expected = np.empty_like(x)
    size = x.shape[1] // groups
    for n, g in np.ndindex(len(x), groups):
        part = x[n, g * size : (g + 1) * size]
        expected[n, g * size : (g + 1) * size] = (part - part.mean()) / np.sqrt(part.var() + EPSILON)
    same(group_norm(put(x), groups), expected, put)


def test_a_gain_of_zero_leaves_a_channel_as_it_is(put):
    gain, shift = RNG.standard_normal(6), RNG.standard_normal(6)
    expected = X * (1 + gain[:, None, None]) + shift[:, None, None]
    same(scaled(put(X), put(gain), put(shift)), expected, put)
    same(scaled(put(X), put(gain[None]), put(shift[None])), expected, put)
    own = RNG.standard_normal((2, 6))
    same(scaled(put(X), put(own), put(0 * own)), X * (1 + own[:, :, None, None]), put)
    same(scaled(put(X[:, :, 0, 0]), put(own), put(own)), X[:, :, 0, 0] * (1 + own) + own, put)


def test_silu_holds_at_the_extremes(put):
    x = np.array([-1e4, -750.0, -20.0, -1.3, 0.0, 0.4, 30.0, 1e4])
    same(silu(put(x)), x * scipy.special.expit(x), put)


def test_pixels_are_halved_by_means_and_doubled_by_repetition(put):
    blocks = [[X[:, :, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].mean(axis=(2, 3)) for j in range(4)] for i in range(2)]
    same(halved(put(X)), np.moveaxis(np.array(blocks), (0, 1), (2, 3)), put)
    same(doubled(put(X)), X.repeat(2, axis=2).repeat(2, axis=3), put)


def test_space_becomes_depth_and_comes_back(put):
    packed = space_to_depth(put(X), 2)
    assert tuple(packed.shape) == (2, 24, 2, 4)
    same(packed[1, 4 * 5 + 2 * 1 + 0, ...], X[1, 5, 1::2, 0::2], put)  # channel 5, second row, first column
    same(depth_to_space(packed, 2), X, put)
    same(space_to_depth(put(X), 1), X, put)


def test_attention_is_a_softmax_over_all_pixels(put):
    q, k, v = RNG.standard_normal((3, 2, 5, 2, 3))
    expected = np.empty_like(v)
    for n, i, j in np.ndindex(2, 2, 3):
        logits = np.einsum("c,chw->hw", q[n, :, i, j], k[n]) / np.sqrt(5)
        expected[n, :, i, j] = np.einsum("hw,chw->c", scipy.special.softmax(logits), v[n])
    same(attention(put(q), put(k), put(v)), expected, put)


def test_a_vector_is_cut_into_pieces(put):
    parts = pieces(put(np.arange(7.0)), [2, 0, 4, 1])
    assert [np.asarray(part).tolist() for part in parts] == [[0, 1], [], [2, 3, 4, 5], [6]]
