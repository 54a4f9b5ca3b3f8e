"""The posterior of a stationary Gaussian field of which some pixels are seen: Gaussian, and diagonal in no basis."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from problems.arrays import Array, Key, namespace, normal, split
from problems.contract import data, static
from problems.fourier_gaussian import FourierGaussian, OneComponent
from problems.krylov import conjugate_gradient
from problems.noise import GaussianNoise
from problems.operator_mask import Masked
from problems.operators import fourier_multiply

ITERATIONS = 20
"""Of conjugate gradients, which leave 1e-6 of the answer at half of the pixels and a noise of a fifth of their std."""


@data
class InpaintedField(OneComponent):
    """N(mean, P), P^-1 = C^-1 + A^T A / noise.std^2, of a field with covariance C, seen through a mask A.

    What needs P goes by conjugate gradients, with C^-1 + share / noise.std^2 as preconditioner.

    Attributes:
        field: the prior. operator, noise, y: the measurement. log_evidence: log p(y).
        mean, std: (side, side), by dense linear algebra. diameter: twice the root of the trace of P.
    """

    field: FourierGaussian
    operator: Masked
    noise: GaussianNoise
    y: Array
    log_evidence: Array
    mean: Array
    std: Array
    diameter: Array
    shape: tuple[int, int] = static()

    def denoise(self, x: Array, sigma: Array) -> Array:
        """E[x_0 | x_0 + sigma z = x], (n, side, side): mean + (P^-1 + 1 / sigma^2)^-1 (x - mean) / sigma^2."""
        return self.mean[None] + self._solve((x - self.mean[None]) / sigma**2, 1.0 / sigma**2)

    def score(self, x: Array, sigma: Array | float) -> Array:
        """The gradient of the log density of x_0 + sigma z, (n, side, side)."""
        if isinstance(sigma, float) and sigma == 0.0:
            return self._precision(self.mean[None] - x)
        return (self.denoise(x, sigma) - x) / sigma**2

    def log_prob(self, x: Array) -> Array:
        """The log density at x, (n,): Bayes' rule."""
        return self.field.log_prob(x) + self.noise.log_likelihood(self.y, self.operator(x)) - self.log_evidence

    def sample(self, key: Key, n: int) -> Array:
        """n independent draws, (n, side, side): a draw of the prior, moved by what its own measurement misses.

        Perturb and optimise (Papandreou and Yuille 2010).
        """
        first, second = split(key, 2)
        x = self.field.sample(first, n)
        ax = self.operator(x)
        missing = self.y[None] - ax - self.noise.std * normal(second, ax.shape, ax)
        return x + self._solve(self.operator.adjoint(missing) / self.noise.std**2, 0.0)

    def covariance(self, v: Array) -> Array:
        """P v for images v, (n, side, side)."""
        return self._solve(v, 0.0)

    def _precision(self, v: Array) -> Array:
        return fourier_multiply(v, 1.0 / self.field.spectrum) + self._seen(v)

    def _seen(self, v: Array) -> Array:
        return self.operator.adjoint(self.operator(v)) / self.noise.std**2

    def _solve(self, b: Array, shift: Array | float) -> Array:
        """(P^-1 + shift)^-1 b, (n, side, side), of the system that the root of the preconditioner makes even."""
        xp, share = namespace(b), self.operator.rank / (self.shape[0] * self.shape[1])
        even = 1.0 / (1.0 / self.field.spectrum + share / self.noise.std**2 + shift)
        root = xp.sqrt(even)
        own = even * (1.0 / self.field.spectrum + shift)  # of a system that is 1 where nothing is to be done

        def image(flat: Array) -> Array:
            return xp.reshape(flat, (-1, *self.shape))

        def matvec(flat: Array) -> Array:
            v = image(flat)
            seen = fourier_multiply(self._seen(fourier_multiply(v, root)), root)
            return xp.reshape(fourier_multiply(v, own) + seen, flat.shape)

        right = xp.reshape(fourier_multiply(b, root), (b.shape[0], -1))
        return fourier_multiply(image(conjugate_gradient(matvec, right, ITERATIONS)), root)


def inpainted(
    field: FourierGaussian, operator: Masked, noise: GaussianNoise, y: np.ndarray
) -> tuple[InpaintedField, float]:
    """The posterior, and log p(y). NumPy, float64."""
    from scipy.linalg import solve_triangular

    factor, gain, variance = _of_mask(field.spectrum.tobytes(), operator.kept.tobytes(), float(noise.std), field.shape)
    residual = y - operator(field.mean[None])[0]
    white = solve_triangular(factor, residual, lower=True)
    log_det = 2 * np.log(np.diag(factor)).sum() + len(y) * np.log(2 * np.pi)
    log_evidence = float(-0.5 * (white @ white + log_det))
    posterior = InpaintedField(
        field=field,
        operator=operator,
        noise=noise,
        y=y,
        log_evidence=np.array(log_evidence),
        mean=field.mean + (white @ gain).reshape(field.shape),
        std=np.sqrt(variance).reshape(field.shape),
        diameter=2 * np.sqrt(variance.sum()),
        shape=field.shape,
    )
    return posterior, log_evidence


@lru_cache(maxsize=2)
def _of_mask(spectrum: bytes, kept: bytes, noise_std: float, shape: tuple[int, int]) -> tuple[Any, ...]:
    """L of A C A^T + noise_std^2 = L L^T, L^-1 A C, and the variances of the posterior, which no y changes."""
    from scipy.linalg import solve_triangular

    side = shape[0]
    covariance = np.fft.irfft2(np.frombuffer(spectrum).reshape(side, -1), s=shape)  # with the pixel at the origin
    row, column = np.divmod(np.arange(side**2), side)
    seen = np.frombuffer(kept, dtype=np.int64)
    rows = covariance[(row[seen, None] - row) % side, (column[seen, None] - column) % side]
    factor = np.linalg.cholesky(rows[:, seen] + noise_std**2 * np.eye(len(seen)))
    gain = solve_triangular(factor, rows, lower=True)
    return factor, gain, covariance[0, 0] - np.sum(gain**2, axis=0)
