from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from scipy.stats import norm

import problems
import scores
from problems.arrays import make_key
from scores.calibration import coverage_error, covered_share, z_std
from scores.candidate import Candidate
from scores.directions import BANDS


@pytest.fixture
def instance(build):
    """A Gaussian posterior in 24 dimensions whose coordinates are independent; A sees the first 12."""
    d = 24
    return build([1.0], np.linspace(-1, 2, d)[None], [np.diag(np.linspace(0.1, 4.0, d))])


def over_truths(instance, n, truths, metric, spread=1.0, shift=0.0):
    """The metric over truths drawn from the posterior and samples of a law `spread` times as wide, moved by `shift`
    exact standard deviations."""
    posterior, found = instance.posterior, []
    shared = scores.reference(instance, n, [1])
    for i in range(truths):
        here = dataclasses.replace(instance, x_true=posterior.sample(make_key("numpy", [1, i]), 1)[0])
        x = posterior.mean + spread * (posterior.sample(make_key("numpy", [2, i]), n) - posterior.mean)
        x = x + shift * posterior.std
        found.append(metric(Candidate(x, here, shared, 1.0)))
    return np.array(found)


@pytest.mark.parametrize("n", [1, 2, 7, 64, 999])
@pytest.mark.parametrize("nominal", [0.5, 0.68, 0.9])
def test_uniform_ranks_have_exactly_the_nominal_coverage(n, nominal):
    ranks = np.arange(n + 1)
    assert np.mean(covered_share(ranks, np.zeros(n + 1), n, nominal)) == pytest.approx(nominal, abs=1e-12)


def test_coverage_of_given_ranks():
    """n = 9: the ranks are tenths, and [.05, .95] cuts the first and the last in half; .5 keeps .25 to .75."""
    ranks, none = np.arange(10), np.zeros(10)
    np.testing.assert_allclose(covered_share(ranks, none, 9, 0.9), [0.5, *[1.0] * 8, 0.5])
    np.testing.assert_allclose(covered_share(ranks, none, 9, 0.5), [0, 0, 0.5, 1, 1, 1, 1, 0.5, 0, 0], atol=1e-12)


def test_ties_average_over_the_ranks_they_could_take():
    n, nominal = 20, 0.5
    for below, ties in ((0, 20), (3, 4), (12, 8), (20, 0)):
        possible = covered_share(np.arange(below, below + ties + 1), np.zeros(ties + 1), n, nominal)
        found = covered_share(np.array([below]), np.array([ties]), n, nominal)
        assert found[0] == pytest.approx(np.mean(possible), abs=1e-12)


def test_samples_that_all_equal_the_truth_cover_as_much_as_they_should(instance):
    """All ranks are possible, so the coverage is nominal; away from the truth none is covered."""
    reference = scores.reference(instance, 30, [1])
    at_truth = Candidate(np.tile(instance.x_true, (30, 1)), instance, reference, 1.0)
    away = Candidate(np.tile(instance.x_true + 1.0, (30, 1)), instance, reference, 1.0)
    assert coverage_error(at_truth, "null", 0.9) == pytest.approx(0.0, abs=1e-12)
    assert coverage_error(away, "null", 0.9) == pytest.approx(-0.9, abs=1e-12)


@pytest.mark.parametrize("space", ["range", "null"])
@pytest.mark.parametrize("nominal", [0.5, 0.9])
@pytest.mark.parametrize(("spread", "shift"), [(1.0, 0.0), (0.5, 0.0), (1.8, 0.0), (1.0, 0.8)])
def test_coverage_of_wrong_widths_and_centres(instance, space, nominal, spread, shift):
    """Central interval m + shift +- spread z: Phi(shift + spread z) - Phi(shift - spread z), minus nominal."""
    truths = 120
    errors = over_truths(instance, 99, truths, lambda c: coverage_error(c, space, nominal), spread, shift)
    z = norm.ppf((1 + nominal) / 2)
    expected = norm.cdf(shift + spread * z) - norm.cdf(shift - spread * z) - nominal
    tolerance = 4 * np.std(errors) / math.sqrt(truths)
    assert tolerance < 0.06
    at_finite_n = 0.0 if spread == 1 and shift == 0 else 0.01  # other laws meet their limit at rate 1/n
    assert abs(np.mean(errors) - expected) < tolerance + at_finite_n


def test_each_space_sees_its_own_directions(instance):
    """Samples too narrow where the data see, and exact elsewhere."""
    posterior = instance.posterior
    seen = np.arange(24) < 12
    errors = []
    for i in range(60):
        here = dataclasses.replace(instance, x_true=posterior.sample(make_key("numpy", [1, i]), 1)[0])
        x = posterior.sample(make_key("numpy", [2, i]), 99)
        x = np.where(seen, posterior.mean + 0.2 * (x - posterior.mean), x)
        found = scores.evaluate(x, here, scores.reference(here, 99, [1]), data_range=1.0)
        errors.append([found[f"coverage{percent}_{space}"][0] for percent in (50, 90) for space in ("range", "null")])
    narrow50, exact50, narrow90, exact90 = np.mean(errors, axis=0)
    assert narrow50 == pytest.approx(2 * norm.cdf(0.2 * norm.ppf(0.75)) - 1 - 0.5, abs=0.05)
    assert narrow90 == pytest.approx(2 * norm.cdf(0.2 * norm.ppf(0.95)) - 1 - 0.9, abs=0.05)
    assert abs(exact50) < 0.05
    assert abs(exact90) < 0.05


@pytest.mark.parametrize("band", ["low", "mid", "high"])
def test_each_band_sees_its_own_frequencies(build, band):
    """Images too narrow in one band of their cosine transform, and exact elsewhere."""
    from scipy.fft import dctn, idctn

    rows, columns, n = 6, 8, 39
    instance = build([1.0], np.zeros((1, 48)), [np.diag(np.linspace(0.5, 2.0, 48))], shape=(rows, columns))
    frequency = np.hypot(np.arange(rows)[:, None] / rows, np.arange(columns) / columns)
    low, high = BANDS[band]
    factor = np.where((frequency >= low) & (frequency < high), 0.2, 1.0)
    errors = []
    for i in range(80):
        here = dataclasses.replace(instance, x_true=instance.posterior.sample(make_key("numpy", [1, i]), 1)[0])
        x = instance.posterior.sample(make_key("numpy", [2, i]), n)
        x = idctn(factor * dctn(x, axes=(1, 2), norm="ortho"), axes=(1, 2), norm="ortho")
        reference = scores.reference(here, n, [1])
        errors.append([coverage_error(Candidate(x, here, reference, 1.0), name, 0.9) for name in BANDS])
    expected = [2 * norm.cdf(0.2 * norm.ppf(0.95)) - 1.9 if name == band else 0.0 for name in BANDS]
    np.testing.assert_allclose(np.mean(errors, axis=0), expected, atol=0.04)


def test_registered_coverages_have_the_nominal_values_of_their_names(instance):
    """A truth outside all samples is never covered."""
    reference = scores.reference(instance, 99, [1])
    found = scores.evaluate(reference.x + 1e3, instance, reference, data_range=1.0)
    errors = {name: value for name, (value, _) in found.items() if name.startswith("coverage")}
    spaces, percents = ("range", "null"), (50, 68, 90, 95)
    assert errors == pytest.approx({f"coverage{p}_{space}": -p / 100 for space in spaces for p in percents})
    image = problems.load("digits-denoise", 0)
    reference = scores.reference(image, 20, [1])
    x = reference.x.copy()
    x[:, 0, 0] += 1e6  # a corner pixel has every frequency
    found = scores.evaluate(x, image, reference, data_range=1.0)
    assert [found[f"coverage90_{band}"][0] for band in BANDS] == pytest.approx([-0.9] * 3)


def test_z_std_of_given_moments(build, standardised):
    """z_k = offset_k / width_k: the root mean square over both spaces, times the correction for n."""
    n, d = 40, 6
    instance = build([1.0], np.zeros((1, d)), [np.eye(d)])
    offsets, widths = np.array([0.5, -1.0, 2.0, 0.3, -0.7, 1.5]), np.array([0.8, 1.2, 3.0, 0.5, 1.0, 2.0])
    centre = np.linspace(-1, 1, d)
    instance = dataclasses.replace(instance, x_true=centre + offsets)
    # along the six axes themselves: the null space is spanned by random directions, so turn those into axes
    reference = scores.reference(instance, n, [1])
    axes = {"range": slice(0, 3), "null": slice(3, 6)}
    reference = dataclasses.replace(reference, directions={name: np.eye(d)[those] for name, those in axes.items()})
    found = z_std(Candidate(centre + widths * standardised(n, d), instance, reference, 1.0))
    correction = (n - 3) / (n - 1) / (1 + 1 / n)
    assert found == pytest.approx(np.sqrt(np.mean((offsets / widths) ** 2) * correction), rel=1e-9)


@pytest.mark.parametrize(("n", "spread"), [(8, 1.0), (50, 1.0), (50, 0.4), (50, 2.0)])
def test_z_std_squares_average_to_the_ratio_of_variances(instance, n, spread):
    """At n = 8 the uncorrected square would be 1.58. For a law `spread` times as wide: (1/spread^2 + 1/n)/(1 + 1/n)."""
    truths = 250
    squares = over_truths(instance, n, truths, z_std, spread) ** 2
    expected = (1 / spread**2 + 1 / n) / (1 + 1 / n)
    assert abs(np.mean(squares) - expected) < 4 * np.std(squares) / math.sqrt(truths)


def test_z_std_without_spread(instance):
    reference = scores.reference(instance, 3, [1])
    few = scores.evaluate(reference.x, instance, reference, data_range=1.0)
    assert math.isnan(few["z_std"][0])
    reference = scores.reference(instance, 10, [1])
    same = scores.evaluate(np.tile(reference.x[0], (10, 1)), instance, reference, data_range=1.0)
    assert same["z_std"][0] > 1e10
    assert same["std_ratio_range"][0] == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("name", ["gmm25-8-2", "gaussian-field-16"])
def test_an_estimate_of_one_signal_is_not_asked_for_its_spread(name):
    instance = problems.load(name, 0)
    x, reference = instance.posterior.sample(make_key("numpy", [3]), 8), scores.reference(instance, 8, [1])
    asked = scores.evaluate(x, instance, reference, data_range=1.0)
    spared = scores.evaluate(x, instance, reference, data_range=1.0, point=True)
    told = {metric for metric in asked if scores.METRICS[metric].claims}
    of_spread = {metric for metric in told if set(scores.METRICS[metric].claims) <= {"std_divided", "std_multiplied"}}
    calibrated = {metric for metric in asked if metric.startswith("coverage")}
    assert of_spread >= {"z_std", "std_ratio_range", "psnr_gain_db"}
    assert set(asked) - set(spared) == of_spread | calibrated | {"psnr_gain_expected_db"}
