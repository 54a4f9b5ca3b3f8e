"""Mean and standard deviation of the samples along the directions that the data see, and those that they do not."""

from __future__ import annotations

from functools import partial

import numpy as np

from scores.candidate import Candidate
from scores.registry import metric

SPACES = {"range": "range(A^T)", "null": "null(A)"}


def mean_error(candidate: Candidate, space: str) -> float:
    """Root mean square over directions of (mean of the samples - exact mean) / exact std.

    In units of the exact posterior std along the direction; n exact draws give n^-1/2 in root mean square.
    """
    error = np.mean(candidate.along[space], axis=0)
    return root_mean_square(error / candidate.reference.spaces[space].std)


def std_ratio(candidate: Candidate, space: str) -> float:
    """Root mean square over directions of the std of the samples / the exact std.

    The mean square, not the geometric mean: a squared ratio (n - 1 in the denominator) of an exact sampler has
    expectation 1 whatever the law and n, and one collapsed direction does not hide all the others. What it cannot
    see: too wide in some directions and too narrow in others may average out to 1.
    """
    return root_mean_square(sample_std(candidate.along[space]) / candidate.reference.spaces[space].std)


def sample_std(along: np.ndarray) -> np.ndarray:
    """The standard deviation of rows, with n - 1 in the denominator; nan for one row."""
    n = along.shape[0]
    return np.sqrt(np.sum((along - np.mean(along, axis=0)) ** 2, axis=0) / np.float64(n - 1))


def root_mean_square(values: np.ndarray) -> float:
    """sqrt(mean(values^2))."""
    return float(np.sqrt(np.mean(values**2)))


for _space, _where in SPACES.items():
    metric(
        f"mean_error_{_space}",
        unit="posterior std",
        better="lower",
        has_floor=True,
        applies=partial(Candidate.has, space=_space),
        summary=f"Error of the sample mean in {_where}, in posterior standard deviations.",
        claims=(f"shift_{_space}",),
    )(partial(mean_error, space=_space))
    metric(
        f"std_ratio_{_space}",
        unit="1",
        better=1.0,
        applies=partial(Candidate.has_spread_in, space=_space),
        summary=f"Standard deviation of the samples over the exact one in {_where}, root mean square.",
        claims=("std_divided", "std_multiplied"),
    )(partial(std_ratio, space=_space))
