"""Gaussian mixtures with a full covariance per component; one component is a Gaussian."""

from __future__ import annotations

import math

import numpy as np

from problems.arrays import Array, Key, categorical, logsumexp, namespace, normal, softmax, split
from problems.contract import data, static


@data
class GaussianMixture:
    """sum_k w_k N(m_k, C_k), C_k = Q_k diag(eigenvalues_k) Q_k^T. Cost per evaluation O(n K d^2).

    Attributes:
        log_weights: (K,), normalised. component_means: (K, *shape).
        eigenvectors: (d, K, d): entry, component, which one. eigenvalues: (K, d).
    """

    log_weights: Array
    component_means: Array
    eigenvectors: Array
    eigenvalues: Array
    shape: tuple[int, ...] = static()

    def denoise(self, x: Array, sigma: Array) -> Array:
        """E[x_0 | x_0 + sigma z = x] = sum_k r_k (m_k + C_k (C_k + sigma^2)^-1 (x - m_k)), (n, *shape)."""
        r, u = self._softmax(x, sigma)
        shrunk = self._rotate_back(r[:, :, None] * u * (self.eigenvalues / (self.eigenvalues + sigma**2))[None, :, :])
        return self._signal(r @ self._flat(self.component_means) + shrunk)

    def score(self, x: Array, sigma: Array) -> Array:
        """The gradient of the log density of x_0 + sigma z, (n, *shape)."""
        r, u = self._softmax(x, sigma)
        return self._signal(-self._rotate_back(r[:, :, None] * u / (self.eigenvalues + sigma**2)[None, :, :]))

    def log_prob(self, x: Array, sigma: Array | float = 0.0) -> Array:
        """The log density of x_0 + sigma z at x, (n,)."""
        constant = 0.5 * self.eigenvalues.shape[1] * namespace(x).log(2 * math.pi * self._largest(sigma))
        return logsumexp(self._logits(self._coordinates(x), sigma)) - constant

    def responsibilities(self, x: Array, sigma: Array | float = 0.0) -> Array:
        """p(component | x_0 + sigma z = x), (n, K)."""
        return self._softmax(x, sigma)[0]

    def sample(self, key: Key, n: int) -> Array:
        """n independent draws, (n, *shape)."""
        first, second = split(key, 2)
        return self.sample_components(second, categorical(first, self.log_weights, n))

    def sample_components(self, key: Key, labels: Array) -> Array:
        """One draw from each component named in labels, (n,)."""
        xp = namespace(self.eigenvalues)
        means = self._flat(self.component_means)
        index = xp.cumulative_sum(xp.ones_like(self.log_weights)) - 1.0
        chosen = xp.astype(xp.astype(labels, means.dtype)[:, None] == index[None, :], means.dtype)
        # The symmetric root Q sqrt(eigenvalues) Q^T does not see the signs of eigenvectors, which differ by machine.
        z = normal(key, (labels.shape[0], means.shape[1]), means)
        u = xp.reshape(z @ self._basis, (-1, *self.eigenvalues.shape)) * xp.sqrt(self.eigenvalues)[None, :, :]
        return self._signal(means[labels] + self._rotate_back(chosen[:, :, None] * u))

    @property
    def mean(self) -> Array:
        xp = namespace(self.component_means)
        return xp.reshape(xp.exp(self.log_weights) @ self._flat(self.component_means), self.shape)

    @property
    def std(self) -> Array:
        """The standard deviation of each entry of x, `shape`."""
        xp = namespace(self.component_means)
        within = xp.sum(self.eigenvectors**2 * self.eigenvalues[None, :, :], axis=-1) @ xp.exp(self.log_weights)
        return xp.reshape(xp.sqrt(within + xp.sum(self._centred() ** 2, axis=0)), self.shape)

    def cov(self) -> Array:
        """The covariance of flattened x, (d, d)."""
        xp = namespace(self.component_means)
        weighted = self.eigenvectors * (xp.exp(self.log_weights)[:, None] * self.eigenvalues)[None, :, :]
        within = xp.reshape(weighted, (weighted.shape[0], -1)) @ self._basis.T
        return within + self._centred().T @ self._centred()

    @property
    def diameter(self) -> Array:
        """The largest distance between two means plus twice the root of the largest trace of a C_k."""
        xp = namespace(self.component_means)
        means = self._flat(self.component_means)
        squared = xp.max(xp.sum((means[:, None, :] - means[None, :, :]) ** 2, axis=-1))
        return xp.sqrt(squared) + 2 * xp.sqrt(xp.max(xp.sum(self.eigenvalues, axis=-1)))

    @property
    def _basis(self) -> Array:
        """All eigenvectors side by side, (d, K d)."""
        return namespace(self.eigenvectors).reshape(self.eigenvectors, (self.eigenvectors.shape[0], -1))

    def _coordinates(self, x: Array) -> Array:
        """Q_k^T (x - m_k) for every component, (n, K, d): one product with all eigenvectors side by side."""
        xp = namespace(x)
        components, d = self.eigenvalues.shape
        rotated = xp.reshape(self._flat(x) @ self._basis, (x.shape[0], components, d))
        means = xp.reshape(self._flat(self.component_means) @ self._basis, (components, components, d))
        return rotated - xp.stack([means[k, k] for k in range(components)])[None, :, :]

    def _rotate_back(self, u: Array) -> Array:
        """sum_k Q_k u_k for u of shape (n, K, d)."""
        return namespace(u).reshape(u, (u.shape[0], -1)) @ self._basis.T

    def _logits(self, u: Array, sigma: Array | float) -> Array:
        """log w_k + log N(x; m_k, C_k + sigma^2) from the coordinates u of x, (n, K), up to a constant.

        Variances are measured in the largest one, else float32 loses how the log determinants differ at large sigma.
        """
        xp = namespace(u)
        variances = self.eigenvalues + sigma**2
        log_det = xp.sum(xp.log(variances / self._largest(sigma)), axis=-1)
        return (self.log_weights - 0.5 * log_det)[None, :] - 0.5 * xp.sum(u**2 / variances[None, :, :], axis=-1)

    def _largest(self, sigma: Array | float) -> Array:
        return namespace(self.eigenvalues).max(self.eigenvalues) + sigma**2

    def _softmax(self, x: Array, sigma: Array | float) -> tuple[Array, Array]:
        """The responsibilities (n, K) and the coordinates (n, K, d) of x."""
        u = self._coordinates(x)
        return softmax(self._logits(u, sigma)), u

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


def gaussian_mixture(
    weights: np.ndarray, means: np.ndarray, covs: np.ndarray, shape: tuple[int, ...]
) -> GaussianMixture:
    """The mixture with weights (K,), means (K, d) and covariances (K, d, d)."""
    eigenvalues, eigenvectors = np.linalg.eigh(covs)
    return GaussianMixture(
        log_weights=np.log(weights / weights.sum()),
        component_means=means.reshape(len(weights), *shape),
        eigenvectors=eigenvectors.transpose(1, 0, 2),
        eigenvalues=eigenvalues,
        shape=shape,
    )
