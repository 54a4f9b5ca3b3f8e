"""What a metric is given: the samples of one run beside the instance and its exact reference."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from problems.contract import Instance
from scores.directions import sorted_projections
from scores.exact_reference import Reference


@dataclass(frozen=True, eq=False)
class Candidate:
    """The samples of one run, with what several metrics need computed once.

    Attributes:
        x: (n, *shape), float64. log_prob: (n,) log q(x) in nats, or None.
        data_range: the peak-to-peak range that PSNR and SSIM refer to, in the units of x.
    """

    x: np.ndarray
    instance: Instance
    reference: Reference
    data_range: float
    log_prob: np.ndarray | None = None

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
        return sorted_projections(self.flat, self.reference.posterior_mean)

    @cached_property
    def along(self) -> dict[str, np.ndarray]:
        """'range' and 'null' -> coordinates (n, k) along the directions of the subspace, from the posterior mean."""
        centred = self.flat - self.reference.posterior_mean
        return {name: centred @ space.directions.T for name, space in self.reference.spaces.items()}

    @cached_property
    def mode_shares(self) -> np.ndarray:
        """The mean responsibility of each component, (K,): its expectation under the posterior is the exact weight."""
        return np.mean(self.instance.posterior.responsibilities(self.x), axis=0)

    def has(self, space: str) -> bool:
        """Whether the subspace has any direction."""
        return len(self.reference.spaces[space].directions) > 0
