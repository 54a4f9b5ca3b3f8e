from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

import problems
import scores
from scores.candidate import Candidate
from scores.directions import band_directions, null_directions, projection_directions, range_directions
from scores.moments import mean_error, std_ratio

N = 300


@pytest.fixture
def problem(standardised):
    """linear-gaussian-16 (rank 8) with samples whose mean and covariance are those of the posterior."""
    instance = problems.load("linear-gaussian-16", 4)
    root = np.linalg.cholesky(instance.posterior.cov())
    x = instance.posterior.mean + standardised(N, 16) @ root.T
    return instance, scores.reference(instance, N, [1]), x


def moments(x, instance, reference):
    found = scores.evaluate(x, instance, reference, data_range=1.0)
    return {name: found[name][0] for name in found if name.startswith(("mean_error", "std_ratio"))}


def test_exact_moments(problem):
    instance, reference, x = problem
    found = moments(x, instance, reference)
    expected = {"mean_error_range": 0.0, "mean_error_null": 0.0, "std_ratio_range": 1.0, "std_ratio_null": 1.0}
    assert found == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize(("space", "other"), [("range", "null"), ("null", "range")])
def test_a_shift_counts_in_posterior_std_and_in_its_own_space(problem, rng, space, other):
    instance, reference, x = problem
    within = reference.spaces[space]
    shift = rng.standard_normal(len(within.std))
    found = moments(x + shift @ within.directions, instance, reference)
    exact_std = np.sqrt(np.einsum("ki,ij,kj->k", within.directions, instance.posterior.cov(), within.directions))
    assert found[f"mean_error_{space}"] == pytest.approx(np.sqrt(np.mean((shift / exact_std) ** 2)), rel=1e-9)
    assert found[f"mean_error_{other}"] == pytest.approx(0.0, abs=1e-10)
    assert found[f"std_ratio_{space}"] == pytest.approx(1.0, abs=1e-10)


@pytest.mark.parametrize(("space", "other"), [("range", "null"), ("null", "range")])
def test_a_scaling_counts_in_its_own_space(problem, space, other):
    """Half of the directions 1.5 times too wide, half at .4: the root mean square, sqrt((2.25 + .16) / 2)."""
    instance, reference, x = problem
    directions = reference.spaces[space].directions
    factors = np.where(np.arange(len(directions)) % 2, 1.5, 0.4)
    centred = x - instance.posterior.mean
    scaled = centred + ((centred @ directions.T) * (factors - 1)) @ directions
    found = moments(instance.posterior.mean + scaled, instance, reference)
    assert len(directions) == 8
    assert found[f"std_ratio_{space}"] == pytest.approx(math.sqrt((2.25 + 0.16) / 2), rel=1e-9)
    assert found[f"std_ratio_{other}"] == pytest.approx(1.0, abs=1e-10)
    assert found[f"mean_error_{space}"] == pytest.approx(0.0, abs=1e-10)


def test_expectations_of_an_exact_sampler_at_small_n():
    """E mean_error^2 = 1/n and E std_ratio^2 = 1, at n = 5 too, over the 64 measured directions of digits-denoise."""
    instance = problems.load("digits-denoise", 2)
    reference = scores.reference(instance, 5, [1])
    found = []
    for _ in range(300):
        x = instance.posterior.sample(np.random.default_rng(len(found)), 5)
        candidate = Candidate(x, instance, reference, 1.0)
        found.append([5 * mean_error(candidate, "range") ** 2, std_ratio(candidate, "range") ** 2])
    mean, stderr = np.mean(found, axis=0), np.std(found, axis=0) / math.sqrt(len(found))
    assert np.all(stderr < 0.04)
    assert np.all(np.abs(mean - 1) < 4 * stderr)


@pytest.mark.parametrize(
    "name", ["seed2d", "linear-gaussian-128", "gmm25-800-2", "digits-inpaint", "digits-denoise", "gaussian-field-16"]
)
def test_directions_are_orthonormal_and_in_their_spaces(name):
    operator = problems.load(name, 1).problem.operator
    seen, hidden = range_directions(operator), null_directions(operator)
    d = math.prod(operator.shape)
    assert len(hidden) == min(64, d - operator.rank)
    assert len(seen) == min(operator.rank, 64)
    for directions in (seen, hidden):
        np.testing.assert_allclose(directions @ directions.T, np.eye(len(directions)), atol=1e-10)
    images = seen.reshape(-1, *operator.shape)
    np.testing.assert_allclose(operator.project_range(images), images, atol=1e-10)
    if len(hidden) > 0:
        np.testing.assert_allclose(operator(hidden.reshape(-1, *operator.shape)), 0.0, atol=1e-10)


@pytest.mark.parametrize(("shape", "sizes"), [((8, 8), (8, 20, 36)), ((6, 9), None), ((64, 64), (64, 64, 64))])
def test_bands_are_orthonormal_cosines_from_the_largest_scale_to_the_smallest(shape, sizes):
    """Cosine (u, v) of the DCT-II is in the band of hypot(u / rows, v / columns): below 1/3, below 2/3, above."""
    from scipy.fft import dctn

    bands = [band_directions(shape, band) for band in ("low", "mid", "high")]
    together = np.concatenate(bands)
    np.testing.assert_allclose(together @ together.T, np.eye(len(together)), atol=1e-10)
    frequency = np.hypot(np.arange(shape[0])[:, None] / shape[0], np.arange(shape[1]) / shape[1])
    for directions, low, high in zip(bands, (0, 1 / 3, 2 / 3), (1 / 3, 2 / 3, 2), strict=True):
        spectrum = dctn(directions.reshape(-1, *shape), axes=(1, 2), norm="ortho") ** 2
        found = frequency.ravel()[np.argmax(spectrum.reshape(len(directions), -1), axis=1)]
        np.testing.assert_allclose(np.max(spectrum, axis=(1, 2)), 1.0)
        inside = frequency[(frequency >= low) & (frequency < high)]
        assert len(directions) == min(64, inside.size)
        assert (found.min(), found.max()) == pytest.approx((inside.min(), inside.max()))
        assert np.all(np.diff(found) >= 0)
    assert sizes is None or tuple(map(len, bands)) == sizes
    np.testing.assert_allclose(bands[0][0], math.prod(shape) ** -0.5)


def test_a_band_without_a_frequency_is_empty_and_has_the_dimension_all_the_same():
    assert [band_directions((1, 2), band).shape for band in ("low", "mid", "high")] == [(1, 2), (1, 2), (0, 2)]


def test_cosines_are_eigenvectors_of_the_filter_from_the_largest_scale_to_the_smallest():
    operator = problems.load("gaussian-field-16", 0).problem.operator
    waves = range_directions(operator)
    applied = operator(waves.reshape(-1, 16, 16))
    gains = np.sum(applied * waves, axis=1)
    np.testing.assert_allclose(applied, gains[:, None] * waves, atol=1e-10)
    assert gains[0] == pytest.approx(np.max(operator.transfer))
    assert gains[-1] == pytest.approx(np.min(operator.transfer))
    assert np.all(np.diff(gains) < 1e-12)


def test_std_along_the_directions_of_a_field_is_that_of_its_dense_covariance():
    instance = problems.load("gaussian-field-16", 3)
    space = scores.reference(instance, 4, [1]).spaces["range"]
    dense = np.sqrt(np.diag(space.directions @ instance.posterior.cov() @ space.directions.T))
    np.testing.assert_allclose(space.std, dense, rtol=1e-9)


def test_projection_directions_are_unit_vectors_that_depend_on_d_alone():
    for d in (1, 3, 50):
        directions = projection_directions(d)
        assert directions.shape == (1000, d)
        np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1.0, rtol=1e-6)
        np.testing.assert_allclose(directions.T @ directions / 1000, np.eye(d) / d, atol=5 / math.sqrt(1000) / d)
        np.testing.assert_array_equal(directions, projection_directions.__wrapped__(d))


def test_moments_do_not_need_the_whole_covariance_of_a_field():
    """gaussian-field-64 would need 134 MB for it."""
    instance = problems.load("gaussian-field-64", 0)

    class NoCovariance(type(instance.posterior)):
        def cov(self):
            raise AssertionError("the dense covariance was formed")

    fields = {f.name: getattr(instance.posterior, f.name) for f in dataclasses.fields(instance.posterior)}
    guarded = dataclasses.replace(instance, known=lambda: (NoCovariance(**fields), 0.0))
    assert scores.reference(guarded, 3, [1]).spaces["range"].std.shape == (64,)
