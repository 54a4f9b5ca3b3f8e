"""gmm-bipsda-*: the definition, and draws of the two posteriors that are not in closed form."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.optimize
import scipy.special
import scipy.stats

from problems import load
from problems.arrays import make_key
from problems.bipsda import INTENSITY, SEEN, components, measurement, prior, reference
from problems.bipsda_reference import KEPT, PROPOSED, mode_behind_absorber
from problems.families import instance_key

TASKS = ("xray", "phase")
DRAWN = 400_000


def test_the_prior_is_as_defined():
    weights, means, covs = zip(*components(), strict=True)
    assert weights == (0.4, 0.3, 0.3)
    np.testing.assert_array_equal([mean[0] for mean in means], [-5, 0, 5])
    assert all(np.ptp(mean) == 0 for mean in means)
    np.testing.assert_array_equal(covs[0], np.eye(10))
    np.testing.assert_array_equal(covs[1], np.diag(np.linspace(1, 2, 10)))
    np.testing.assert_allclose(np.linalg.eigvalsh(covs[2]), np.linspace(1, 2, 10), rtol=1e-12)
    assert np.abs(covs[2] - np.diag(np.diag(covs[2]))).max() > 0.1


def test_measurements_are_as_defined():
    x = make_key("numpy", [1]).standard_normal((3, 10))
    for task, std in (("inpaint", 0.1), ("inpaint-noisy", 5.0)):
        operator, noise = measurement(task)
        np.testing.assert_allclose(operator(x), x[:, SEEN], atol=1e-12)
        assert noise.std == std
    operator, _ = measurement("xray")
    assert operator.matrix.shape == (15, 10)
    assert 0.01 < operator.matrix.min() < 0.012 < 0.048 < operator.matrix.max() < 0.05
    np.testing.assert_allclose(operator(x), 1000 * np.exp(-(x + 10) @ operator.matrix.T), rtol=1e-12)
    operator, noise = measurement("phase")
    assert operator.matrix.shape == (5, 10)
    np.testing.assert_allclose(operator(x), (x @ operator.matrix.T) ** 2, rtol=1e-12)
    assert noise.std == 25.0


def test_the_modes_behind_the_absorber_are_those_of_a_general_optimiser():
    operator, noise = measurement("xray")
    y = load("gmm-bipsda-xray", 1).problem.y
    for one in components():
        found = mode_behind_absorber(one, operator.matrix, y, INTENSITY)

        def energy(x, one=one):
            log_prior = scipy.stats.multivariate_normal.logpdf(x, one.mean, one.cov)
            return -float(log_prior + noise.log_likelihood(y, operator(x[None]))[0])

        best = scipy.optimize.minimize(energy, one.mean, method="BFGS")
        np.testing.assert_allclose(found.place, best.x, atol=1e-3)


@pytest.mark.parametrize("index", [2, 3])
@pytest.mark.parametrize("task", TASKS)
def test_draws_and_evidence_are_those_of_importance_sampling_from_the_prior(task, index):
    """Which needs no modes, and is independent of ours: means, second moments and log p(y), within 5 errors."""
    operator, noise = measurement(task)
    found = load(f"gmm-bipsda-{task}", index)
    x = prior().sample(make_key("numpy", [index, 7]), DRAWN)
    log_weights = noise.log_likelihood(found.problem.y, operator(x))
    total = scipy.special.logsumexp(log_weights)
    weights = np.exp(log_weights - total)
    relative = np.sqrt(np.sum(weights**2) - 1 / DRAWN)
    assert relative < 0.05
    assert abs(found.log_evidence - (total - np.log(DRAWN))) < 5 * relative
    drawn = found.posterior.component_means
    for moment in (x, x**2):
        mean = weights @ moment
        error = np.sqrt(weights**2 @ (moment - mean) ** 2)
        own = drawn if moment is x else drawn**2
        assert np.all(np.abs(own.mean(axis=0) - mean) < 5 * np.hypot(error, own.std(axis=0) / KEPT**0.5))


@pytest.mark.parametrize("task", TASKS)
def test_the_weights_leave_enough_draws(task):
    for index in range(3):
        instance = load(f"gmm-bipsda-{task}", index)
        key = instance_key(f"gmm-bipsda-{task}", index, "reference")
        found = reference(task, instance.problem.y, key)
        assert found.effective > 2 * KEPT
        assert found.effective <= PROPOSED
        np.testing.assert_array_equal(found.x, instance.posterior.component_means)
        assert len(np.unique(found.x, axis=0)) > 0.6 * KEPT


def test_the_phase_posterior_does_not_see_the_sign_of_what_is_measured():
    """p(x | y) at x and at the x with A x turned around in one entry differ by the prior alone."""
    problem = load("gmm-bipsda-phase", 0).problem
    matrix = problem.operator.matrix
    x = prior().sample(make_key("numpy", [4]), 5)
    turned = x - 2 * (x @ matrix.T)[:, [2]] * np.linalg.pinv(matrix)[:, 2]
    np.testing.assert_allclose((turned @ matrix.T)[:, 2], -(x @ matrix.T)[:, 2], atol=1e-9)
    np.testing.assert_allclose(problem.log_likelihood(turned), problem.log_likelihood(x), rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_the_truth_is_a_draw_of_the_posterior(task):
    """Its ranks along generic directions are uniform over instances."""
    directions = make_key("numpy", [8]).standard_normal((3, 10))
    ranks = []
    for index in range(100):
        found = load(f"gmm-bipsda-{task}", 100 + index)
        drawn = found.posterior.component_means @ directions.T
        ranks.append(np.mean(drawn < found.x_true @ directions.T, axis=0))
    for column in np.transpose(ranks):
        assert scipy.stats.kstest(column, "uniform").pvalue > 1e-4
