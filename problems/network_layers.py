"""Layers that the architectures share: the names and shapes of their weights, and how the noise level enters."""

from __future__ import annotations

import math
from collections.abc import Mapping

from problems.array_network import dense, silu
from problems.arrays import Array, linspace, namespace

Shapes = dict[str, tuple[int, ...]]
Named = Mapping[str, Array]

FREQUENCIES = 16
SLOWEST, FASTEST = 1 / 8, 4.0
"""Cycles per unit of log(sigma) / 4: from sigma = .005 to 200 the slowest wave turns by a third, and the fastest once
while sigma grows e-fold. Karras et al. 2022 (arXiv 2206.00364) draw theirs at random; these need no storing."""
STARTS_AT_ZERO = ("outer", "head")
"""The last layer of a block and of the network: every block starts as the identity, the network as zero."""


def convolution_shapes(name: str, inputs: int, outputs: int, side: int) -> Shapes:
    """Those of `array_network.conv2d`."""
    return {f"{name}.weight": (outputs, inputs, side, side), f"{name}.bias": (outputs,)}


def dense_shapes(name: str, inputs: int, outputs: int) -> Shapes:
    """Those of `array_network.dense`."""
    return {f"{name}.weight": (inputs, outputs), f"{name}.bias": (outputs,)}


def norm_shapes(name: str, width: int) -> Shapes:
    """Those of a norm with a gain and a shift per channel."""
    return {f"{name}.gain": (width,), f"{name}.shift": (width,)}


def embedding_shapes(width: int) -> Shapes:
    """Those of `embedded`."""
    return dense_shapes("embedding.first", 2 * FREQUENCIES, width) | dense_shapes("embedding.second", width, width)


def embedded(p: Named, noise_level: Array) -> Array:
    """What the blocks are told of log(sigma) / 4, of 1 or n numbers: (1 or n, width).

    Two layers on cosines and sines of it, as in Karras et al. 2022 (arXiv 2206.00364), appendix F.1.
    """
    xp = namespace(noise_level)
    cycles = xp.exp(linspace(math.log(SLOWEST), math.log(FASTEST), FREQUENCIES, noise_level))
    angle = 2 * math.pi * xp.reshape(noise_level, (-1, 1)) * cycles[None, :]
    waves = xp.concat([xp.cos(angle), xp.sin(angle)], axis=1)
    first = silu(dense(waves, p["embedding.first.weight"], p["embedding.first.bias"]))
    return silu(dense(first, p["embedding.second.weight"], p["embedding.second.bias"]))


def modulation(p: Named, name: str, level: Array) -> tuple[Array, Array]:
    """The gain and shift of a block's norm, (1 or n, c) each, from what is told of the noise level."""
    both = dense(level, p[f"{name}.weight"], p[f"{name}.bias"])
    c = both.shape[1] // 2
    return both[:, :c], both[:, c:]
