"""Exact posteriors: Bayes' rule at every point, published figures, and operators of every rank."""

from __future__ import annotations

import numpy as np
import pytest

from problems import TUNING_START
from problems.contract import Problem
from problems.gaussian_mixture import gaussian_mixture
from problems.noise import GaussianNoise
from problems.operators import matrix_operator
from problems.posteriors import condition, make_instance, measured
from problems.schedules import VP
from problems.shared_mixture import SharedMixture
from tests.problems.closed import CLOSED, CONDITIONED


def excess(instance, x):
    """log p(x) + log p(y | x) - log p(y) - log p(x | y), which is 0."""
    problem = instance.problem
    joint = problem.prior.log_prob(x) + problem.log_likelihood(x)
    return joint - instance.log_evidence - instance.posterior.log_prob(x), np.max(np.abs(joint))


@pytest.mark.parametrize("index", [0, 1, 7, TUNING_START + 3])
@pytest.mark.parametrize("name", CLOSED)
def test_prior_times_likelihood_over_evidence_is_the_posterior(name, index, instance):
    """At points of both laws. The evidence is one number for all points, so this pins it as well."""
    found = instance(name, index)
    rng = np.random.default_rng(3)
    x = np.concatenate([found.problem.prior.sample(rng, 5), found.posterior.sample(rng, 5), found.x_true[None]])
    difference, scale = excess(found, x)
    assert np.max(np.abs(difference)) < 1e-9 * scale


@pytest.mark.parametrize("name", CONDITIONED)
def test_the_posterior_belongs_to_the_measurement(name, instance):
    """The instance hands its own y to the conditioning, with the noise level as a standard deviation."""
    found = instance(name, 5)
    problem = found.problem
    again, log_evidence = condition(problem.prior, problem.operator, problem.noise, problem.y)
    np.testing.assert_array_equal(again.mean, found.posterior.mean)
    assert log_evidence == found.log_evidence
    oracle = found.oracle()
    assert oracle.prior is found.posterior
    assert (oracle.operator, oracle.noise, oracle.y) == (None, None, None)
    assert oracle.schedule is found.problem.schedule
    assert oracle.shape == found.problem.shape


RNG = np.random.default_rng(8)
MATRICES = {
    "wide": RNG.standard_normal((2, 4)),
    "square": RNG.standard_normal((4, 4)),
    "tall": RNG.standard_normal((6, 4)),
    "low rank": RNG.standard_normal((5, 2)) @ RNG.standard_normal((2, 4)),
}
MEANS = RNG.standard_normal((3, 4))
ROOTS = RNG.standard_normal((3, 4, 4))
PRIORS = {
    "shared": SharedMixture(
        np.log([0.5, 0.2, 0.3]), MEANS.reshape(3, 2, 2), np.array(0.7), np.zeros((4, 0)), np.zeros(0), (2, 2)
    ),
    "full": gaussian_mixture(np.array([1.0, 0.4, 0.6]), MEANS, ROOTS @ ROOTS.transpose(0, 2, 1), (2, 2)),
}


@pytest.mark.parametrize("matrix", MATRICES.values(), ids=MATRICES)
@pytest.mark.parametrize("prior", PRIORS.values(), ids=PRIORS)
def test_operators_of_every_rank(prior, matrix):
    """Bayes' rule where the operator is tall or of low rank, which no family is."""
    problem = Problem(
        prior,
        matrix_operator(matrix, (2, 2)),
        GaussianNoise(np.array(0.3)),
        RNG.standard_normal(len(matrix)),
        VP(),
        (2, 2),
    )
    found = make_instance(problem, np.zeros((2, 2)))
    difference, scale = excess(found, RNG.standard_normal((6, 2, 2)))
    assert np.max(np.abs(difference)) < 1e-11 * scale


@pytest.mark.parametrize("matrix", MATRICES.values(), ids=MATRICES)
def test_the_evidence_is_the_density_of_the_measurement(matrix):
    """log p(y) of the mixture with means A m_k and covariances A C_k A^T + std^2 I, written down."""
    prior, y = PRIORS["full"], np.linspace(-1.0, 2.0, len(matrix))
    covs = matrix @ (ROOTS @ ROOTS.transpose(0, 2, 1)) @ matrix.T + 0.49 * np.eye(len(matrix))
    predicted = gaussian_mixture(np.array([0.5, 0.2, 0.3]), MEANS @ matrix.T, covs, (len(matrix),))
    _, log_evidence = condition(prior, matrix_operator(matrix, (2, 2)), GaussianNoise(np.array(0.7)), y)
    assert log_evidence == pytest.approx(float(predicted.log_prob(y[None])[0]), rel=1e-12)


def test_a_prior_without_closed_form_is_refused():
    operator = matrix_operator(np.eye(2), (2,))
    with pytest.raises(TypeError, match="no closed-form posterior for a str prior"):
        condition("prior", operator, GaussianNoise(np.array(0.1)), np.zeros(2))
    narrow = SharedMixture(np.zeros(1), np.zeros((1, 2)), np.array(1.0), np.eye(2)[:, :1], np.array([0.5]), (2,))
    with pytest.raises(TypeError, match="isotropic"):
        condition(narrow, operator, GaussianNoise(np.array(0.1)), np.zeros(2))


def test_a_measurement_is_the_signal_through_the_operator_with_fresh_noise():
    prior, operator = PRIORS["full"], matrix_operator(MATRICES["tall"], (2, 2))
    noise, truth = GaussianNoise(np.array(0.2)), np.array([[1.0, -2.0], [0.5, 3.0]])
    found = measured(prior, operator, noise, VP(), truth, np.random.default_rng(1))
    expected = MATRICES["tall"] @ truth.ravel() + 0.2 * np.random.default_rng(1).standard_normal((1, 6))[0]
    np.testing.assert_allclose(found.problem.y, expected, rtol=1e-13)
    np.testing.assert_array_equal(found.x_true, truth)


def test_seed2d_has_the_published_figures(instance):
    found = instance("seed2d", 0)
    posterior = found.posterior
    assert found.problem.y.tolist() == [0.3]

    def approx(expected):
        return pytest.approx(np.array(expected), abs=6e-7)

    assert np.exp(posterior.log_weights) == approx([0.695603, 0.304397])
    assert posterior.component_means == approx([[-0.527548, -0.476584], [0.417355, 0.570248]])
    assert posterior.mean == approx([-0.239922, -0.157932])
    assert posterior.cov() == approx([[0.195377, 0.212565], [0.212565, 0.239382]])
    assert found.log_evidence == approx(-0.243753)


def test_seed2d_components_share_the_published_covariance(components):
    for component in components("seed2d", "posterior"):
        expected = np.array([[0.00632691, 0.00312213], [0.00312213, 0.00734619]])
        assert component.cov == pytest.approx(expected, abs=6e-9)
        along, across = np.array([-0.762, 0.648]), np.array([0.648, 0.762])
        assert np.sqrt(along @ component.cov @ along) == pytest.approx(0.0606, abs=6e-5)
        assert np.sqrt(across @ component.cov @ across) == pytest.approx(0.1, abs=6e-5)


CORRELATED = np.array([[1.0, 0.8], [0.8, 1.0]])


@pytest.mark.parametrize(
    ("cov", "row", "y", "std", "mean", "stds", "correlation", "log_evidence"),
    [
        (np.ones((1, 1)), [1.0], 0.8, 0.3, [0.733945], [0.287348], None, -1.255605),
        (CORRELATED, [1.0, 0.0], 1.2, 0.3, [1.10092, 0.88073], [0.28735, 0.64253], 0.3578, -1.622578),
        (CORRELATED, [1.0, 0.0], 1.2, 0.001, [1.2, 0.96], [0.001, 0.6], 0.0013, -1.638938),
    ],
    ids=["LG1", "LG2", "LG2n"],
)
def test_gaussian_problems_have_the_published_figures(cov, row, y, std, mean, stds, correlation, log_evidence):
    d = len(cov)
    prior = gaussian_mixture(np.ones(1), np.zeros((1, d)), cov[None], (d,))
    problem = Problem(
        prior, matrix_operator(np.array([row]), (d,)), GaussianNoise(np.array(std)), np.array([y]), VP(), (d,)
    )
    found = make_instance(problem, np.zeros(d))
    assert found.posterior.mean == pytest.approx(np.array(mean), abs=6e-6)
    assert found.posterior.std == pytest.approx(np.array(stds), abs=6e-6)
    assert found.log_evidence == pytest.approx(log_evidence, abs=6e-7)
    if correlation is not None:
        cov = found.posterior.cov()
        assert cov[0, 1] / np.sqrt(cov[0, 0] * cov[1, 1]) == pytest.approx(correlation, abs=6e-5)


def test_seed2d_spreads_as_published(instance):
    posterior = instance("seed2d", 0).posterior
    assert posterior.std == pytest.approx(np.array([0.4420, 0.4893]), abs=6e-5)
    cov = posterior.cov()
    assert cov[0, 1] / np.sqrt(cov[0, 0] * cov[1, 1]) == pytest.approx(0.983, abs=6e-4)
