from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from scores.pairs import mean_of_pairs, scattered, squared_distances, squared_distances_within


@pytest.mark.parametrize("d", [1, 3, 800])
def test_squared_distances_to_single_precision_seen_from_the_origin(rng, d):
    """Points far from zero beside their spread: the error is a few 1e-7 of |a|^2 + |b|^2 about the origin given."""
    origin = 1e4 * rng.standard_normal(d)
    a = origin + rng.standard_normal((40, d)) * np.linspace(0.1, 3, d)
    b = origin + 2.0 + rng.standard_normal((30, d))
    found = squared_distances(a, b, origin)
    size = np.sum((a - origin) ** 2, axis=1)[:, None] + np.sum((b - origin) ** 2, axis=1)
    assert found.dtype == np.float32
    assert np.max(np.abs(found - cdist(a, b) ** 2) / size) < 1e-6
    within = squared_distances_within(a)
    assert np.all(np.diag(within) == 0)
    spread = np.max(np.sum((a - a.mean(axis=0)) ** 2, axis=1))
    assert np.max(np.abs(within - cdist(a, a) ** 2)) < 1e-6 * 2 * spread


def test_coinciding_points_have_no_negative_distance(rng):
    a = np.repeat(rng.standard_normal((5, 7)), 4, axis=0)
    found = squared_distances(a, a, np.zeros(7))
    assert found.min() >= 0
    assert np.all(np.isfinite(np.sqrt(found)))


def test_points_too_large_for_the_square_of_a_float32(rng):
    a, b = 1e25 * rng.standard_normal((4, 3)), rng.standard_normal((5, 3))
    np.testing.assert_allclose(squared_distances(a, b, np.zeros(3)), cdist(a, b) ** 2, rtol=1e-12)
    np.testing.assert_allclose(squared_distances(b, a, np.zeros(3)), cdist(b, a) ** 2, rtol=1e-12)


def test_mean_of_pairs_of_one_sample_is_that_off_the_diagonal(rng):
    values = rng.standard_normal((9, 9))
    expected = values[~np.eye(9, dtype=bool)].mean()
    assert mean_of_pairs(values, np.array([9])) == pytest.approx(expected, rel=1e-12)


def test_pairs_of_one_stratum_weigh_as_two_independent_draws_would(rng):
    """Strata of 3, 1, 0 and 2: blocks weigh n_k n_l / 36, but the stratum of one has no pair of its own."""
    values = rng.standard_normal((6, 6))
    a, b, c = slice(0, 3), slice(3, 4), slice(4, 6)
    total = 9 * values[a, a][~np.eye(3, dtype=bool)].mean() + 4 * values[c, c][~np.eye(2, dtype=bool)].mean()
    for one, other in ((a, b), (a, c), (b, c)):
        total += values[one, other].sum() + values[other, one].sum()
    assert mean_of_pairs(values, np.array([3, 1, 0, 2])) == pytest.approx(total / 35, rel=1e-12)


def test_a_stratified_mean_has_no_bias_and_the_ordinary_one_has(rng):
    """E[x x'] = (mean)^2; leaving out pairs within a stratum costs sum_k (w_k mu_k^2 (1 - n_k) ...) / n."""
    counts, centres = np.array([6, 3, 3]), np.array([2.0, -1.0, 4.0])
    labels, draws = np.repeat([0, 1, 2], counts), 4000
    x = centres[labels] + rng.standard_normal((draws, 12))
    stratified, ordinary = (
        np.array([mean_of_pairs(np.outer(one, one), strata) for one in x]) for strata in (counts, np.array([12]))
    )
    exact = (counts @ centres / 12) ** 2
    error = np.std(stratified) / np.sqrt(draws)
    assert abs(np.mean(stratified) - exact) < 4 * error
    assert abs(np.mean(ordinary) - exact) > 20 * error


@pytest.mark.parametrize("d", [1, 2, 64])
def test_scattered_is_an_order_of_the_set_alone(rng, d):
    flat = rng.standard_normal((500, d)).astype(np.float32).astype(np.float64)  # as samplers return them
    found = scattered(flat)
    np.testing.assert_array_equal(found, scattered(rng.permutation(flat)))
    np.testing.assert_array_equal(np.unique(found, axis=0), np.unique(flat, axis=0))


def test_scattered_has_nothing_to_do_with_where_points_lie():
    """Neither equally spaced points nor random ones: every fifth of them is spread over the line as chance would."""
    for flat in (np.linspace(-3, 3, 2000)[:, None], np.random.default_rng(3).standard_normal((2000, 1))):
        place = np.argsort(np.argsort(scattered(flat)[:, 0]))
        assert abs(np.corrcoef(place, np.arange(2000))[0, 1]) < 4 / np.sqrt(2000)
        apart = np.diff(np.sort(place[::5]))  # geometric: variance of the gaps 5 * 4
        assert 10 < np.var(apart) < 30
