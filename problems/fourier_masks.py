"""Masks of frequencies for undersampled MRI; frequency zero stands at (h // 2, w // 2), as after fftshift."""

from __future__ import annotations

import numpy as np

from problems.arrays import make_key
from problems.names import UsageError

ACCELERATION = 8.0
CALIBRATION = 4
"""One frequency in 8 is measured, and all of 4 x 4 about zero: the numbers of arXiv 2304.11751, not its masks.

Images are real, so that each frequency tells its opposite as well: a quarter of k-space is known."""
_SHRINK = 0.97


def cartesian_lines(
    shape: tuple[int, int], acceleration: float = ACCELERATION, calibration: int = CALIBRATION, seed: int = 0
) -> np.ndarray:
    """Whole columns: `calibration` of them about frequency zero, and others drawn at random, (h, w) boolean.

    Args:
        shape: (h, w). acceleration: w divided by the number of columns measured, which is rounded.
        calibration: a number of columns. seed: of the draw, a function of which the mask is.

    Raises:
        UsageError: if the acceleration leaves fewer columns than the calibration region has.
    """
    h, w = shape
    count = _measured(w, acceleration, calibration, "columns")
    central = _about_zero(w, calibration)
    order = np.argsort(make_key("numpy", [seed]).random(w))
    chosen = central.copy()
    chosen[order[~central[order]][: count - calibration]] = True
    return np.tile(chosen, (h, 1))


def poisson_disc(
    shape: tuple[int, int], acceleration: float = ACCELERATION, calibration: int = CALIBRATION, seed: int = 0
) -> np.ndarray:
    """Frequencies in irregular but even order, denser towards zero, (h, w) boolean.

    Frequencies in random order are taken if nothing measured lies within 1 + slope k of them, k their distance from
    zero in units of the Nyquist frequency of each axis. When none is left to take, the slope shrinks, until as many
    are measured as the acceleration asks for. With the disc of one grid step at zero this is the variable density of
    compressed sensing (Lustig et al. 2007); the corners of the spectrum are not cut off.

    Args:
        shape: (h, w). acceleration: h w divided by the number of frequencies measured, which is rounded.
        calibration: side of the square about zero that is measured whole. seed: of the order.

    Raises:
        UsageError: if the acceleration leaves fewer frequencies than the calibration region has.
    """
    h, w = shape
    count = _measured(h * w, acceleration, calibration**2, "frequencies")
    row, column = (i.ravel() - side // 2 for i, side in zip(np.indices(shape), shape, strict=True))
    distance = np.sqrt((2.0 * row / h) ** 2 + (2.0 * column / w) ** 2)
    order = np.argsort(make_key("numpy", [seed]).random(h * w))
    mask = np.outer(_about_zero(h, calibration), _about_zero(w, calibration)).ravel()
    nearest = np.full(h * w, np.inf)  # the squared distance to what is measured
    for i in np.flatnonzero(mask):
        nearest = np.minimum(nearest, (row - row[i]) ** 2 + (column - column[i]) ** 2)
    slope = float(max(shape))
    for _ in range(count - np.count_nonzero(mask)):
        while not np.any(free := nearest >= (1.0 + slope * distance) ** 2):
            slope *= _SHRINK
        i = order[np.argmax(free[order])]
        mask[i] = True
        nearest = np.minimum(nearest, (row - row[i]) ** 2 + (column - column[i]) ** 2)
    return mask.reshape(shape)


def _measured(total: int, acceleration: float, central: int, what: str) -> int:
    count = round(total / acceleration)
    if not central <= count <= total:
        raise UsageError(
            f"an acceleration of {acceleration:g} leaves {count} of {total} {what}, "
            f"which is not between the {central} of the calibration region and all"
        )
    return count


def _about_zero(side: int, width: int) -> np.ndarray:
    """Which `width` of the centred frequencies of an axis are the lowest."""
    offset = np.arange(side) - side // 2
    return (offset >= -(width // 2)) & (offset < width - width // 2)
