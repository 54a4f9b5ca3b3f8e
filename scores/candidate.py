"""What a metric is given: the samples of one run beside the instance and, if there is one, its exact reference."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from problems.contract import Instance
from problems.shared_mixture import Draws
from scores.directions import sorted_projections
from scores.exact_reference import Frame, Reference
from scores.pairs import mean_of_pairs, scattered, squared_distances, squared_distances_within

PAIRS_LIMIT = 4000
"""The largest n for which metrics that look at all pairs exist; there they take about 1 GB."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """The samples of one run, with what several metrics need computed once.

    Attributes:
        x: (n, *shape), float64. frame: a `Reference` where the posterior is known.
        log_prob: (n,) log q(x) in nats, or None.
        data_range: the peak-to-peak range that PSNR and SSIM refer to, in the units of x.
        exact_x: (k, *shape), independent exact draws, and exact_log_prob: (k,), log q there in nats; or both None.
        log_evidence: the method's estimate of log p(y) in nats and its standard error, or None.
        point: the samples are estimates of one signal; their spread means nothing.
    """

    x: np.ndarray
    instance: Instance
    frame: Frame
    data_range: float
    log_prob: np.ndarray | None = None
    exact_x: np.ndarray | None = None
    exact_log_prob: np.ndarray | None = None
    log_evidence: tuple[float, float] | None = None
    point: bool = False

    @property
    def reference(self) -> Reference:
        """The exact reference.

        Raises:
            TypeError: where the posterior is not known.
        """
        if not isinstance(self.frame, Reference):
            raise TypeError("the posterior of this instance is not known")
        return self.frame

    @property
    def has_posterior(self) -> bool:
        """Whether the exact posterior is known."""
        return isinstance(self.frame, Reference)

    @property
    def n(self) -> int:
        return self.x.shape[0]

    @cached_property
    def flat(self) -> np.ndarray:
        """(n, d)."""
        return self.x.reshape(self.n, -1)

    @cached_property
    def projections(self) -> np.ndarray:
        """The samples along the fixed random directions, each row sorted: (PROJECTIONS, n)."""
        return sorted_projections(self.flat, self.frame.origin)

    @cached_property
    def along(self) -> dict[str, np.ndarray]:
        """Name of a subspace -> coordinates (n, k) along its directions, from the origin of the frame."""
        centred = self.flat - self.frame.origin
        return {name: centred @ directions.T for name, directions in self.frame.directions.items()}

    @cached_property
    def truth(self) -> dict[str, np.ndarray]:
        """Name of a subspace -> coordinates of x_true (k,) along its directions, from the origin of the frame."""
        centred = self.instance.x_true.reshape(-1) - self.frame.origin
        return {name: directions @ centred for name, directions in self.frame.directions.items()}

    @cached_property
    def scattered(self) -> np.ndarray:
        """The samples in an order that depends on the set of them alone, (n, d); see `pairs.scattered`."""
        return scattered(self.flat)

    @cached_property
    def squared_distances(self) -> np.ndarray:
        """|x_i - x_j|^2 among the scattered samples, (n, n)."""
        return squared_distances_within(self.scattered)

    @cached_property
    def squared_distances_to_reference(self) -> np.ndarray:
        """|x_i - r_j|^2 between the scattered samples and the reference, (n, n)."""
        return squared_distances(self.scattered, self.reference.flat, self.frame.origin)

    @cached_property
    def mean_distance(self) -> float:
        """E|X - X'| for two independent samples."""
        return mean_of_pairs(np.sqrt(self.squared_distances), np.array([self.n]))

    @cached_property
    def responsibilities(self) -> np.ndarray:
        """p(component | x) under the exact posterior, (n, K)."""
        return self.instance.posterior.responsibilities(self.x)

    @cached_property
    def mode_shares(self) -> np.ndarray:
        """The mean responsibility of each component, (K,): its expectation under the posterior is the exact weight."""
        return np.mean(self.responsibilities, axis=0)

    def has_spread(self) -> bool:
        """Whether the spread of the samples is meant to be that of the posterior."""
        return not self.point

    def pairs_fit(self) -> bool:
        """Whether the distances of all pairs are affordable: n^2 numbers, several times over."""
        return self.n <= PAIRS_LIMIT

    def is_mixture(self) -> bool:
        """Whether the exact posterior has more than one component, which are modes."""
        return len(self.reference.weights) > 1 and not isinstance(self.instance.posterior, Draws)

    def has(self, space: str) -> bool:
        """Whether the problem has the subspace, and any direction in it."""
        return len(self.frame.directions.get(space, ())) > 0

    def noise_is_gaussian(self) -> bool:
        return hasattr(self.instance.problem.noise, "std")

    def has_spread_in_modes(self) -> bool:
        return self.has_spread() and self.is_mixture() and self.has("range")

    def has_spread_in(self, space: str) -> bool:
        return self.has_spread() and self.has(space)
