"""A Gaussian field seen through a mask: its posterior against dense linear algebra, on a grid small enough for it."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
import torch

from problems import load
from problems.arrays import make_key
from problems.contract import to
from problems.fourier_gaussian import FourierGaussian
from problems.gaussian_field import field
from problems.inpainted_field import InpaintedField, inpainted
from problems.noise import GaussianNoise
from problems.operator_mask import Masked, random_pixels
from scores.components import component_variances

SIDE, STD = 12, 0.3
SIGMAS = (0.05, 0.6, 4.0, 60.0)


class Dense(NamedTuple):
    """The posterior and, of flattened fields, its mean and covariance and those of y."""

    posterior: InpaintedField
    prior_cov: np.ndarray
    operator: Masked
    y: np.ndarray
    log_evidence: float
    mean: np.ndarray
    cov: np.ndarray


@pytest.fixture(scope="module")
def dense() -> Dense:
    one = field(SIDE)
    prior = FourierGaussian(np.full((SIDE, SIDE), 0.4), one.spectrum, one.multiplicity, one.shape)
    operator = random_pixels((SIDE, SIDE), make_key("numpy", [1]), 0.4)
    y = prior.sample(make_key("numpy", [2]), 1).ravel()[operator.kept]
    posterior, log_evidence = inpainted(prior, operator, GaussianNoise(np.array(STD)), y)
    cov = prior.cov()
    rows = cov[operator.kept]
    of_y = rows[:, operator.kept] + STD**2 * np.eye(len(y))
    gain = np.linalg.solve(of_y, rows).T
    mean = 0.4 + gain @ (y - 0.4)
    assert log_evidence == pytest.approx(scipy.stats.multivariate_normal.logpdf(y, np.full(len(y), 0.4), of_y))
    return Dense(posterior, cov, operator, y, log_evidence, mean, cov - gain @ rows)


def _signals(dense: Dense) -> np.ndarray:
    noise = make_key("numpy", [3]).standard_normal((3, SIDE, SIDE))
    return dense.posterior.mean + noise * np.array([0.1, 1.0, 5.0])[:, None, None]


def test_moments(dense):
    np.testing.assert_allclose(dense.posterior.mean.ravel(), dense.mean, atol=1e-10)
    np.testing.assert_allclose(dense.posterior.std.ravel() ** 2, np.diag(dense.cov), atol=1e-10)
    assert dense.posterior.diameter == pytest.approx(2 * np.trace(dense.cov) ** 0.5)


def test_the_density_is_that_of_the_gaussian(dense):
    x = dense.mean + make_key("numpy", [4]).standard_normal((4, SIDE**2)) @ np.linalg.cholesky(dense.cov).T
    expected = scipy.stats.multivariate_normal.logpdf(x, dense.mean, dense.cov)
    np.testing.assert_allclose(dense.posterior.log_prob(x.reshape(4, SIDE, SIDE)), expected, rtol=1e-8)
    score = np.linalg.solve(dense.cov, (dense.mean - x).T).T
    np.testing.assert_allclose(dense.posterior.score(x.reshape(4, SIDE, SIDE), 0.0).reshape(4, -1), score, rtol=1e-6)


@pytest.mark.parametrize("sigma", SIGMAS)
@pytest.mark.parametrize(
    ("framework", "dtype", "bound"), [("numpy", "float64", 1e-5), ("torch", "float32", 1e-4), ("jax", "float32", 1e-4)]
)
def test_the_denoiser_and_the_score_are_those_of_dense_algebra(dense, sigma, framework, dtype, bound):
    x = _signals(dense)
    shifted = x.reshape(3, -1) - dense.mean
    inverse = np.linalg.inv(dense.cov + sigma**2 * np.eye(SIDE**2))
    denoised, score = dense.mean + shifted @ inverse @ dense.cov, -shifted @ inverse
    asarray: Any = {"numpy": np.asarray, "torch": torch.tensor, "jax": jnp.asarray}[framework]
    posterior, level = to(dense.posterior, framework, dtype=dtype), asarray(np.array(sigma, dtype))
    found = np.asarray(posterior.denoise(asarray(x.astype(dtype)), level)).reshape(3, -1)
    assert np.max(np.abs(found - denoised)) < bound * np.max(np.abs(denoised))
    found = np.asarray(posterior.score(asarray(x.astype(dtype)), level)).reshape(3, -1)
    for one, other in zip(found, score, strict=True):
        assert np.max(np.abs(one - other)) < 20 * bound * np.max(np.abs(other))


def test_variances_along_directions(dense):
    directions = make_key("numpy", [6]).standard_normal((5, SIDE**2))
    expected = np.einsum("ki,ij,kj->k", directions, dense.cov, directions)
    np.testing.assert_allclose(component_variances(dense.posterior, directions), expected[None], rtol=1e-5)


def test_draws_have_the_law(dense):
    """Whitened by the dense covariance they are standard normal, in every direction."""
    x = dense.posterior.sample(make_key("numpy", [5]), 4000).reshape(4000, -1) - dense.mean
    values, vectors = np.linalg.eigh(dense.cov)
    white = x @ vectors / np.sqrt(values)
    assert np.max(np.abs(white.mean(axis=0))) < 5 / 4000**0.5
    assert np.max(np.abs(white.var(axis=0) - 1)) < 5.5 * (2 / 4000) ** 0.5
    assert scipy.stats.kstest(white[:, :20].ravel(), "norm").pvalue > 1e-4


def test_the_family_is_as_defined():
    problem = load("gaussian-field-64-inpaint", 0).problem
    assert problem.operator.rank == len(problem.y) == 64**2 // 2
    assert problem.noise.std == 0.2
    assert problem.prior is load("gaussian-field-64", 3).problem.prior
    np.testing.assert_array_equal(problem.operator.kept, load("gaussian-field-64-inpaint", 5).problem.operator.kept)
