"""Who is better on the same instances, and is it so? Sign-flip tests of all pairs, with Holm's correction.

The unit is the instance. If two methods are equally good, the difference of their values on an instance is as likely
negative as positive, so every vector of signs of the differences is equally likely: the p-value is the share of sign
vectors whose sum is at least as far from zero as the observed one (Fisher 1935). It needs no distribution of the
differences, heavy tails and instances of unequal scales included.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

LEVEL = 0.05
"""Chance that a table of equally good methods shows any order: of all pairs of a problem together."""
LEAST_INSTANCES = 13
"""With fewer, p-values are so coarse (2/2^12 at best for 12) that Holm's correction for 20 methods finds nothing."""
EXACT_INSTANCES = 16
"""Up to here all sign vectors are taken; beyond, DRAWS random ones and the observed one."""
DRAWS = 2**16 - 1
ROUNDING = 1e-12
"""Sums of differences that differ by less than this, relative to the sum of their sizes, are equal."""
_CHUNK = 2048


def sign_flip_p(differences: np.ndarray) -> np.ndarray:
    """Two-sided p-values of paired differences.

    Args:
        differences: (m, pairs), of m instances; a difference of zero is no evidence and stays zero under every sign.

    Returns:
        (pairs,). Exact up to EXACT_INSTANCES; beyond, (1 + hits) / (1 + DRAWS), which is valid at every level too
        (Phipson and Smyth 2010).
    """
    m = len(differences)
    limit = np.abs(differences.sum(axis=0)) - ROUNDING * np.abs(differences).sum(axis=0)
    hits = np.zeros(differences.shape[1], dtype=int)
    for signs in _sign_vectors(m):
        hits += np.count_nonzero(np.abs(signs @ differences) >= limit, axis=0)
    return hits / 2 ** (m - 1) if m <= EXACT_INSTANCES else (1 + hits) / (1 + DRAWS)


def _sign_vectors(m: int) -> Iterator[np.ndarray]:
    """Blocks (b, m) of the sign vectors whose last sign is +: their negatives give the same absolute sums."""
    exact = m <= EXACT_INSTANCES
    generator = np.random.default_rng(2016)
    total = 2 ** (m - 1) if exact else DRAWS
    for start in range(0, total, _CHUNK):
        count = min(_CHUNK, total - start)
        if exact:
            bits = np.arange(start, start + count)[:, None] >> np.arange(m) & 1
        else:
            bits = generator.integers(0, 2, (count, m))
        yield 1.0 - 2.0 * bits


def smallest_p(m: int) -> float:
    """The smallest p-value that m instances can give."""
    return 2.0 ** (1 - m) if m <= EXACT_INSTANCES else 1 / (1 + DRAWS)


def holm(p_values: np.ndarray) -> np.ndarray:
    """p-values adjusted for their number, (pairs,) -> (pairs,): those at or below a level are found at that level.

    Holm 1979: the i-th smallest of k, counted from 0, times k - i, and at least its predecessor; valid under any
    dependence.
    """
    order = np.argsort(p_values, kind="stable")
    steps = np.maximum.accumulate(p_values[order] * np.arange(len(order), 0, -1))
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(steps, 1.0)
    return adjusted


def better(values: np.ndarray) -> np.ndarray:
    """Which method is significantly better than which, at LEVEL over all pairs.

    Args:
        values: (k, m), of k methods on the same m instances; lower is better.

    Returns:
        (k, k) of bool: [i, j] is true if i is better than j.
    """
    k = len(values)
    first, second = np.triu_indices(k, 1)
    found = np.zeros((k, k), dtype=bool)
    if len(first):
        differences = (values[first] - values[second]).T
        significant = holm(sign_flip_p(differences)) <= LEVEL
        lower = differences.sum(axis=0) < 0
        found[first, second] = significant & lower
        found[second, first] = significant & ~lower
    return found


def can_order(k: int, m: int) -> bool:
    """Whether m instances can give an order of k methods at all, if one pair is told apart as clearly as can be."""
    return m >= LEAST_INSTANCES and smallest_p(m) * (k * (k - 1) // 2) <= LEVEL


def rank_intervals(beats: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ranks from significant differences: [1 + number of better methods, k - number of worse ones], each (k,).

    The lower end is the rank that is printed: methods that none is better than share rank 1. The
    interval holds the true ranks of all methods at once, with the confidence of the tests, because each true rank
    lies in it whenever no difference was found that is none (Al Mohamad, Goeman and van Zwet, Biometrics 78, 2022,
    with Tukey's test in the place of ours). Ranks of resampled tables do not: for methods that are equal or nearly so
    a bootstrap of ranks is far too short (same paper; Xie, Singh and Zhang, JASA 104, 2009).

    Args:
        beats: (k, k) of bool, as from `better`; it need not be transitive.
    """
    return 1 + beats.sum(axis=0), len(beats) - beats.sum(axis=1)
