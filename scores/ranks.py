"""Ranks of truths among samples (Talts et al. 2018, arXiv 1804.06788)."""

from __future__ import annotations

import numpy as np


def truth_ranks(samples: np.ndarray, truths: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """How many of the n samples lie below the truth, 0..n; a tie is broken at random, every place in it alike.

    Uniform on 0..n for any quantity, a function of x and y, if truth and samples are draws of the same posterior.

    Args:
        samples: (instances, n, ...), truths: (instances, ...), the same quantity of both.

    Returns:
        Integers, (instances, ...).
    """
    below = np.sum(samples < truths[:, None], axis=1)
    ties = np.sum(samples == truths[:, None], axis=1)
    return below + rng.integers(0, ties + 1)


def member_ranks(samples: np.ndarray, truths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Truth and samples, each among the n others: how many are below and equal, (instances, n + 1, ...)."""
    from scipy.stats import rankdata

    members = np.concatenate([truths[:, None], samples], axis=1)
    low, high = (rankdata(members, method=way, axis=1) for way in ("min", "max"))
    return low - 1, high - low
