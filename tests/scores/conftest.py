"""Instances whose posterior is given outright, and candidates whose moments are exact rather than nearly so."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from problems.contract import Instance, Problem
from problems.gaussian_mixture import gaussian_mixture
from problems.noise import GaussianNoise
from problems.operators import matrix_operator
from problems.schedules import VP

Build = Callable[..., Instance]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20240611)


@pytest.fixture
def build() -> Build:
    """build(weights, means, covs, ...) -> the instance whose posterior is that mixture; its prior is not consistent."""

    def instance(
        weights: np.ndarray,
        means: np.ndarray,
        covs: np.ndarray,
        *,
        matrix: np.ndarray | None = None,
        x_true: np.ndarray | None = None,
        shape: tuple[int, ...] | None = None,
    ) -> Instance:
        d = np.shape(means)[1]
        shape = (d,) if shape is None else shape
        posterior = gaussian_mixture(np.asarray(weights), np.asarray(means), np.asarray(covs), shape)
        operator = matrix_operator(np.eye(d)[: max(d // 2, 1)] * 1.7 if matrix is None else matrix, shape)
        y = np.linspace(-1.0, 2.0, operator.matrix.shape[0])
        problem = Problem(posterior, operator, GaussianNoise(np.array(0.3)), y, VP(), shape)
        truth = np.asarray(means)[0].reshape(shape) if x_true is None else x_true
        return Instance(problem, truth, lambda: (posterior, 0.0))

    return instance


@pytest.fixture
def standardised(rng: np.random.Generator) -> Callable[[int, int], np.ndarray]:
    """standardised(n, d) -> z (n, d) whose sample mean is 0 and whose sample covariance (n - 1) is I, to rounding."""

    def draw(n: int, d: int) -> np.ndarray:
        z = rng.standard_normal((n, d))
        z -= z.mean(axis=0)
        return np.linalg.qr(z)[0] * np.sqrt(n - 1)

    return draw
