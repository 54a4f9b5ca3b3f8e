"""Do these samples come from this normal law? p-values for the mean and for the covariance."""

from __future__ import annotations

import numpy as np
from scipy.stats import chi2

FALSE_ALARM = 1e-3
"""The chance that a family of tests rejects anything when every law is right."""


def p_values(x: np.ndarray, mean: np.ndarray, cov: np.ndarray) -> tuple[float, float]:
    """Whitened samples (n, d): n |mean|^2 is chi2(d), and n sum_{i<=j} (S_ij - I_ij)^2 / (1 + I_ij) is chi2(d (d+1)/2).

    Raises:
        AssertionError: if the samples move where the law does not (variance below 1e-9 of the largest).
    """
    variances, axes = np.linalg.eigh(cov)
    moves = variances > 1e-9 * variances[-1]
    coordinates = (x.reshape(len(x), -1).astype(float) - mean) @ axes
    assert np.all(np.abs(coordinates[:, ~moves]) < 1e-4 * variances[-1] ** 0.5)
    z = coordinates[:, moves] / variances[moves] ** 0.5
    n, d = z.shape
    excess = z.T @ z / n - np.eye(d)
    upper = np.triu_indices(d)
    spread = n * np.sum(excess[upper] ** 2 / (1 + np.eye(d)[upper]))
    return float(chi2.sf(n * np.sum(z.mean(axis=0) ** 2), d)), float(chi2.sf(spread, d * (d + 1) // 2))
