"""Densities, scores and denoisers of every prior and exact posterior, against the mixture that its sampler draws."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import scipy.special
import torch

from problems import FAMILIES
from problems.arrays import logsumexp
from tests.problems.closed import CLOSED

ROLES = ("prior", "posterior")
SIGMAS = (0.0, 0.03, 0.4, 12.0, 90.0)  # modes 160 apart, in 800 dimensions, merge at the last alone
DENSE = [name for name in CLOSED if FAMILIES[name].dim <= 800]
PLANE = [name for name in CLOSED if FAMILIES[name].shape == (2,)]
FIELDS = [name for name in CLOSED if name not in DENSE]

every = pytest.mark.parametrize("role", ROLES)


def points(law, sigma, n=5):
    rng = np.random.default_rng(17)
    return law.sample(rng, n) + sigma * rng.standard_normal((n, *law.shape))


def log_joint(components, x, sigma):
    """log w_k + log N(x; m_k, C_k + sigma^2 I) by Cholesky factors, (n, K)."""
    factors, columns = {}, []
    for log_weight, mean, cov in components:
        if id(cov) not in factors:
            factors[id(cov)] = np.linalg.cholesky(cov + sigma**2 * np.eye(len(cov)))
        root = factors[id(cov)]
        z = scipy.linalg.solve_triangular(root, (x.reshape(len(x), -1) - mean).T, lower=True)
        log_det = 2 * np.log(np.diag(root)).sum()
        columns.append(log_weight - 0.5 * ((z**2).sum(axis=0) + log_det + len(mean) * np.log(2 * np.pi)))
    return np.stack(columns, axis=1)


@every
@pytest.mark.parametrize("name", DENSE)
def test_log_prob_and_responsibilities_are_those_of_the_sampled_mixture(name, role, problem_of, components, relative):
    law, parts = problem_of(name, role).prior, components(name, role)
    for sigma in SIGMAS if law.log_weights.size * len(parts[0].mean) < 10_000 else (0.4, 90.0):
        x = points(law, sigma)
        joint = log_joint(parts, x, sigma)
        assert relative(law.log_prob(x, sigma), scipy.special.logsumexp(joint, axis=1)) < 1e-10
        assert relative(law.responsibilities(x, sigma), scipy.special.softmax(joint, axis=1)) < 1e-8
    assert relative(law.log_prob(x), law.log_prob(x, 0.0)) == 0.0
    assert relative(law.responsibilities(x), law.responsibilities(x, 0.0)) == 0.0


@every
@pytest.mark.parametrize("name", FIELDS)
def test_log_prob_of_a_large_field_is_a_sum_over_the_whole_transform(name, role, problem_of, relative):
    """Too large for a dense covariance: by the complex transform of the whole grid, where nothing is folded."""
    law = problem_of(name, role).prior
    side = law.shape[0]
    folded = np.concatenate([law.spectrum, np.roll(law.spectrum[::-1, 1:-1], 1, axis=0)[:, ::-1]], axis=1)
    for sigma in SIGMAS:
        x = points(law, sigma)
        power = np.abs(np.fft.fft2(x - law.mean)) ** 2 / side**2
        variances = folded + sigma**2
        expected = -0.5 * np.sum(power / variances + np.log(2 * np.pi * variances), axis=(1, 2))
        assert relative(law.log_prob(x, sigma), expected) < 1e-10
        np.testing.assert_array_equal(law.responsibilities(x, sigma), np.ones((5, 1)))


@every
@pytest.mark.parametrize("name", CLOSED)
def test_the_score_is_the_derivative_of_the_log_density_and_meets_tweedie(name, role, problem_of, relative):
    problem = problem_of(name, role)
    law, in_torch = problem.prior, problem.to("torch", dtype="float64").prior
    for sigma in SIGMAS:
        x = points(law, sigma)
        leaf = torch.tensor(x, requires_grad=True)
        (gradient,) = torch.autograd.grad(in_torch.log_prob(leaf, torch.tensor(sigma, dtype=leaf.dtype)).sum(), leaf)
        score = law.score(x, sigma)
        assert relative(score, gradient) < 1e-8
        denoised = law.denoise(x, sigma)
        assert denoised.shape == x.shape
        if sigma > 0.0:
            assert relative(denoised - x, sigma**2 * score) < 1e-8
        else:
            assert relative(denoised, x) < 1e-12


def plane(law, sigma):
    """A grid that covers a law in the plane and resolves it, and the area of a cell."""
    reach = 9 * (law.std + sigma)
    axes = [np.linspace(m - r, m + r, 700) for m, r in zip(law.mean, reach, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    return grid, (axes[0][1] - axes[0][0]) * (axes[1][1] - axes[1][0])


@every
@pytest.mark.parametrize("sigma", [0.0, 0.3])
@pytest.mark.parametrize("name", PLANE)
def test_densities_integrate_to_one(name, role, sigma, problem_of):
    law = problem_of(name, role).prior
    grid, area = plane(law, sigma)
    density = np.exp(law.log_prob(grid, sigma))
    assert density.sum() * area == pytest.approx(1.0, abs=1e-8)
    assert density @ grid * area == pytest.approx(law.mean, abs=1e-8)
    covariance = law.cov() + sigma**2 * np.eye(2)
    centred = grid - law.mean
    assert (density[:, None] * centred).T @ centred * area == pytest.approx(covariance, rel=1e-7)


@every
@pytest.mark.parametrize("name", PLANE)
def test_the_denoiser_is_the_conditional_mean(name, role, problem_of):
    """E[x_0 | x] by quadrature: the average of x_0 under p(x_0) N(x; x_0, sigma^2)."""
    law = problem_of(name, role).prior
    grid, _ = plane(law, 0.0)
    log_density = law.log_prob(grid)
    for sigma in (0.15, 0.4, 3.0):
        x = points(law, sigma)
        squares = ((x[:, None, :] - grid[None, :, :]) ** 2).sum(axis=-1)
        weights = scipy.special.softmax(log_density - 0.5 * squares / sigma**2, axis=1)
        np.testing.assert_allclose(law.denoise(x, sigma), weights @ grid, rtol=1e-7, atol=1e-8)


@every
@pytest.mark.parametrize("name", CLOSED)
def test_weights_are_normalised(name, role, problem_of):
    law = problem_of(name, role).prior
    assert float(logsumexp(law.log_weights)) == pytest.approx(0.0, abs=1e-12)
    assert law.component_means.shape == (law.log_weights.size, *law.shape)
