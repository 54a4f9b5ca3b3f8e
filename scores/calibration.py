"""Calibration: where the truth lies among the samples. A verdict needs many instances, truths drawn from the prior.

Point estimators are not judged here: they say nothing of how sure they are.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from scores.candidate import Candidate
from scores.directions import BANDS
from scores.moments import SPACES, root_mean_square, sample_std
from scores.registry import metric


def coverage_error(candidate: Candidate, space: str, nominal: float) -> float:
    """Coverage of the central interval minus its nominal probability, mean over directions.

    The rank r of the truth among the n samples stands for the interval [r, r + 1] / (n + 1) of probability, and
    counts by the part of it that lies inside [(1 - nominal) / 2, (1 + nominal) / 2]. For an exact sampler r is
    uniform on 0..n, so the expectation is 0 for every n, with no quantile to interpolate. Where samples tie with
    the truth the ranks they could take are averaged (random tie-breaking, in expectation, hence without a key).
    Positive: intervals too wide. One instance says little: take standard errors over instances.
    """
    along, truth = candidate.along[space], candidate.truth[space]
    below = np.sum(along < truth, axis=0)
    ties = np.sum(along == truth, axis=0)
    return float(np.mean(covered_share(below, ties, candidate.n, nominal))) - nominal


def covered_share(below: np.ndarray, ties: np.ndarray, n: int, nominal: float) -> np.ndarray:
    """The part of [below, below + ties + 1] / (n + 1) inside the central interval of probability `nominal`."""
    low, high = below / (n + 1), (below + ties + 1) / (n + 1)
    inside = np.minimum(high, (1 + nominal) / 2) - np.maximum(low, (1 - nominal) / 2)
    return np.maximum(inside, 0.0) / (high - low)


@metric(
    "z_std",
    unit="1",
    better=1.0,
    applies=lambda candidate: candidate.has_spread() and any(candidate.has(space) for space in SPACES),
    claims=("std_divided", "std_multiplied"),
    exact=False,
)
def z_std(candidate: Candidate) -> float:
    """Root mean square over directions of (truth - mean of the samples) / their std, range(A^T) and null(A) together.

    Corrected for finite n: the truth and the mean of n draws differ by (1 + 1/n) times the variance, and a Gaussian's
    1/variance estimate is (n - 1) / (n - 3) too large. So the *square* of an exact sampler has expectation 1 for a
    Gaussian posterior, and to O(1/n) for others; average it over instances as a root mean square. The mean of roots
    lies below 1, as the directions of one instance share their luck: one effective direction has E|z| = .8, two modes
    of weight .9 and .1 have .6. nan for n < 4; inf where the samples coincide.
    """
    n = candidate.n
    if n < 4:
        return float("nan")
    spaces = [space for space in SPACES if candidate.has(space)]
    along = np.concatenate([candidate.along[space] for space in spaces], axis=1)
    truth = np.concatenate([candidate.truth[space] for space in spaces])
    z = (truth - np.mean(along, axis=0)) / sample_std(along)
    return root_mean_square(z * np.sqrt((n - 3) / (n - 1) / (1 + 1 / n)))


_BANDS = {band: f"spatial frequencies {low:.2f} to {high:.2f} of Nyquist" for band, (low, high) in BANDS.items()}
for _space, _where in (SPACES | _BANDS).items():
    for _percent in (90,) if _space in BANDS else (50, 68, 90, 95):
        metric(
            f"coverage{_percent}_{_space}",
            unit="probability",
            better=0.0,
            applies=partial(Candidate.has_spread_in, space=_space),
            summary=f"Coverage of the central {_percent} % intervals in {_where}, minus .{_percent}.",
            exact=False,
            claims=("std_divided", "std_multiplied"),
        )(partial(coverage_error, space=_space, nominal=_percent / 100))
