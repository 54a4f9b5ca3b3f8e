"""Linear measurements of Gaussian mixtures: the numbers, and the problem that a sampler sees."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from problems import Instance, Problem
from problems.gaussian_mixture import gaussian_mixture
from problems.noise import GaussianNoise
from problems.operators import matrix_operator
from problems.posteriors import make_instance
from problems.schedules import VP


@dataclass(frozen=True, eq=False)
class Case:
    """A prior sum_k w_k N(m_k, C_k) and y = A x + noise_std z; d = prod(shape).

    Attributes:
        means: (K, d). covs: (K, d, d). weights: (K,), sum 1. matrix: (m, d). y: (m,).
        beta: beta_min and beta_max of the schedule.
    """

    means: np.ndarray
    covs: np.ndarray
    matrix: np.ndarray
    y: np.ndarray
    noise_std: float
    weights: np.ndarray
    shape: tuple[int, ...]
    beta: tuple[float, float]

    @property
    def problem(self) -> Problem:
        prior = gaussian_mixture(self.weights, self.means, self.covs, self.shape)
        operator = matrix_operator(self.matrix, self.shape)
        schedule = VP(np.array(self.beta[0]), np.array(self.beta[1]))
        return Problem(prior, operator, GaussianNoise(np.array(self.noise_std)), self.y, schedule, self.shape)

    @property
    def instance(self) -> Instance:
        return make_instance(self.problem, np.zeros(self.shape))


def case(
    means: list[list[float]],
    covs: list[list[list[float]]],
    matrix: list[list[float]],
    y: list[float],
    noise_std: float,
    *,
    weights: list[float] | None = None,
    shape: tuple[int, ...] | None = None,
    beta: tuple[float, float] = (0.1, 20.0),
) -> Case:
    """A case from nested lists; equal weights, vectors and the default schedule unless told otherwise."""
    d, k = len(means[0]), len(means)
    return Case(
        means=np.array(means, float),
        covs=np.array(covs, float),
        matrix=np.array(matrix, float),
        y=np.array(y, float),
        noise_std=noise_std,
        weights=np.full(k, 1 / k) if weights is None else np.array(weights),
        shape=(d,) if shape is None else shape,
        beta=beta,
    )


LG1 = case([[0.0]], [[[1.0]]], [[1.0]], [0.8], 0.3)
LG2 = case([[0.0, 0.0]], [[[1.0, 0.8], [0.8, 1.0]]], [[1.0, 0.0]], [1.2], 0.3)
# LG1 beside an independent N(0, 1) that is not measured: as many coordinates as LG2, so the two share a compilation.
LG1_PADDED = case([[0.0, 0.0]], [[[1.0, 0.0], [0.0, 1.0]]], [[1.0, 0.0]], [0.8], 0.3)

WIDE = case(
    [[0.7, -1.1, 0.4]],
    [[[1.3, 0.5, -0.2], [0.5, 0.9, 0.3], [-0.2, 0.3, 1.7]]],
    [[0.8, -0.3, 1.1], [0.2, 1.4, -0.5]],
    [1.9, -0.6],
    0.35,
)
TALL = case(
    [[-0.4, 0.9]],
    [[[0.6, -0.35], [-0.35, 1.5]]],
    [[1.2, 0.4], [-0.7, 0.9], [0.3, 1.6]],
    [0.5, 1.1, -0.2],
    0.6,
    beta=(0.25, 17.0),
)
IMAGE = case(
    [[0.2, 0.5, -0.3, 1.0]],
    [[[1.1, 0.4, 0.2, 0.0], [0.4, 0.8, -0.1, 0.3], [0.2, -0.1, 1.4, 0.5], [0.0, 0.3, 0.5, 0.9]]],
    [[0.9, 0.1, -0.6, 0.4], [-0.2, 0.7, 0.5, 1.3]],
    [-0.8, 1.5],
    0.25,
    shape=(2, 2),
)
GAUSSIANS = {"wide": WIDE, "tall": TALL, "image": IMAGE}

MIXTURE = case(
    [[-0.9, 0.3, 0.5], [0.8, -0.6, -0.2]],
    [
        [[0.3, 0.1, -0.05], [0.1, 0.25, 0.08], [-0.05, 0.08, 0.4]],
        [[0.5, -0.15, 0.1], [-0.15, 0.35, 0.0], [0.1, 0.0, 0.2]],
    ],
    [[1.1, 0.4, -0.7], [-0.3, 0.9, 0.6]],
    [0.4, -0.5],
    0.4,
    weights=[0.35, 0.65],
)
