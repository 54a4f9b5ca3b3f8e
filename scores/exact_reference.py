"""The other side of every comparison: an exact sample of the posterior, and directions along which to look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from problems.arrays import make_key
from problems.contract import Instance
from scores.components import component_variances, mean_distance_to, mean_distance_within
from scores.directions import BANDS, band_directions, null_directions, range_directions, sorted_projections
from scores.pairs import mean_of_pairs, squared_distances_within

_REFERENCE_STREAM = 1


@dataclass(frozen=True, eq=False)
class Subspace:
    """Directions in range(A^T), in null(A) or of one band of frequencies, with what is exact along them.

    Origin: the posterior mean.

    Attributes:
        directions: (k, d), orthonormal. std: (k,), of the exact posterior.
        weights: (K,), of the posterior's components. means, stds: (K, k), of the components along the directions.
    """

    directions: np.ndarray
    std: np.ndarray
    weights: np.ndarray
    means: np.ndarray
    stds: np.ndarray

    @cached_property
    def mean_distance(self) -> np.ndarray:
        """E|X - X'| of the exact marginals, (k,), in closed form."""
        return mean_distance_within(self.weights, self.means, self.stds)

    def crps(self, truth: np.ndarray) -> np.ndarray:
        """The CRPS of a truth (k,) under the exact marginals, (k,), in closed form."""
        return mean_distance_to(truth, self.weights, self.means, self.stds) - 0.5 * self.mean_distance


@dataclass(frozen=True, eq=False)
class Frame:
    """From where and along what the samples of one (problem, instance, n) are seen, whatever the truth is.

    Attributes:
        n: how many samples there are. origin: (d,), the posterior mean if it is known, else that of the prior.
        directions: 'range', 'null' and, of images, the BANDS -> (k, d), orthonormal.
    """

    n: int
    origin: np.ndarray
    directions: dict[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Reference(Frame):
    """What an exact posterior adds, which all methods share. Build it once.

    Attributes:
        x: (n, *shape), an exact sample with stratified component counts.
        counts: (K,), how many rows of x are of each component, in this order.
        projections: (PROJECTIONS, n) float32, `x` along the fixed directions, each row sorted.
        weights: (K,), the exact weights of the posterior's components. spaces: name of directions -> `Subspace`.
    """

    x: np.ndarray
    counts: np.ndarray
    projections: np.ndarray
    weights: np.ndarray
    spaces: dict[str, Subspace]

    @property
    def flat(self) -> np.ndarray:
        """(n, d)."""
        return self.x.reshape(len(self.x), -1)

    @cached_property
    def squared_distances(self) -> np.ndarray:
        """|x_i - x_j|^2, (n, n)."""
        return squared_distances_within(self.flat)

    @cached_property
    def mean_distance(self) -> float:
        """E|X - X'| for two independent exact draws."""
        return mean_of_pairs(np.sqrt(self.squared_distances), self.counts)

    @cached_property
    def median_distance(self) -> float:
        """The median of |x_i - x_j|, i < j: the length scale of kernels. nan for one draw."""
        n = len(self.x)
        return float(np.sqrt(np.median(self.squared_distances[np.triu_indices(n, 1)]))) if n > 1 else float("nan")


def frame(instance: Instance, n: int) -> Frame:
    """The frame of an instance for samples of size n."""
    prior, operator = instance.problem.prior, instance.problem.operator
    shape = instance.problem.shape
    known = prior if instance.known is None else instance.posterior
    directions = {"range": range_directions(operator), "null": null_directions(operator)}
    if len(shape) == 2:
        directions |= {band: band_directions(shape, band) for band in BANDS}
    return Frame(n, np.asarray(known.mean).reshape(-1), directions)


def reference(instance: Instance, n: int, seed_words: Sequence[int]) -> Reference:
    """The reference of an instance with an exact posterior; its key is a function of `seed_words` alone.

    The component counts are as close to n times the weights as integers allow: with random counts the noise of the
    mode weights, which falls like n^-1/4 in W2, would hide every other error.

    Raises:
        ValueError: for n < 1.
    """
    if n < 1:
        raise ValueError(f"a reference needs n of 1 or more, got {n}")
    posterior, seen = instance.posterior, frame(instance, n)
    weights = np.exp(posterior.log_weights)
    counts = stratified_counts(weights, n)
    labels = np.repeat(np.arange(len(weights)), counts)
    x = posterior.sample_components(make_key("numpy", [*seed_words, _REFERENCE_STREAM]), labels)
    return Reference(
        n=n,
        origin=seen.origin,
        directions=seen.directions,
        x=x,
        counts=counts,
        projections=sorted_projections(x.reshape(n, -1), seen.origin),
        weights=weights,
        spaces={name: subspace(instance, along, seen.origin) for name, along in seen.directions.items()},
    )


def stratified_counts(weights: np.ndarray, n: int) -> np.ndarray:
    """Integers (K,) that sum to n, as close to n * weights as they can be (largest remainders)."""
    expected = n * weights / weights.sum()
    counts = np.floor(expected).astype(int)
    most_short = np.argsort(counts - expected, kind="stable")[: n - counts.sum()]
    counts[most_short] += 1
    return counts


def subspace(instance: Instance, directions: np.ndarray, mean: np.ndarray) -> Subspace:
    """The exact posterior along directions (k, d); `mean` is its mean, flat (d,)."""
    posterior = instance.posterior
    weights = np.exp(posterior.log_weights)
    means = (posterior.component_means.reshape(len(weights), -1) - mean) @ directions.T
    variances = component_variances(posterior, directions)
    return Subspace(
        directions=directions,
        std=np.sqrt(weights @ (variances + means**2)),
        weights=weights,
        means=means,
        stds=np.sqrt(variances),
    )
