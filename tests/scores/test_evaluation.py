from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest

import problems
import scores
from problems.arrays import make_key
from problems.names import UsageError
from scores.candidate import Candidate
from scores.exact_reference import stratified_counts
from scores.registry import metric

PERCENTS = (50, 68, 90, 95)
EVERYWHERE = {
    *("sw1", "sw2", "max_sw2", "energy_distance", "mmd2", "c2st", "ksd2", "crps_regret_range", "energy_score_regret"),
    *("mean_error_range", "std_ratio_range", *(f"coverage{p}_range" for p in PERCENTS), "z_std"),
    *("chi2_per_m", "psnr_mean_db", "psnr_sample_db", "psnr_gain_db", "psnr_gain_expected_db", "mmse_gap_db"),
    "nonfinite",
}
HIDDEN = {"mean_error_null", "std_ratio_null", "crps_regret_null", *(f"coverage{p}_null" for p in PERCENTS)}
MODES = {"mode_tv", "missing_modes", "mode_weights_w2", "mode_means_w2", "mode_covs_w2"}
BANDS = {f"coverage90_{band}" for band in ("low", "mid", "high")}
SSIM = {"ssim_mean", "ssim_sample"}
EXPECTED = {
    "seed2d": EVERYWHERE | HIDDEN | MODES | {"w1"},
    "linear-gaussian-2": EVERYWHERE | HIDDEN | {"w1"},
    "gmm25-8-1": EVERYWHERE | HIDDEN | MODES,
    "digits-denoise": EVERYWHERE | MODES | BANDS,
    "digits-inpaint": EVERYWHERE | HIDDEN | MODES | BANDS,
    "gaussian-field-16": EVERYWHERE | SSIM | BANDS,
}
DENSITY = {"log_density_regret", "kl_reverse"}
EVIDENCE = {"log_evidence_error"}
ELSEWHERE = {"psnr_aligned_db", "lpips_sample"}
"""Where symmetries leave a choice, and where the weights of a network are on the disk."""
SIGNED = {"energy_distance", "mmd2", "ksd2", "crps_regret_range", "crps_regret_null", "energy_score_regret"}
"""Unbiased, so that an exact sampler may be below 0."""
FLOORS = {
    *("w1", "sw1", "sw2", "max_sw2", "mean_error_range", "mean_error_null", "c2st"),
    *SIGNED,
    *MODES - {"missing_modes"},
}


def prepared(name, n=24, index=1):
    instance = problems.load(name, index)
    return instance, scores.reference(instance, n, [9]), instance.posterior.sample(make_key("numpy", [31]), n)


SINGLE_PRECISION = {"sw1", "sw2", "max_sw2"}
"""Their projections are float32 products, whose rounding (1e-7 of the spread) depends on where a sample stands."""


def same(a, b, rel=1e-9):
    return a.keys() == b.keys() and all(
        a[k] == pytest.approx(b[k], rel=1e-6 if rel and k in SINGLE_PRECISION else rel, abs=1e-12, nan_ok=True)
        for k in a
    )


@pytest.mark.parametrize("name", EXPECTED)
def test_metrics_are_those_that_apply_and_all_have_values(name):
    instance, reference, x = prepared(name)
    plain = scores.evaluate(x, instance, reference, data_range=1.0)
    assert set(plain) == EXPECTED[name]
    assert all(math.isfinite(value) for value, _ in plain.values())
    densities = {"log_prob": np.zeros(len(x)), "exact_x": x[:5], "exact_log_prob": np.zeros(5)}
    with_density = scores.evaluate(x, instance, reference, data_range=1.0, **densities)
    assert set(with_density) == EXPECTED[name] | DENSITY
    assert {name for name, (_, stderr) in with_density.items() if math.isfinite(stderr)} == {"chi2_per_m", *DENSITY}


def test_the_registry_lists_every_metric_with_what_a_table_needs():
    assert set(scores.METRICS) == set.union(*EXPECTED.values()) | DENSITY | EVIDENCE | ELSEWHERE
    assert {name for name, entry in scores.METRICS.items() if entry.has_floor} == FLOORS
    for name, entry in scores.METRICS.items():
        assert entry.name == name
        assert entry.unit
        assert entry.summary.endswith(".")
        assert "\n" not in entry.summary
    better = {name: entry.better for name, entry in scores.METRICS.items()}
    targets = {name: value for name, value in better.items() if not isinstance(value, str)}
    decibels = pytest.approx(3.0103, abs=1e-4)
    assert targets == {
        **{f"std_ratio_{space}": 1.0 for space in ("range", "null")},
        **{f"coverage{p}_{space}": 0.0 for p in PERCENTS for space in ("range", "null")},
        **dict.fromkeys(BANDS | EVIDENCE, 0.0),
        **{"z_std": 1.0, "chi2_per_m": 1.0, "psnr_gain_db": decibels, "psnr_gain_expected_db": decibels},
    }
    higher = {name for name, value in better.items() if value == "higher"}
    assert higher == {"psnr_mean_db", "psnr_sample_db", "psnr_aligned_db", "ssim_mean", "ssim_sample"}


def test_metrics_of_all_pairs_exist_only_where_the_pairs_are_affordable():
    pairs = {"energy_distance", "mmd2", "c2st", "ksd2", "energy_score_regret"}
    for n, absent in ((4000, set()), (4001, pairs)):
        instance, reference, x = prepared("linear-gaussian-16", n=n)
        candidate = Candidate(x, instance, reference, 1.0)
        found = {name for name, entry in scores.METRICS.items() if entry.applies(candidate)}
        assert pairs - found == absent


@pytest.mark.parametrize("name", EXPECTED)
def test_the_order_of_the_samples_does_not_matter(name, rng):
    instance, reference, x = prepared(name)
    log_prob, order = rng.standard_normal(len(x)), rng.permutation(len(x))
    first = scores.evaluate(x, instance, reference, data_range=1.0, log_prob=log_prob)
    again = scores.evaluate(x, instance, reference, data_range=1.0, log_prob=log_prob)
    other = scores.evaluate(x[order], instance, reference, data_range=1.0, log_prob=log_prob[order])
    assert same(first, again, rel=0)
    assert same(first, other)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_nonfinite_samples_are_counted_and_nothing_else_is_said(bad):
    instance, reference, x = prepared("seed2d")
    finite = scores.evaluate(x, instance, reference, data_range=1.0)
    x = x.copy()
    x[[2, 5, 5], [0, 0, 1]] = bad
    found = scores.evaluate(x, instance, reference, data_range=1.0)
    assert found.keys() == finite.keys()
    assert found.pop("nonfinite")[0] == pytest.approx(2 / 24)
    assert all(math.isnan(value) for value, _ in found.values())


@pytest.mark.parametrize("name", ["seed2d", "digits-inpaint", "gaussian-field-16"])
def test_one_sample_and_enormous_ones_raise_no_warning(name):
    instance, reference, x = prepared(name, n=1)
    alone = scores.evaluate(x, instance, reference, data_range=1.0)
    assert alone["psnr_gain_db"][0] == pytest.approx(0.0)
    assert math.isfinite(alone["sw1"][0])
    for undefined in ("energy_distance", "mmd2", "c2st", "ksd2", "crps_regret_range", "energy_score_regret"):
        assert math.isnan(alone[undefined][0])
    instance, reference, x = prepared(name)
    for scale in (1e12, 1e37, 1e200):
        found = {m: value for m, (value, _) in scores.evaluate(scale * x, instance, reference, data_range=1.0).items()}
        assert found["sw1"] > 1e3
        assert found["nonfinite"] == 0
        for distance in ("energy_distance", "ksd2", "mode_means_w2", "energy_score_regret"):  # never a small number
            assert distance not in found or not found[distance] < 1e3
        assert math.isnan(found["c2st"]) if scale == 1e200 else found["c2st"] > 0.9


def test_wrong_shapes_are_refused():
    instance, reference, x = prepared("digits-denoise")
    with pytest.raises(ValueError, match=r"\(24, 8, 8\), got \(12, 8, 8\)"):
        scores.evaluate(x[:12], instance, reference, data_range=1.0)
    with pytest.raises(ValueError, match=r"\(24, 8, 8\), got \(24, 64\)"):
        scores.evaluate(x.reshape(24, 64), instance, reference, data_range=1.0)
    with pytest.raises(ValueError, match=r"\(24,\), got \(24, 1\)"):
        scores.evaluate(x, instance, reference, data_range=1.0, log_prob=np.zeros((24, 1)))
    for exact_x, exact_log_prob, said in (
        (x[:5], np.zeros(4), r"got \(4,\) for \(5, 8, 8\)"),
        (x[:5], None, r"got None for \(5, 8, 8\)"),
        (None, np.zeros(4), r"got \(4,\) for None"),
        (x[:5].reshape(5, 64), np.zeros(5), r"got \(5,\) for \(5, 64\)"),
    ):
        with pytest.raises(ValueError, match=f"one value per exact draw, {said}"):
            scores.evaluate(x, instance, reference, data_range=1.0, exact_x=exact_x, exact_log_prob=exact_log_prob)
    with pytest.raises(ValueError, match="n of 1 or more, got 0"):
        scores.reference(instance, 0, [9])


@pytest.mark.parametrize("n", [1, 7, 100, 1001])
def test_stratified_counts_are_as_close_as_integers_allow(n, rng):
    for weights in (rng.dirichlet(np.full(25, 0.3)), np.array([0.695603, 0.304397]), np.ones(3) / 3, np.ones(1)):
        counts = stratified_counts(weights, n)
        assert counts.sum() == n
        assert np.all(np.abs(counts - n * weights) < 1)
        rounded_up = counts > n * weights
        fractions = n * weights - np.floor(n * weights)
        if 0 < rounded_up.sum() < len(weights):
            assert np.min(fractions[rounded_up]) >= np.max(fractions[~rounded_up & (fractions > 0)], initial=0.0)


def test_the_reference_is_stratified_and_a_function_of_its_words():
    instance = problems.load("seed2d", 0)
    first, again = scores.reference(instance, 1000, [4, 2]), scores.reference(instance, 1000, [4, 2])
    np.testing.assert_array_equal(first.x, again.x)
    assert not np.any(first.x == scores.reference(instance, 1000, [4, 3]).x)
    assert np.sum(first.x[:, 0] < 0) == 696  # the mode of weight .6956 lies at negative x
    np.testing.assert_allclose(first.origin, [-0.239922, -0.157932], atol=1e-6)


def test_floor_draws_are_evaluations_of_fresh_exact_samples():
    instance, reference, _ = prepared("seed2d", n=50)
    many = scores.floor(instance, reference, draws=4, seed_words=[9], data_range=1.0)
    few = scores.floor(instance, reference, draws=2, seed_words=[9], data_range=1.0)
    other = scores.floor(instance, reference, draws=4, seed_words=[8], data_range=1.0)
    assert set(many) == FLOORS
    for name, values in many.items():
        assert values.shape == (4,)
        np.testing.assert_array_equal(values[:2], few[name])
        assert not np.array_equal(values, other[name])
        assert np.all(values > 0) or name in SIGNED
        if name not in ("mode_tv", "mode_weights_w2", "c2st"):  # functions of counts
            assert len({*values, *other[name]}) == 8


def test_floor_draws_score_as_evaluate_does(monkeypatch):
    instance, reference, _ = prepared("gmm25-8-2", n=40)
    drawn = []
    sample = type(instance.posterior).sample
    monkeypatch.setattr(type(instance.posterior), "sample", lambda *args: drawn.append(sample(*args)) or drawn[-1])
    values = scores.floor(instance, reference, draws=3, seed_words=[1], data_range=1.0)
    for draw, x in enumerate(drawn):
        found = scores.evaluate(x, instance, reference, data_range=1.0)
        for name, column in values.items():
            assert column[draw] == pytest.approx(found[name][0], rel=1e-12)


@pytest.mark.parametrize(
    "name", ["sw1", "max_sw2", "mode_tv", "mode_means_w2", "mean_error_range", "mean_error_null", "energy_distance"]
)
def test_exact_samples_pass_their_floor_as_often_as_stated(name, monkeypatch):
    """At or below the 95 % quantile 95 % of the time, within 4 standard errors of both samples of 400."""
    instance = problems.load("seed2d", 3)
    monkeypatch.setattr("scores.evaluation.METRICS", {name: scores.METRICS[name]})
    reference = scores.reference(instance, 200, [5])
    draws = 400
    floor95 = np.quantile(scores.floor(instance, reference, draws=draws, seed_words=[1], data_range=1.0)[name], 0.95)
    fresh = scores.floor(instance, reference, draws=draws, seed_words=[2], data_range=1.0)[name]
    assert abs(np.mean(fresh <= floor95) - 0.95) < 4 * math.sqrt(2 * 0.95 * 0.05 / draws)
    assert np.quantile(fresh, 0.95) == pytest.approx(floor95, rel=0.35)


def test_the_floor_is_that_of_honest_draws_not_of_stratified_ones(monkeypatch):
    """Stratified draws stay far below: a floor made of them would fail most honest samplers."""
    instance = problems.load("seed2d", 3)
    monkeypatch.setattr("scores.evaluation.METRICS", {"sw1": scores.METRICS["sw1"]})
    reference = scores.reference(instance, 500, [5])
    honest = scores.floor(instance, reference, draws=100, seed_words=[1], data_range=1.0)["sw1"]
    stratified = []
    for i in range(40):
        x = scores.reference(instance, 500, [6, i]).x
        stratified.append(scores.evaluate(x, instance, reference, data_range=1.0)["sw1"][0])
    assert np.mean(honest > np.quantile(stratified, 0.95)) > 0.5


def test_registering_refuses_a_taken_name_and_a_direction_that_is_none():
    with pytest.raises(UsageError, match="'sw1' is already taken"):
        metric("sw1", unit="x", better="lower")
    with pytest.raises(UsageError, match="'lower', 'higher' or a number, got 'low'"):
        metric("new", unit="x", better="low")


def test_import_is_light():
    heavy = "{'ot', 'skimage', 'jax', 'torch', 'pandas', 'sklearn', 'matplotlib'}"
    code = f"import sys, scores; found = {heavy} & set(sys.modules); assert scores.METRICS and not found, found"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "name",
    ["atoms-digits-phase", "atoms-digits-poisson", "atoms-blackhole-closure", "gmm-bipsda-phase", "photos-8-deblur"],
)
def test_exact_samples_are_scored_whatever_the_measurement(name):
    instance = problems.load(name, 0)
    x = instance.posterior.sample(make_key("numpy", [3]), 20)
    found = scores.evaluate(
        x, instance, scores.reference(instance, 20, [1]), data_range=problems.FAMILIES[name].data_range
    )
    assert {"sw1", "psnr_mean_db", "energy_distance"} <= set(found)
    assert all(not np.isnan(value) for value, _ in found.values())
