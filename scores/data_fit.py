"""Agreement of the samples with the measurement."""

from __future__ import annotations

import numpy as np

from scores.candidate import Candidate
from scores.registry import metric


@metric(
    "chi2_per_m",
    unit="1",
    better=1.0,
    applies=Candidate.noise_is_gaussian,
    claims=("ignore_y", "noise_std_divided"),
    exact=False,
)
def chi2_per_m(candidate: Candidate) -> tuple[float, float]:
    """Mean over samples of |y - A x|^2 / (m noise_std^2), with its standard error.

    For an exact sampler and a truth from the prior the expectation over y is 1, since the two are exchangeable given y;
    a single measurement scatters by about sqrt(2 / m). Below 1 the noise was fitted, above 1 the data were ignored.
    """
    problem = candidate.instance.problem
    residual = (problem.y - problem.operator(candidate.x)) / problem.noise.std
    return mean_and_stderr(np.mean(residual**2, axis=1))


def mean_and_stderr(values: np.ndarray) -> tuple[float, float]:
    """The mean of (n,) and its standard error over independent samples; nan for one."""
    n = len(values)
    mean = np.mean(values)
    return float(mean), float(np.sqrt(np.sum((values - mean) ** 2) / np.float64(n - 1) / n))
