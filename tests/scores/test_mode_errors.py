from __future__ import annotations

import math

import numpy as np
import pytest

import problems
import scores
from problems.arrays import make_key
from scores.candidate import Candidate
from scores.mode_errors import mode_covs_w2, mode_means_w2, mode_weights_w2
from scores.transport import transport_cost

WEIGHTS = np.array([0.5, 0.3, 0.2])
MEANS = np.zeros((3, 6))
MEANS[1, 0], MEANS[2, 0] = 30.0, 70.0
STDS = np.array([[1.0, 0.5, 0.8, 1.2, 0.3, 0.7], [0.4] * 6, [0.9, 1.1, 0.6, 0.5, 1.3, 0.2]])


@pytest.fixture
def instance(build):
    """Three well-separated modes on a line in 6 dimensions; A sees three directions that are no axes."""
    matrix = np.array([[1.0, 0.4, 0, 0, -0.7, 0], [0, 1.0, 2.0, 0.3, 0, 0], [0.5, 0, 0, 1.0, 0, 1.0]])
    return build(WEIGHTS, MEANS, np.stack([np.diag(std**2) for std in STDS]), matrix=matrix)


@pytest.fixture
def modes(standardised):
    """modes(counts) -> samples whose modes have exactly the exact means and, with 1/n, the exact variances."""

    def draw(counts, spread=1.0, shift=0.0):
        shift = np.broadcast_to(shift, MEANS.shape)
        parts = [
            MEANS[k] + shift[k] + spread * STDS[k] * standardised(count, 6) * math.sqrt(count / (count - 1))
            for k, count in enumerate(counts)
            if count
        ]
        return np.concatenate(parts)

    return draw


def parts(x, instance):
    candidate = Candidate(x, instance, scores.reference(instance, len(x), [1]), 1.0)
    return mode_weights_w2(candidate), mode_means_w2(candidate), mode_covs_w2(candidate)


def test_exact_moments_have_no_error(instance, modes):
    assert parts(modes((100, 60, 40)), instance) == pytest.approx((0, 0, 0), abs=1e-6)


@pytest.mark.parametrize("counts", [(60, 80, 60), (0, 100, 100), (200, 0, 0), (100, 0, 100)])
def test_wrong_weights_alone(instance, modes, counts):
    """On a line mass moves from quantile to quantile; a missing mode is no error of its mean or shape."""
    sampled, exact = (np.repeat(MEANS[:, 0], each) for each in (counts, (100, 60, 40)))
    found = parts(modes(counts), instance)
    assert found[0] == pytest.approx(np.sqrt(np.mean((sampled - exact) ** 2)), rel=1e-6)
    assert found[1:] == pytest.approx((0, 0), abs=1e-6)


def test_shifted_modes(instance, modes):
    """Each by its own shift, weighted by the exact weights."""
    shift = np.array([[0.5, 0, 0, 0.2, 0, 0], [0, -1.0, 0, 0, 0, 0.3], [0.1, 0.1, 0.1, 0, 2.0, 0]])
    found = parts(modes((100, 60, 40), shift=shift), instance)
    assert found[0] == pytest.approx(0, abs=1e-6)
    assert found[1] == pytest.approx(math.sqrt(WEIGHTS @ np.sum(shift**2, axis=1)), rel=1e-6)
    assert found[2] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("spread", [0.5, 1.4])
def test_modes_of_the_wrong_width(instance, modes, spread):
    """All widths wrong by one factor: |c - 1| sqrt(sum_k w_k tr C_k), whatever the directions."""
    found = parts(modes((100, 60, 40), spread=spread), instance)
    assert found[:2] == pytest.approx((0, 0), abs=1e-6)
    assert found[2] == pytest.approx(abs(spread - 1) * math.sqrt(WEIGHTS @ np.sum(STDS**2, axis=1)), rel=1e-6)


def test_a_mode_counts_by_the_smaller_of_its_weights(instance, modes):
    """Shifted by 1 in one coordinate with shares .3, .3, .4 for weights .5, .3, .2: sqrt(.3 + .3 + .2)."""
    shift = np.array([0, 1.0, 0, 0, 0, 0])
    assert parts(modes((60, 60, 80), shift=shift), instance)[1] == pytest.approx(math.sqrt(0.8), rel=1e-6)


@pytest.mark.parametrize(("counts", "low", "high"), [((540, 360), 0.95, 1.05), ((600, 300), 1.0, 1.5)])
def test_the_squares_add_up_to_about_the_squared_distance(build, counts, low, high):
    """Against exact transport in the plane: shift and width alone add up; a plan that moves mass as well can do
    better than one after the other, by sending the samples that lie nearest."""
    means = np.array([[0.0, 0.0], [20.0, 0.0]])
    instance, n = build([0.6, 0.4], means, np.stack([np.eye(2)] * 2)), 900
    reference, key = scores.reference(instance, n, [1]), make_key("numpy", [3])
    x = means[np.repeat([0, 1], counts)] + [0.0, 1.5] + 1.8 * key.standard_normal((n, 2))
    stack = np.sum(np.square(parts(x, instance)))
    moved = abs(counts[0] / n - 0.6)
    assert stack == pytest.approx(400 * moved + (1 - moved) * (1.5**2 + 2 * 0.8**2), rel=0.1)
    assert low < stack / transport_cost(np.sum((x[:, None] - reference.x) ** 2, axis=-1)) < high


def test_sixty_four_directions_stand_for_a_large_null_space():
    """800 dimensions, nearly isotropic modes: halving the spread costs half the root of the trace of C."""
    instance = problems.load("gmm25-800-2", 0)
    posterior, reference = instance.posterior, scores.reference(instance, 256, [1])
    labels = np.repeat(np.arange(25), reference.counts)
    centre = posterior.component_means[labels]
    x = centre + 0.5 * (posterior.sample_components(make_key("numpy", [2]), labels) - centre)
    trace = 798 * float(posterior.variance) + posterior.eigenvalues.sum()
    found = mode_covs_w2(Candidate(x, instance, reference, 1.0))
    assert found == pytest.approx(0.5 * math.sqrt(trace), rel=0.05)
    floors = scores.floor(instance, reference, draws=3, seed_words=[1], data_range=1.0)
    assert found > 4 * floors["mode_covs_w2"].max()


@pytest.mark.parametrize("name", ["digits-inpaint", "gmm25-80-2"])
def test_a_fault_of_shape_is_found_in_many_dimensions(name):
    """Half as wide at n = 256, d = 64 and 80: the shape is far above its floor."""
    instance = problems.load(name, 3)
    reference = scores.reference(instance, 256, [1])
    labels = np.repeat(np.arange(len(reference.counts)), reference.counts)
    centre = instance.posterior.component_means[labels]
    x = centre + 0.5 * (instance.posterior.sample_components(make_key("numpy", [2]), labels) - centre)
    floor = scores.floor(instance, reference, draws=8, seed_words=[1], data_range=1.0)["mode_covs_w2"]
    assert mode_covs_w2(Candidate(x, instance, reference, 1.0)) > 4 * floor.max()


def test_units(build):
    """Everything 3 times as large, overlapping modes: all three too."""
    values = []
    for scale in (1.0, 3.0):
        instance = build([0.4, 0.6], scale * np.array([[0.0, 0.0], [1.5, 1.0]]), scale**2 * np.stack([np.eye(2)] * 2))
        x = 1.5 * instance.posterior.sample(make_key("numpy", [3]), 60)
        values.append(parts(x, instance))
    np.testing.assert_allclose(values[1], 3 * np.array(values[0]), rtol=1e-6)
    assert min(values[0]) > 0.02


def test_overlapping_modes_are_split_without_bias(build):
    """Soft responsibilities of many exact draws: each part falls to its noise."""
    instance = build([0.2, 0.8], [[0.0], [1.5]], [[[1.0]], [[0.4]]])
    x = instance.posterior.sample(make_key("numpy", [6]), 20_000)
    found = parts(x, instance)
    assert found[0] < 0.15
    assert max(found[1:]) < 0.03
    assert parts(x + 0.4, instance)[1] > 0.1


def test_enormous_samples(instance, modes):
    reference = scores.reference(instance, 200, [1])
    found = scores.evaluate(1e200 * modes((100, 60, 40)), instance, reference, data_range=1.0)
    for name in ("mode_weights_w2", "mode_means_w2", "mode_covs_w2"):
        assert not found[name][0] < 1e3
