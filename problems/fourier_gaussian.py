"""Stationary Gaussian fields on a periodic square grid: everything is diagonal in Fourier space."""

from __future__ import annotations

import math

from problems.arrays import Array, Key, namespace, normal
from problems.contract import data, static
from problems.operators import fourier_multiply


class OneComponent:
    """A Gaussian is a mixture of one component."""

    mean: Array

    def sample(self, key: Key, n: int) -> Array:
        """n independent draws, (n, *shape)."""
        raise NotImplementedError

    def sample_components(self, key: Key, labels: Array) -> Array:
        """The labels only say how many draws."""
        return self.sample(key, labels.shape[0])

    def responsibilities(self, x: Array, sigma: Array | float = 0.0) -> Array:  # noqa: ARG002
        """All ones, (n, 1)."""
        return namespace(x).ones_like(x[:, :1, 0])

    @property
    def log_weights(self) -> Array:
        return namespace(self.mean).zeros_like(self.mean[0, :1])

    @property
    def component_means(self) -> Array:
        return self.mean[None]


@data
class FourierGaussian(OneComponent):
    """N(mean, F^-1 diag(spectrum) F): `spectrum` holds the eigenvalues of the covariance.

    Attributes:
        mean: (side, side). spectrum: (side, side // 2 + 1), in the layout of rfft2, all positive.
        multiplicity: the same shape; how many modes of the full transform an entry of rfft2 stands for (1 or 2).
    """

    mean: Array
    spectrum: Array
    multiplicity: Array
    shape: tuple[int, int] = static()

    def denoise(self, x: Array, sigma: Array) -> Array:
        """The Wiener filter E[x_0 | x_0 + sigma z = x], (n, side, side)."""
        return self.mean[None] + fourier_multiply(x - self.mean[None], self.spectrum / (self.spectrum + sigma**2))

    def score(self, x: Array, sigma: Array) -> Array:
        """The gradient of the log density of x_0 + sigma z, (n, side, side)."""
        return fourier_multiply(self.mean[None] - x, 1.0 / (self.spectrum + sigma**2))

    def log_prob(self, x: Array, sigma: Array | float = 0.0) -> Array:
        """The log density of x_0 + sigma z at x, (n,)."""
        xp = namespace(x)
        variances = self.spectrum + sigma**2
        pixels = self.shape[0] * self.shape[1]
        transform = xp.fft.rfftn(x - self.mean[None], axes=(-2, -1))
        power = (xp.real(transform) ** 2 + xp.imag(transform) ** 2) / pixels
        # Mode by mode, for the sums of the quadratic form and of the log determinant cancel in float32.
        modes = power / variances[None, :, :] + xp.log(2 * math.pi * variances)[None, :, :]
        return -0.5 * xp.sum(self.multiplicity[None, :, :] * modes, axis=(-2, -1))

    def sample(self, key: Key, n: int) -> Array:
        """n independent draws, (n, side, side)."""
        z = normal(key, (n, *self.shape), self.mean)
        return self.mean[None] + fourier_multiply(z, namespace(z).sqrt(self.spectrum))

    @property
    def std(self) -> Array:
        """The standard deviation of each pixel, (side, side): the same for all."""
        xp = namespace(self.mean)
        variance = xp.sum(self.multiplicity * self.spectrum) / (self.shape[0] * self.shape[1])
        return xp.sqrt(variance) * xp.ones_like(self.mean)

    def cov(self) -> Array:
        """The covariance of flattened x, (side^2, side^2): for small fields."""
        xp = namespace(self.mean)
        pixels = self.shape[0] * self.shape[1]
        units = xp.reshape(xp.eye(pixels, dtype=self.mean.dtype), (pixels, *self.shape))
        return xp.reshape(fourier_multiply(units, self.spectrum), (pixels, pixels))

    @property
    def diameter(self) -> Array:
        """Twice the root of the trace of the covariance."""
        xp = namespace(self.mean)
        return 2 * xp.sqrt(xp.sum(self.multiplicity * self.spectrum))
