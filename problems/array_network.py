"""What a small network needs beyond the array API: convolution, norms, resampling, attention; NumPy, torch and JAX.

Pictures are (n, channels, height, width). NumPy is the reference, in double precision; torch and JAX take their own
kernels where these are faster than the same sums in array arithmetic.

Products with weights are computed in the dtype of the weights, and all else in that of x: weights in bfloat16 make the
large products faster on a GPU, and leave norms, sums and exponentials as they are.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from problems.arrays import Array, framework_of, namespace, softmax

EPSILON = 1e-5
"""Added to the variance of a group (Wu and He 2018, arXiv 1803.08494)."""


def pieces(flat: Array, sizes: Sequence[int]) -> Sequence[Array]:
    """A vector cut into parts of these sizes, in one operation, so that its derivative is one concatenation."""
    kind = framework_of(flat)
    if kind == "torch":
        return sys.modules["torch"].split(flat, list(sizes))
    split = _jax().numpy.split if kind == "jax" else np.split
    return split(flat, list(accumulate(sizes))[:-1])


def conv2d(x: Array, weight: Array, bias: Array) -> Array:
    """Cross-correlation that keeps the size, zeros beyond the border: (n, c, h, w) -> (n, o, h, w).

    Args:
        x: (n, c, h, w). weight: (o, c, k, k), k odd. bias: (o,).
    """
    kind, reach = framework_of(x), weight.shape[-1] // 2
    if kind != "numpy":
        rounded, dtype = _in_the_dtype_of(weight, x), x.dtype
        if kind == "torch":
            return _functional().conv2d(rounded, weight, bias, padding=reach).to(dtype)
        layout = ("NCHW", "OIHW", "NCHW")
        found = _jax().lax.conv_general_dilated(rounded, weight, (1, 1), "SAME", dimension_numbers=layout)
        return (found + _channels(bias)).astype(dtype)
    padded = np.pad(x, ((0, 0), (0, 0), (reach, reach), (reach, reach)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, weight.shape[-2:], axis=(2, 3))
    return np.moveaxis(np.tensordot(windows, weight, axes=((1, 4, 5), (1, 2, 3))), -1, 1) + _channels(bias)


def dense(x: Array, weight: Array, bias: Array) -> Array:
    """(n, c), (c, o), (o,) -> (n, o)."""
    return _in_the_dtype_of(x, _in_the_dtype_of(weight, x) @ weight + bias[None, :])


def group_norm(x: Array, groups: int) -> Array:
    """Every row's groups of channels with mean 0 and variance 1: (n, c, ...) -> the same, c a multiple of groups."""
    if framework_of(x) == "torch":
        return _functional().group_norm(x, groups, eps=EPSILON)
    xp = namespace(x)
    grouped = xp.reshape(x, (x.shape[0], groups, -1))
    centred = grouped - xp.mean(grouped, axis=-1, keepdims=True)
    return xp.reshape(centred / xp.sqrt(xp.mean(centred**2, axis=-1, keepdims=True) + EPSILON), x.shape)


def scaled(x: Array, gain: Array, shift: Array) -> Array:
    """(1 + gain) x + shift per channel: x (n, c, ...), gain and shift (c,) or (n, c) or (1, c)."""
    xp = namespace(x)
    shape = (-1, x.shape[1], *(1,) * (x.ndim - 2))
    gain, shift = (xp.reshape(_in_the_dtype_of(x, a), shape) for a in (gain, shift))
    return x * (1.0 + gain) + shift


def silu(x: Array) -> Array:
    """x / (1 + exp(-x)), entry by entry."""
    kind = framework_of(x)
    if kind == "torch":
        return _functional().silu(x)
    # By tanh in NumPy, where the exponential would overflow.
    return _jax().nn.silu(x) if kind == "jax" else 0.5 * x * (1.0 + np.tanh(0.5 * x))


def halved(x: Array) -> Array:
    """Means of 2 x 2 pixels: (n, c, h, w) -> (n, c, h / 2, w / 2), h and w even."""
    if framework_of(x) == "torch":
        return _functional().avg_pool2d(x, 2)
    n, c, h, w = x.shape
    xp = namespace(x)
    return xp.mean(xp.reshape(x, (n, c, h // 2, 2, w // 2, 2)), axis=(3, 5))


def doubled(x: Array) -> Array:
    """Every pixel four times, as 2 x 2 pixels: (n, c, h, w) -> (n, c, 2 h, 2 w)."""
    if framework_of(x) == "torch":
        return _functional().interpolate(x, scale_factor=2.0, mode="nearest")
    n, c, h, w = x.shape
    xp = namespace(x)
    return xp.reshape(xp.broadcast_to(x[:, :, :, None, :, None], (n, c, h, 2, w, 2)), (n, c, 2 * h, 2 * w))


def space_to_depth(x: Array, factor: int) -> Array:
    """factor x factor pixels as channels: (n, c, h, w) -> (n, c factor^2, h / factor, w / factor)."""
    n, c, h, w = x.shape
    xp = namespace(x)
    cut = xp.reshape(x, (n, c, h // factor, factor, w // factor, factor))
    return xp.reshape(xp.permute_dims(cut, (0, 1, 3, 5, 2, 4)), (n, c * factor**2, h // factor, w // factor))


def depth_to_space(x: Array, factor: int) -> Array:
    """The inverse of `space_to_depth`."""
    n, c, h, w = x.shape
    xp = namespace(x)
    cut = xp.reshape(x, (n, c // factor**2, factor, factor, h, w))
    return xp.reshape(xp.permute_dims(cut, (0, 1, 4, 2, 5, 3)), (n, c // factor**2, h * factor, w * factor))


def attention(queries: Array, keys: Array, values: Array) -> Array:
    """Of every pixel the values of all pixels, weighted by softmax(q^T k / sqrt(c)): each (n, c, h, w).

    Vaswani et al. 2017 (arXiv 1706.03762), eq. 1, with one head. Memory (n, (h w)^2): for small grids.
    """
    xp = namespace(queries)
    q, k, v = (xp.reshape(a, (*a.shape[:2], -1)) for a in (queries, keys, values))
    weights = softmax(xp.matmul(xp.matrix_transpose(q), k) / queries.shape[1] ** 0.5)
    return xp.reshape(xp.matmul(v, xp.matrix_transpose(weights)), values.shape)


def _in_the_dtype_of(like: Array, x: Array) -> Array:
    return namespace(x).astype(x, like.dtype, copy=False)


def _channels(bias: Array) -> Array:
    return bias[None, :, None, None]


def _functional() -> Any:
    return sys.modules["torch"].nn.functional


def _jax() -> Any:
    import jax

    return jax
