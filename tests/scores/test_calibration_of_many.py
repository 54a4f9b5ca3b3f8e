"""TARP, coverage and the verdicts over many instances, on laws whose calibration is known."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy.stats import binom

import scores
from problems import load
from problems.arrays import make_key
from problems.names import UsageError
from problems.noise import GaussianNoise
from problems.operators import matrix_operator
from problems.posteriors import condition
from scores.coverage import coverage_test
from scores.directions import BANDS, band_directions
from scores.ranks import member_ranks
from scores.tarp import tarp_ranks
from scores.uniformity import uniformity_test
from scores.verdict_words import lean, rank_words

SMALL = ("seed2d", "linear-gaussian-2", "gmm25-8-2")
INSTANCES, N = 300, 31
FIRST = 2000
"""Other instances than those that the suite meets."""


@cache
def batch(name: str):
    found = tuple(load(name, FIRST + i) for i in range(INSTANCES))
    return found, scores.directions(found)


def samples(name: str, law) -> np.ndarray:
    """law(instance) -> the distribution that plays the sampler."""
    return np.stack([law(one).sample(make_key("numpy", [7, i]), N) for i, one in enumerate(batch(name)[0])])


def findings(name: str, x: np.ndarray, model_truth: bool = True):
    found, _ = scores.calibrate(x, *batch(name), seed_words=[1], model_truth=model_truth)
    return {(one.quantity, one.level if one.test == "coverage" else 0): one for one in found}


def failed(found) -> set[str]:
    return {one.quantity for one in found.values() if one.verdict == "fail"}


@pytest.mark.parametrize("name", SMALL)
def test_the_exact_posterior_passes_everything(name: str) -> None:
    found = findings(name, samples(name, lambda one: one.posterior))
    assert failed(found) == set()
    assert {one.verdict for one in found.values()} == {"pass"}
    assert {"coordinates", "log_likelihood", "log_prior", "hpd", "tarp", "range", "null"} == {q for q, _ in found}


@pytest.mark.parametrize("name", SMALL)
def test_the_prior_fails_what_depends_on_y_and_nothing_else(name: str) -> None:
    found = findings(name, samples(name, lambda one: one.problem.prior))
    assert failed(found) == {"log_likelihood", "hpd"}
    words = found["log_likelihood", 0].words
    assert "too high in the log-likelihood" in words
    assert "fit the data worse than the truth does; coordinates, TARP and coverage pass all the same, as they" in words


def under_noise_times(factor: float):
    """instance -> its posterior under a noise std that is wrong by a factor."""

    def law(one):
        problem = one.problem
        return condition(problem.prior, problem.operator, GaussianNoise(factor * problem.noise.std), problem.y)[0]

    return law


def test_samples_of_slightly_too_large_a_noise_are_not_said_to_ignore_the_measurement() -> None:
    """The posterior under 1.08 times the noise uses y well; its log-likelihood ranks like the prior's all the same."""
    name = "linear-gaussian-16"
    found = findings(name, samples(name, under_noise_times(1.08)))
    assert {"log_likelihood"} <= failed(found) <= {"log_likelihood", "hpd"}
    words = found["log_likelihood", 0].words
    assert "too high in the log-likelihood" in words
    assert words.endswith(
        "coordinates, TARP and coverage pass all the same, as they would for a sampler that ignores y or makes too "
        "little of it: only a quantity that depends on y can tell how well the samples fit it"
    )


@pytest.mark.parametrize("name", SMALL)
def test_half_the_noise_fails_coverage_where_the_measurement_sees(name: str) -> None:
    """The posterior under noise_std / 2 is too narrow in range(A^T); null(A) hardly notices."""
    found = findings(name, samples(name, under_noise_times(0.5)))
    assert found["range", 0.9].verdict == "fail"
    assert found["range", 0.9].value < -0.05
    assert "90 % intervals in range(A^T) cover" in found["range", 0.9].words
    assert found["range", 0.9].words.endswith("too narrow or off centre")
    assert "pass all the same" not in found["log_likelihood", 0].words


def test_without_truths_from_the_prior_there_is_no_verdict() -> None:
    name = "linear-gaussian-2"
    x = samples(name, lambda one: one.posterior)
    spread = x.mean(axis=1, keepdims=True) + 3 * (x - x.mean(axis=1, keepdims=True))
    found = findings(name, spread, model_truth=False)
    assert {one.verdict for one in found.values()} == {"none"}
    assert found["range", 0.9].words.startswith("misfit, no verdict, as the truths are not drawn from the prior: 90 %")
    assert found["range", 0.9].words.endswith("too wide")
    assert found["range", 0.9].value > 0.05
    assert failed(findings(name, spread)) >= {"range", "null", "coordinates"}


def test_what_is_kept_for_pictures() -> None:
    name = "gmm25-8-2"
    _, kept = scores.calibrate(samples(name, lambda one: one.posterior), *batch(name), seed_words=[1], model_truth=True)
    assert kept["coordinates"].shape == (INSTANCES, 8)
    assert kept["hpd"].shape == kept["tarp"].shape == (INSTANCES,)
    assert kept["hpd"].max() <= N
    assert kept["hpd"].dtype == np.uint8
    assert kept["band_low"].shape == kept["band_high"].shape == (N,)
    assert int(kept["n"]) == N


def test_hpd_ranks_are_those_of_the_posterior_density() -> None:
    name = "gmm25-8-2"
    x = samples(name, lambda one: one.problem.prior)
    _, kept = scores.calibrate(x, *batch(name), seed_words=[1], model_truth=True)
    for i in (0, 5, 17):
        law, truth = batch(name)[0][i].posterior, batch(name)[0][i].x_true
        assert kept["hpd"][i] == np.sum(law.log_prob(x[i]) < law.log_prob(truth[None])[0])


def test_directions_of_a_large_image() -> None:
    """Random ones, some of range and null, orthonormal bands, and no empty space."""
    found = scores.directions([load("digits-inpaint-model", 0), load("digits-inpaint-model", 1)])
    assert {name: len(rows[0]) for name, rows in found.items()} == {
        **{"coordinates": 32, "range": 32, "null": 32},
        **{band: len(band_directions((8, 8), band)) for band in BANDS},
    }
    assert "null" not in scores.directions([load("digits-denoise-model", 0)])


def test_instances_of_different_rank_are_refused() -> None:
    name = "linear-gaussian-2"
    one, other = batch(name)[0][:2]
    full = matrix_operator(np.eye(one.problem.dim), one.problem.shape)
    assert full.rank > one.problem.operator.rank
    other = replace(other, problem=replace(other.problem, operator=full))
    with pytest.raises(UsageError, match="needs measurements of one rank on all of them"):
        scores.directions([one, other])


@pytest.mark.parametrize("wrong", [False, True])
def test_a_single_sample_can_be_tested(wrong: bool) -> None:
    """Intervals of one sample cover alike whichever of the two is the truth: coverage has nothing to say."""
    name = "seed2d"
    x = samples(name, lambda one: one.problem.prior if wrong else one.posterior)[:, :1]
    found = findings(name, x)
    assert failed(found) == ({"log_likelihood", "hpd"} if wrong else set())
    assert {one.p_value for one in found.values() if one.test == "coverage" and one.quantity == "range"} == {1.0}


def gaussian(d: int, std: float, shift: float = 0.0, instances: int = 400, n: int = 31, seed: int = 0):
    """Truths N(m, 1), samples N(m + shift, std^2), m standard normal and scaled by 1, 2, .. along the coordinates."""
    rng = np.random.default_rng(seed)
    scale = 1.0 + np.arange(d)
    mean = 2 * rng.standard_normal((instances, d))
    x = mean[:, None] + shift + std * rng.standard_normal((instances, n, d))
    return scale * x, scale * (mean + rng.standard_normal((instances, d)))


@pytest.mark.parametrize("d", [2, 100])
@pytest.mark.parametrize(("std", "shift"), [(1.0, 0.0), (0.5, 0.0), (2.0, 0.0), (1.0, 2.0)])
def test_tarp_sees_width_and_place_in_few_dimensions_and_many(d: int, std: float, shift: float) -> None:
    x, truths = gaussian(d, std, shift)
    ranks = tarp_ranks(x, truths, np.random.default_rng(1))
    assert (uniformity_test(ranks, 31)[1] > 1e-3) == (std == 1.0 and shift == 0.0)


def test_tarp_does_not_depend_on_units() -> None:
    x, truths = gaussian(3, 0.7)
    units = np.array([1e-3, 1.0, 1e4])
    first, second = (tarp_ranks(x * u, truths * u, np.random.default_rng(1)) for u in (np.ones(3), units))
    np.testing.assert_array_equal(first, second)


def test_tarp_measures_in_units_of_samples_and_truths_alike() -> None:
    """By hand: standardised by all of them together, in the order of distances to the fixed points."""
    x, truths = gaussian(2, 0.6, shift=0.3, instances=5, n=7)
    references = make_key("numpy", [4, 2]).standard_normal((5, 2))
    together = np.concatenate([x.reshape(-1, 2), truths])
    centre, std = together.mean(axis=0), together.std(axis=0)
    near = np.linalg.norm((x - centre) / std - references[:, None], axis=-1)
    far = np.linalg.norm((truths - centre) / std - references, axis=-1)
    np.testing.assert_array_equal(tarp_ranks(x, truths, np.random.default_rng(0)), np.sum(near < far[:, None], axis=1))


def test_tarp_ranks_the_truth_as_any_other_member() -> None:
    """Whichever member plays the truth, the ranks of all of them are 0..n once: the units do not tell who it is."""
    x, truths = gaussian(2, 0.6, instances=3, n=4)
    members = np.concatenate([truths[:, None], x], axis=1)
    ranks = [tarp_ranks(np.delete(members, k, axis=1), members[:, k], np.random.default_rng(0)) for k in range(5)]
    np.testing.assert_array_equal(np.sort(ranks, axis=0), np.arange(5)[:, None] * np.ones((1, 3)))


@pytest.mark.parametrize("level", [0.5, 0.95])
def test_coverage_of_wrong_widths_is_the_known_one(level: float) -> None:
    """Intervals of N(0, s^2) cover 2 Phi(s z) - 1 of a standard normal; finite n blurs that a little."""
    from scipy.stats import norm

    z = norm.ppf((1 + level) / 2)
    for std in (0.5, 1.7):
        x, truths = gaussian(4, std, instances=1500, n=199)
        found = coverage_test(*member_ranks(x, truths), level)
        expected = 2 * norm.cdf(std * z) - 1 - level
        assert found.error == pytest.approx(expected, abs=5 * found.stderr + 0.01)
        assert found.p_value < 1e-6


def test_the_size_of_the_coverage_test_with_one_direction_and_with_copies_of_one() -> None:
    """256 instances at 95 %, where a test with estimated standard errors fails: few truths lie outside.

    Copies of a direction say no more than one: their correlation must not make the test more sure.
    """
    rng, repeats, level = np.random.default_rng(4), 200, 0.05
    alarms = np.zeros(2)
    for _ in range(repeats):
        x, truths = rng.standard_normal((256, 31, 1)), rng.standard_normal((256, 1))
        single, copies = (coverage_test(*member_ranks(x[..., k], truths[..., k]), 0.95) for k in ([0], [0] * 3))
        assert copies.error == pytest.approx(single.error)
        alarms += [single.p_value <= level, copies.p_value <= level]
    assert np.all(binom.sf(alarms - 1, repeats, level) > 1e-3)
    assert np.all(binom.cdf(alarms, repeats, level) > 1e-3)


def test_the_normal_law_stands_for_the_simulated_one_where_nothing_is_at_stake(monkeypatch) -> None:
    rng = np.random.default_rng(7)
    members = [member_ranks(rng.standard_normal((256, 15, 4)), rng.standard_normal((256, 4))) for _ in range(12)]
    quick = np.array([coverage_test(*one, 0.68).p_value for one in members])
    monkeypatch.setattr("scores.coverage._CLEAR", (-1.0, 99.0))
    simulated = np.array([coverage_test(*one, 0.68).p_value for one in members])
    np.testing.assert_allclose(quick, simulated, atol=0.02)
    assert np.ptp(quick) > 0.4


def test_collapsed_samples_are_found() -> None:
    """All samples of an instance equal: ties, an error of -.9, and no error of a division."""
    rng = np.random.default_rng(5)
    x = np.repeat(rng.standard_normal((200, 1, 3)), 39, axis=1)
    found = coverage_test(*member_ranks(x, rng.standard_normal((200, 3))), 0.9)
    assert found.error == pytest.approx(-0.9, abs=0.02)
    assert found.p_value < 1e-6


@pytest.mark.parametrize(
    ("ranks", "signs"), [([9, 8, 9], (1, -1)), ([0, 1, 0], (-1, -1)), ([0, 9, 0, 9], (0, 1)), ([4, 5, 4, 5], (0, -1))]
)
def test_where_ranks_lean(ranks: list[int], signs: tuple[int, int]) -> None:
    """Ranks at one end lean that way, above all; at both ends they spread, in the middle they do not."""
    shift, dispersion = lean(np.array(ranks), 9)
    assert np.sign(round(shift, 9)) == signs[0]
    assert np.sign(dispersion) == signs[1]
    assert (abs(shift) > abs(dispersion)) == (signs[0] != 0)


@pytest.mark.parametrize(
    ("ranks", "said"),
    [
        (np.arange(300) % 4, "too low in the log-likelihood (mean 0.05 .*better than the truth"),
        (31 - np.arange(300) % 4, "too high in the log-likelihood .*worse than the truth"),
        (np.arange(300) % 2 * 31, "crowd at both ends .*vary too little"),
        (14 + np.arange(300) % 4, "crowd in the middle .*vary too much"),
    ],
)
def test_the_words_follow_the_ranks(ranks: np.ndarray, said: str) -> None:
    assert re.search(said.replace("(mean", r"\(mean"), rank_words("log_likelihood", ranks, 31, 0.003))


def test_lean_is_in_standard_errors() -> None:
    """Under uniformity both have mean 0 and variance 1."""
    rng = np.random.default_rng(6)
    found = np.array([lean(rng.integers(0, 32, 200), 31) for _ in range(2000)])
    np.testing.assert_allclose(found.mean(axis=0), 0.0, atol=0.12)
    np.testing.assert_allclose(found.std(axis=0), 1.0, atol=0.08)


def test_a_prior_without_a_density_leaves_the_likelihood() -> None:
    instances = [load("digits-inpaint-model-perturbed-5", index) for index in range(16)]
    x = np.stack([one.posterior.sample(make_key("numpy", [8, i]), 20) for i, one in enumerate(instances)])
    found, kept = scores.calibrate(x, instances, scores.directions(instances), seed_words=[1], model_truth=True)
    assert {"log_likelihood", "coordinates"} <= kept.keys()
    assert not {"log_prior", "hpd"} & kept.keys()
    assert {one.verdict for one in found} == {"pass"}
