"""KSD^2 = E (s_p - s_q)(x) . (s_p - s_q)(x') k(x, x') for independent x, x' of q: closed forms for Gaussians."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import chi2

import problems
import scores
from problems.arrays import make_key
from scores.candidate import Candidate
from scores.stein import ksd2


def over_draws(instance, draw, n, draws):
    """Kernel discrepancies and the length c of each."""
    found = []
    for i in range(draws):
        reference = scores.reference(instance, n, [i])
        found.append(
            (ksd2(Candidate(draw(make_key("numpy", [7, i])), instance, reference, 1.0)), reference.median_distance)
        )
    return np.array(found).T


def kernel_moment(c, d, spread, power):
    """E |v|^power (c^2 + 2 |v|^2)^(-1/2) for v ~ N(0, spread^2 I_d), which is (x - x') / sqrt 2."""

    def integrand(t):
        return (spread**2 * t) ** (power / 2) / math.sqrt(c**2 + 2 * spread**2 * t) * chi2.pdf(t, d)

    return quad(integrand, 0, np.inf)[0]


@pytest.mark.parametrize("d", [2, 5])
def test_a_shifted_gaussian(build, d):
    """s_p - s_q = -delta / std^2 everywhere, so KSD^2 = |delta|^2 / std^4 E k."""
    std, n, delta = 0.7, 60, np.linspace(0.2, 0.5, d)
    instance = build([1.0], np.linspace(-2, 3, d)[None], [std**2 * np.eye(d)])
    found, c = over_draws(instance, lambda key: instance.posterior.sample(key, n) + delta, n, 60)
    expected = np.array([delta @ delta / std**4 * kernel_moment(one, d, std, 0) for one in c])
    error = np.std(found - expected) / math.sqrt(len(found))
    assert error < 0.1 * np.mean(expected)
    assert abs(np.mean(found - expected)) < 4 * error


@pytest.mark.parametrize(("d", "spread"), [(2, 1.5), (5, 0.6)])
def test_a_gaussian_of_the_wrong_width(build, d, spread):
    """With u, v = (x +- x') / sqrt 2: (1 - 1/spread^2)^2 E[(|u|^2 - |v|^2) / 2 k(v)]."""
    n = 60
    mean = np.linspace(-1, 1, d)
    instance = build([1.0], mean[None], [np.eye(d)])
    found, c = over_draws(instance, lambda key: mean + spread * key.standard_normal((n, d)), n, 80)
    moments = [d * spread**2 * kernel_moment(k, d, spread, 0) - kernel_moment(k, d, spread, 2) for k in c]
    expected = (1 - spread**-2) ** 2 / 2 * np.array(moments)
    error = np.std(found - expected) / math.sqrt(len(found))
    assert error < 0.12 * np.mean(expected)
    assert abs(np.mean(found - expected)) < 4 * error


@pytest.mark.parametrize("name", ["seed2d", "digits-inpaint", "gaussian-field-16", "gmm25-80-2"])
def test_exact_samples_score_zero_on_average(name):
    """A U-statistic; its values are of both signs and their mean is 0 within 4 standard errors."""
    instance, n = problems.load(name, 1), 24
    found, _ = over_draws(instance, lambda key: instance.posterior.sample(key, n), n, 150)
    assert abs(np.mean(found)) < 4 * np.std(found) / math.sqrt(len(found))
    assert 0.2 < np.mean(found < 0) < 0.9
    prior, _ = over_draws(instance, lambda key: instance.problem.prior.sample(key, n), n, 10)
    assert np.mean(prior) > np.std(found)


def test_it_is_local_only_blind_to_the_weights_of_modes():
    """Equal weights, or the heavy mode alone, pass as exact; a mode of the wrong width does not."""
    instance, n = problems.load("seed2d", 0), 300
    reference, key = scores.reference(instance, n, [1]), make_key("numpy", [3])
    floors = scores.floor(instance, reference, draws=20, seed_words=[1], data_range=1.0)
    centre, std = np.mean(floors["ksd2"]), np.std(floors["ksd2"])
    for labels in (np.repeat([0, 1], n // 2), np.zeros(n, dtype=int)):
        x = instance.posterior.sample_components(key, labels)
        candidate = Candidate(x, instance, reference, 1.0)
        assert abs(ksd2(candidate) - centre) < 4 * std
        assert scores.METRICS["energy_distance"].compute(candidate) > 20 * np.quantile(floors["energy_distance"], 0.95)
    mean = instance.posterior.component_means[0]
    assert ksd2(Candidate(mean + 1.5 * (x - mean), instance, reference, 1.0)) > centre + 10 * std
    assert "local only" in scores.METRICS["ksd2"].summary


def test_unit(build):
    """Everything 3 times as large: 27 times less."""
    values = []
    for scale in (1.0, 3.0):
        instance = build([0.4, 0.6], scale * np.array([[0.0, 1.0], [2.0, -1.0]]), scale**2 * np.stack([np.eye(2)] * 2))
        reference = scores.reference(instance, 50, [2])
        x = 1.5 * instance.posterior.sample(make_key("numpy", [3]), 50)
        values.append(ksd2(Candidate(x, instance, reference, 1.0)))
    assert values[0] == pytest.approx(27 * values[1], rel=1e-4)
    assert values[0] > 0.01
