from __future__ import annotations

import math

import numpy as np
import pytest

import problems
import scores
from problems.arrays import make_key
from scores.candidate import Candidate
from scores.data_fit import chi2_per_m
from scores.densities import kl_reverse, log_density_regret


def test_chi2_of_known_residuals(rng):
    """x = A^+ (y + r): |r|^2 / (m std^2) for every sample, and the standard error of their mean."""
    instance = problems.load("linear-gaussian-16", 5)
    problem = instance.problem
    m, std = len(problem.y), float(problem.noise.std)
    residuals = rng.standard_normal((9, m)) * np.linspace(0.5, 2, 9)[:, None]
    x = problem.operator.pseudo_inverse(problem.y + residuals)
    value, stderr = chi2_per_m(Candidate(x, instance, scores.reference(instance, 9, [1]), 1.0))
    each = np.sum(residuals**2, axis=1) / (m * std**2)
    assert value == pytest.approx(np.mean(each), rel=1e-9)
    assert stderr == pytest.approx(np.std(each, ddof=1) / 3, rel=1e-9)


@pytest.mark.parametrize("name", ["gmm25-8-2", "linear-gaussian-16"])
def test_chi2_of_exact_samples_is_one_on_average_and_the_prior_is_far_above(name):
    exact, prior = [], []
    for index in range(150):
        instance = problems.load(name, index)
        reference = scores.reference(instance, 20, [1])
        for values, law in ((exact, instance.posterior), (prior, instance.problem.prior)):
            values.append(
                chi2_per_m(Candidate(law.sample(make_key("numpy", [index]), 20), instance, reference, 1.0))[0]
            )
    assert abs(np.mean(exact) - 1) < 4 * np.std(exact) / math.sqrt(len(exact))
    assert np.std(exact) / math.sqrt(len(exact)) < 0.1
    assert np.mean(prior) > 3


def test_regret_of_a_constant_and_its_standard_error(rng):
    instance = problems.load("seed2d", 0)
    reference = scores.reference(instance, 50, [1])
    x = instance.posterior.sample(rng, 50)
    offsets = 0.4 + rng.standard_normal(50)
    log_q = instance.posterior.log_prob(x) + offsets
    value, stderr = log_density_regret(Candidate(x, instance, reference, 1.0, log_q))
    assert value == pytest.approx(np.mean(offsets), abs=1e-9)
    assert stderr == pytest.approx(np.std(offsets, ddof=1) / math.sqrt(50), rel=1e-9)


@pytest.mark.parametrize("spread", [0.6, 1.4])
def test_regret_is_the_divergence_of_a_wrong_width(build, rng, spread):
    """KL(N(m, c^2 C) || N(m, C)) = d (c^2 / 2 - 1/2 - log c), positive on both sides of 1."""
    d, n = 5, 4000
    root = np.tril(np.full((d, d), 0.4)) + np.eye(d)
    mean = np.linspace(0, 3, d)
    instance = build([1.0], mean[None], [root @ root.T])
    wrong = build([1.0], mean[None], [spread**2 * root @ root.T]).posterior
    x = wrong.sample(rng, n)
    reference = scores.reference(instance, n, [1])
    value, stderr = log_density_regret(Candidate(x, instance, reference, 1.0, wrong.log_prob(x)))
    assert abs(value - d * (spread**2 / 2 - 0.5 - math.log(spread))) < 4 * stderr
    assert stderr < 0.05


@pytest.mark.parametrize("spread", [0.6, 1.4])
def test_the_reverse_divergence_of_a_wrong_width(build, rng, spread):
    """KL(N(m, C) || N(m, c^2 C)) = d (log c + 1 / (2 c^2) - 1/2): not that of the other direction."""
    d, n = 5, 4000
    root = np.tril(np.full((d, d), 0.4)) + np.eye(d)
    mean = np.linspace(0, 3, d)
    instance = build([1.0], mean[None], [root @ root.T])
    wrong = build([1.0], mean[None], [spread**2 * root @ root.T]).posterior
    x = instance.posterior.sample(rng, n)
    found = scores.evaluate(
        wrong.sample(rng, 50),
        instance,
        scores.reference(instance, 50, [1]),
        data_range=1.0,
        exact_x=x,
        exact_log_prob=wrong.log_prob(x),
    )
    value, stderr = found["kl_reverse"]
    assert abs(value - d * (math.log(spread) + 0.5 / spread**2 - 0.5)) < 4 * stderr
    assert stderr < 0.06
    assert "log_density_regret" not in found


def test_a_dropped_mode_shows_in_the_reverse_divergence_alone(build, rng):
    """q is one of two modes: KL(q || p) = -log .7, while 30 % of the exact draws lie 12 standard deviations off."""
    instance = build([0.7, 0.3], [[0.0, 0.0], [12.0, 0.0]], np.stack([np.eye(2)] * 2))
    one = build([1.0], [[0.0, 0.0]], [np.eye(2)]).posterior
    x, exact = one.sample(rng, 2000), instance.posterior.sample(rng, 2000)
    reference = scores.reference(instance, 2000, [1])
    candidate = Candidate(x, instance, reference, 1.0, one.log_prob(x), exact, one.log_prob(exact))
    assert log_density_regret(candidate)[0] == pytest.approx(-math.log(0.7), abs=1e-3)
    value, stderr = kl_reverse(candidate)
    expected = 0.7 * math.log(0.7) + 0.3 * (math.log(0.3) + 72)  # E[(|x|^2 - |x - m|^2) / 2] = |m|^2 / 2 in the other
    assert abs(value - expected) < 4 * stderr
    assert stderr < 0.05 * expected


def test_draws_without_any_density_cost_infinity(build, rng):
    instance = build([1.0], [[0.0, 0.0]], [np.eye(2)])
    x = instance.posterior.sample(rng, 20)
    log_q = np.where(np.arange(20) == 3, -np.inf, 0.0)
    reference = scores.reference(instance, 20, [1])
    found = scores.evaluate(x, instance, reference, data_range=1.0, exact_x=x, exact_log_prob=log_q)
    assert found["kl_reverse"][0] == math.inf


@pytest.mark.parametrize(("off", "stderr"), [(0.0, 0.1), (-0.7, 0.02), (2.5, float("nan"))])
def test_the_error_of_an_evidence(off, stderr):
    instance = problems.load("seed2d", 0)
    x = instance.posterior.sample(make_key("numpy", [3]), 8)
    evidence = (instance.log_evidence + off, stderr)
    found = scores.evaluate(x, instance, scores.reference(instance, 8, [1]), data_range=1.0, log_evidence=evidence)
    assert found["log_evidence_error"] == pytest.approx((off, stderr), nan_ok=True)
    assert instance.log_evidence == pytest.approx(-0.243753, abs=1e-6)


def test_without_an_estimate_the_evidence_has_no_error():
    instance = problems.load("seed2d", 0)
    x = instance.posterior.sample(make_key("numpy", [3]), 8)
    found = scores.evaluate(x, instance, scores.reference(instance, 8, [1]), data_range=1.0)
    assert "log_evidence_error" not in found
