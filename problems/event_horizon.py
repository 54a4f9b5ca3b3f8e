"""What the Event Horizon Telescope, as it was in 2017, sees of an image of M87: visibilities, or closures of them.

Both are scaled to typical images rather than to the one that is measured, so that all instances share one operator and
one noise: the flux of the mean image is that of the source, signal-to-noise ratios are those of root mean squares.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from problems.interferometry import Coverage, observe, visibility_matrix
from problems.noise_closure import closure_noise
from problems.operator_closure import Closures, quadrangles, triangles
from problems.operators import Matrix, matrix_operator

FIELD_MICROARCSECONDS, FLUX_JANSKY = 160.0, 0.6
SCAN_MINUTES = 60.0


def visibilities(typical: np.ndarray, noise_times: float) -> Matrix:
    """Real and imaginary parts in units of their noise, whose std is 1: `noise_times` what the receivers have.

    Args:
        typical: (n, side, side), images as the prior has them.
    """
    coverage, matrix = _observed(typical)
    std = noise_times * np.concatenate([coverage.std, coverage.std])
    return matrix_operator(matrix / std[:, None], typical.shape[1:])


def closures(typical: np.ndarray, noise_times: float) -> tuple[Closures, Any]:
    """Closure phases and log closure amplitudes, the total flux and the centre of light, and their noise.

    Args:
        typical: as of `visibilities`. The noise of the flux is a tenth of it.
    """
    coverage, matrix = _observed(typical)
    operator = Closures(matrix, triangles(coverage), quadrangles(coverage), typical.shape[1:])
    real, imaginary = np.split(operator.visibilities(typical), 2, axis=1)
    size = np.sqrt(np.mean(real**2 + imaginary**2, axis=0))
    noise = closure_noise(
        np.concatenate([size, 0 * size]),
        noise_times * coverage.std,
        operator.triangles,
        operator.quadrangles,
        flux_std=0.1 * _flux(typical),
    )
    return operator, noise


def _observed(typical: np.ndarray) -> tuple[Coverage, np.ndarray]:
    """The baselines of a night, and the visibilities of an image in jansky as a matrix."""
    coverage = observe(every_minutes=SCAN_MINUTES)
    jansky = FLUX_JANSKY / _flux(typical)
    return coverage, jansky * visibility_matrix(coverage, typical.shape[1], FIELD_MICROARCSECONDS)


def _flux(typical: np.ndarray) -> float:
    return float(typical.sum(axis=(1, 2)).mean())
