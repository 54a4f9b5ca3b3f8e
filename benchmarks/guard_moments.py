"""How far a sampler's first two moments are from the exact ones, on many draws and few steps: one number per batch.

The problem is linear and Gaussian, so that the posterior is known, and errors of a schedule show at few steps. For
draws z, whitened by the exact posterior, with mean m and covariance S in d dimensions, the error is the squared
2-Wasserstein distance between N(m, S) and N(0, I) per dimension,

    (|m|^2 + tr S + d - 2 tr S^(1/2)) / d,    in posterior variances.

What is compared is log(error + SMALL_ERROR), on which the errors of good and of exploding samplers have one scale.
Consecutive rows form batches. The jackknife over them gives one pseudo-value per batch: their mean is the logarithm
without its bias of order 1 / n, their spread its standard error, and two runs with the same keys are paired by batch.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.compare_snapshot import SMALL_ERROR
from benchmarks.execute import Programs, execute, instance_of
from benchmarks.tasks import Task

PROBLEMS = {"linear-gaussian-2": 3, "linear-gaussian-16": 1}
"""Where moments are taken, and on how many instances."""
STEPS, BATCHES, BATCH_SIZE = 50, 40, 1024
DRAWS = BATCHES * BATCH_SIZE


def moments(task: Task, programs: Programs) -> dict[str, Any]:
    """The log error of a sampler, (BATCHES,) pseudo-values, and the mean and std of its draws in whitened coordinates.

    Raises:
        ValueError: if a draw is not finite.
    """
    posterior = instance_of(task.problem, task.instance).posterior
    x = execute(task, programs).x
    if not np.isfinite(x).all():
        raise ValueError(f"{np.sum(~np.isfinite(x.reshape(len(x), -1)).all(axis=1))} of {len(x)} draws are not finite")
    z = whitened(x.reshape(len(x), -1), np.ravel(posterior.mean), posterior.cov())
    values = pseudo_values(z.reshape(BATCHES, -1, z.shape[1]))
    return {"log_error": _rounded(values), "mean": _rounded(z.mean(axis=0)), "std": _rounded(z.std(axis=0))}


def whitened(x: np.ndarray, mean: np.ndarray, cov: np.ndarray) -> np.ndarray:
    """Rows x, (n, d), in coordinates in which the law with this mean and covariance has mean 0 and covariance I."""
    return np.linalg.solve(np.linalg.cholesky(cov), (x - mean).T).T


def bures(mean: np.ndarray, cov: np.ndarray) -> np.ndarray:
    """The error of means (..., d) and covariances (..., d, d), see above: (...)."""
    eigenvalues = np.maximum(np.linalg.eigvalsh(cov), 0.0)
    return np.mean(mean**2, axis=-1) + np.mean((np.sqrt(eigenvalues) - 1.0) ** 2, axis=-1)


def log_error(mean: np.ndarray, cov: np.ndarray) -> np.ndarray:
    """log(error + SMALL_ERROR) of means (..., d) and covariances (..., d, d): (...)."""
    return np.asarray(np.log(bures(mean, cov) + SMALL_ERROR))


def pseudo_values(z: np.ndarray) -> np.ndarray:
    """The jackknife's pseudo-values of log(error + SMALL_ERROR) for batches z, (batches, size, d): (batches,)."""
    batches = len(z)
    first, second = z.mean(axis=1), np.einsum("bni,bnj->bij", z, z) / z.shape[1]
    means, seconds = first.mean(axis=0), second.mean(axis=0)
    whole = log_error(means, seconds - np.outer(means, means))
    others = (batches * means - first) / (batches - 1)
    covs = (batches * seconds - second) / (batches - 1) - others[:, :, None] * others[:, None, :]
    return batches * whole - (batches - 1) * log_error(others, covs)


def _rounded(values: np.ndarray) -> list[float]:
    return [float(f"{value:.6g}") for value in values]
