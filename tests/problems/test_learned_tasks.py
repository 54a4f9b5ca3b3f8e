"""Problems with a network as prior: the pictures, the measurement, and that truths are not those of the training."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from skimage import data

from benchmarks.prior_data import SETS
from problems import FAMILIES, TUNING_START, load
from problems.arrays import make_key
from problems.learned_tasks import TASKS, network
from problems.pictures import ellipses, patches, photographs, rings
from tests.problems.closed import LEARNED


def test_the_tasks_are_the_families_without_a_posterior():
    assert set(TASKS) == set(LEARNED)


def test_photographs_are_at_half_resolution_and_grey():
    camera = data.camera() / 255.0
    np.testing.assert_allclose(photographs("test")[0][10, 20], camera[20:22, 40:42].mean(), rtol=1e-12)
    coffee = data.coffee()[20:22, 40:42].reshape(-1, 3) / 255.0 @ [0.2125, 0.7154, 0.0721]
    np.testing.assert_allclose(photographs("test")[1][10, 20], coffee.mean(), rtol=1e-6)


def test_patches_have_contrast_and_stand_in_a_fixed_mixed_order():
    found = patches("test", 32, 8)
    assert found.shape[1:] == (32, 32)
    assert found.std(axis=(1, 2)).min() > 0.05
    camera = photographs("test")[0]
    inside = np.lib.stride_tricks.sliding_window_view(camera, (32, 32))[::8, ::8].reshape(-1, 32, 32)
    of_camera = np.array([any(np.array_equal(one, other) for other in inside) for one in found[:40]])
    assert 8 < of_camera.sum() < 36


def test_no_truth_is_a_training_picture():
    for name, family in (("photos-32", "photos-32-denoise"), ("rings-32", "blackhole-32-closure")):
        train = SETS[name]().train.reshape(-1, 32 * 32)
        for index in (0, 1, 5, TUNING_START, TUNING_START + 3):
            truth = load(family, index).x_true.reshape(1, -1)
            assert np.sqrt(((train - truth) ** 2).mean(axis=1)).min() > 0.01


@pytest.mark.parametrize(("make", "side"), [(rings, 32), (ellipses, 64)])
def test_generated_pictures_are_a_function_of_the_key(make, side):
    first, again, other = (make(make_key("numpy", [seed]), 3, side) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)
    assert first.shape == (3, side, side)
    assert first.min() >= 0
    assert 0.9 < first.max() <= 1


def test_a_ring_is_brightest_on_a_circle():
    """About the centre that suits best, the mean over angles peaks at a radius between .14 and .24 sides."""
    row, column = np.indices((32, 32)) - 15.5
    for image in rings(make_key("numpy", [3]), 20, 32):
        profiles = []
        for y, x in itertools.product(np.arange(-5, 5.5, 0.5), repeat=2):
            radius = np.hypot(row - y, column - x)
            profiles.append([image[(radius >= r) & (radius < r + 1)].mean() for r in range(11)])
        best = max(profiles, key=lambda profile: max(profile) - profile[0])
        assert 4 <= np.argmax(best) <= 8
        assert best[0] < 0.7 * max(best)


def test_ellipses_stay_within_the_disk():
    row, column = (np.indices((64, 64)) + 0.5) / 32 - 1
    assert np.all(ellipses(make_key("numpy", [4]), 5, 64)[:, np.hypot(row, column) > 1.05] == 0)


@pytest.mark.parametrize("name", LEARNED)
def test_the_data_tell_of_the_truth(name):
    """The log likelihood of the truth is far above that of another instance's truth, and about its expectation."""
    here, there = load(name, 0), load(name, 1)
    problem, m = here.problem, len(here.problem.y)
    own, other = problem.log_likelihood(np.stack([here.x_true, there.x_true]))
    assert own > other + 50
    if "gaussian_noise" in FAMILIES[name].provides:
        chi2 = np.sum((problem.y - problem.operator(here.x_true[None])[0]) ** 2) / problem.noise.std**2
        assert abs(chi2 - m) < 5 * np.sqrt(2 * m)


@pytest.mark.parametrize("name", ["photos-32", "rings-32", "ellipses-64"])
def test_a_shipped_network_removes_noise(name):
    """Of held-out pictures: nearer to them than the filter that suits the pictures of training best.

    Of photographs there are few, and the network has not seen what is held out: at large noise it is no better.
    """
    prior, pictures = network(name), SETS[name]()
    held_out = pictures.held_out[:24].astype(float)
    power = np.mean(np.abs(np.fft.fft2(pictures.train - prior.mean, norm="ortho")) ** 2, axis=0)
    for sigma, share in ((0.05, 0.9), (0.2, 0.9), (1.0, 1.1 if name == "photos-32" else 0.9)):
        noisy = held_out + sigma * make_key("numpy", [7]).standard_normal(held_out.shape)
        error = np.mean((prior.denoise(noisy, np.array(sigma)) - held_out) ** 2)
        gain = power / (power + sigma**2)
        filtered = prior.mean + np.fft.ifft2(gain * np.fft.fft2(noisy - prior.mean)).real
        assert error < share * np.mean((filtered - held_out) ** 2)
