"""What is exact of each Gaussian component of a posterior along given directions; no d x d matrix is formed."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import numpy as np

from problems.fourier_gaussian import FourierGaussian
from problems.gaussian_mixture import GaussianMixture
from problems.inpainted_field import InpaintedField
from problems.operators import fourier_multiply
from problems.shared_mixture import SharedMixture

NEGLIGIBLE = 1e-15
"""Of a weight: below the rounding errors of a sum over the others."""
MANY = 1000


@singledispatch
def component_variances(posterior: Any, directions: np.ndarray) -> np.ndarray:  # noqa: ARG001
    """theta^T C_k theta for every component k and every row theta of `directions` (k, d), (K, k).

    Raises:
        TypeError: for a posterior that is none of the known kinds.
    """
    raise TypeError(f"the components of a {type(posterior).__name__} posterior are not known")


@component_variances.register
def _(posterior: GaussianMixture, directions: np.ndarray) -> np.ndarray:
    d, components, _ = posterior.eigenvectors.shape
    rotated = (directions @ posterior.eigenvectors.reshape(d, -1)).reshape(-1, components, d)
    return np.sum(rotated**2 * posterior.eigenvalues, axis=-1).T


@component_variances.register
def _(posterior: SharedMixture, directions: np.ndarray) -> np.ndarray:
    off, on = posterior.variance, posterior.eigenvalues
    shared = off * np.sum(directions**2, axis=1) + (directions @ posterior.basis) ** 2 @ (on - off)
    return np.tile(shared, (len(posterior.log_weights), 1))


@component_variances.register
def _(posterior: FourierGaussian, directions: np.ndarray) -> np.ndarray:
    images = directions.reshape(-1, *posterior.shape)
    return np.sum(fourier_multiply(images, posterior.spectrum) * images, axis=(1, 2))[None]


@component_variances.register
def _(posterior: InpaintedField, directions: np.ndarray) -> np.ndarray:
    images = directions.reshape(-1, *posterior.shape)
    return np.sum(posterior.covariance(images) * images, axis=(1, 2))[None]


def mean_distance_to(truth: np.ndarray, weights: np.ndarray, means: np.ndarray, stds: np.ndarray) -> np.ndarray:
    """E|X - truth| of one-dimensional Gaussian mixtures, one per column, (k,): sum_k w_k A(truth - m_k, s_k).

    A(m, s) = E|m + s z|. Less half of `mean_distance_within` it is the CRPS (Grimit et al. 2006, eq. 5).

    Args:
        truth: (k,). weights: (K,). means, stds: (K, k).
    """
    return weights @ _mean_absolute(truth - means, stds)


def mean_distance_within(weights: np.ndarray, means: np.ndarray, stds: np.ndarray) -> np.ndarray:
    """E|X - X'| of two draws, (k,): sum_kl w_k w_l A(m_k - m_l, sqrt(s_k^2 + s_l^2)); else as `mean_distance_to`.

    Without the components of less than NEGLIGIBLE weight. More than MANY others are draws, whose stds are beneath
    notice: of sorted points the sum is 2 sum_k w_k m_k (2 W_k - w_k - 1), W_k the weight up to the k-th.
    """
    kept = weights > NEGLIGIBLE
    weights, means, stds = weights[kept], means[kept], stds[kept]
    if len(weights) > MANY:
        order = np.argsort(means, axis=0)
        own = weights[order]
        below = 2 * np.cumsum(own, axis=0) - own - 1
        return 2 * np.sum(own * below * np.take_along_axis(means, order, axis=0), axis=0)
    spread = _mean_absolute(means[:, None] - means, np.hypot(stds[:, None], stds))
    return np.einsum("a,b,abk->k", weights, weights, spread)


def _mean_absolute(mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    """E|mean + std z|, z ~ N(0, 1)."""
    from scipy.special import ndtr

    z = mean / std
    return std * np.sqrt(2 / np.pi) * np.exp(-0.5 * z**2) + mean * (2 * ndtr(z) - 1)
