"""Operators that lose resolution: pooling, bicubic reduction, blurs, and Walsh functions of low sequency."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from problems.names import UsageError, lookup
from problems.operator_separable import Separable, separable, sides


class Blur(NamedTuple):
    """A separable kernel: an odd number of weights down and across, and what lies outside the image.

    'mirror' reflects the image about the centre of its border pixels, 'constant' puts zeros there (SciPy's names).
    """

    down: np.ndarray
    across: np.ndarray
    outside: Literal["mirror", "constant"] = "mirror"


def gaussian_weights(std: float, count: int | None = None) -> np.ndarray:
    """exp(-(k / std)^2 / 2) with sum 1 for `count` pixels; by default as far as 4 std, as in SciPy.

    Raises:
        UsageError: for a std that is not positive or an even count.
    """
    if std <= 0 or (count is not None and count % 2 == 0):
        raise UsageError(f"a Gaussian kernel has a positive std and an odd count, got std {std:g} and count {count}")
    radius = int(4 * std + 0.5) if count is None else count // 2
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / std) ** 2)
    return weights / weights.sum()


_NINE = np.full(9, 1 / 9)
BLURS = {
    "dps": Blur(gaussian_weights(3.0), gaussian_weights(3.0)),
    "ddrm-uniform": Blur(_NINE, _NINE, "constant"),
    "ddrm-gaussian": Blur(gaussian_weights(10.0, 5), gaussian_weights(10.0, 5), "constant"),
    "ddrm-anisotropic": Blur(gaussian_weights(1.0, 9), gaussian_weights(20.0, 9), "constant"),
}
"""The blurs of papers on images of 256 pixels.

dps: Chung et al. 2023 (arXiv 2209.14687), whose 61 x 61 weights are zero beyond 4 std, so that 25 are left a side.
ddrm: Kawar et al. 2022 (arXiv 2201.11793), whose released code drops the last weight of each of these kernels.
"""

BLUR_RCOND = 0.03
"""Singular values of L and R of a blur below it times their largest, which is about 1, count as zero.

Methods that divide by singular values need a bound: those of a Gaussian blur fall to 1e-6 and their products to 1e-12.
What it drops was made 33 times fainter or more. The code of Kawar et al. 2022 has the same number, as a bound.
"""


def blur(shape: tuple[int, ...], kernel: Blur | str = "dps", rcond: float = BLUR_RCOND) -> Separable:
    """The convolution of images (h, w) or (channels, h, w) with a kernel, or with one of BLURS by its name.

    Raises:
        UsageError: for an unknown name, or weights without a middle.
    """
    chosen = lookup("blur", kernel, BLURS) if isinstance(kernel, str) else kernel
    down, across = (_convolution(*one, chosen.outside) for one in zip(chosen[:2], sides(shape), strict=True))
    return separable(down, across, shape, rcond)


def _convolution(weights: np.ndarray, side: int, outside: Literal["mirror", "constant"]) -> np.ndarray:
    from scipy.ndimage import convolve1d

    if len(weights) % 2 == 0:
        raise UsageError(f"a kernel has an odd number of weights, so that one is in the middle, got {len(weights)}")
    return convolve1d(np.eye(side), weights, axis=0, mode=outside)


def gaussian_blur(shape: tuple[int, ...], std: float = 3.0, rcond: float = BLUR_RCOND) -> Separable:
    """A Gaussian of `std` pixels, cut off at 4 std, over the mirrored image.

    Raises:
        UsageError: for a std that is not positive.
    """
    return blur(shape, Blur(gaussian_weights(std), gaussian_weights(std)), rcond)


def average_pooling(shape: tuple[int, ...], factor: int = 4) -> Separable:
    """The mean over factor x factor pixels; 4 in Kawar et al. 2022 (arXiv 2201.11793). All s are 1 / factor.

    Raises:
        UsageError: if the factor does not divide both sides.
    """
    left, right = (np.kron(np.eye(side), np.full((1, factor), 1 / factor)) for side in _reduced(shape, factor))
    return separable(left, right, shape)


def bicubic(shape: tuple[int, ...], factor: int = 4) -> Separable:
    """Antialiased bicubic reduction as in MATLAB's imresize; 4 in Chung et al. 2023 (arXiv 2209.14687).

    The cubic of Keys 1981 with a = -1/2, `factor` times as wide, is centred on each block of pixels, its weights are
    scaled to sum 1, and the image is mirrored about the edge of its border pixels, which repeats them.

    Raises:
        UsageError: if the factor does not divide both sides.
    """
    left, right = (_bicubic(side, factor) for side in _reduced(shape, factor))
    return separable(left, right, shape)


def _bicubic(side: int, factor: int) -> np.ndarray:
    """(side, side factor): one row of weights for each pixel of the result."""
    offsets = np.arange(-2 * factor, 3 * factor)  # from the first pixel of the block
    weights = _keys((offsets - (factor - 1) / 2) / factor)
    period = 2 * side * factor
    seen = (factor * np.arange(side)[:, None] + offsets) % period
    matrix = np.zeros((side, side * factor))
    np.add.at(matrix, (np.arange(side)[:, None], np.minimum(seen, period - 1 - seen)), weights / weights.sum())
    return matrix


def _keys(x: np.ndarray) -> np.ndarray:
    x = np.abs(x)
    inner, outer = (1.5 * x - 2.5) * x**2 + 1, ((2.5 - 0.5 * x) * x - 4) * x + 2
    return np.where(x < 1, inner, np.where(x < 2, outer, 0.0))


def _reduced(shape: tuple[int, ...], factor: int) -> tuple[int, int]:
    h, w = sides(shape)
    if factor < 1 or h % factor or w % factor:
        raise UsageError(f"the factor of a reduction divides both sides of the image, got {factor} for shape {shape}")
    return h // factor, w // factor


def walsh(shape: tuple[int, ...], count: int) -> Separable:
    """The coefficients of the count x count Walsh functions with the fewest changes of sign, orthonormal: s = 1.

    Raises:
        UsageError: if a side is no power of 2, or the count is not 1 .. side.
    """
    h, w = sides(shape)
    if any(side & (side - 1) or not 1 <= count <= side for side in (h, w)):
        raise UsageError(f"Walsh functions, at most `side`, need sides that are powers of 2, got {count} for {shape}")
    return separable(_walsh(h, count), _walsh(w, count), shape)


def _walsh(side: int, count: int) -> np.ndarray:
    from scipy.linalg import hadamard

    rows = hadamard(side).astype(float)
    changes = np.count_nonzero(np.diff(rows, axis=1), axis=1)
    return rows[np.argsort(changes)[:count]] / side**0.5
