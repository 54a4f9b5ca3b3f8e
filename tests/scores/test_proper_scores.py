from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

import problems
import scores
from problems.arrays import make_key
from scores.candidate import Candidate
from scores.components import component_variances
from scores.exact_reference import Subspace
from scores.proper_scores import crps_regret, energy_score_regret, fair_crps


@pytest.fixture
def instance(build):
    """A Gaussian posterior in 24 dimensions whose coordinates are independent; A sees the first 12."""
    d = 24
    return build([1.0], np.linspace(-1, 2, d)[None], [np.diag(np.linspace(0.1, 4.0, d))])


def over_truths(instance, n, truths, draw, metric):
    """The metric over truths drawn from the posterior, each with samples and a reference of its own."""
    found = []
    for i in range(truths):
        here = dataclasses.replace(instance, x_true=instance.posterior.sample(make_key("numpy", [1, i]), 1)[0])
        x = draw(make_key("numpy", [2, i]))
        found.append(metric(Candidate(x, here, scores.reference(here, n, [i]), 1.0)))
    return np.array(found)


def within(values, expected, most):
    """The mean is the expected one within 4 standard errors, which are at most `most`."""
    error = np.std(values) / math.sqrt(len(values))
    assert error < most
    assert abs(np.mean(values) - expected) < 4 * error


def test_fair_crps_by_sorting_is_that_over_all_pairs(rng):
    x, truth = rng.standard_normal((9, 4)) * [1, 2, 3, 4], rng.standard_normal(4)
    apart = np.abs(x[:, None] - x[None]).sum(axis=(0, 1)) / (9 * 8)
    np.testing.assert_allclose(fair_crps(x, truth), np.abs(x - truth).mean(axis=0) - apart / 2, rtol=1e-12)


def test_the_crps_of_a_mixture_is_the_integral_of_its_squared_error():
    """The integral of (F(x) - 1[x >= truth])^2."""
    weights, means, stds = np.array([0.2, 0.5, 0.3]), np.array([-2.0, 0.3, 1.0]), np.array([0.4, 1.1, 0.2])
    for truth in (-1.7, 0.4, 5.0):

        def squared(x, truth=truth):
            return (weights @ norm.cdf((x - means) / stds) - (x >= truth)) ** 2

        integral = quad(squared, -15, truth, limit=200)[0] + quad(squared, truth, 15, limit=200)[0]
        two = np.column_stack([means, 2 * means]), np.column_stack([stds, 2 * stds])
        found = Subspace(np.eye(2), np.ones(2), weights, *two).crps(np.array([truth, 2 * truth]))
        np.testing.assert_allclose(found, [integral, 2 * integral], rtol=1e-6)


@pytest.mark.parametrize("name", ["seed2d", "gmm25-8-2", "linear-gaussian-16", "digits-inpaint", "gaussian-field-16"])
def test_exact_marginals_are_those_of_the_covariances(name, rng):
    """Moments along directions, from components and no d x d matrix, against the covariance itself."""
    instance = problems.load(name, 1)
    posterior = instance.posterior
    directions = rng.standard_normal((5, posterior.mean.size))
    shape = (len(posterior.log_weights), 5)
    assert component_variances(posterior, directions).shape == shape
    reference = scores.reference(instance, 10, [1])
    for space in reference.spaces.values():
        exact = np.einsum("ki,ij,kj->k", space.directions, posterior.cov(), space.directions)
        np.testing.assert_allclose(space.std**2, exact, rtol=1e-8)
        np.testing.assert_allclose(space.weights @ space.means, 0, atol=1e-9 * np.max(np.abs(space.means), initial=1))
    with pytest.raises(TypeError, match="components of a Candidate posterior are not known"):
        component_variances(Candidate(directions, instance, reference, 1.0), directions)


def test_variances_of_components_that_differ(build, rng):
    covs = np.stack([np.diag([1.0, 2.0, 3.0]), np.array([[2.0, 0.5, 0.0], [0.5, 1.0, 0.3], [0.0, 0.3, 0.5]])])
    posterior = build([0.3, 0.7], np.zeros((2, 3)), covs).posterior
    directions = rng.standard_normal((4, 3))
    expected = np.einsum("ki,cij,kj->ck", directions, covs, directions)
    np.testing.assert_allclose(component_variances(posterior, directions), expected, rtol=1e-12)


@pytest.mark.parametrize("n", [2, 30])
@pytest.mark.parametrize(("spread", "shift"), [(1.0, 0.0), (0.5, 0.0), (1.8, 0.0), (1.0, 0.7)])
@pytest.mark.parametrize("space", ["range", "null"])
def test_crps_regret_of_a_wrong_gaussian_at_any_n(instance, n, spread, shift, space):
    """In posterior std, E|X - T| - E|X - X'| / 2 - E|T - T'| / 2; for z ~ N(m, v), m / sqrt v = r:

    E|z| = 2 sqrt v phi(r) + m (2 Phi(r) - 1).
    """
    posterior, truths = instance.posterior, 150
    draw = lambda key: posterior.mean + posterior.std * (shift + spread * key.standard_normal((n, 24)))  # noqa: E731
    width = math.hypot(1, spread)
    across = 2 * width * norm.pdf(shift / width) + shift * (2 * norm.cdf(shift / width) - 1)
    # along the directions of the null space, which mix the axes, a shift in std of the axes is another one
    found = over_truths(instance, n, truths, draw, lambda c: crps_regret(c, space))
    expected = across - (1 + spread) / math.sqrt(math.pi)
    if space == "null" and shift:
        assert np.mean(found) > 4 * np.std(found) / math.sqrt(truths)
    else:
        within(found, expected, 0.03)
    if spread == 1 and shift == 0:
        assert 0.2 < np.mean(found < 0) < 0.8
        assert expected == pytest.approx(0, abs=1e-12)


def test_crps_regret_is_of_its_own_space(instance):
    """Samples without any spread where the data see: sqrt(1/pi) - that is, E|T| - E|T - T'| / 2 - there only."""
    posterior, n = instance.posterior, 40
    seen = np.arange(24) < 12
    draw = lambda key: np.where(seen, posterior.mean, posterior.sample(key, n))  # noqa: E731
    collapsed = math.sqrt(2 / math.pi) - 1 / math.sqrt(math.pi)
    within(over_truths(instance, n, 100, draw, lambda c: crps_regret(c, "range")), collapsed, 0.03)
    within(over_truths(instance, n, 100, draw, lambda c: crps_regret(c, "null")), 0.0, 0.03)


def test_crps_regret_of_a_dropped_mode_is_half_the_cramer_distance_of_the_marginals(build):
    """Well-separated modes of weight .7 and .3 on a line: the integral of (F_q - F_p)^2 = .3^2 * distance, nearly."""
    instance, n = build([0.7, 0.3], [[0.0, 0.0], [30.0, 0.0]], np.stack([np.eye(2)] * 2)), 10
    draw = lambda key: instance.posterior.sample_components(key, np.zeros(n, dtype=int))  # noqa: E731
    found = over_truths(instance, n, 600, draw, lambda c: crps_regret(c, "range"))
    std = math.sqrt(1 + 0.21 * 900)
    half_energy = 0.3**2 * (30 - 2 / math.sqrt(math.pi))
    within(found, half_energy / std, 0.03)


@pytest.mark.parametrize("n", [2, 20])
@pytest.mark.parametrize("spread", [1.0, 0.5, 1.6])
def test_energy_score_regret_is_half_the_energy_distance_at_any_n(build, n, spread):
    d, std, truths = 6, 0.8, 300
    instance = build([1.0], np.linspace(-1, 2, d)[None], [std**2 * np.eye(d)])
    mean_norm = math.sqrt(2) * math.exp(math.lgamma((d + 1) / 2) - math.lgamma(d / 2))
    draw = lambda key: instance.posterior.mean + std * spread * key.standard_normal((n, d))  # noqa: E731
    expected = (math.hypot(1, spread) - math.sqrt(0.5) * (1 + spread)) * std * mean_norm
    found = over_truths(instance, n, truths, draw, energy_score_regret)
    within(found, expected, 0.05)
    if spread == 1:
        assert 0.2 < np.mean(found < 0) < 0.8


def test_units(build):
    """Everything 5 times as large: CRPS regret is in posterior std, energy score regret in the unit of x."""
    values = []
    for scale in (1.0, 5.0):
        means = scale * np.array([[0.0, 0.0], [3.0, -1.0]])
        instance = build([0.7, 0.3], means, scale**2 * np.stack([np.eye(2)] * 2), x_true=scale * np.array([0.5, 1.0]))
        x = 1.5 * instance.posterior.sample(make_key("numpy", [3]), 30)
        candidate = Candidate(x, instance, scores.reference(instance, 30, [1]), 1.0)
        values.append((crps_regret(candidate, "range"), crps_regret(candidate, "null"), energy_score_regret(candidate)))
    (seen, hidden, energy), other = values
    assert other == pytest.approx((seen, hidden, 5 * energy), rel=1e-4)
    assert min(abs(seen), abs(hidden), abs(energy)) > 0.003
