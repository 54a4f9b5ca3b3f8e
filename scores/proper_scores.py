"""Proper scores of the truth, as what is lost against the exact posterior on the same instance.

A proper score is best in expectation, over truths from the prior, for the exact posterior: the regret of an exact
sampler averages to 0, that of any other to more. On one instance either may be negative. Both scores are fair: without
bias in n (Ferro 2014), so that few samples are no disadvantage.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from scores.candidate import Candidate
from scores.moments import SPACES
from scores.registry import metric


def crps_regret(candidate: Candidate, space: str) -> float:
    """Mean over directions of (fair CRPS of the truth under the samples - its CRPS under the posterior) / exact std.

    The exact side is in closed form, not from the reference sample: it has no noise. Its expectation over truths is the
    integral of (F_q - F_p)^2 along a direction, half the energy distance of the marginals.
    """
    subspace, truth = candidate.reference.spaces[space], candidate.truth[space]
    return float(np.mean((fair_crps(candidate.along[space], truth) - subspace.crps(truth)) / subspace.std))


def fair_crps(along: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """mean_i |x_i - truth| - 1/2 mean_{i != j} |x_i - x_j| for columns of (n, k), (k,); nan for one sample.

    By sorting: the sum over i < j of x_(j) - x_(i) is that of (2i - n + 1) x_(i), i = 0..n-1.
    """
    n = len(along)
    ranks = 2 * np.arange(n) - n + 1
    half_spread = ranks @ np.sort(along, axis=0) / np.float64(n * (n - 1))
    return np.mean(np.abs(along - truth), axis=0) - half_spread


@metric("energy_score_regret", unit="x", better="lower", has_floor=True, applies=Candidate.pairs_fit, in_x=True)
def energy_score_regret(candidate: Candidate) -> float:
    """Fair energy score of the truth under the samples minus that under the exact reference; may be negative.

    E|X - truth| - 1/2 E|X - X'| (Gneiting and Raftery 2007, eq. 22, with the opposite sign). Its expectation over
    truths is half the energy distance.
    """
    reference, truth = candidate.reference, candidate.instance.x_true.reshape(-1)
    own = np.mean(np.linalg.norm(candidate.flat - truth, axis=1)) - 0.5 * candidate.mean_distance
    exact = np.mean(np.linalg.norm(reference.flat - truth, axis=1)) - 0.5 * reference.mean_distance
    return float(own - exact)


for _space, _where in SPACES.items():
    metric(
        f"crps_regret_{_space}",
        unit="posterior std",
        better="lower",
        has_floor=True,
        applies=partial(Candidate.has, space=_space),
        summary=f"CRPS of the truth under the samples minus under the posterior in {_where}; may be negative.",
        claims=(f"shift_{_space}", "std_divided", "std_multiplied"),
    )(partial(crps_regret, space=_space))
