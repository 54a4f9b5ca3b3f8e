"""Energy distance, maximum mean discrepancy and the classifier, against closed forms for two Gaussians."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from scipy.spatial.distance import cdist, pdist
from scipy.stats import norm

import problems
import scores
from problems.arrays import make_key
from scores.candidate import Candidate
from scores.two_sample import c2st, energy_distance, mmd2

WEIGHTS, MEANS = np.array([0.5, 0.3, 0.2]), np.array([[0.0, 0.0], [6.0, 1.0], [-3.0, 8.0]])


def mixture(build):
    return build(WEIGHTS, MEANS, np.stack([np.diag([1.0, 0.4])] * 3))


def isotropic(build, d, std=1.0):
    return build([1.0], np.linspace(-2.0, 3.0, d)[None], [std**2 * np.eye(d)])


def over_draws(instance, draw, n, draws, metric):
    """The metric of `draws` independent candidates, each against a reference of its own."""
    found = []
    for i in range(draws):
        x = draw(make_key("numpy", [7, i]))
        found.append(metric(Candidate(x, instance, scores.reference(instance, n, [i]), 1.0)))
    return np.array(found)


def within(values, expected, most):
    """The mean is the expected one within 4 standard errors, which are at most `most`."""
    error = np.std(values) / math.sqrt(len(values))
    assert error < most
    assert abs(np.mean(values) - expected) < 4 * error


def mean_norm(d):
    """E|z|, z ~ N(0, I_d)."""
    return math.sqrt(2) * math.exp(math.lgamma((d + 1) / 2) - math.lgamma(d / 2))


@pytest.mark.parametrize(("d", "spread"), [(1, 1.7), (5, 0.6), (40, 1.3)])
def test_energy_distance_of_a_wrong_width(build, d, spread):
    """2 E|X - R| - E|X - X'| - E|R - R'| = (2 sqrt(1 + c^2) - c sqrt 2 - sqrt 2) std E|z|."""
    instance, n = isotropic(build, d, 0.8), 60
    mean = instance.posterior.mean
    found = over_draws(instance, lambda key: mean + 0.8 * spread * key.standard_normal((n, d)), n, 60, energy_distance)
    expected = (2 * math.hypot(1, spread) - math.sqrt(2) * (1 + spread)) * 0.8 * mean_norm(d)
    within(found, expected, 0.2 * expected)


def test_energy_distance_of_a_shift_on_the_line(build):
    """E|N(m, 2)| = 2/sqrt(pi) exp(-m^2/4) + m (2 Phi(m/sqrt 2) - 1)."""
    instance, n, shift = isotropic(build, 1), 80, 0.9
    draw = lambda key: instance.posterior.sample(key, n) + shift  # noqa: E731
    found = over_draws(instance, draw, n, 60, energy_distance)
    across = 2 / math.sqrt(math.pi) * math.exp(-(shift**2) / 4) + shift * (2 * norm.cdf(shift / math.sqrt(2)) - 1)
    within(found, 2 * (across - 2 / math.sqrt(math.pi)), 0.05)


@pytest.mark.parametrize(("d", "spread", "shift"), [(1, 1.0, 1.1), (4, 0.5, 0.3), (30, 1.4, 0.0)])
def test_mmd_of_another_gaussian(build, d, spread, shift):
    """E k(a, b) = (h^2 / v)^(d/2) exp(-|difference of means|^2 / (2 v)), v = h^2 + both variances."""
    instance, n = isotropic(build, d), 50
    mean = instance.posterior.mean
    widths, found = [], []
    for i in range(50):
        reference = scores.reference(instance, n, [i])
        x = mean + shift + spread * make_key("numpy", [7, i]).standard_normal((n, d))
        h = np.median(pdist(reference.x))

        def kernel(v, apart, h=h):
            return (h**2 / (h**2 + v)) ** (d / 2) * math.exp(-apart / 2 / (h**2 + v))

        expected = kernel(2 * spread**2, 0) + kernel(2, 0) - 2 * kernel(1 + spread**2, d * shift**2)
        found.append(mmd2(Candidate(x, instance, reference, 1.0)) - expected)
        widths.append(expected)
    within(np.array(found), 0.0, 0.2 * np.mean(widths))


@pytest.mark.parametrize("metric", [energy_distance, mmd2])
def test_exact_samples_of_a_mixture_score_zero_on_average_though_the_reference_is_stratified(build, metric):
    """Weights that 20 divides: the pairs of one stratum, too few by one in n_k, would cost eight standard errors."""
    instance, n = mixture(build), 20
    exact = over_draws(instance, lambda key: instance.posterior.sample(key, n), n, 600, metric)
    within(exact, 0.0, 0.02 if metric is energy_distance else 0.002)
    assert np.mean(exact < 0) > 0.3
    stratum = dataclasses.replace(scores.reference(instance, n, [0]), counts=np.array([n]))
    assert stratum.mean_distance > scores.reference(instance, n, [0]).mean_distance * 1.02


def test_they_are_symmetric(build, rng):
    instance = isotropic(build, 3)
    reference = scores.reference(instance, 80, [5])
    x = instance.posterior.mean + rng.standard_normal((80, 3)) * [0.5, 1.0, 2.0]
    swapped = dataclasses.replace(reference, x=x)
    there = energy_distance(Candidate(x, instance, reference, 1.0))
    assert there == pytest.approx(energy_distance(Candidate(reference.x, instance, swapped, 1.0)), rel=1e-5)
    assert there > 0.01


def test_units(build):
    """Everything 7 times as large: the energy distance too, the discrepancy has no unit."""
    values = []
    for scale in (1.0, 7.0):
        instance = build(WEIGHTS, scale * MEANS, scale**2 * np.stack([np.diag([1.0, 0.4])] * 3))
        reference = scores.reference(instance, 90, [2])
        x = instance.posterior.sample(make_key("numpy", [3]), 90) * 1.5
        candidate = Candidate(x, instance, reference, 1.0)
        values.append((energy_distance(candidate), mmd2(candidate)))
    (energy, discrepancy), other = values
    assert other == pytest.approx((7 * energy, discrepancy), rel=1e-4)
    assert energy > 0.1


@pytest.mark.parametrize("metric", [energy_distance, mmd2, c2st])
def test_a_dropped_mode_is_far_above_the_floor(build, metric, monkeypatch):
    instance, name = mixture(build), metric.__name__
    monkeypatch.setattr("scores.evaluation.METRICS", {name: scores.METRICS[name]})
    reference = scores.reference(instance, 600, [1])
    x = instance.posterior.sample_components(make_key("numpy", [2]), np.repeat([0, 1], [375, 225]))
    floor = scores.floor(instance, reference, draws=12, seed_words=[1], data_range=1.0)[name]
    assert metric(Candidate(x, instance, reference, 1.0)) > np.mean(floor) + 4 * np.std(floor)


def test_single_precision_does_not_show():
    """Stiff images: the distance and the discrepancy to 1e-6 of E|X - X'| and of the kernel."""
    instance = problems.load("digits-inpaint", 2)
    reference = scores.reference(instance, 100, [1])
    x = instance.posterior.sample(make_key("numpy", [4]), 100)
    candidate = Candidate(x, instance, reference, 1.0)
    a, b = x.reshape(100, -1), reference.x.reshape(100, -1)
    assert reference.counts.max() == 100  # one component holds all, so the plain U-statistics apply
    h = np.median(pdist(b))
    kernel = lambda distance: np.exp(-(distance**2) / 2 / h**2)  # noqa: E731
    energy = 2 * cdist(a, b).mean() - pdist(a).mean() - pdist(b).mean()
    discrepancy = kernel(pdist(a)).mean() + kernel(pdist(b)).mean() - 2 * kernel(cdist(a, b)).mean()
    assert energy_distance(candidate) == pytest.approx(energy, abs=1e-6 * pdist(a).mean())
    assert mmd2(candidate) == pytest.approx(discrepancy, abs=1e-6)
    assert reference.median_distance == pytest.approx(h, rel=1e-5)


def test_the_classifier_is_that_of_scikit_learn(build, rng):
    """Its own cross validation over the same folds, on coordinates instead of distances."""
    from sklearn.model_selection import PredefinedSplit, cross_val_score
    from sklearn.neighbors import KNeighborsClassifier

    instance, n = isotropic(build, 3), 60
    reference = scores.reference(instance, n, [1])
    candidate = Candidate(instance.posterior.sample(rng, n) + 0.4, instance, reference, 1.0)
    pooled, fold = np.concatenate([candidate.scattered, reference.x]), np.tile(np.arange(n) % 5, 2)
    classifier = KNeighborsClassifier(9)  # the largest odd number up to sqrt(96)
    held_out = cross_val_score(classifier, pooled, np.repeat([0, 1], n), cv=PredefinedSplit(fold))
    assert c2st(candidate) == pytest.approx(np.mean(held_out), abs=1e-12)
    assert 0.5 < c2st(candidate) < 0.9


@pytest.mark.parametrize("shift", [0.8, 2.0])
def test_the_classifier_comes_close_to_the_best_one(build, shift):
    """N(0, 1) against N(shift, 1): no classifier is right more often than Phi(shift / 2)."""
    instance, n = isotropic(build, 1), 400
    found = over_draws(instance, lambda key: instance.posterior.sample(key, n) + shift, n, 8, c2st)
    best, error = norm.cdf(shift / 2), math.sqrt(0.25 / (2 * n * 8))
    assert best - 0.035 < np.mean(found) < best + 3 * error


def test_the_classifier_tells_separate_laws_apart_and_equal_ones_not(build):
    instance, n = isotropic(build, 2), 25
    far = over_draws(instance, lambda key: instance.posterior.sample(key, n) + 20, n, 2, c2st)
    assert np.all(far == 1)
    within(over_draws(instance, lambda key: instance.posterior.sample(key, n), n, 300, c2st), 0.5, 0.006)


def test_fewer_samples_than_folds_have_no_accuracy(build):
    instance = isotropic(build, 2)
    x = instance.posterior.sample(make_key("numpy", [1]), 5)
    assert math.isnan(c2st(Candidate(x[:4], instance, scores.reference(instance, 4, [1]), 1.0)))
    assert 0 <= c2st(Candidate(x, instance, scores.reference(instance, 5, [1]), 1.0)) <= 1
