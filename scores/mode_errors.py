"""The error of samples of a mixture, split by the responsibilities of the exact posterior into three parts.

The squares of the three are what it costs to move the samples to the posterior in steps: mass between the modes, each
mode to its place, each mode to its shape. For well-separated modes of the right weights they add up to W2^2 (in the
Gaussian approximation of each mode); where mass moves too, a plan that does all at once is somewhat cheaper. All three
are in the unit of x, so that they can be stacked, and each has a floor of its own.
"""

from __future__ import annotations

import numpy as np

from scores.candidate import Candidate
from scores.components import NEGLIGIBLE
from scores.registry import metric
from scores.transport import transport_cost


@metric(
    "mode_weights_w2",
    unit="x",
    better="lower",
    has_floor=True,
    in_x=True,
    applies=Candidate.is_mixture,
    claims=("drop_mode", "tilt_weights"),
)
def mode_weights_w2(candidate: Candidate) -> float:
    """Wasserstein-2 distance between the sampled and the exact mode weights, both placed at the exact mode means."""
    posterior, shares = candidate.instance.posterior, candidate.mode_shares
    if not np.all(np.isfinite(shares)):
        return float("nan")
    weights = np.exp(posterior.log_weights)
    held = (shares > 0) | (weights > NEGLIGIBLE)  # of a thousand modes the data leave a few
    means = _flat_means(candidate)[held]
    squared = np.sum((means[:, None] - means) ** 2, axis=-1)
    return float(np.sqrt(transport_cost(squared, shares[held] / shares.sum(), weights[held] / weights[held].sum())))


@metric(
    "mode_means_w2",
    unit="x",
    better="lower",
    has_floor=True,
    in_x=True,
    applies=Candidate.is_mixture,
    claims=("shift_range", "shift_null"),
)
def mode_means_w2(candidate: Candidate) -> float:
    """Root of the mass-weighted mean over modes of |mean of the samples of the mode - its exact mean|^2.

    A sample belongs to a mode by its responsibility. The mass of a mode is the smaller of its sampled and its exact
    weight, what both have there: a missing mode counts in mode_weights_w2 and not again here.
    """
    apart = _matched(candidate) * np.sum((_mean_in_modes(candidate, candidate.flat) - _flat_means(candidate)) ** 2, 1)
    return float(np.sqrt(np.sum(apart)))


@metric(
    "mode_covs_w2",
    unit="x",
    better="lower",
    has_floor=True,
    in_x=True,
    applies=Candidate.has_spread_in_modes,
    claims=("std_divided", "std_multiplied"),
)
def mode_covs_w2(candidate: Candidate) -> float:
    """Root of the mass-weighted mean over modes of the squared differences of stds along the fixed directions.

    The Wasserstein-2 distance of Gaussians with equal means whose covariances are diagonal in the directions of
    range(A^T) and null(A): sum over directions of (std of the samples of the mode - its exact std)^2, where the (at
    most 64) directions of the null space stand for all of it. The distance of full covariances would be noise, as a
    mode has fewer samples than dimensions. Mass as in mode_means_w2; the std is that of the samples (1/n), whose
    distance W2 is.
    """
    reference, total = candidate.reference, np.zeros(len(candidate.reference.weights))
    d, rank = candidate.flat.shape[1], len(reference.spaces["range"].directions)
    for space, dimensions in (("range", rank), ("null", d - rank)):
        if not candidate.has(space):
            continue
        along, exact = candidate.along[space], reference.spaces[space].stds
        variance = _mean_in_modes(candidate, along**2) - _mean_in_modes(candidate, along) ** 2
        total += dimensions * np.mean((np.sqrt(np.maximum(variance, 0)) - exact) ** 2, axis=1)
    return float(np.sqrt(np.sum(_matched(candidate) * total)))


def _flat_means(candidate: Candidate) -> np.ndarray:
    """The exact means of the modes, (K, d)."""
    return candidate.instance.posterior.component_means.reshape(len(candidate.reference.weights), -1)


def _matched(candidate: Candidate) -> np.ndarray:
    return np.minimum(candidate.mode_shares, candidate.reference.weights)


def _mean_in_modes(candidate: Candidate, values: np.ndarray) -> np.ndarray:
    """The mean of the rows of `values` (n, k) over each mode, weighted by responsibility, (K, k); 0 for a mode of none.

    Responsibilities too small to divide by belong to modes of no mass, which do not count.
    """
    held = np.sum(candidate.responsibilities, axis=0)
    return candidate.responsibilities.T @ values / np.maximum(held, np.finfo(float).tiny)[:, None]
