"""Masks, which show some pixels as they are, and grey images of colour."""

from __future__ import annotations

import math

import numpy as np

from problems.arrays import Array, Key, namespace
from problems.contract import data
from problems.names import UsageError, lookup
from problems.operator_orthogonal import OrthogonalRows, placed, positions
from problems.operator_separable import sides

HIDDEN = {"dps": 0.92, "daps": 0.7, "ddrm": 0.5}
"""The share of pixels that papers hide at random (arXiv 2209.14687, 2407.01521, 2201.11793).

The first is that of the text: the released configuration draws a share from .3 to .7 for every image.
"""


@data
class Masked(OrthogonalRows):
    """Some entries of x as they are; s = 1.

    Attributes:
        kept: (m,), which entries of x flattened in C order. position: (d,), where in y each is, m if nowhere.
    """

    kept: Array
    position: Array

    def __call__(self, x: Array) -> Array:
        xp = namespace(x)
        return xp.take(xp.reshape(x, (x.shape[0], -1)), self.kept, axis=1)

    def adjoint(self, v: Array) -> Array:
        return namespace(v).reshape(placed(v, self.position), (v.shape[0], *self.shape))


def masked(seen: np.ndarray, shape: tuple[int, ...]) -> Masked:
    """Keeps the entries where `seen`, of shape `shape` or (h, w) for all channels, is true.

    Raises:
        UsageError: if `seen` is not boolean, does not fit the shape, or hides everything.
    """
    if seen.dtype != bool or seen.shape not in (shape, shape[-2:]) or not seen.any():
        raise UsageError(
            f"a mask is boolean, has the shape {shape} or {shape[-2:]} and shows something, "
            f"got {np.count_nonzero(seen)} entries shown by {seen.dtype} of shape {seen.shape}"
        )
    kept = np.flatnonzero(np.broadcast_to(seen, shape))
    return Masked(s=np.ones(len(kept)), shape=shape, kept=kept, position=positions(kept, math.prod(shape)))


def identity(shape: tuple[int, ...]) -> Masked:
    """Everything is seen, as in denoising."""
    return masked(np.ones(shape, bool), shape)


def half(shape: tuple[int, ...], hidden: str = "lower") -> Masked:
    """Hides the 'lower', 'upper', 'left' or 'right' half of an image; an odd row or column in the middle is seen.

    Raises:
        UsageError: for another half.
    """
    h, w = sides(shape)
    whole = slice(None)
    halves = {
        "lower": (slice(h - h // 2, h), whole),
        "upper": (slice(h // 2), whole),
        "left": (whole, slice(w // 2)),
        "right": (whole, slice(w - w // 2, w)),
    }
    seen = np.ones((h, w), bool)
    seen[lookup("half", hidden, halves)] = False
    return masked(seen, shape)


def box(shape: tuple[int, ...], key: Key, size: float = 0.5, margin: float = 1 / 16) -> Masked:
    """Hides a box of `size` times the sides, anywhere at least `margin` times the sides from the border.

    128 of 256 pixels and a margin of 16 in Chung et al. 2023 (arXiv 2209.14687), whose code never draws the last place.
    The box has the same size for every NumPy key.

    Raises:
        UsageError: if the box does not fit.
    """
    seen = np.ones(sides(shape), bool)
    places = []
    for side, drawn in zip(seen.shape, key.random(2), strict=True):
        length, border = round(size * side), round(margin * side)
        choices = side - length - 2 * border + 1
        if length < 1 or border < 0 or choices < 1:
            raise UsageError(f"a box of {size:g} sides and two margins of {margin:g} do not fit into {side} pixels")
        first = border + int(drawn * choices)
        places.append(slice(first, first + length))
    seen[tuple(places)] = False
    return masked(seen, shape)


def random_pixels(shape: tuple[int, ...], key: Key, hidden: float = HIDDEN["dps"]) -> Masked:
    """Hides a share of the pixels, the same in all channels: as many of them for every NumPy key.

    Raises:
        UsageError: if no pixel would be seen, or the share is negative.
    """
    pixels = math.prod(shape[-2:])
    count = round(hidden * pixels)
    if not 0 <= count < pixels:
        raise UsageError(f"a mask hides a share of the pixels from 0 to below 1, got {hidden:g} of {pixels}")
    seen = np.ones(pixels, bool)
    seen[np.argsort(key.random(pixels), kind="stable")[:count]] = False
    return masked(seen.reshape(shape[-2:]), shape)


@data
class Colour(OrthogonalRows):
    """The mean over the channels of an image (channels, h, w); s = 1 / sqrt(channels).

    Kawar et al. 2022 (arXiv 2201.11793), to the rounding of their weights.
    """

    def __call__(self, x: Array) -> Array:
        xp = namespace(x)
        return xp.reshape(xp.mean(x, axis=1), (x.shape[0], -1))

    def adjoint(self, v: Array) -> Array:
        xp, (channels, h, w) = namespace(v), self.shape
        return xp.broadcast_to(xp.reshape(v / channels, (v.shape[0], 1, h, w)), (v.shape[0], *self.shape))


def colour(shape: tuple[int, ...]) -> Colour:
    """Grey from colour.

    Raises:
        UsageError: for an image without channels.
    """
    if len(shape) != 3:
        raise UsageError(f"a colour image has the shape (channels, h, w), got {shape}")
    return Colour(s=np.full(math.prod(shape[1:]), shape[0] ** -0.5), shape=shape)
