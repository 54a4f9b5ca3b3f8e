"""Noise that is not the same for every measurement: Poisson counts and their Gaussian stand-ins, unequal variances."""

from __future__ import annotations

import jax
import numpy as np
import pytest
import scipy.stats

from problems.arrays import make_key, vjp
from problems.contract import to
from problems.names import UsageError
from problems.noise import GaussianNoise
from problems.noise_diagonal import DiagonalNoise, diagonal_noise, whitened
from problems.noise_poisson import PoissonNoise, as_gaussian, poisson_noise

FRAMEWORKS = ("numpy", "torch", "jax")
RNG = np.random.default_rng(41)
AX = RNG.uniform(-0.95, 0.9, (3, 6))
COUNTS = np.array([0.0, 1.0, 7.0, 30.0, 2.0, 13.0])
STD = np.array([0.1, 2.0, 0.7, 0.3, 5.0, 1.1])
POISSON = PoissonNoise(np.array(11.5), np.array(1.25), np.array(0.01))
NOISES = {"poisson": (POISSON, COUNTS), "diagonal": (DiagonalNoise(STD), RNG.standard_normal(6))}
each = pytest.mark.parametrize("name", NOISES)


def test_counts_have_the_probability_of_poisson():
    expected = scipy.stats.poisson.logpmf(COUNTS, 11.5 * (AX + 1.25)).sum(axis=1)
    np.testing.assert_allclose(POISSON.log_likelihood(COUNTS, AX), expected, rtol=1e-13)


def test_probabilities_of_counts_sum_to_one():
    every = np.arange(200.0)
    for ax in (-2.0, -1.25, -0.3, 0.8):
        chances = [np.exp(POISSON.log_likelihood(np.array([y]), np.array([[ax]])))[0] for y in every]
        assert np.sum(chances) == pytest.approx(1.0, rel=1e-12)


def test_below_black_the_rate_is_the_least_and_the_score_zero():
    ax = np.array([[-1.3, -1.2, -1.2499]])
    y = np.array([0.0, 2.0, 3.0])
    np.testing.assert_allclose(POISSON.rate(ax), [[0.01, 11.5 * 0.05, 0.01]], rtol=1e-12)
    expected = scipy.stats.poisson.logpmf(y, POISSON.rate(ax)[0]).sum()
    np.testing.assert_allclose(POISSON.log_likelihood(y, ax), [expected], rtol=1e-13)
    np.testing.assert_allclose(POISSON.score(y, ax), [[0.0, 11.5 * (2.0 / (11.5 * 0.05) - 1.0), 0.0]], rtol=1e-12)


def test_the_published_counts_are_255_per_unit_of_brightness():
    x = np.array([[-1.0, 0.0, 1.0]])
    np.testing.assert_allclose(poisson_noise().rate(x), [[1e-3, 127.5, 255.0]], rtol=1e-14)
    np.testing.assert_allclose(poisson_noise(0.1, least=2.0).rate(x), [[2.0, 12.75, 25.5]], rtol=1e-14)


@each
def test_the_score_is_the_gradient_of_the_log_likelihood(name):
    noise, y = NOISES[name]
    step = 1e-6
    found = noise.score(y, AX)
    assert found.shape == AX.shape
    for j, unit in enumerate(np.eye(6)):
        slope = noise.log_likelihood(y, AX + step * unit) - noise.log_likelihood(y, AX - step * unit)
        np.testing.assert_allclose(found[:, j], slope / (2 * step), rtol=1e-6, atol=1e-7)


def evaluate(noise, y, ax, ones):
    """The log likelihood, its gradient by automatic differentiation, and the score."""
    value, pull = vjp(lambda at: noise.log_likelihood(y, at), ax)
    return value, pull(ones), noise.score(y, ax)


@each
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 2e-6)])
@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_frameworks_agree_and_differentiate_to_the_score(name, framework, dtype, tolerance, relative):
    """In JAX compiled, the noise an argument."""
    noise, y = NOISES[name]
    there = [to(part, framework, dtype=dtype) for part in (noise, y, AX, np.ones(3))]
    value, gradient, score = (jax.jit(evaluate) if framework == "jax" else evaluate)(*there)
    assert np.asarray(value).dtype == np.asarray(score).dtype == dtype
    assert relative(value, noise.log_likelihood(y, AX)) < tolerance
    assert relative(gradient, noise.score(y, AX)) < tolerance
    assert relative(score, noise.score(y, AX)) < tolerance


@each
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_draws_have_the_stated_mean_and_variance(name, framework):
    noise, n = NOISES[name][0], 4000
    there = to(noise, framework, dtype="float32")
    ax = to(np.repeat(AX[:1], n, axis=0), framework, dtype="float32")
    drawn = np.asarray(there.sample(make_key(framework, [3]), ax))
    assert drawn.dtype == np.float32
    mean, variance = (POISSON.rate(AX[0]), POISSON.rate(AX[0])) if name == "poisson" else (AX[0], STD**2)
    fourth = variance + 3 * variance**2 if name == "poisson" else 3 * variance**2
    assert np.all(np.abs(drawn.mean(axis=0, dtype=float) - mean) < 5 * np.sqrt(variance / n))
    spread = np.mean((drawn - mean) ** 2, axis=0)
    assert np.all(np.abs(spread - variance) < 5 * np.sqrt((fourth - variance**2) / n))
    if name == "poisson":
        assert np.all(drawn == np.round(drawn))


def test_counts_are_not_replayed():
    with pytest.raises(ValueError, match="cannot be replayed"):
        POISSON.sample(make_key("replay", [1]), AX)


def test_the_weights_of_the_paper_are_half_the_inverse_count():
    y, noise = as_gaussian(COUNTS, POISSON)
    np.testing.assert_allclose(11.5 * (y + 1.25), COUNTS, atol=1e-13)
    weights = 1 / (2 * np.array([1.0, 1.0, 7.0, 30.0, 2.0, 13.0]))  # no count is taken for one
    misfit = np.sum(weights * (COUNTS - 11.5 * (AX + 1.25)) ** 2, axis=1)
    found = noise.log_likelihood(y, AX)
    np.testing.assert_allclose(found - found[0], misfit[0] - misfit, rtol=1e-12, atol=1e-12)


def test_the_weight_of_the_code_is_the_mean_inverse_count():
    y, noise = as_gaussian(COUNTS, POISSON, "code")
    assert isinstance(noise, GaussianNoise)
    assert noise.std.shape == ()
    weight = np.mean(1 / np.array([1.0, 1.0, 7.0, 30.0, 2.0, 13.0]))
    misfit = 0.5 * weight * np.sum((COUNTS - 11.5 * (AX + 1.25)) ** 2, axis=1)
    found = noise.log_likelihood(y, AX)
    np.testing.assert_allclose(found - found[0], misfit[0] - misfit, rtol=1e-12, atol=1e-12)


def test_at_high_counts_the_paper_approximates_the_exact_score():
    """The relative error of the weights is that of the counts, about 1 / sqrt(1e8)."""
    noise = PoissonNoise(np.array(1e8), np.array(1.25), np.array(0.01))
    counts = noise.sample(np.random.default_rng(2), AX[:1])[0]
    y, approximate = as_gaussian(counts, noise)
    ax = AX[:1] + 1e-4
    np.testing.assert_allclose(approximate.score(y, ax), noise.score(counts, ax), rtol=2e-3)


def test_unequal_variances_are_those_of_normal_laws():
    noise, y = NOISES["diagonal"]
    expected = scipy.stats.norm.logpdf(y, AX, STD).sum(axis=1)
    np.testing.assert_allclose(noise.log_likelihood(y, AX), expected, rtol=1e-13)
    equal = DiagonalNoise(np.full(6, 0.3)).log_likelihood(y, AX)
    np.testing.assert_allclose(equal, GaussianNoise(np.array(0.3)).log_likelihood(y, AX), rtol=1e-13)


def test_whitening_changes_the_log_likelihood_by_a_constant():
    noise, y = NOISES["diagonal"]
    rng = np.random.default_rng(52)
    matrix, x = rng.standard_normal((6, 4)), rng.standard_normal((3, 2, 2))
    operator = whitened(matrix, STD, (2, 2))
    np.testing.assert_allclose(operator(x) * STD, x.reshape(3, 4) @ matrix.T, rtol=1e-13)
    found = GaussianNoise(np.array(1.0)).log_likelihood(y / STD, operator(x))
    expected = noise.log_likelihood(y, x.reshape(3, 4) @ matrix.T)
    np.testing.assert_allclose(found, expected + np.sum(np.log(STD)), rtol=1e-12)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: poisson_noise(0.0), "the level and the least rate are positive"),
        (lambda: poisson_noise(least=-1.0), "the level and the least rate are positive"),
        (lambda: as_gaussian(COUNTS, POISSON, "papr"), "no weighting of counts 'papr'; did you mean 'paper'"),
        (lambda: as_gaussian(np.array([-1.0]), POISSON), "counts are finite and not negative"),
        (lambda: as_gaussian(np.array([np.nan]), POISSON), "counts are finite and not negative"),
        (lambda: diagonal_noise(np.array([1.0, 0.0])), "one row of positive finite numbers"),
        (lambda: diagonal_noise(np.array([1.0, np.inf])), "one row of positive finite numbers"),
        (lambda: diagonal_noise(np.ones((2, 2))), r"got shape \(2, 2\)"),
        (lambda: whitened(np.eye(3), np.ones(2), (3,)), "one standard deviation for each row, got 2 for 3"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(make, sentence):
    with pytest.raises(UsageError, match=sentence):
        make()
