"""Sign-flip tests, Holm's correction and ranks, against brute force and by simulation."""

from __future__ import annotations

import time
from itertools import product

import numpy as np
import pytest

from reports import intervals, paired
from reports.paired import better, can_order, holm, rank_intervals, sign_flip_p, smallest_p


def brute_force(differences: list[float]) -> float:
    """The share of all sign vectors whose sum is at least as far from zero."""
    observed = abs(sum(differences)) - 1e-9
    sums = [sum(s * d for s, d in zip(signs, differences, strict=True)) for signs in product((1, -1), repeat=4)]
    return sum(abs(total) >= observed for total in sums) / 2**4


@pytest.mark.parametrize(
    "differences",
    [
        [1.0, 2.5, 0.3, 4.0],
        [1.0, -2.5, 0.3, 4.0],
        [-1.0, -1.0, -1.0, 1.0],  # ties among the sums
        [0.1, 0.2, -0.3, 0.3],  # sums that are equal up to rounding
        [0.0, 2.0, 0.0, 1.0],
        [0.0, 0.0, 0.0, 0.0],
        [1e9, 1e-9, -1e9, 5.0],
    ],
)
def test_p_values_are_those_of_all_sign_vectors(differences: list[float]) -> None:
    assert sign_flip_p(np.array([differences]).T) == pytest.approx(brute_force(differences), abs=0)


def test_known_p_values() -> None:
    up = np.arange(1.0, 17.0)
    one_down = np.where(up == 1, -up, up)  # beaten by itself and by all +, in both directions
    no_difference = np.where(up <= 3, up, 0.0)  # three instances that differ, in one direction
    p = sign_flip_p(np.stack([up, -up, one_down, no_difference, 0 * up], axis=1))
    assert list(p) == [2 / 2**16, 2 / 2**16, 4 / 2**16, 0.25, 1.0]
    assert sign_flip_p(np.ones((13, 1)))[0] == 2 / 2**13 == smallest_p(13)
    assert smallest_p(16) == 2 / 2**16


def test_p_values_do_not_depend_on_scale_and_sign() -> None:
    rng = np.random.default_rng(4)
    differences = rng.standard_t(2, (9, 5)) + 0.4
    expected = sign_flip_p(differences)
    assert len(set(expected)) == 5
    assert list(sign_flip_p(-3e-7 * differences)) == list(expected)
    assert list(sign_flip_p(differences[rng.permutation(9)])) == list(expected)


def test_beyond_sixteen_instances_signs_are_drawn() -> None:
    rng = np.random.default_rng(8)
    differences = rng.normal(0.35, 1, (17, 6))
    drawn = sign_flip_p(differences)
    bits = np.arange(2**17)[:, None] >> np.arange(17) & 1
    exact = (np.abs((1 - 2 * bits) @ differences) >= np.abs(differences.sum(0)) - 1e-9).mean(0)
    error = np.sqrt(exact * (1 - exact) / paired.DRAWS)
    assert np.all(np.abs(drawn - exact) < 5 * error + 1 / paired.DRAWS)
    assert sign_flip_p(np.ones((30, 1)))[0] == 1 / 2**16 == smallest_p(30)  # the observed vector counts
    assert list(sign_flip_p(differences)) == list(drawn)
    assert sign_flip_p(np.zeros((20, 1)))[0] == 1.0


def test_holm_by_hand() -> None:
    """Four p-values: .01 x 4, .02 x 3, .021 x 2 raised to its predecessor's .06, .5 x 1."""
    assert holm(np.array([0.021, 0.5, 0.01, 0.02])) == pytest.approx([0.06, 0.5, 0.04, 0.06])
    assert holm(np.array([0.3, 0.6])) == pytest.approx([0.6, 0.6])
    assert holm(np.array([0.9, 0.8, 0.7])) == pytest.approx([1.0, 1.0, 1.0])


def test_the_better_one_is_the_lower_one() -> None:
    rng = np.random.default_rng(1)
    base = rng.lognormal(1, 1, 16)
    beats = better(np.stack([base + 1, base, base + 3]))
    assert beats.tolist() == [[False, False, True], [True, False, True], [False, False, False]]
    assert not better(np.stack([base, base])).any()
    assert better(base[None]).tolist() == [[False]]


def test_all_pairs_of_a_problem_are_one_family() -> None:
    """A difference that is found alone, at p = 4/2^13, is not found among 105 pairs."""
    values = np.tile(np.zeros(13), (15, 1))
    values[0] = np.where(np.arange(13) == 0, -1.0, 3.0)
    assert better(values[:2])[1, 0]
    assert sign_flip_p((values[0] - values[1])[:, None])[0] == 4 / 2**13
    assert not better(values).any()


def test_thirteen_instances_are_the_fewest_that_order_twenty_methods() -> None:
    assert can_order(20, 13)
    assert not can_order(20, 12)
    assert not can_order(2, 12)  # by rule
    assert can_order(40, 16)
    assert not can_order(40, 14)  # 2/2^14 x 780 pairs is above 5 %
    assert can_order(40, 17)
    assert can_order(1, 13)


def test_ranks_of_a_relation_that_is_not_transitive() -> None:
    """a beats c, c beats d; b cannot be told from anyone; a and d are not told apart."""
    beats = np.zeros((4, 4), dtype=bool)
    beats[0, 2] = beats[2, 3] = True
    low, high = rank_intervals(beats)
    assert low.tolist() == [1, 1, 2, 2]
    assert high.tolist() == [3, 4, 3, 4]


def test_ranks_of_a_clear_order_are_single_places() -> None:
    rng = np.random.default_rng(2)
    base = rng.lognormal(0, 1, 16)
    low, high = rank_intervals(better(np.stack([base * factor for factor in (3.0, 1.0, 2.0)])))
    assert low.tolist() == high.tolist() == [3, 1, 2]


def null_table(rng: np.random.Generator, k: int, m: int, kind: str) -> np.ndarray:
    """k identical methods on m instances."""
    scale = rng.lognormal(0, 1, m)  # instances differ in difficulty, and in scatter with it
    if kind == "gamma":
        return rng.gamma(2, 1, (k, m)) * scale
    if kind == "heavy":
        return rng.pareto(1.5, (k, m)) * scale**2
    return 3 * scale + rng.standard_t(2, (k, m))


@pytest.mark.parametrize("kind", ["gamma", "heavy", "shifted"])
def test_twenty_identical_methods_are_rarely_put_in_an_order(kind: str) -> None:
    """At 5 %, 200 tables show an order in at most 17: P(Binomial(200, .05) > 17) = .012."""
    rng = np.random.default_rng([200, len(kind)])
    ordered = sum(better(null_table(rng, 20, 16, kind)).any() for _ in range(200))
    print(f"{kind}: {ordered} of 200 tables of 20 identical methods show an order")
    assert ordered <= 17


def test_without_correction_identical_methods_would_be_put_in_an_order() -> None:
    """The simulation can fail: the same tables, each pair at 5 % for itself."""
    rng = np.random.default_rng([200, 5])
    first, second = np.triu_indices(20, 1)
    tables = (null_table(rng, 20, 16, "gamma") for _ in range(10))
    assert sum((sign_flip_p((t[first] - t[second]).T) <= 0.05).any() for t in tables) == 10


SCATTER = (0.10, 0.15, 0.22, 0.29)
"""Standard deviation over instances of the logarithm of the ratio of two methods whose means are within a factor of
1.5: the medians over such pairs of guided samplers in a run with the sizes of the full suite, on gmm25-80-2,
digits-inpaint, linear-gaussian-16 and seed2d."""


def power(scatter: float, *, gain: float = 0.1, k: int = 2, m: int = 16, tables: int = 200) -> float:
    """The share of tables in which a method that is better by `gain` is told from one other, among k methods.

    Values are lognormal: instances differ by a factor with sd .8 in the logarithm, two methods on one instance by a
    factor with sd `scatter`; the other k - 2 methods are three times worse, as most of a table's are.
    """
    rng = np.random.default_rng([m, k])
    found = 0
    for _ in range(tables):
        factors = np.array([1 - gain, 1.0, *[3.0] * (k - 2)])
        noise = rng.normal(0, scatter / 2**0.5, (k, m))
        found += better(factors[:, None] * np.exp(0.8 * rng.normal(size=m) + noise))[0, 1]
    return found / tables


def test_power_to_separate_ten_percent() -> None:
    shares = {scatter: (power(scatter), power(scatter, k=20, tables=40)) for scatter in SCATTER}
    for scatter, (alone, among) in shares.items():
        print(f"10 % better, 16 instances, scatter {scatter}: found in {alone:.0%} alone, {among:.0%} among 20 methods")
    assert shares[0.10][0] > 0.8
    assert 0.1 < shares[0.29][0] < 0.5
    assert all(alone >= among for alone, among in shares.values())
    assert power(0.22, gain=0.0) < 0.12
    assert power(0.22, gain=0.3) > 0.95


def test_forty_methods_on_sixteen_instances_take_less_than_a_second() -> None:
    values = np.random.default_rng(0).lognormal(size=(40, 16))
    start = time.process_time()
    better(values)
    assert time.process_time() - start < 1.0


def test_intervals_hold_the_mean_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(6)
    values = rng.normal(3.0, 1.0, (400, 16))
    low, high, _ = intervals.of_means(values)
    assert 0.90 < ((low <= 3) & (high >= 3)).mean() < 0.96  # of 95 %, for 16 Gaussian values
    assert np.median(high - low) == pytest.approx(2 * 1.96 / 4, rel=0.1)


def test_intervals_of_skewed_values_lean_to_the_long_tail() -> None:
    values = np.random.default_rng(7).lognormal(0, 1, (1, 40))
    low, high, log_stderr = intervals.of_means(values)
    mean = values.mean()
    assert high[0] - mean > 1.1 * (mean - low[0])
    assert log_stderr[0] == pytest.approx(values.std() / 40**0.5 / mean, rel=0.1)


def test_intervals_without_enough_values() -> None:
    for m in (2, 7):
        assert np.isnan(intervals.of_means(1.0 + np.arange(m)[None])).all()
    one, rising = np.ones(8), 1.0 + np.arange(8)
    rows = np.stack(
        [2 * one, np.where(rising == 2, np.nan, one), np.where(rising == 2, np.inf, one), rising - 1, rising]
    )
    low, high, log_stderr = intervals.of_means(rows)
    assert (low[0], high[0], log_stderr[0]) == (2.0, 2.0, 0.0)
    assert np.isnan([low[1:3], high[1:3], log_stderr[1:3]]).all()
    assert 0 <= low[3] < 3.5 < high[3]
    assert np.isnan(log_stderr[3])
    assert 0.1 < log_stderr[4] < 0.4
    assert (low[4], high[4]) == tuple(end[0] for end in intervals.of_means(rows[4:])[:2])
