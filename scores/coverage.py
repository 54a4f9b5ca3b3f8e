"""Coverage of central intervals over many instances, and whether it could be that of an exact sampler."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from problems.arrays import make_key
from scores.calibration import covered_share

LEVELS = (0.5, 0.68, 0.9, 0.95)
SIMULATIONS = 20_000
_STREAM = 5
_CHUNK = 2_000
_ROUNDING = 1e-12
_CLEAR = 2.0, 8.0
"""Null standard errors up to which nothing is significant, and from which on everything is.

Between them the skewness of the law matters, and it is simulated. Beyond 8 a p-value of 1e-15 may be wrong by orders of
magnitude without being near any threshold, at the numbers of instances that are used (dozens and more).
"""


@dataclass(frozen=True)
class Coverage:
    """Coverage minus nominal, mean over directions and instances; its standard error over instances; the p-value."""

    error: float
    stderr: float
    p_value: float


def coverage_test(below: np.ndarray, ties: np.ndarray, nominal: float) -> Coverage:
    """The test of one space at one level, from `ranks.member_ranks`, (instances, n + 1, directions).

    Given y, the truth and the samples of an exact sampler are exchangeable. So the law of the error is known without
    assumptions, correlations between directions included: in every instance any of the n + 1 may play the truth. Where
    the error is neither clearly small nor clearly large in standard errors of that law, the law is simulated; a normal
    law would reject far too often where few truths lie outside, as in one direction at 95 %.
    """
    from scipy.stats import norm

    n = below.shape[1] - 1
    errors = np.mean(covered_share(below, ties, n, nominal), axis=2) - nominal
    instances = len(errors)
    observed = float(errors[:, 0].mean())
    spread = float(np.sqrt(errors.var(axis=1).sum())) / instances
    stderr = float(errors[:, 0].std(ddof=1)) / np.sqrt(instances)
    z = abs(observed) / spread if spread > _ROUNDING else 0.0  # where all members are covered alike nothing is tested
    p_value = float(2 * norm.sf(z))
    if _CLEAR[0] < z < _CLEAR[1]:
        null = _simulated(errors)
        p_value = float((1 + np.sum(np.abs(null) >= abs(observed) - _ROUNDING)) / (1 + SIMULATIONS))
    return Coverage(observed, stderr, p_value)


def _simulated(errors: np.ndarray) -> np.ndarray:
    """The mean error where a random one of the members plays the truth in each instance, (SIMULATIONS,)."""
    instances, members = errors.shape
    flat, offsets = errors.ravel(), members * np.arange(instances)
    chosen = _chosen(instances, members)
    starts = range(0, SIMULATIONS, _CHUNK)
    return np.concatenate([flat[chosen[start : start + _CHUNK] + offsets].mean(axis=1) for start in starts])


@lru_cache(maxsize=2)
def _chosen(instances: int, members: int) -> np.ndarray:
    key = make_key("numpy", [_STREAM, instances, members])
    return key.integers(0, members, (SIMULATIONS, instances), dtype=np.uint16)
