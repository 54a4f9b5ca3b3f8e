"""Whether what changed got worse: exact paired tests, and the smallest change that they find."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
from scipy.special import nctdtrinc, ndtri, stdtr, stdtrit

FAMILY_WISE = 0.01
"""The chance that a run in which nothing got worse is told otherwise, over all tests of one comparison."""
POWER = 0.9
POWER_QUANTILE = float(ndtri(POWER))
RUN_TO_RUN = 0.03
"""The spread of the log of a speed ratio from run to run, which no run can see in itself: the standard deviation of
seven methods over three runs of one tree on one machine."""
_EXACT, _LOG_FLIPS = 16, 17
_BLOCKS = 8


def sign_flip(differences: np.ndarray, relevant: float) -> float:
    """One-sided p-value of a mean difference above `relevant`, under symmetry about it; exact up to 16 pairs.

    Beyond that 131072 sign vectors of a fixed generator stand for all, the observed one among them.
    """
    shifted = np.asarray(differences, dtype=np.float64) - relevant
    sums = _signs(len(shifted)) @ shifted
    return float(np.mean(sums >= shifted.sum() - 1e-9 * np.abs(shifted).sum()))


@cache
def _signs(k: int) -> np.ndarray:
    if k <= _EXACT:
        return np.asarray(1.0 - 2.0 * ((np.arange(2**k)[:, None] >> np.arange(k)) & 1))
    signs = np.random.default_rng(0).choice([-1.0, 1.0], size=(2**_LOG_FLIPS, k))
    signs[0] = 1.0
    return signs


def least_p(k: int) -> float:
    """The smallest p-value that `sign_flip` gives with k pairs."""
    return 2.0 ** -(k if k <= _EXACT else _LOG_FLIPS)


def batch_t(differences: np.ndarray, relevant: float) -> float:
    """One-sided p-value of Student's test that the mean of independent batches is above `relevant`."""
    error = standard_error(differences)
    excess = float(np.mean(differences)) - relevant
    if error == 0.0:
        return 0.0 if excess > 0 else 1.0
    return float(stdtr(len(differences) - 1, -excess / error))


def standard_error(values: np.ndarray) -> float:
    """Of the mean of independent values."""
    return float(np.std(values, ddof=1) / len(values) ** 0.5)


def median_and_error(values: Sequence[float]) -> tuple[float, float]:
    """The median of a series and its standard error, from the spread of the medians of eight consecutive blocks.

    So it holds for values that go up and down together for less than a block. 0 for a single value.
    """
    blocks = [np.median(block) for block in np.array_split(np.asarray(values), min(_BLOCKS, len(values)))]
    return float(np.median(values)), standard_error(np.array(blocks)) if len(blocks) > 1 else 0.0


def detectable_by_t(error: float, relevant: float, tests: int, count: int) -> float:
    """The change that `batch_t` finds with probability POWER among `tests`.

    Args:
        error: the standard error of the mean of `count` independent and nearly normal differences, so that their t
            statistic is of a noncentral t distribution.
    """
    critical = -stdtrit(count - 1, FAMILY_WISE / tests)
    return relevant + float(nctdtrinc(count - 1, 1 - POWER, critical)) * error


def detectable_by_signs(error: float, relevant: float, tests: int, count: int) -> float:
    """The same of `sign_flip`, which with few pairs is far from t; inf if no change is large enough."""
    return relevant + _shift(count, FAMILY_WISE / tests) * error * count**0.5


@cache
def _shift(k: int, level: float) -> float:
    """The mean of k normal differences of standard deviation 1 that `sign_flip` finds with probability POWER.

    Flipping a set of them makes the sum no smaller if the mean of the set is at most 0. So for given noise z the test
    passes if no more than level x (all sets) have a mean of z of at most minus the shift. Of 400 draws of z.
    """
    flipped = _signs(k) < 0
    sizes = flipped.sum(axis=1)
    allowed = int(level * len(sizes))
    if not allowed:
        return math.inf
    needed = []
    for z in np.random.default_rng(0).normal(size=(400, k)):
        means = np.where(sizes > 0, flipped @ z / np.maximum(sizes, 1), -np.inf)
        needed.append(-np.partition(means, allowed)[allowed])
    return float(np.quantile(needed, POWER))
