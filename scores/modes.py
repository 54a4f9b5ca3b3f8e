"""Mode weights of mixtures, read off the samples by the responsibilities of the exact posterior."""

from __future__ import annotations

import numpy as np

from scores.candidate import Candidate
from scores.registry import metric

EXPECTED_DRAWS = 10
"""A mode can be missing if an exact sampler draws it this often on average (it draws none with chance 5e-5)."""

MISSING_SHARE = 0.1


@metric(
    "mode_tv",
    unit="probability",
    better="lower",
    has_floor=True,
    applies=Candidate.is_mixture,
    claims=("drop_mode", "tilt_weights"),
)
def mode_tv(candidate: Candidate) -> float:
    """Total variation between the mode weights of the samples and the exact ones, in [0, 1].

    Half the sum over components of |mean responsibility - weight|.
    """
    return 0.5 * float(np.sum(np.abs(candidate.mode_shares - candidate.reference.weights)))


@metric("missing_modes", unit="modes", better="lower", applies=Candidate.is_mixture, claims=("drop_mode",))
def missing_modes(candidate: Candidate) -> float:
    """Number of modes that hold less than a tenth of their exact weight.

    Only modes that an exact sampler would draw at least EXPECTED_DRAWS times on average are counted.
    """
    weights = candidate.reference.weights
    expected = candidate.n * weights >= EXPECTED_DRAWS
    return float(np.sum(expected & (candidate.mode_shares < MISSING_SHARE * weights)))
