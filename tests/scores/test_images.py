from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from skimage.metrics import structural_similarity

import problems
import scores
from problems.arrays import make_key
from scores import images
from scores.candidate import Candidate


def candidate(x, instance, data_range=2.5):
    return Candidate(x, instance, scores.reference(instance, len(x), [1]), data_range)


@pytest.fixture
def instance(build):
    truth = np.linspace(0, 1, 6).reshape(2, 3)
    return build([1.0], np.full((1, 6), 0.2), [0.3 * np.eye(6)], x_true=truth, shape=(2, 3))


def test_psnr_of_known_errors(instance):
    """Samples truth + .3 +- .4: the mean errs by .3, one sample by sqrt(.09 + .16); range 2.5."""
    signs = np.where(np.arange(8) % 2, 1.0, -1.0)[:, None, None]
    scored = candidate(instance.x_true + 0.3 + 0.4 * signs, instance)
    assert images.psnr_mean_db(scored) == pytest.approx(20 * math.log10(2.5 / 0.3), abs=1e-9)
    assert images.psnr_sample_db(scored) == pytest.approx(20 * math.log10(2.5 / 0.5), abs=1e-9)
    assert images.psnr_gain_db(scored) == pytest.approx(20 * math.log10(0.5 / 0.3), abs=1e-9)
    exact_error = np.sqrt(np.mean((0.2 - instance.x_true) ** 2))
    assert images.mmse_gap_db(scored) == pytest.approx(20 * math.log10(0.3 / exact_error), abs=1e-9)


def test_psnr_is_not_clipped(instance):
    scored = candidate(np.stack([instance.x_true + 40.0] * 4), instance)
    assert images.psnr_mean_db(scored) == pytest.approx(20 * math.log10(2.5 / 40), abs=1e-9)
    assert images.psnr_gain_db(scored) == pytest.approx(0.0, abs=1e-9)


def test_a_perfect_mean_is_infinitely_good(instance):
    reference = scores.reference(instance, 4, [1])
    found = scores.evaluate(np.stack([instance.x_true] * 4), instance, reference, data_range=1.0)
    assert found["psnr_mean_db"][0] == math.inf


@pytest.mark.parametrize("n", [1, 3, 20])
def test_expected_gain_is_exact_for_mean_squared_errors(instance, n):
    """Over truths drawn from the posterior: sum of the errors of one sample / of the mean = 2n / (n + 1)."""
    posterior, errors = instance.posterior, []
    for i in range(400):
        here = dataclasses.replace(instance, x_true=posterior.sample(make_key("numpy", [1, i]), 1)[0])
        scored = candidate(posterior.sample(make_key("numpy", [2, i]), n), here)
        errors.append([10 ** (-f(scored) / 10) for f in (images.psnr_sample_db, images.psnr_mean_db)])
    one, mean = np.array(errors).T
    expected = 10 ** (images.psnr_gain_expected_db(scored) / 10)
    assert expected == pytest.approx(2 * n / (n + 1))
    assert abs(np.mean(one - expected * mean)) <= 4 * np.std(one - expected * mean) / 20
    assert np.std(one - expected * mean) < 2.5 * np.mean(mean)


def test_mmse_gap_of_an_exact_sampler_is_the_noise_of_its_mean():
    """gaussian-field-16 at n = 4: 10 log10(1 + 1/4) = .97 dB on average."""
    gaps = []
    for index in range(60):
        instance = problems.load("gaussian-field-16", index)
        gaps.append(images.mmse_gap_db(candidate(instance.posterior.sample(make_key("numpy", [index]), 4), instance)))
    assert abs(np.mean(gaps) - 10 * math.log10(1.25)) < 4 * np.std(gaps) / math.sqrt(60)
    assert np.std(gaps) < 0.5


@pytest.mark.parametrize("sides", [(11, 11), (13, 17), (16, 12)])
def test_ssim_of_a_stack_is_the_mean_of_single_calls(rng, sides):
    truth, stack = rng.random(sides), rng.random((5, *sides))
    alone = [
        structural_similarity(
            image, truth, data_range=1.7, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
        for image in stack
    ]
    assert images.mean_ssim(stack, truth, 1.7) == pytest.approx(np.mean(alone), abs=1e-12)


def test_ssim_of_a_constant_offset_in_closed_form():
    """Two constant images: (2 a b + c) / (a^2 + b^2 + c), c = (.01 range)^2."""
    truth, stack = np.full((12, 12), 0.2), np.full((3, 12, 12), 0.7)
    c = (0.01 * 2.0) ** 2
    expected = (2 * 0.2 * 0.7 + c) / (0.2**2 + 0.7**2 + c)
    assert images.mean_ssim(stack, truth, 2.0) == pytest.approx(expected, abs=1e-9)


def test_ssim_falls_with_noise_and_the_mean_is_better_than_one(rng):
    instance = problems.load("gaussian-field-16", 2)
    values = []
    for spread in (0.0, 0.3, 1.0):
        scored = candidate(instance.x_true + spread * rng.standard_normal((10, 16, 16)), instance, 6.0)
        values.append((images.ssim_mean(scored), images.ssim_sample(scored)))
    assert values[0] == pytest.approx((1.0, 1.0))
    assert values[0][0] > values[1][0] > values[2][0]
    assert values[1][0] > values[1][1]
    assert values[2][0] > values[2][1]


def test_samples_are_aligned_where_the_measurement_is_blind():
    """Turned or negative copies of one image near the truth: aligned they are all near it; a shift is not undone."""
    instance = problems.load("atoms-digits-phase", 0)
    truth = instance.x_true
    near = truth + 0.1 * make_key("numpy", [2]).standard_normal((4, 8, 8))
    x = np.stack([near[0], near[1][::-1, ::-1], -near[2], -near[3][::-1, ::-1]])
    aligned = Candidate(x, instance, scores.frame(instance, 4), 2.0)
    plain = Candidate(near, instance, scores.frame(instance, 4), 2.0)
    assert images.psnr_aligned_db(aligned) == pytest.approx(images.psnr_mean_db(plain))
    assert images.psnr_mean_db(aligned) < images.psnr_mean_db(plain) - 5
    moved = Candidate(np.roll(near, 2, axis=2), instance, scores.frame(instance, 4), 2.0)
    assert images.psnr_aligned_db(moved) < images.psnr_aligned_db(aligned) - 5
    operator, y = instance.problem.operator, instance.problem.operator(x[:1])
    for image in operator.symmetries(x[:1])[:, 0]:
        np.testing.assert_allclose(operator(image[None]), y, atol=1e-9)
