"""Exact posteriors: of linear measurements with Gaussian noise, to which each prior is conjugate, and of atoms."""

from __future__ import annotations

import dataclasses
import math
from functools import cache, partial, singledispatch
from typing import Any

import numpy as np

from problems.arrays import logsumexp
from problems.contract import Instance, Problem
from problems.fourier_gaussian import FourierGaussian
from problems.gaussian_mixture import GaussianMixture, gaussian_mixture
from problems.inpainted_field import inpainted
from problems.operator_mask import Masked
from problems.shared_mixture import Atoms, SharedMixture


@singledispatch
def condition(prior: Any, operator: Any, noise: Any, y: np.ndarray) -> tuple[Any, float]:  # noqa: ARG001
    """The exact posterior p(x | y), and log p(y). NumPy, float64.

    For a mixture, y = A x + noise.std z: the Kalman update of every component, whose weight is multiplied by
    N(y; A m_k, A C_k A^T + noise.std^2 I). For atoms a_k any measurement: weights times p(y | a_k).

    Raises:
        TypeError: for a prior with no closed form.
    """
    raise TypeError(f"no closed-form posterior for a {type(prior).__name__} prior")


@condition.register
def _(prior: SharedMixture, operator: Any, noise: Any, y: np.ndarray) -> tuple[Any, float]:
    noise_std = float(noise.std)
    if prior.basis.shape[1] != 0:
        raise TypeError("the closed form needs an isotropic shared covariance")
    c, s = float(prior.variance), operator.s
    residual = y[None, :] - operator(prior.component_means)
    gain = operator.gram_solve(residual, c, noise_std**2)
    evidences = _log_normal(residual, gain, c * s**2 + noise_std**2, noise_std**2)
    log_weights, log_evidence = _reweighted(prior.log_weights, evidences)
    posterior = dataclasses.replace(
        prior,
        log_weights=log_weights,
        component_means=prior.component_means + c * operator.adjoint(gain),
        basis=operator.vt.T,
        eigenvalues=c * noise_std**2 / (c * s**2 + noise_std**2),
    )
    return posterior, log_evidence


@condition.register
def _(prior: GaussianMixture, operator: Any, noise: Any, y: np.ndarray) -> tuple[Any, float]:
    noise_std = float(noise.std)
    q, a = prior.eigenvectors.transpose(1, 0, 2), operator.matrix
    covs = (q * prior.eigenvalues[:, None, :]) @ q.transpose(0, 2, 1)
    means = prior.component_means.reshape(len(covs), -1)
    evidences, new_means, new_covs = [], [], []
    for mean, cov in zip(means, covs, strict=True):
        innovation = a @ cov @ a.T + noise_std**2 * np.eye(len(y))
        residual = y - a @ mean
        gain = np.linalg.solve(innovation, a @ cov).T
        # Joseph's form keeps the covariance symmetric and positive when noise_std is small.
        left = np.eye(len(mean)) - gain @ a
        new_covs.append(left @ cov @ left.T + noise_std**2 * gain @ gain.T)
        new_means.append(mean + gain @ residual)
        log_det = np.linalg.slogdet(2 * math.pi * innovation)[1]
        evidences.append(-0.5 * (residual @ np.linalg.solve(innovation, residual) + log_det))
    log_weights, log_evidence = _reweighted(prior.log_weights, np.array(evidences))
    equal = gaussian_mixture(np.ones(len(covs)), np.array(new_means), np.array(new_covs), prior.shape)
    return dataclasses.replace(equal, log_weights=log_weights), log_evidence  # whose exponentials may be 0


@condition.register
def _(prior: FourierGaussian, operator: Any, noise: Any, y: np.ndarray) -> tuple[Any, float]:
    if isinstance(operator, Masked):
        return inpainted(prior, operator, noise, y)
    noise_std = float(noise.std)
    innovation = prior.spectrum * operator.transfer**2 + noise_std**2
    residual = y[None, :] - operator(prior.mean[None])
    gain = dataclasses.replace(operator, transfer=prior.spectrum * operator.transfer / innovation)
    posterior = dataclasses.replace(
        prior, mean=prior.mean + gain.adjoint(residual)[0], spectrum=prior.spectrum * noise_std**2 / innovation
    )
    marginal = dataclasses.replace(prior, mean=operator(prior.mean[None]).reshape(prior.shape), spectrum=innovation)
    return posterior, float(marginal.log_prob(y.reshape(1, *prior.shape))[0])


@condition.register
def _(prior: Atoms, operator: Any, noise: Any, y: np.ndarray) -> tuple[Any, float]:
    log_weights, log_evidence = _reweighted(prior.log_weights, noise.log_likelihood(y, operator(prior.component_means)))
    return dataclasses.replace(prior, log_weights=log_weights), log_evidence


def _log_normal(residual: np.ndarray, solved: np.ndarray, spectrum: np.ndarray, off: float) -> np.ndarray:
    """log N(residual; 0, S) for rows, given S^-1 residual and the eigenvalues of S on and off the range of A."""
    m = residual.shape[1]
    log_det = np.log(spectrum).sum() + (m - len(spectrum)) * math.log(off) + m * math.log(2 * math.pi)
    return -0.5 * ((residual * solved).sum(axis=1) + log_det)


def _reweighted(log_weights: np.ndarray, evidences: np.ndarray) -> tuple[np.ndarray, float]:
    joint = log_weights + evidences
    total = float(logsumexp(joint))
    return joint - total, total


def make_instance(problem: Problem, x_true: np.ndarray) -> Instance:
    """The instance of a problem whose prior has a closed-form posterior."""
    answer = partial(condition, problem.prior, problem.operator, problem.noise, problem.y)
    return Instance(problem, x_true, cache(answer))


def measured(prior: Any, operator: Any, noise: Any, schedule: Any, x_true: np.ndarray, key: Any) -> Instance:
    """The instance in which `x_true` (shape) was measured with fresh noise from `key`."""
    y = noise.sample(key, operator(x_true[None]))[0]
    return make_instance(
        Problem(prior=prior, operator=operator, noise=noise, y=y, schedule=schedule, shape=prior.shape), x_true
    )
