"""Are ranks uniform? The simultaneous test of their distribution function (Säilynoja, Bürkner, Vehtari 2022).

Under uniformity on 0..n the number of ranks below k, k = 1..n, is binomial with probability k / (n + 1). The statistic
is the smallest two-sided binomial probability over all k, and its law is simulated (arXiv 2103.10522, section 2.2),
for ranks as discrete as ours. Unlike a histogram it needs no bins, and unlike Kolmogorov-Smirnov it is as sensitive
in the tails as in the middle.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from problems.arrays import make_key

SIMULATIONS = 100_000
_STREAM = 3
_CHUNK = 10_000
_TIED = 1 + 1e-9
"""Statistics are discrete; those that are equal but for rounding count as equal."""


def uniformity_test(ranks: np.ndarray, n: int) -> tuple[float, float]:
    """(statistic, p-value) of ranks (instances,) in 0..n. The p-value is valid: P(p <= a) <= a under uniformity.

    Raises:
        ValueError: for a rank outside 0..n.
    """
    if ranks.min() < 0 or ranks.max() > n:
        raise ValueError(f"ranks lie in 0..{n}, got {ranks.min()}..{ranks.max()}")
    statistic = _statistics(np.bincount(ranks, minlength=n + 1)[None], len(ranks), n)[0]
    return float(statistic), float(_p_values(_null(len(ranks), n), statistic))


def simultaneous_band(instances: int, n: int, level: float) -> tuple[np.ndarray, np.ndarray]:
    """The least and the greatest share of ranks below k = 1..n, (n,) each, that the test accepts at a level."""
    null = _null(instances, n)
    rejected = null[_p_values(null, null) <= level]
    accepted = _probabilities(instances, n) > rejected.max(initial=0.0) * _TIED
    low = np.argmax(accepted, axis=1)
    high = instances - np.argmax(accepted[:, ::-1], axis=1)
    return low / instances, high / instances


def _p_values(null: np.ndarray, statistics: np.ndarray | np.float64) -> np.ndarray:
    return (1 + np.searchsorted(null, statistics * _TIED, side="right")) / (1 + SIMULATIONS)


@cache
def _probabilities(instances: int, n: int) -> np.ndarray:
    """2 min(P(X <= c), P(X >= c)), at most 1, of X ~ Binomial(instances, k / (n + 1)): (k = 1..n, c = 0..instances)."""
    from scipy.stats import binom

    counts, k = np.arange(instances + 1), np.arange(1, n + 1)[:, None] / (n + 1)
    tails = np.minimum(binom.cdf(counts, instances, k), binom.sf(counts - 1, instances, k))
    return np.minimum(2 * tails, 1.0)


def _statistics(histograms: np.ndarray, instances: int, n: int) -> np.ndarray:
    """The statistic of each row of counts (rows, n + 1)."""
    below = np.cumsum(histograms[:, :-1], axis=1)
    return np.min(_probabilities(instances, n)[np.arange(n), below], axis=1)


@cache
def _null(instances: int, n: int) -> np.ndarray:
    """The statistic of uniform ranks, sorted, (SIMULATIONS,)."""
    key = make_key("numpy", [_STREAM, instances, n])
    parts = [
        _statistics(key.multinomial(instances, np.full(n + 1, 1 / (n + 1)), _CHUNK), instances, n)
        for _ in range(SIMULATIONS // _CHUNK)
    ]
    return np.sort(np.concatenate(parts))
