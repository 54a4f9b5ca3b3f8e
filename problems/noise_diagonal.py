"""Gaussian noise whose standard deviation differs from one measurement to the next."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from problems.arrays import Array, Key, namespace, normal
from problems.contract import data
from problems.names import UsageError
from problems.operators import Matrix, matrix_operator


@data
class DiagonalNoise:
    """y = A x + diag(std) z, independent; `whitened` brings a linear problem to noise of one standard deviation.

    Attributes:
        std: (m,), positive, in the units of y.
    """

    std: Array

    def log_likelihood(self, y: Array, ax: Array) -> Array:
        """log N(y; ax, diag(std^2)) for ax of shape (n, m) and y of shape (m,), with its constant: (n,)."""
        xp = namespace(ax)
        residual = (y[None, :] - ax) / self.std[None, :]
        constant = xp.sum(xp.log(self.std)) + 0.5 * y.shape[0] * math.log(2 * math.pi)
        return -0.5 * xp.sum(residual**2, axis=-1) - constant

    def score(self, y: Array, ax: Array) -> Array:
        """The gradient of the log likelihood with respect to ax, (n, m)."""
        return (y[None, :] - ax) / self.std[None, :] ** 2

    def sample(self, key: Key, ax: Array) -> Array:
        """One measurement of each row, (n, m)."""
        return ax + self.std[None, :] * normal(key, ax.shape, ax)


def diagonal_noise(std: np.ndarray) -> DiagonalNoise:
    """Noise of the given standard deviations, (m,).

    Raises:
        UsageError: unless they are one row of positive finite numbers.
    """
    std = np.asarray(std, np.float64)
    if std.ndim != 1 or not np.all(np.isfinite(std)) or not np.all(std > 0):
        raise UsageError(
            f"standard deviations are one row of positive finite numbers, got shape {std.shape} "
            f"from {np.min(std, initial=math.inf):g} to {np.max(std, initial=-math.inf):g}"
        )
    return DiagonalNoise(std)


def whitened(matrix: np.ndarray, std: np.ndarray, shape: tuple[int, ...], rcond: float = 1e-12) -> Matrix:
    """The operator A x / std of measurements in units of their noise, which is N(0, I); y is to be divided as well.

    Exact: the posterior is unchanged, and the log likelihood only by the constant sum(log std). For methods that know
    noise of one standard deviation alone.

    Args:
        matrix: (m, d). std: (m,). shape: that of the signal. rcond: singular values below it times the largest are
            zero, in the operator as well.

    Raises:
        UsageError: for standard deviations that are not positive, or not as many as there are measurements.
    """
    scale = diagonal_noise(std).std
    if len(matrix) != len(scale):
        raise UsageError(f"there is one standard deviation for each row, got {len(scale)} for {len(matrix)}")
    found = matrix_operator(matrix / scale[:, None], shape, rcond)
    return dataclasses.replace(found, matrix=(found.u * found.s) @ found.vt)
