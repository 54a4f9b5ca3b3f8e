"""TARP: coverage of balls around random points (Lemos et al. 2023, arXiv 2302.03026)."""

from __future__ import annotations

import numpy as np

from problems.arrays import make_key
from scores.ranks import truth_ranks

_STREAM = 4


def tarp_ranks(samples: np.ndarray, truths: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """How many samples of each instance lie nearer to its reference point than the truth does, 0..n: (instances,).

    Rank / n is the credibility of the ball that the truth just touches; uniform for an exact sampler. The reference
    points are standard normal, from a fixed key, in units where all samples and truths together have mean 0 and std 1.
    Given y the truth of an exact sampler is one of n + 1 exchangeable members, of which the units may not tell it: set
    by the truths alone, or by the samples alone, they would, and the ranks were not quite uniform.

    Args:
        samples: (instances, n, d). truths: (instances, d).
    """
    members = np.concatenate([truths[:, None], samples], axis=1)
    std = members.std(axis=(0, 1))
    references = make_key("numpy", [_STREAM, truths.shape[1]]).standard_normal(truths.shape)
    units = (members - members.mean(axis=(0, 1))) / np.where(std > 0, std, 1.0)
    distances = np.sum((units - references[:, None]) ** 2, axis=2)
    return truth_ranks(distances[:, 1:], distances[:, 0], rng)
