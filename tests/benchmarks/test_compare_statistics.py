"""The tests behind `compare`: exact values, level under the null, boundaries."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from benchmarks.compare_statistics import (
    FAMILY_WISE,
    POWER,
    batch_t,
    detectable_by_signs,
    detectable_by_t,
    least_p,
    median_and_error,
    sign_flip,
    standard_error,
)

RNG = np.random.default_rng(5)


def test_sign_flip_is_the_share_of_sign_vectors_with_at_least_this_sum() -> None:
    x = RNG.normal(0.4, 1.0, 9)
    for relevant in (0.0, 0.3):
        y = x - relevant
        sums = [np.dot(signs, y) for signs in itertools.product([-1, 1], repeat=9)]
        assert sign_flip(x, relevant) == np.mean(np.array(sums) >= y.sum() - 1e-12)


def test_sign_flip_of_one_sided_differences() -> None:
    assert sign_flip(np.full(13, 2.0), 0.0) == 2.0**-13
    assert sign_flip(np.full(13, -2.0), 0.0) == 1.0
    assert sign_flip(np.full(13, 2.0), 2.0) == 1.0  # all sums are 0: nothing beyond what is relevant
    assert sign_flip(np.array([3.0, -1.0]), 0.0) == 0.5


@pytest.mark.parametrize("k", [2, 13, 16, 17, 40])
def test_the_least_p_is_that_of_differences_of_one_sign(k: int) -> None:
    assert sign_flip(np.full(k, 1.0), 0.0) == least_p(k)


def test_sign_flip_with_many_pairs_agrees_with_the_exact_one() -> None:
    x = np.append(RNG.normal(0.3, 1.0, 16), 0.0)  # a pair without difference changes nothing
    assert sign_flip(x, 0.0) == pytest.approx(sign_flip(x[:16], 0.0), abs=0.004)
    assert sign_flip(np.full(40, 1.0), 0.0) == 2.0**-17


def test_sign_flip_holds_its_level() -> None:
    x = RNG.normal(0.0, 1.0, (400, 13)) * RNG.lognormal(0, 1, (400, 13)) + 0.1
    share = np.mean([sign_flip(row, 0.1) <= 0.1 for row in x])
    assert abs(share - 0.1) < 4 * (0.09 / 400) ** 0.5


def test_batch_t_is_students_test() -> None:
    x = RNG.normal(0.4, 1.3, 17)
    assert batch_t(x, 0.2) == pytest.approx(stats.ttest_1samp(x, 0.2, alternative="greater").pvalue, rel=1e-9)
    assert standard_error(x) == pytest.approx(stats.sem(x))


@pytest.mark.parametrize(("value", "relevant", "p"), [(2.0, 1.0, 0.0), (1.0, 1.0, 1.0), (0.5, 1.0, 1.0)])
def test_without_spread_the_sign_decides(value: float, relevant: float, p: float) -> None:
    assert batch_t(np.full(5, value), relevant) == p


def test_median_and_its_error_of_independent_values() -> None:
    draws = RNG.normal(3.0, 2.0, (300, 61))
    found = np.array([median_and_error(row) for row in draws])
    assert found[:, 0].tolist() == np.median(draws, axis=1).tolist()
    assert np.mean(found[:, 1]) == pytest.approx(np.std(found[:, 0]), rel=0.15)
    assert median_and_error([4.0]) == (4.0, 0.0)


def test_the_error_of_a_median_is_honest_if_neighbours_go_up_and_down_together() -> None:
    """Autocorrelation .7: the error of independent values would be half of the true one."""
    noise = RNG.normal(0.0, 1.0, (300, 200))
    series = np.zeros_like(noise)
    for i in range(1, 200):
        series[:, i] = 0.7 * series[:, i - 1] + noise[:, i]
    found = np.array([median_and_error(row[-100:]) for row in series])
    assert np.mean(found[:, 1]) == pytest.approx(np.std(found[:, 0]), rel=0.2)


@pytest.mark.parametrize(
    ("test", "stated", "count", "tests"),
    [
        (sign_flip, detectable_by_signs, 16, 24),
        (sign_flip, detectable_by_signs, 16, 300),
        (sign_flip, detectable_by_signs, 13, 80),
        (sign_flip, detectable_by_signs, 18, 87),
        (batch_t, detectable_by_t, 40, 87),
    ],
)
def test_the_stated_change_is_found_with_the_stated_power(test, stated, count, tests) -> None:
    spread, relevant, runs = 0.7, 0.2, 400
    change = stated(spread / count**0.5, relevant, tests, count)
    x = RNG.normal(change, spread, (runs, count))
    found = np.mean([test(row, relevant) <= FAMILY_WISE / tests for row in x])
    assert abs(found - POWER) < 4 * (2 * POWER * (1 - POWER) / runs) ** 0.5  # the statement is of 400 draws itself


def test_no_change_is_stated_where_the_least_p_is_too_large() -> None:
    assert detectable_by_signs(1.0, 0.0, 81, 13) < np.inf
    assert detectable_by_signs(1.0, 0.0, 82, 13) == np.inf
    assert FAMILY_WISE / 82 < least_p(13) < FAMILY_WISE / 81


def test_the_normal_quantile_would_promise_too_much() -> None:
    normal = stats.norm.isf(FAMILY_WISE / 87) + stats.norm.ppf(POWER)
    assert detectable_by_t(1.0, 0.0, 87, 40) > 1.07 * normal
    assert detectable_by_t(1.0, 0.0, 87, 4000) == pytest.approx(normal, rel=0.01)
    assert detectable_by_signs(1.0, 0.0, 87, 16) > 1.2 * normal
