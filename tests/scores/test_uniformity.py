"""The simultaneous test of ranks: its size, its power against known laws, its band, and ranks themselves."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from scores.holm import holm_threshold
from scores.ranks import member_ranks, truth_ranks
from scores.uniformity import simultaneous_band, uniformity_test

N, INSTANCES = 15, 100


def rejections(draw, level: float, repeats: int = 400, seed: int = 0) -> float:
    """The share of sets of ranks, drawn by draw(rng), that are rejected."""
    rng = np.random.default_rng(seed)
    return float(np.mean([uniformity_test(draw(rng), N)[1] <= level for _ in range(repeats)]))


def of_normals(shift: float, std: float):
    """Exact ranks where the truth is N(shift, std^2) and the samples are standard normal."""

    def draw(rng: np.random.Generator) -> np.ndarray:
        truth = shift + std * rng.standard_normal(INSTANCES)
        return truth_ranks(rng.standard_normal((INSTANCES, N)), truth, rng)

    return draw


@pytest.mark.parametrize("level", [0.01, 0.05, 0.2])
def test_the_size_is_the_level(level: float) -> None:
    """Uniform ranks are rejected at most so often, and nearly so often: the test is not conservative."""
    repeats = 4000
    count = round(repeats * rejections(lambda rng: rng.integers(0, N + 1, INSTANCES), level, repeats))
    assert binomtest(count, repeats, level).pvalue > 1e-3


@pytest.mark.parametrize(
    ("shift", "std", "least"),
    [(0.0, 1.0, 0.0), (0.5, 1.0, 0.95), (-0.5, 1.0, 0.95), (0.0, 1.6, 0.9), (0.0, 0.55, 0.9)],
)
def test_power_against_biased_and_wrongly_dispersed_samples(shift: float, std: float, least: float) -> None:
    found = rejections(of_normals(shift, std), 0.05)
    assert found >= least
    assert found < 0.09 or least > 0


def test_the_statistic_by_hand() -> None:
    """Two instances, n = 2: ranks 0, 0 have 2 of 2 below 1 where 1/3 is expected: 2 P(X >= 2) = 2/9."""
    assert uniformity_test(np.array([0, 0]), 2)[0] == pytest.approx(2 / 9)
    assert uniformity_test(np.array([2, 2]), 2)[0] == pytest.approx(2 / 9)
    assert uniformity_test(np.array([0, 2]), 2)[0] == pytest.approx(1.0)


def test_the_p_value_is_that_of_the_exact_law() -> None:
    """Two instances, n = 2: the least statistic, 2/9, has ranks (0, 0) or (2, 2), two of nine."""
    assert uniformity_test(np.array([0, 0]), 2)[1] == pytest.approx(2 / 9, abs=0.006)
    assert uniformity_test(np.array([0, 1]), 2)[1] > 2 / 9 + 0.1
    assert uniformity_test(np.full(INSTANCES, N), N)[1] == pytest.approx(1 / 100_001)


def test_ranks_out_of_range_are_refused() -> None:
    for wrong in (-1, N + 1):
        with pytest.raises(ValueError, match=r"ranks lie in 0\.\.15"):
            uniformity_test(np.array([3, wrong]), N)


def test_the_band_is_what_the_test_accepts() -> None:
    """A set of ranks leaves the band exactly where the test rejects it."""
    rng, level = np.random.default_rng(1), 0.1
    low, high = simultaneous_band(INSTANCES, N, level)
    inside, accepted = [], []
    for _ in range(300):
        ranks = of_normals(0.2, 1.2)(rng)
        below = np.cumsum(np.bincount(ranks, minlength=N + 1))[:-1] / INSTANCES
        inside.append(bool(np.all((below >= low) & (below <= high))))
        accepted.append(uniformity_test(ranks, N)[1] > level)
    assert np.mean(np.array(inside) == np.array(accepted)) > 0.99
    assert 0.1 < np.mean(inside) < 0.9
    np.testing.assert_allclose(low, (1 - high)[::-1], atol=1e-12)
    pointwise = binom.ppf(0.95, INSTANCES, 0.5) / INSTANCES
    assert high[N // 2] > pointwise


def test_ties_are_broken_at_random_among_the_places_they_could_take() -> None:
    """Truth 1 among 0, 1, 1, 2, 2, 2: rank 1, 2 or 3, each a third of the time; nothing is random without ties."""
    rng = np.random.default_rng(2)
    samples = np.tile([0.0, 1, 1, 2, 2, 2], (3000, 1))
    counts = np.bincount(truth_ranks(samples, np.ones(3000), rng), minlength=7)
    assert counts[[0, 4, 5, 6]].sum() == 0
    assert np.all(np.abs(counts[1:4] - 1000) < 120)
    np.testing.assert_array_equal(truth_ranks(samples, np.full(3000, 1.5), rng), 3)


def test_ranks_of_several_quantities_at_once() -> None:
    rng = np.random.default_rng(3)
    samples, truths = rng.standard_normal((4, 9, 2)), rng.standard_normal((4, 2))
    found = truth_ranks(samples, truths, rng)
    assert found.shape == (4, 2)
    assert found[2, 1] == np.sum(samples[2, :, 1] < truths[2, 1])


def test_members_are_ranked_among_the_others() -> None:
    """Truth 3, samples 1, 3, 5: the truth has 1 below and 1 tie, sample 5 has 3 below."""
    below, ties = member_ranks(np.array([[[1.0], [3.0], [5.0]]]), np.array([[3.0]]))
    np.testing.assert_array_equal(below[0, :, 0], [1, 0, 1, 3])
    np.testing.assert_array_equal(ties[0, :, 0], [1, 0, 1, 0])


@pytest.mark.parametrize(
    ("p_values", "threshold"),
    [
        ([0.2, 0.03, 0.5], 0.05 / 3),
        ([0.2, 0.01, 0.5], 0.05 / 2),
        ([0.02, 0.01, 0.5], 0.05),
        ([0.02, 0.01, 0.04], 0.05),
        ([0.03, 0.04, 0.045], 0.05 / 3),
    ],
)
def test_holms_threshold_steps_down(p_values: list[float], threshold: float) -> None:
    assert holm_threshold(np.array(p_values), 0.05) == pytest.approx(threshold)
