"""Intervals for means over instances, by bootstrap; never used as a test."""

from __future__ import annotations

import numpy as np
from scipy.stats import bootstrap

CONFIDENCE = 0.95
RESAMPLES = 4000
LEAST = 8
"""Instances; below, too few intervals hold the mean."""
ABOUT = f"bootstrap, 95 % nominal, about 90 % at 16 instances; none below {LEAST}"
"""How the intervals are described wherever they are shown."""


def of_means(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of the mean of each row of (k, m) values: its interval and the standard error of its logarithm.

    The bias-corrected and accelerated bootstrap (Efron 1987) over the m instances, the same resamples for all rows
    and in every call. Its nominal 95 % are 91 % for m = 16, 81 % for 5 and 70 % for 3 Gaussian values, and fewer
    for skewed ones (89 % at m = 16 for lognormal values of sd 0.7 in the logarithm).

    Returns:
        low, high, log_stderr, (k,) each: nan for rows with a value that is not finite, and for fewer than LEAST
        instances; the standard error is nan unless the values are positive.
    """
    k, m = values.shape
    low, high, log_stderr = np.full((3, k), np.nan)
    if m < LEAST:
        return low, high, log_stderr
    finite = np.isfinite(values).all(axis=1)
    low[finite] = high[finite] = values[finite].mean(axis=1)
    log_stderr[finite & (values > 0).all(axis=1)] = 0.0
    spread = finite.copy()
    spread[finite] = np.ptp(values[finite], axis=1) > 1e-9 * np.abs(values[finite]).max(axis=1)
    if spread.any():
        drawn = bootstrap(
            (values[spread],),
            np.mean,
            axis=-1,
            confidence_level=CONFIDENCE,
            n_resamples=RESAMPLES,
            method="BCa",
            rng=np.random.default_rng(95),
        )
        low[spread], high[spread] = drawn.confidence_interval
        positive = (values[spread] > 0).all(axis=1)
        logs = np.log(drawn.bootstrap_distribution[positive])
        log_stderr[np.flatnonzero(spread)[positive]] = logs.std(axis=-1)
    return low, high, log_stderr
