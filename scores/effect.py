"""How large a wrong law is in x: what a distance in x can be asked to see."""

from __future__ import annotations

from typing import Any

import numpy as np

CLAIMED_EFFECT = 0.05
"""A metric that measures in x claims a fault where its effect is at least this; a smaller one may hide beside the rest.

The mean of 1000 exact draws is off by .03, in the same units: an effect has to stand out of that. An error along the
directions that the data pin down is small in x however many posterior std it is: other metrics are there for that.
"""


def effect(law: Any, posterior: Any) -> float:
    """How far a law is from the posterior, in units of the posterior's overall std, the root of the trace of its cov.

    The larger of two closed forms, both zero for the posterior itself: the distance of the means, a lower bound of W2;
    and the cost of moving each mode to its place and width, the root of sum_k w_k |m_k - m'_k|^2 + (s - s')^2, w_k the
    weights of the posterior and s the root mean square std within the modes, which is W2 where modes of the same shape
    and weight are far apart, as those of the faults of place and width are. Where the components are not the same, the
    overall std counts in place of the modes.

    Args:
        law, posterior: prior-like, with components in the same order if they have as many.
    """
    weights = np.exp(posterior.log_weights)
    (means, within, moved), (exact_means, exact_within, exact_mean) = (_moments(one) for one in (law, posterior))
    overall, other = (np.sqrt(np.sum(np.asarray(one.std) ** 2)) for one in (posterior, law))
    if means.shape != exact_means.shape:
        return float(max(abs(other - overall), np.linalg.norm(moved - exact_mean)) / overall)
    by_mode = weights @ np.sum((means - exact_means) ** 2, axis=1) + (within - exact_within) ** 2
    return float(max(np.sqrt(by_mode), np.linalg.norm(moved - exact_mean)) / overall)


def _moments(law: Any) -> tuple[np.ndarray, float, np.ndarray]:
    """The means of the components (K, d), the root mean square std within them, and the mean (d,)."""
    weights, mean = np.exp(law.log_weights), np.asarray(law.mean).reshape(-1)
    means = law.component_means.reshape(len(weights), -1)
    between = weights @ np.sum((means - mean) ** 2, axis=1)
    return means, float(np.sqrt(max(np.sum(np.asarray(law.std) ** 2) - between, 0.0))), mean
