"""Gaussian mixtures whose components share one covariance: isotropic plus a low-rank part."""

from __future__ import annotations

import math

import numpy as np

from problems.arrays import Array, Key, categorical, namespace, normal, softmax, split
from problems.contract import data, static


@data
class SharedMixture:
    """sum_k w_k N(m_k, C) with C = variance I + V diag(eigenvalues - variance) V^T, V orthonormal (d, r).

    Cost per evaluation O(n d (K + r)): with a shared covariance the posterior mean of x_0 is an affine map of x
    and of the responsibility-weighted mean, so no (n, K, d) array is formed.

    Attributes:
        log_weights: (K,), normalised. component_means: (K, *shape). variance: scalar, the eigenvalue off V.
        basis: (d, r), r may be 0. eigenvalues: (r,).
    """

    log_weights: Array
    component_means: Array
    variance: Array
    basis: Array
    eigenvalues: Array
    shape: tuple[int, ...] = static()

    def denoise(self, x: Array, sigma: Array) -> Array:
        """E[x_0 | x_0 + sigma z = x], (n, *shape): m + C (C + sigma^2)^-1 (x - m), m the weighted mean."""
        flat, mean = self._flat(x), self._weighted_mean(x, sigma)
        shrunk = self._spectral(
            flat - mean, self.variance / (self.variance + sigma**2), self.eigenvalues / (self.eigenvalues + sigma**2)
        )
        return self._signal(mean + shrunk)

    def score(self, x: Array, sigma: Array) -> Array:
        """The gradient of the log density of x_0 + sigma z, (n, *shape)."""
        flat, mean = self._flat(x), self._weighted_mean(x, sigma)
        return self._signal(self._precision(mean - flat, sigma))

    def log_prob(self, x: Array, sigma: Array | float = 0.0) -> Array:
        """The log density of x_0 + sigma z at x, (n,)."""
        xp = namespace(x)
        r = self.responsibilities(x, sigma)
        # p(x) = w_k N(x; m_k) / r_k at the likeliest k: far from the origin the logits are too large for float32.
        likeliest = xp.argmax(r, axis=-1)
        offset = self._flat(x) - self._flat(self.component_means)[likeliest]
        quadratic = xp.sum(offset * self._precision(offset, sigma), axis=-1)
        return self.log_weights[likeliest] - xp.log(xp.max(r, axis=-1)) - 0.5 * (quadratic + self._log_det(sigma))

    def responsibilities(self, x: Array, sigma: Array | float = 0.0) -> Array:
        """p(component | x_0 + sigma z = x), (n, K)."""
        return softmax(self._logits(x, sigma))

    def sample(self, key: Key, n: int) -> Array:
        """n independent draws, (n, *shape)."""
        first, second = split(key, 2)
        return self.sample_components(second, categorical(first, self.log_weights, n))

    def sample_components(self, key: Key, labels: Array) -> Array:
        """One draw from each component named in labels, (n,)."""
        means = self._flat(self.component_means)[labels]
        xp = namespace(means)
        z = normal(key, means.shape, means)
        return self._signal(means + self._spectral(z, xp.sqrt(self.variance), xp.sqrt(self.eigenvalues)))

    @property
    def mean(self) -> Array:
        xp = namespace(self.component_means)
        return xp.reshape(xp.exp(self.log_weights) @ self._flat(self.component_means), self.shape)

    @property
    def std(self) -> Array:
        """The standard deviation of each entry of x, `shape`."""
        xp = namespace(self.component_means)
        low_rank = xp.sum(self.basis**2 * (self.eigenvalues - self.variance)[None, :], axis=-1)
        return xp.reshape(xp.sqrt(xp.sum(self._centred() ** 2, axis=0) + self.variance + low_rank), self.shape)

    def cov(self) -> Array:
        """The covariance of flattened x, (d, d)."""
        xp = namespace(self.component_means)
        centred = self._centred()
        within = (self.basis * (self.eigenvalues - self.variance)[None, :]) @ self.basis.T
        return centred.T @ centred + within + self.variance * xp.eye(centred.shape[1], dtype=centred.dtype)

    @property
    def diameter(self) -> Array:
        """The largest distance between two means plus twice the root of the trace of C."""
        xp = namespace(self.component_means)
        means = self._flat(self.component_means)
        low_rank = xp.sum(self.eigenvalues) - self.eigenvalues.shape[0] * self.variance
        trace = means.shape[1] * self.variance + low_rank
        length = xp.sum(means**2, axis=-1)  # not all differences: of a thousand images they take gigabytes
        squared = xp.max(length[:, None] + length[None, :] - 2 * means @ means.T)
        return xp.sqrt(squared) + 2 * xp.sqrt(trace)

    def _logits(self, x: Array, sigma: Array | float) -> Array:
        """log w_k + log N(x; m_k, C + sigma^2), without the terms that all components share."""
        xp = namespace(x)
        means = self._flat(self.component_means)
        centre = xp.mean(means, axis=0, keepdims=True)  # from an origin far away the terms are large and cancel
        means = means - centre
        weighted = self._precision(means, sigma)
        squared = xp.sum(means * weighted, axis=-1)
        return (self.log_weights - 0.5 * squared)[None, :] + (self._flat(x) - centre) @ weighted.T

    def _weighted_mean(self, x: Array, sigma: Array) -> Array:
        return self.responsibilities(x, sigma) @ self._flat(self.component_means)

    def _precision(self, v: Array, sigma: Array | float) -> Array:
        """(C + sigma^2 I)^-1 v for rows v."""
        return self._spectral(v, 1.0 / (self.variance + sigma**2), 1.0 / (self.eigenvalues + sigma**2))

    def _spectral(self, v: Array, off: Array, on: Array) -> Array:
        """f(C) v for rows v, where f has the value `off` on the complement of V and `on` along it."""
        return off * v + ((v @ self.basis) * (on - off)[None, :]) @ self.basis.T

    def _log_det(self, sigma: Array | float) -> Array:
        """log det of 2 pi (C + sigma^2 I)."""
        xp = namespace(self.component_means)
        d, r = self.basis.shape
        isotropic = (d - r) * xp.log(self.variance + sigma**2) + d * math.log(2 * math.pi)
        return isotropic + xp.sum(xp.log(self.eigenvalues + sigma**2))

    def _centred(self) -> Array:
        """sqrt(w_k) (m_k - mean), (K, d)."""
        xp = namespace(self.component_means)
        means = self._flat(self.component_means)
        weights = xp.exp(self.log_weights)
        return xp.sqrt(weights)[:, None] * (means - (weights @ means)[None, :])

    def _flat(self, x: Array) -> Array:
        return namespace(x).reshape(x, (x.shape[0], -1))

    def _signal(self, flat: Array) -> Array:
        return namespace(flat).reshape(flat, (flat.shape[0], *self.shape))


@data
class Atoms(SharedMixture):
    """Component means are all there is: so narrow a C that no measurement tells x from the mean of its component.

    The posterior is then the same mixture with weights times p(y | m_k), for any measurement, linear or not. What this
    leaves out is of the order of the square of C^(1/2) times the likelihood's score.
    """


@data
class Draws(Atoms):
    """A law that is known by draws of it, each with a little white noise: components are draws, and no modes."""


def draws(x: np.ndarray, relative_std: float = 1e-3) -> Draws:
    """The law of independent draws (K, *shape), each with white noise of a std relative to theirs."""
    std = relative_std * float(np.sqrt(np.mean(np.var(x, axis=0))))
    return Draws(**vars(atoms(x, std)))


def atoms(images: np.ndarray, std: float) -> Atoms:
    """Equally likely images (K, *shape), each with white noise of a standard deviation."""
    k, shape = len(images), images.shape[1:]
    d = math.prod(shape)
    return Atoms(np.full(k, -math.log(k)), images, np.array(std**2), np.zeros((d, 0)), np.zeros(0), shape)
