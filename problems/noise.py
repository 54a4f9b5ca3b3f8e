"""Measurement noise."""

from __future__ import annotations

import math

from problems.arrays import Array, Key, namespace, normal
from problems.contract import data


@data
class GaussianNoise:
    """y = A x + std z. `std` is a scalar in the units of y."""

    std: Array

    def log_likelihood(self, y: Array, ax: Array) -> Array:
        """log N(y; ax, std^2 I) for ax of shape (n, m) and y of shape (m,), with its constant: (n,)."""
        xp = namespace(ax)
        residual = (y[None, :] - ax) / self.std
        constant = xp.log(self.std) + 0.5 * math.log(2 * math.pi)
        return -0.5 * xp.sum(residual**2, axis=-1) - y.shape[0] * constant

    def score(self, y: Array, ax: Array) -> Array:
        """The gradient of the log likelihood with respect to ax, (n, m)."""
        return (y[None, :] - ax) / self.std**2

    def sample(self, key: Key, ax: Array) -> Array:
        return ax + self.std * normal(key, ax.shape, ax)
