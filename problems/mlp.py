"""A residual multilayer perceptron, for vectors; pictures, even of 8 x 8 pixels, are better off with a U-Net."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from functools import cached_property

from problems.array_network import dense, group_norm, scaled, silu
from problems.arrays import Array, namespace
from problems.names import UsageError
from problems.network_layers import (
    Named,
    Shapes,
    dense_shapes,
    embedded,
    embedding_shapes,
    modulation,
    norm_shapes,
)


@dataclass(frozen=True)
class MLP:
    """Blocks h + W2 silu(W1 norm(h)) on flattened x; the noise level scales and shifts the norm of each.

    Beside them goes a linear path, W4 g(noise level) W3 x: the best affine denoisers of all noise levels are of this
    form, and norms forget how large x is.

    Attributes:
        dim: entries of x. width: of the state h. blocks: how many. embedding: the width of what is made of the noise
            level.
    """

    dim: int
    width: int = 128
    blocks: int = 3
    embedding: int = 64

    def __post_init__(self) -> None:
        if min(dataclasses.astuple(self)) < 1:
            raise UsageError(f"the sizes of an MLP are 1 or more, got {self}")

    @cached_property
    def shapes(self) -> Shapes:
        """The arrays of weights."""
        found = embedding_shapes(self.embedding) | dense_shapes("stem", self.dim, self.width)
        for k in range(self.blocks):
            found |= dense_shapes(f"{k}.level", self.embedding, 2 * self.width)
            found |= dense_shapes(f"{k}.inner", self.width, self.width)
            found |= dense_shapes(f"{k}.outer", self.width, self.width)
        found |= dense_shapes("linear.level", self.embedding, 2 * self.dim)
        found |= dense_shapes("linear.inner", self.dim, self.dim) | dense_shapes("linear.outer", self.dim, self.dim)
        return found | norm_shapes("last.norm", self.width) | dense_shapes("head", self.width, self.dim)

    def check(self, shape: tuple[int, ...]) -> None:
        """Raises a UsageError unless a shape has `dim` entries."""
        if math.prod(shape) != self.dim:
            raise UsageError(f"this network takes x of {self.dim} entries, got the shape {tuple(shape)}")

    def forward(self, p: Named, x: Array, noise_level: Array) -> Array:
        """(n, *shape) -> (n, *shape), for any shape of `dim` entries."""
        xp = namespace(x)
        self.check(x.shape[1:])
        level = embedded(p, noise_level)
        flat = xp.reshape(x, (x.shape[0], self.dim))
        h = dense(flat, p["stem.weight"], p["stem.bias"])
        for k in range(self.blocks):
            inner = scaled(group_norm(h, 1), *modulation(p, f"{k}.level", level))
            inner = silu(dense(inner, p[f"{k}.inner.weight"], p[f"{k}.inner.bias"]))
            h = h + dense(inner, p[f"{k}.outer.weight"], p[f"{k}.outer.bias"])
        h = silu(scaled(group_norm(h, 1), p["last.norm.gain"], p["last.norm.shift"]))
        beside = dense(flat, p["linear.inner.weight"], p["linear.inner.bias"])
        beside = scaled(beside, *modulation(p, "linear.level", level))
        beside = dense(beside, p["linear.outer.weight"], p["linear.outer.bias"])
        return xp.reshape(dense(h, p["head.weight"], p["head.bias"]) + beside, x.shape)
