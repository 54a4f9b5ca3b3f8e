"""What the Event Horizon Telescope, as it was in 2017, sees of an image of M87: visibilities, or closures of them.

Both are scaled to typical images rather than to the one that is measured, so that all instances share one operator and
one noise: the flux of the mean image is that of the source, signal-to-noise ratios are those of root mean squares.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from problems.arrays import Array
from problems.contract import data
from problems.interferometry import Coverage, observe, visibility_matrix
from problems.noise_closure import closure_noise
from problems.noise_diagonal import whitened
from problems.operator_closure import Closures, quadrangles, triangles
from problems.operators import Matrix

FIELD_MICROARCSECONDS, FLUX_JANSKY = 160.0, 0.6
SCAN_MINUTES = 120.0
RCOND = 1e-4
"""Singular values below this share of the largest are zero: their directions are a thousandth of the noise in y, and
what they would be divided by is beyond single precision."""
LEAST_SIGNAL = 2.0
"""Closures with a baseline whose visibility is typically fewer times its noise are left out: below, their errors are no
longer those of small errors, which the standard deviations are made for (at 2, to a fifth)."""


@data
class Visibilities(Matrix):
    """The matrix of visibilities, and where on the plane of baselines each is.

    Attributes:
        east, north: (m / 2,), the baselines on the sky in wavelengths (u and v are those of the decomposition).
    """

    east: Array
    north: Array


def visibilities(typical: np.ndarray, noise_times: float) -> Visibilities:
    """Real and imaginary parts in units of their noise, whose std is 1: `noise_times` what the receivers have.

    Args:
        typical: (n, side, side), images as the prior has them.
    """
    coverage, matrix = _observed(typical)
    std = noise_times * np.concatenate([coverage.std, coverage.std])
    found = whitened(matrix, std, typical.shape[1:], RCOND)
    return Visibilities(**vars(found), east=coverage.u, north=coverage.v)


def closures(typical: np.ndarray, noise_times: float) -> tuple[Closures, Any]:
    """Closure phases and log closure amplitudes, the total flux and the centre of light, and their noise.

    Args:
        typical: as of `visibilities`. The noise of the flux is a tenth of it.
    """
    coverage, matrix = _observed(typical)
    std = noise_times * coverage.std
    real, imaginary = np.split(typical.reshape(len(typical), -1) @ matrix.T, 2, axis=1)
    size = np.sqrt(np.mean(real**2 + imaginary**2, axis=0))
    faint = (size < LEAST_SIGNAL * std).astype(float)
    phases, amplitudes = (signs[np.abs(signs) @ faint == 0] for signs in (triangles(coverage), quadrangles(coverage)))
    operator = Closures(matrix, phases, amplitudes, typical.shape[1:])
    visibilities = np.concatenate([size, 0 * size])
    return operator, closure_noise(visibilities, std, phases, amplitudes, flux_std=0.1 * _flux(typical))


def _observed(typical: np.ndarray) -> tuple[Coverage, np.ndarray]:
    """The baselines of a night, and the visibilities of an image in jansky as a matrix."""
    coverage = observe(every_minutes=SCAN_MINUTES)
    jansky = FLUX_JANSKY / _flux(typical)
    return coverage, jansky * visibility_matrix(coverage, typical.shape[1], FIELD_MICROARCSECONDS)


def _flux(typical: np.ndarray) -> float:
    return float(typical.sum(axis=(1, 2)).mean())
