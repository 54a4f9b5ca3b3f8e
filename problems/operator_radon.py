"""Parallel-beam tomography: sums of an image along lines, at a few angles."""

from __future__ import annotations

import numpy as np

from problems.arrays import Array, namespace
from problems.contract import data, static
from problems.names import UsageError, lookup
from problems.operator_svd import Linear
from problems.sparse_rows import SparseRows, sparse_rows

SPANS = {"sparse": 180.0, "limited": 90.0}
"""Degrees that the angles cover."""
ANGLES = 30
"""Of the ellipses in educating-dip/score_based_model_baselines; for the limited span the same number is our choice."""
NOISE_SHARE = 0.05
"""The noise std in units of the mean of |A x|, of the same set-up."""


@data
class Radon(Linear):
    """Line sums of a square image, as `skimage.transform.radon` (circle=True) defines them.

    The image is turned about the pixel (side // 2, side // 2) by each angle, with bilinear interpolation and zeros
    around it, and its rows are added: y is the sinogram (side, angles), flat. Corners outside the inscribed circle are
    seen at some angles only; nothing masks them. `with_gram` of this operator has singular values.

    Attributes:
        rays: A. pixels: A^T.
    """

    rays: SparseRows
    pixels: SparseRows
    shape: tuple[int, int] = static()

    def __call__(self, x: Array) -> Array:
        """(n, side, side) -> (n, side angles)."""
        return self.rays(namespace(x).reshape(x, (x.shape[0], -1)))

    def adjoint(self, v: Array) -> Array:
        """A^T v, the unfiltered back-projection: (n, side angles) -> (n, side, side)."""
        return namespace(v).reshape(self.pixels(v), (v.shape[0], *self.shape))


def radon(side: int, degrees: np.ndarray) -> Radon:
    """The transform at angles (k,), in degrees, counted as skimage does.

    Raises:
        UsageError: for a side below 2, or angles that are not one or more finite numbers.
    """
    degrees = np.asarray(degrees, np.float64)
    if side < 2 or degrees.ndim != 1 or not degrees.size or not np.all(np.isfinite(degrees)):
        raise UsageError(
            f"a parallel beam needs a side of 2 or more and one or more finite angles (k,), "
            f"got {side} and {degrees.size} of shape {degrees.shape}"
        )
    centre = side // 2
    row, column = np.indices((side, side))[:, None] - centre
    cos, sin = (f(np.deg2rad(degrees))[:, None, None] for f in (np.cos, np.sin))
    # Rounded, so that the last bits of cos and sin, which differ by machine, bring no pixel of weight zero in.
    at_row = np.round(cos * row - sin * column, 12) + centre
    at_column = np.round(sin * row + cos * column, 12) + centre
    ray = (column + centre) * len(degrees) + np.arange(len(degrees))[:, None, None]
    found = []
    for low_row, low_column in ((0, 0), (0, 1), (1, 0), (1, 1)):  # the four pixels around
        near_row, near_column = np.floor(at_row) + low_row, np.floor(at_column) + low_column
        weight = (1.0 - np.abs(at_row - near_row)) * (1.0 - np.abs(at_column - near_column))
        there = (weight > 0) & (near_row >= 0) & (near_row < side) & (near_column >= 0) & (near_column < side)
        found.append((ray[there], (near_row * side + near_column)[there].astype(int), weight[there]))
    rays, pixels, weights = (np.concatenate(parts) for parts in zip(*found, strict=True))
    sizes = (side * len(degrees), side**2)
    return Radon(
        rays=sparse_rows(rays, pixels, weights, sizes),
        pixels=sparse_rows(pixels, rays, weights, sizes[::-1]),
        shape=(side, side),
    )


def angles(geometry: str, count: int = ANGLES) -> np.ndarray:
    """`count` equally spaced angles in degrees, from 0, of a geometry: 'sparse' or 'limited'.

    Raises:
        UsageError: for another geometry.
    """
    return lookup("geometry", geometry, SPANS) * np.arange(count) / count


def noise_std(ax: np.ndarray) -> float:
    """The noise std of a measurement A x, in its units."""
    return NOISE_SHARE * float(np.mean(np.abs(ax)))
