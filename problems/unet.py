"""A small U-Net for pictures, after Ronneberger et al. 2015 (arXiv 1505.04597) and its kin in diffusion models.

The residual blocks are those of Dhariwal and Nichol 2021 (arXiv 2105.05233), appendix A, with fewer channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from problems.array_network import (
    attention,
    conv2d,
    depth_to_space,
    doubled,
    group_norm,
    halved,
    scaled,
    silu,
    space_to_depth,
)
from problems.arrays import Array, namespace
from problems.names import UsageError
from problems.network_layers import (
    Named,
    Shapes,
    convolution_shapes,
    dense_shapes,
    embedded,
    embedding_shapes,
    modulation,
    norm_shapes,
)


class _Block(NamedTuple):
    """A residual block: the channels it returns, those joined before it (0: none), and whether pixels are halved."""

    name: str
    width: int
    joined: int = 0
    halves: bool = False


@dataclass(frozen=True)
class UNet:
    """Residual blocks on pictures halved and halved again; on the way back each level is joined with its first half.

    A block is norm, SiLU, convolution, twice, plus what it was given; the noise level scales and shifts its second
    norm. Pixels are halved by means and doubled by repetition. With the defaults .25 million weights.

    Attributes:
        channels: of x, which is (n, h, w) for one channel and (n, channels, h, w) else.
        widths: channels of the finest level, the next coarser, ...; multiples of `groups`.
        blocks: per level and direction. groups: of the norms. embedding: the width of what is made of the noise level.
        attention: whether the coarsest level has it.
        patch: squares of patch x patch pixels are one pixel of as many channels inside: cheaper by about patch^2.
    """

    channels: int = 1
    widths: tuple[int, ...] = (32, 40, 48)
    blocks: int = 1
    groups: int = 8
    embedding: int = 64
    attention: bool = False
    patch: int = 1

    def __post_init__(self) -> None:
        least = min(self.channels, self.blocks, self.groups, self.embedding, self.patch, len(self.widths))
        if least < 1 or any(width < 1 or width % self.groups for width in self.widths):
            raise UsageError(f"sizes of a U-Net are 1 or more, and its groups divide its widths; got {self}")

    @property
    def multiple(self) -> int:
        """What the sides of a picture are multiples of."""
        return self.patch * 2 ** (len(self.widths) - 1)

    @cached_property
    def shapes(self) -> Shapes:
        """The arrays of weights."""
        packed, width = self.channels * self.patch**2, self.widths[0]
        found = embedding_shapes(self.embedding) | convolution_shapes("stem", packed, width, 3)
        for block in self._blocks:
            found |= self._block_shapes(block.name, width + block.joined, block.width)
            width = block.width
        if self.attention:
            found |= norm_shapes("attention.norm", self.widths[-1])
            found |= convolution_shapes("attention.inner", self.widths[-1], 3 * self.widths[-1], 1)
            found |= convolution_shapes("attention.outer", self.widths[-1], self.widths[-1], 1)
        return found | norm_shapes("last.norm", width) | convolution_shapes("head", width, packed, 3)

    def check(self, shape: tuple[int, ...]) -> None:
        """Raises a UsageError unless a shape is that of a picture that can be halved as often as needed."""
        channels = (1, *shape)[-3] if len(shape) in (2, 3) else 0
        if channels != self.channels or any(side % self.multiple for side in shape[-2:]):
            wanted = "grey pictures" if self.channels == 1 else f"pictures of {self.channels} channels"
            raise UsageError(
                f"this network takes {wanted} with sides that are multiples of {self.multiple}, "
                f"got the shape {tuple(shape)}"
            )

    def forward(self, p: Named, x: Array, noise_level: Array) -> Array:
        """(n, h, w) or (n, channels, h, w) -> the same."""
        xp = namespace(x)
        self.check(x.shape[1:])
        level = embedded(p, noise_level)
        h = space_to_depth(xp.reshape(x, (x.shape[0], self.channels, *x.shape[-2:])), self.patch)
        h = conv2d(h, p["stem.weight"], p["stem.bias"])
        kept: list[Array] = []
        for block in self._blocks:
            if block.halves:
                kept.append(h)
                h = halved(h)
            if block.joined:
                h = xp.concat([doubled(h), kept.pop()], axis=1)
            h = self._residual(p, block.name, h, level)
            if block.name == "middle" and self.attention:
                h = h + self._attended(p, h)
        h = silu(scaled(group_norm(h, self.groups), p["last.norm.gain"], p["last.norm.shift"]))
        return xp.reshape(depth_to_space(conv2d(h, p["head.weight"], p["head.bias"]), self.patch), x.shape)

    @cached_property
    def _blocks(self) -> tuple[_Block, ...]:
        """All of them, in order."""
        down, up = [], []
        for i, width in enumerate(self.widths):
            down += [_Block(f"down.{i}.{k}", width, halves=i > 0 and k == 0) for k in range(self.blocks)]
        for i, width in reversed(list(enumerate(self.widths[:-1]))):
            up += [_Block(f"up.{i}.{k}", width, joined=0 if k else width) for k in range(self.blocks)]
        return (*down, _Block("middle", self.widths[-1]), *up)

    def _block_shapes(self, name: str, inputs: int, outputs: int) -> Shapes:
        found = norm_shapes(f"{name}.norm", inputs) | convolution_shapes(f"{name}.inner", inputs, outputs, 3)
        found |= dense_shapes(f"{name}.level", self.embedding, 2 * outputs)
        found |= convolution_shapes(f"{name}.outer", outputs, outputs, 3)
        return found if inputs == outputs else found | convolution_shapes(f"{name}.skip", inputs, outputs, 1)

    def _residual(self, p: Named, name: str, h: Array, level: Array) -> Array:
        inner = silu(scaled(group_norm(h, self.groups), p[f"{name}.norm.gain"], p[f"{name}.norm.shift"]))
        inner = conv2d(inner, p[f"{name}.inner.weight"], p[f"{name}.inner.bias"])
        inner = silu(scaled(group_norm(inner, self.groups), *modulation(p, f"{name}.level", level)))
        inner = conv2d(inner, p[f"{name}.outer.weight"], p[f"{name}.outer.bias"])
        skip = f"{name}.skip.weight"  # where the width changes
        return inner + (conv2d(h, p[skip], p[f"{name}.skip.bias"]) if skip in p else h)

    def _attended(self, p: Named, h: Array) -> Array:
        normal = scaled(group_norm(h, self.groups), p["attention.norm.gain"], p["attention.norm.shift"])
        all_three = conv2d(normal, p["attention.inner.weight"], p["attention.inner.bias"])
        c = h.shape[1]
        mixed = attention(all_three[:, :c, ...], all_three[:, c : 2 * c, ...], all_three[:, 2 * c :, ...])
        return conv2d(mixed, p["attention.outer.weight"], p["attention.outer.bias"])
