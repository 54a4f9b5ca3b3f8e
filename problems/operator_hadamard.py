"""Compressed sensing by some coefficients of the Walsh-Hadamard transform."""

from __future__ import annotations

import math

import numpy as np

from problems.arrays import Array, Key, namespace
from problems.contract import data
from problems.names import UsageError
from problems.operator_orthogonal import OrthogonalRows, placed, positions


@data
class HadamardSensing(OrthogonalRows):
    """Some Walsh-Hadamard coefficients of the pixels of each channel times `signs`; s = 1.

    Attributes:
        signs: (h w,), 1 or -1. kept: (k,), which coefficients, the same in all channels. position: (h w,), where among
            the kept each coefficient is, k if nowhere.
    """

    signs: Array
    kept: Array
    position: Array

    def __call__(self, x: Array) -> Array:
        xp = namespace(x)
        pixels = xp.reshape(x, (-1, self.signs.shape[0])) * self.signs[None, :]
        return xp.reshape(xp.take(walsh_hadamard(pixels), self.kept, axis=1), (x.shape[0], -1))

    def adjoint(self, v: Array) -> Array:
        xp = namespace(v)
        spectrum = placed(xp.reshape(v, (-1, self.kept.shape[0])), self.position)
        return xp.reshape(walsh_hadamard(spectrum) * self.signs[None, :], (v.shape[0], *self.shape))


def walsh_hadamard(v: Array) -> Array:
    """The orthonormal transform of rows (n, d), d a power of 2, in the order of Sylvester; its own inverse."""
    xp, (n, d) = namespace(v), v.shape
    for level in range(d.bit_length() - 1):
        pairs = xp.reshape(v, (n, -1, 2, 2**level))
        v = xp.stack([pairs[:, :, 0] + pairs[:, :, 1], pairs[:, :, 0] - pairs[:, :, 1]], axis=2)
    return xp.reshape(v, (n, d)) / d**0.5


def hadamard_sensing(shape: tuple[int, ...], key: Key, ratio: int = 4, flip: bool = True) -> HadamardSensing:
    """One of `ratio` coefficients, chosen at random by a NumPy key, of the image with random signs.

    The ratio is that of Wang et al. 2023 (arXiv 2212.00490); Kawar et al. 2022 (arXiv 2201.11793) have 2 and 4. Both
    are without the signs (flip=False) and so leave it to chance whether the few coefficients are kept in which a
    picture has most of its energy. With signs each coefficient tells of all scales alike (Do et al. 2012, arXiv
    1106.5037).

    Raises:
        UsageError: if the number of pixels is no power of 2, or smaller than the ratio.
    """
    pixels = math.prod(shape[-2:])
    if pixels & (pixels - 1) or not 1 <= ratio <= pixels:
        raise UsageError(f"Walsh-Hadamard sensing needs 2^k pixels and a ratio up to that, got {pixels} and {ratio}")
    kept = np.sort(np.argsort(key.random(pixels), kind="stable")[: pixels // ratio])
    signs = np.where(key.random(pixels) < 0.5, -1.0, 1.0) if flip else np.ones(pixels)
    s = np.ones(math.prod(shape[:-2]) * len(kept))
    return HadamardSensing(s=s, shape=shape, signs=signs, kept=kept, position=positions(kept, pixels))
