from __future__ import annotations

import math

import numpy as np
import pytest

import problems
import scores
from problems.arrays import make_key
from scores.candidate import Candidate
from scores.modes import missing_modes, mode_tv

WEIGHTS = np.array([0.5, 0.3, 0.18, 0.02])
MEANS = np.array([[0.0, 0.0], [40.0, 0.0], [0.0, 40.0], [40.0, 40.0]])


@pytest.fixture
def scored(build):
    """counts of each well-separated mode -> (mode_tv, missing_modes)."""
    instance = build(WEIGHTS, MEANS, np.stack([np.diag([1.0, 0.5])] * 4))

    def score(counts, key=3):
        labels = np.repeat(np.arange(4), counts)
        x = instance.posterior.sample_components(make_key("numpy", [key]), labels)
        candidate = Candidate(x, instance, scores.reference(instance, len(labels), [1]), 1.0)
        return mode_tv(candidate), missing_modes(candidate)

    return score


@pytest.mark.parametrize(
    ("counts", "missing"),
    [
        ((200, 120, 72, 8), 0),
        ((260, 0, 130, 10), 1),
        ((0, 0, 400, 0), 2),  # the mode of weight .02 is expected 8 times: too rare to be called missing
        ((269, 11, 112, 8), 1),  # 11 of 120 is less than a tenth
        ((267, 13, 112, 8), 0),  # 13 of 120 is more
    ],
)
def test_total_variation_and_missing_modes_of_given_counts(scored, counts, missing):
    shares = np.array(counts) / 400
    assert scored(counts) == (pytest.approx(0.5 * np.sum(np.abs(shares - WEIGHTS)), abs=1e-9), missing)


def test_a_rare_mode_is_missed_once_it_is_expected_ten_times(scored):
    assert scored((300, 160, 140, 0))[1] == 1  # n = 600: expected 12 times
    assert scored((240, 140, 110, 0))[1] == 0  # n = 490: expected 9.8 times


def test_exact_draws_have_the_binomial_error_of_their_counts():
    """Two modes: TV = |share - w|, on average sqrt(2 w (1 - w) / (pi n)); so the floor's counts are random."""
    instance = problems.load("seed2d", 0)
    reference = scores.reference(instance, 1000, [2])
    weight = 0.304397
    labels = np.repeat([0, 1], [600, 400])
    x = instance.posterior.sample_components(make_key("numpy", [4]), labels)
    assert mode_tv(Candidate(x, instance, reference, 2.0)) == pytest.approx(0.4 - weight, abs=1e-6)
    draws = [instance.posterior.sample(make_key("numpy", [5, i]), 1000) for i in range(200)]
    found = [mode_tv(Candidate(x, instance, reference, 2.0)) for x in draws]
    expected = math.sqrt(2 * weight * (1 - weight) / (math.pi * 1000))
    assert abs(np.mean(found) - expected) < 4 * expected * math.sqrt(math.pi / 2 - 1) / math.sqrt(200)


def test_overlapping_modes_are_weighed_without_bias(build):
    """Soft responsibilities of exact draws average to the weights even where no draw belongs to one mode."""
    instance = build([0.2, 0.8], [[0.0], [1.5]], [[[1.0]], [[0.4]]])
    x = instance.posterior.sample(make_key("numpy", [6]), 100_000)
    candidate = Candidate(x, instance, scores.reference(instance, 100_000, [3]), 1.0)
    assert mode_tv(candidate) < 0.006
    assert mode_tv(Candidate(x + 0.4, instance, candidate.reference, 1.0)) > 0.05
