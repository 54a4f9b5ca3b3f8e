"""A discrepancy that needs the score of the exact posterior, and no sample of it."""

from __future__ import annotations

import numpy as np

from problems.shared_mixture import Atoms
from scores.candidate import Candidate
from scores.faults import FAULTS
from scores.pairs import mean_of_pairs
from scores.registry import metric


@metric(
    "ksd2",
    unit="1/x^3",
    better="lower",
    has_floor=True,
    applies=lambda candidate: candidate.pairs_fit() and not isinstance(candidate.instance.posterior, Atoms),
    claims=set(FAULTS) - {"drop_mode", "tilt_weights"},
)
def ksd2(candidate: Candidate) -> float:
    """Squared kernel Stein discrepancy, local only: blind to mode weights; may be negative.

    A U-statistic (Liu et al. 2016, eq. 14) with the score s of the exact posterior and the inverse multiquadric kernel
    q^(-1/2), q = c^2 + |x - x'|^2 (Gorham and Mackey 2017, arXiv 1703.01717), c the median distance between two samples
    of the reference. With r = x - x' the Stein kernel is

        s.s' q^(-1/2) + ((s - s').r + d) q^(-3/2) - 3 |r|^2 q^(-5/2).

    The score of a mixture between well-separated modes is that of the nearest one, whatever its weight; of atoms it
    says only how far the nearest is.
    """
    n, d = candidate.scattered.shape
    squared = candidate.squared_distances
    x = (candidate.scattered - candidate.frame.origin).astype(squared.dtype)
    score = candidate.instance.posterior.score(candidate.scattered.reshape(candidate.x.shape), 0.0)
    score = score.reshape(n, d).astype(squared.dtype)
    towards = score @ x.T  # s_i . x_j
    own = np.diag(towards)
    pull = own[:, None] + own - towards - towards.T
    inverse = 1 / (squared + squared.dtype.type(candidate.reference.median_distance**2))
    kernel = np.sqrt(inverse) * (score @ score.T + inverse * (pull + d - 3 * squared * inverse))
    np.fill_diagonal(kernel, 0)  # |s|^2 / c, beside which the others would be lost
    return mean_of_pairs(kernel, np.array([n]))
