"""Neural networks as data: one vector of weights, and the architecture that says what they are the weights of.

One vector instead of many arrays: a problem carries it like any other array, JAX compiles once for all weights of an
architecture, and an optimiser or an average over the steps of a training is one line.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Protocol

import numpy as np

from problems.array_network import pieces
from problems.arrays import Array, make_key, namespace
from problems.contract import data, static
from problems.network_layers import STARTS_AT_ZERO, Named, Shapes


class Architecture(Protocol):
    """The structure of a network: hashable, equal for equal networks."""

    @property
    def shapes(self) -> Shapes:
        """The name and shape of every array of weights, in the order in which the vector holds them."""

    def check(self, shape: tuple[int, ...]) -> None:
        """Raises a UsageError if it does not take one x of this shape."""

    def forward(self, p: Named, x: Array, noise_level: Array) -> Array:
        """The output for x, (n, *shape), with the weights p."""


@data
class Weights:
    """A network.

    Attributes:
        flat: (P,), all weights. architecture: what they are the weights of.
    """

    flat: Array
    architecture: Architecture = static()

    def named(self) -> dict[str, Array]:
        """name -> array: the vector cut up."""
        xp, shapes = namespace(self.flat), self.architecture.shapes
        parts = pieces(self.flat, [math.prod(shape) for shape in shapes.values()])
        return {name: xp.reshape(part, shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}


def apply(weights: Weights, x: Array, noise_level: Array) -> Array:
    """The network's output for x, (n, *shape) -> (n, *shape).

    Args:
        weights: the network. x: (n, *shape), values of about unit size.
        noise_level: log(sigma) / 4, one for all rows or one for each: 1 or n numbers in an array of any rank.

    Raises:
        UsageError: for an x that this architecture does not take.
    """
    return weights.architecture.forward(weights.named(), x, noise_level)


def joined(named: Mapping[str, np.ndarray], architecture: Architecture) -> Weights:
    """The weights of these arrays, NumPy float64; each must be there and have its shape."""
    return Weights(np.concatenate([np.ravel(named[name]) for name in architecture.shapes], dtype=float), architecture)


def initial(architecture: Architecture, seed: int) -> Weights:
    """The weights before training, NumPy: normal with variance 1 / inputs; biases, gains and last layers are zero."""
    key = make_key("numpy", [seed])
    named = {}
    for name, shape in architecture.shapes.items():
        layer, kind = name.split(".")[-2:]
        inputs = math.prod(shape[1:]) if len(shape) == 4 else shape[0]
        size = inputs**-0.5 if kind == "weight" and layer not in STARTS_AT_ZERO else 0.0
        named[name] = size * key.standard_normal(shape)
    return joined(named, architecture)
