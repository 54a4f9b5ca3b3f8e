"""Distances between the samples and the exact reference that need nothing but how far any two points are apart."""

from __future__ import annotations

import numpy as np

from scores.candidate import Candidate
from scores.pairs import mean_of_pairs
from scores.registry import metric

FOLDS = 5


@metric("energy_distance", unit="x", better="lower", has_floor=True, applies=Candidate.pairs_fit, in_x=True)
def energy_distance(candidate: Candidate) -> float:
    """Energy distance to the exact reference, 2 E|X - R| - E|X - X'| - E|R - R'|, not its root.

    In the convention of Szekely and Rizzo (2013, eq. 1.4): it has the unit of x, is 0 only for equal laws, and half of
    it is what the energy score loses on average. A U-statistic: 0 in expectation for an exact sampler, so it may be
    negative, which its root could not say. (A component with a single draw in the reference has no pair within it, and
    the expectation is then only nearly 0; it is that of the floor in any case.)
    """
    across = np.mean(np.sqrt(candidate.squared_distances_to_reference), dtype=np.float64)
    return 2 * float(across) - candidate.mean_distance - candidate.reference.mean_distance


@metric("mmd2", unit="1", better="lower", has_floor=True, applies=Candidate.pairs_fit, in_x=True)
def mmd2(candidate: Candidate) -> float:
    """Squared maximum mean discrepancy to the exact reference, kernel exp(-|x - r|^2 / (2 h^2)); may be negative.

    A U-statistic (Gretton et al. 2012, eq. 3). h is the median distance between two samples of the reference, so it
    is the same for every method on an instance.
    """
    reference = candidate.reference
    scale = -0.5 / np.float64(reference.median_distance) ** 2

    def kernel(squared: np.ndarray) -> np.ndarray:
        return np.exp(squared * squared.dtype.type(scale))

    across = np.mean(kernel(candidate.squared_distances_to_reference), dtype=np.float64)
    within = mean_of_pairs(kernel(candidate.squared_distances), np.array([candidate.n]))
    return within + mean_of_pairs(kernel(reference.squared_distances), reference.counts) - 2 * float(across)


@metric("c2st", unit="accuracy", better="lower", has_floor=True, applies=Candidate.pairs_fit, in_x=True)
def c2st(candidate: Candidate) -> float:
    """Accuracy of a k-nearest-neighbour classifier of samples against the exact reference; .5: not told apart.

    A classifier two-sample test (Lopez-Paz and Oquab 2017, arXiv 1610.06545): the held-out accuracy in 5-fold cross
    validation of the majority of the k nearest training points, k the largest odd number up to the root of their
    number. Both classes are equally frequent in every fold. In high dimension all points are equally far, and the
    accuracy says little: see its floor. nan for fewer samples than folds.
    """
    n = candidate.n
    across = candidate.squared_distances_to_reference
    squared = np.block([[candidate.squared_distances, across], [across.T, candidate.reference.squared_distances]])
    if n < FOLDS or not np.all(np.isfinite(squared)):
        return float("nan")
    exact, fold = np.repeat([False, True], n), np.tile(np.arange(n) % FOLDS, 2)
    right = 0
    for held in (fold == i for i in range(FOLDS)):
        trained = np.flatnonzero(~held)
        k = int(np.sqrt(len(trained)) - 1) // 2 * 2 + 1
        nearest = np.argpartition(squared[held][:, trained], k - 1, axis=1)[:, :k]
        called_exact = np.mean(exact[trained][nearest], axis=1) > 0.5
        right += int(np.sum(called_exact == exact[held]))
    return right / (2 * n)
