"""Each planted fault has the law that it says, and at its identity none."""

from __future__ import annotations

import dataclasses
from contextlib import contextmanager

import numpy as np
import pytest
import scipy.stats

import problems
import problems.gaussian_field
import scores
from problems.arrays import make_key
from problems.contract import Instance, Problem
from problems.names import UsageError
from problems.noise import GaussianNoise
from problems.operator_mask import random_pixels
from problems.posteriors import condition
from problems.schedules import VP
from scores.directions import null_directions, range_directions
from scores.effect import effect
from scores.faults import FAULTS
from scores.faulty_posteriors import scaled
from scores.registry import METRICS, metric

EXAMPLES = [("seed2d", 0), ("gmm25-8-1", 1), ("linear-gaussian-2", 0), ("gaussian-field-16", 0), ("digits-inpaint", 3)]


def flat_mean(law):
    return np.asarray(law.mean).reshape(-1)


def inpainted_field() -> Instance:
    """A field of 12 x 12 pixels seen at 60, whose posterior is diagonal in no basis."""
    whole = problems.gaussian_field.field(12)
    operator, noise = random_pixels((12, 12), make_key("numpy", [1]), 0.4), GaussianNoise(np.array(0.3))
    y = whole.sample(make_key("numpy", [2]), 1).ravel()[operator.kept]
    problem = Problem(whole, operator, noise, y, VP(), (12, 12))
    return Instance(problem, whole.mean, lambda: condition(whole, operator, noise, y))


@pytest.mark.parametrize("name", ["std_divided", "std_multiplied", "shift_range", "shift_null"])
def test_faults_of_a_field_behind_a_mask_are_faults_of_its_draws_and_its_density(name):
    instance, fault, d = inpainted_field(), FAULTS[name], 144
    assert fault.applies(instance)
    law, exact = fault.law(instance, fault.nominal), instance.posterior
    factor = {"std_divided": 0.25, "std_multiplied": 4.0}.get(name, 1.0)
    covs = [one.covariance(np.eye(d).reshape(d, 12, 12)).reshape(d, d) for one in (law, exact)]
    np.testing.assert_allclose(covs[0], factor * covs[1], rtol=1e-4, atol=1e-6)
    moved = flat_mean(law) - flat_mean(exact)
    assert (np.linalg.norm(moved) > 0.1) == name.startswith("shift")
    drawn, fair = (one.sample(make_key("numpy", [3]), 2000).reshape(2000, d) for one in (law, exact))
    np.testing.assert_allclose(drawn - flat_mean(law), factor**0.5 * (fair - flat_mean(exact)), atol=1e-4)
    found = law.log_prob(drawn[:5].reshape(5, 12, 12))
    expected = scipy.stats.multivariate_normal.logpdf(drawn[:5], flat_mean(law), factor * covs[1])
    np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_a_score_in_the_place_of_the_prior_has_no_draws_and_no_density():
    instance = problems.load("digits-inpaint-model-perturbed-5", 0)
    assert not FAULTS["ignore_y"].applies(instance)
    assert not FAULTS["noise_std_divided"].applies(instance)
    assert FAULTS["std_divided"].applies(instance)


def component_covs(law):
    """(K, d, d), whatever the class stores."""
    if hasattr(law, "spectrum"):
        return law.cov()[None]
    if hasattr(law, "basis"):
        d = law.basis.shape[0]
        off = np.eye(d) - law.basis @ law.basis.T
        cov = float(law.variance) * off + (law.basis * law.eigenvalues) @ law.basis.T
        return np.repeat(cov[None], len(law.log_weights), 0)
    q = law.eigenvectors.transpose(1, 0, 2)
    return (q * law.eigenvalues[:, None, :]) @ q.transpose(0, 2, 1)


def cases():
    for name, index in EXAMPLES:
        instance = problems.load(name, index)
        for fault in FAULTS.values():
            if fault.applies(instance):
                yield pytest.param(fault, instance, id=f"{fault.name}-{name}")


CASES = list(cases())


def test_every_fault_is_planted_in_some_example():
    assert {case.values[0].name for case in CASES} == set(FAULTS)


@pytest.mark.parametrize("fault", FAULTS.values(), ids=lambda fault: fault.name)
def test_sizes_ascend_and_hold_the_nominal_one(fault):
    assert list(fault.sizes) == sorted(set(fault.sizes))
    assert fault.nominal in fault.sizes


@pytest.mark.parametrize(("fault", "instance"), [case for case in CASES if case.values[0].name != "ignore_y"])
def test_at_its_identity_a_fault_is_the_exact_posterior(fault, instance):
    identity = 1.0 if fault.size_unit == "factor" else 0.0
    law, exact = fault.law(instance, identity), instance.posterior
    np.testing.assert_allclose(law.log_weights, exact.log_weights, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(law.mean, exact.mean, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(law.cov(), exact.cov(), rtol=1e-9, atol=1e-12)
    drawn = fault.sample(instance, identity, make_key("numpy", [4]), 9)
    assert drawn.shape == (9, *instance.problem.shape)
    assert drawn.dtype == np.float64
    np.testing.assert_allclose(drawn, exact.sample(make_key("numpy", [4]), 9), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(("fault", "instance"), CASES)
def test_a_fault_is_one_at_every_size_and_the_larger_the_farther(fault, instance):
    """The mean, the covariance or the weights are off, by more at the larger size."""

    def distance(size):
        law, exact = fault.law(instance, size), instance.posterior
        return np.linalg.norm(flat_mean(law) - flat_mean(exact)) + np.linalg.norm(law.cov() - exact.cov())

    distances = [distance(size) for size in fault.sizes]
    assert distances[0] > 1e-9
    assert distances == sorted(distances)


@pytest.fixture
def three(build):
    means = np.array([[3.0, 0.5, -1.0], [-2.0, 1.5, 0.0], [0.0, -4.0, 2.0]])
    covs = np.array([np.diag([0.5, 0.2, 1.5]), np.diag([1.1, 0.7, 0.3]), np.diag([0.4, 0.9, 0.6])])
    return lambda weights: build(weights, means, covs)


@pytest.mark.parametrize(
    ("name", "size", "weights", "expected"),
    [
        ("drop_mode", 1.0, [0.62, 0.25, 0.13], [0.62 / 0.87, 0.25 / 0.87, 0.0]),
        ("drop_mode", 0.5, [0.62, 0.13, 0.25], [0.62 * 0.935 / 0.87, 0.065, 0.25 * 0.935 / 0.87]),
        ("drop_mode", 1.0, [0.09, 0.5, 0.41], [0.09 / 0.59, 0.5 / 0.59, 0.0]),
        ("drop_mode", 1.0, [0.09, 0.6, 0.31], [0.09 / 0.69, 0.6 / 0.69, 0.0]),
        ("tilt_weights", 0.1, [0.25, 0.62, 0.13], [0.25 * 0.442 / 0.38, 0.558, 0.13 * 0.442 / 0.38]),
        ("tilt_weights", 0.4, [0.25, 0.25, 0.5], [0.35, 0.35, 0.3]),
    ],
)
def test_weights_of_the_faults_of_weights(three, name, size, weights, expected):
    instance = three(weights)
    law = FAULTS[name].law(instance, size)
    np.testing.assert_allclose(np.exp(law.log_weights), expected, rtol=1e-12, atol=0)
    np.testing.assert_array_equal(law.component_means, instance.posterior.component_means)
    np.testing.assert_array_equal(law.eigenvalues, instance.posterior.eigenvalues)


@pytest.mark.parametrize(
    ("weights", "drop", "tilt"),
    [
        ([0.62, 0.25, 0.13], True, True),
        ([0.85, 0.09, 0.06], False, True),
        ([0.895, 0.1, 0.005], True, True),
        ([0.91, 0.05, 0.04], False, False),
        ([0.499, 0.499, 0.002], True, True),
    ],
)
def test_where_weights_can_be_wrong(three, weights, drop, tilt):
    instance = three(weights)
    assert FAULTS["drop_mode"].applies(instance) is drop
    assert FAULTS["tilt_weights"].applies(instance) is tilt


@pytest.mark.parametrize("name", ["std_divided", "std_multiplied"])
@pytest.mark.parametrize(("problem", "index"), EXAMPLES)
def test_the_std_is_scaled_within_each_mode_about_its_mean(name, problem, index):
    instance = problems.load(problem, index)
    law, exact = FAULTS[name].law(instance, 1.25), instance.posterior
    factor = 1.5625 if name == "std_multiplied" else 0.64
    np.testing.assert_allclose(component_covs(law), factor * component_covs(exact), rtol=1e-9, atol=1e-13)
    np.testing.assert_array_equal(law.component_means, exact.component_means)
    np.testing.assert_array_equal(law.log_weights, exact.log_weights)


@pytest.mark.parametrize("space", ["range", "null"])
@pytest.mark.parametrize(("problem", "index"), EXAMPLES)
def test_a_shift_is_so_many_std_along_each_direction_of_its_space(space, problem, index):
    instance = problems.load(problem, index)
    directions = (range_directions if space == "range" else null_directions)(instance.problem.operator)
    fault = FAULTS[f"shift_{space}"]
    if problem == "gaussian-field-16" and space == "null":
        assert not fault.applies(instance)
        return
    law, exact = fault.law(instance, 0.3), instance.posterior
    moved = flat_mean(law) - flat_mean(exact)
    std = np.sqrt(np.diag(directions @ exact.cov() @ directions.T))
    np.testing.assert_allclose(directions @ moved, 0.3 * std, rtol=1e-8)
    np.testing.assert_allclose(directions.T @ (directions @ moved), moved, atol=1e-10)
    np.testing.assert_allclose(law.cov(), exact.cov(), rtol=1e-10, atol=1e-13)
    seen = instance.problem.operator(moved.reshape(1, *instance.problem.shape))
    assert (np.abs(seen).max() < 1e-8) == (space == "null")


def test_ignoring_y_is_the_prior():
    instance = problems.load("gmm25-8-1", 1)
    assert FAULTS["ignore_y"].law(instance, 1.0) is instance.problem.prior


def test_a_smaller_noise_std_gives_the_posterior_of_that_noise():
    instance = problems.load("linear-gaussian-16", 2)
    problem, prior = instance.problem, instance.problem.prior
    law = FAULTS["noise_std_divided"].law(instance, 1.25)
    a, precision = problem.operator.matrix, np.linalg.inv(prior.cov())
    std = float(problem.noise.std) / 1.25
    cov = np.linalg.inv(precision + a.T @ a / std**2)
    mean = cov @ (precision @ flat_mean(prior) + a.T @ problem.y / std**2)
    np.testing.assert_allclose(law.cov(), cov, rtol=1e-7, atol=1e-10)
    np.testing.assert_allclose(flat_mean(law), mean, rtol=1e-7)


@pytest.mark.parametrize("fault", FAULTS.values(), ids=lambda fault: fault.name)
def test_draws_follow_the_law(fault):
    """Means, covariance and weights within five standard errors, one key one sample."""
    instance, n = problems.load("seed2d", 0), 4000
    law = fault.law(instance, fault.nominal)
    x = fault.sample(instance, fault.nominal, make_key("numpy", [1]), n)
    cov = law.cov()
    assert np.all(np.abs(x.mean(axis=0) - law.mean) < 5 * np.sqrt(np.diag(cov) / n))
    fourth = np.outer(np.diag(cov), np.diag(cov)) + cov**2
    assert np.all(np.abs(np.cov(x.T) - cov) < 5 * np.sqrt(fourth / n))
    weights = np.exp(law.log_weights)
    assert np.all(np.abs((x[:, 0] < 0).mean() - weights[0]) <= 5 * np.sqrt(weights[0] * weights[1] / n) + 1e-9)


@pytest.mark.parametrize(("fault", "instance"), CASES)
def test_the_effect_grows_with_the_fault_from_nothing(fault, instance):
    sizes = [one for one in fault.sizes if fault.name != "noise_std_divided"] or [1.1]
    found = [effect(fault.law(instance, size), instance.posterior) for size in sizes]
    assert found == sorted(found)
    assert found[0] > 1e-4
    assert effect(instance.posterior, instance.posterior) == pytest.approx(0.0, abs=1e-12)


def test_effects_by_hand(build):
    """Two modes at -3 and 3 of weights .7 and .3, std 1 in the first coordinate and 2 in the second: trace 12.56."""
    covs = np.stack([np.diag([1.0, 4.0])] * 2)
    posterior = build([0.7, 0.3], [[-3.0, 0.0], [3.0, 0.0]], covs).posterior
    overall = np.sqrt(1 + 4 + 4 * 0.21 * 9)
    half = scaled(posterior, 0.5)
    assert effect(half, posterior) == pytest.approx(0.5 * np.sqrt(5) / overall)
    moved = dataclasses.replace(half, component_means=half.component_means + np.array([[0.0, 0.4], [0.0, 1.0]]))
    cost = 0.7 * 0.4**2 + 0.3 * 1.0**2 + 0.25 * 5
    assert effect(moved, posterior) == pytest.approx(np.sqrt(cost) / overall)
    tilted = dataclasses.replace(posterior, log_weights=np.log([0.6, 0.4]))
    assert effect(tilted, posterior) == pytest.approx(0.1 * 6 / overall)


def test_words():
    assert FAULTS["tilt_weights"].said(0.1) == "weights tilted by 10 %"
    assert FAULTS["tilt_weights"].said(0.025) == "weights tilted by 2.5 %"
    assert FAULTS["std_divided"].said(2.0) == "a std divided by 2"
    assert FAULTS["shift_null"].said(0.2) == "a shift by 0.2 std in null(A)"


@contextmanager
def registered(name):
    yield
    del METRICS[name]


def test_a_metric_claims_only_faults_that_exist_and_by_default_all():
    with pytest.raises(UsageError, match="no planted fault 'drop_modes'; did you mean 'drop_mode'"):
        metric("new", unit="x", better="lower", claims=("drop_modes",))
    assert "new" not in scores.METRICS
    with registered("new"):
        metric("new", unit="x", better="lower")(lambda _: 0.0)
        assert scores.METRICS["new"].claims == set(FAULTS)
    assert scores.METRICS["sw1"].claims == set(FAULTS)
    in_x = {name for name, entry in scores.METRICS.items() if entry.in_x}
    distances = {"w1", "sw1", "sw2", "max_sw2", "energy_distance", "mmd2", "c2st", "energy_score_regret"}
    assert in_x == distances | {"mode_weights_w2", "mode_means_w2", "mode_covs_w2"}
    assert scores.METRICS["mode_tv"].claims == {"drop_mode", "tilt_weights"}
    assert scores.METRICS["nonfinite"].claims == set()
