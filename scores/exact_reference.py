"""The exact side of every comparison: one stratified sample of the posterior and its moments along directions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from problems.arrays import make_key
from problems.contract import Instance
from problems.fourier_gaussian import FourierGaussian
from problems.operators import fourier_multiply
from scores.directions import null_directions, range_directions, sorted_projections

_REFERENCE_STREAM = 1


@dataclass(frozen=True, eq=False)
class Subspace:
    """Directions in range(A^T) or in null(A), with what is exact along them. Origin: the posterior mean.

    Attributes:
        directions: (k, d), orthonormal. std: (k,), of the exact posterior. truth: (k,), coordinates of x_true.
    """

    directions: np.ndarray
    std: np.ndarray
    truth: np.ndarray


@dataclass(frozen=True, eq=False)
class Reference:
    """Everything that the methods of one (problem, instance, n) share. Build it once.

    Attributes:
        x: (n, *shape), an exact sample with stratified component counts.
        projections: (PROJECTIONS, n) float32, `x` along the fixed directions, each row sorted.
        posterior_mean: (d,), exact. weights: (K,), the exact weights of the posterior's components.
        spaces: 'range' and 'null' -> `Subspace`.
    """

    x: np.ndarray
    projections: np.ndarray
    posterior_mean: np.ndarray
    weights: np.ndarray
    spaces: dict[str, Subspace]


def reference(instance: Instance, n: int, seed_words: Sequence[int]) -> Reference:
    """The reference of an instance for samples of size n; its key is a function of `seed_words` alone.

    The component counts are as close to n times the weights as integers allow: with random counts the noise of the
    mode weights, which falls like n^-1/4 in W2, would hide every other error.

    Raises:
        ValueError: for n < 1.
    """
    if n < 1:
        raise ValueError(f"a reference needs n of 1 or more, got {n}")
    posterior, operator = instance.posterior, instance.problem.operator
    mean = np.asarray(posterior.mean).reshape(-1)
    weights = np.exp(posterior.log_weights)
    labels = np.repeat(np.arange(len(weights)), stratified_counts(weights, n))
    x = posterior.sample_components(make_key("numpy", [*seed_words, _REFERENCE_STREAM]), labels)
    truth = instance.x_true.reshape(-1) - mean
    spaces = {
        name: Subspace(along, np.sqrt(_variance_along(posterior, along)), along @ truth)
        for name, along in (("range", range_directions(operator)), ("null", null_directions(operator)))
    }
    projections = sorted_projections(x.reshape(n, -1), mean)
    return Reference(x=x, projections=projections, posterior_mean=mean, weights=weights, spaces=spaces)


def stratified_counts(weights: np.ndarray, n: int) -> np.ndarray:
    """Integers (K,) that sum to n, as close to n * weights as they can be (largest remainders)."""
    expected = n * weights / weights.sum()
    counts = np.floor(expected).astype(int)
    most_short = np.argsort(counts - expected, kind="stable")[: n - counts.sum()]
    counts[most_short] += 1
    return counts


def _variance_along(posterior: Any, directions: np.ndarray) -> np.ndarray:
    """theta^T Cov theta for rows theta, (k,); a field's covariance is applied in Fourier space, not formed."""
    if isinstance(posterior, FourierGaussian):
        images = directions.reshape(-1, *posterior.shape)
        applied = fourier_multiply(images, posterior.spectrum).reshape(directions.shape)
    else:
        applied = directions @ posterior.cov()
    return np.sum(applied * directions, axis=1)
