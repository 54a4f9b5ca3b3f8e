"""Finitely many images as prior: the weights of the posterior, and that nothing sees how little they are smoothed."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special
import scipy.stats

from problems import FAMILIES, TUNING_START, load
from problems.atoms import RINGS, SIDE, SMOOTH, TASKS, ring_atoms
from problems.posteriors import condition
from problems.shared_mixture import SharedMixture

NAMES = [f"atoms-{task}" for task in TASKS]
every = pytest.mark.parametrize("name", NAMES)


def log_likelihoods(problem, images):
    """log p(y | image), written down without the classes of noise and, for the digits, of operators."""
    y, kind = problem.y, type(problem.noise).__name__
    if kind == "GaussianNoise" and problem.operator.linear:
        if images.shape[1:] == (25, 25):
            pooled = images.reshape(-1, 5, 5, 5, 5).mean(axis=(2, 4))
            seen = (images[:, :13] if len(y) == 13 * 25 else pooled).reshape(len(images), -1)
        else:
            seen = images.reshape(len(images), -1) @ problem.operator.matrix.T
    elif kind == "GaussianNoise":
        padded = np.pad(images, ((0, 0), *2 * (2 * (images.shape[1] // 4,),)))
        seen = np.abs(np.fft.fftshift(np.fft.fft2(padded, norm="ortho"), axes=(1, 2))).reshape(len(images), -1)
    elif kind == "PoissonNoise":
        rate = np.maximum(0.004 * 127.5 * (images.reshape(len(images), -1) + 1), 1e-3)
        return scipy.stats.poisson.logpmf(y, rate).sum(axis=1)
    else:
        seen, c = problem.operator(images), len(problem.noise.concentration)
        phases = scipy.stats.vonmises.logpdf(y[:c] - seen[:, :c], problem.noise.concentration).sum(axis=1)
        return phases + scipy.stats.norm.logpdf(y[c:], seen[:, c:], problem.noise.linear_std).sum(axis=1)
    return scipy.stats.norm.logpdf(y, seen, problem.noise.std).sum(axis=1)


@every
@pytest.mark.parametrize("index", [0, TUNING_START + 4])
def test_weights_are_proportional_to_the_likelihood_of_each_image(name, index, instance):
    found = instance(name, index)
    prior, posterior = found.problem.prior, found.posterior
    joint = log_likelihoods(found.problem, prior.component_means) - np.log(len(prior.component_means))
    tolerance = 1e-4 if name.endswith("phase") else 1e-9  # the amplitudes are rounded off at zero, by 1e-4
    assert found.log_evidence == pytest.approx(scipy.special.logsumexp(joint), abs=10 * tolerance)
    np.testing.assert_allclose(np.exp(posterior.log_weights), scipy.special.softmax(joint), atol=tolerance)
    np.testing.assert_array_equal(posterior.component_means, prior.component_means)
    assert float(posterior.variance) == float(prior.variance) == SMOOTH**2


@every
def test_no_measurement_sees_how_images_are_smoothed(name, instance):
    """p(y | image) is E[p(y | x)] over the noise that the prior adds to it, to one per cent, for every likely image."""
    found = instance(name, 0)
    likely = np.argsort(found.posterior.log_weights)[-5:]
    for image in found.problem.prior.component_means[likely]:
        x = image + SMOOTH * np.random.default_rng(3).standard_normal((1000, *image.shape))
        x = np.concatenate([x, 2 * image - x])  # antithetic: what is linear in the noise is not what is asked
        ratio = found.problem.log_likelihood(x) - found.problem.log_likelihood(image[None])
        assert abs(scipy.special.logsumexp(ratio) - np.log(len(x))) < 0.01


@pytest.mark.parametrize("name", ["atoms-digits-inpaint", "atoms-digits-superres"])
def test_for_linear_measurements_it_is_the_conjugate_posterior(name, instance):
    """That of the same mixture by the Kalman update of its components, which knows of the smoothing."""
    found = instance(name, 1)
    problem, prior = found.problem, found.problem.prior
    same = SharedMixture(
        prior.log_weights, prior.component_means, prior.variance, prior.basis, prior.eigenvalues, prior.shape
    )
    exact, log_evidence = condition(same, problem.operator, problem.noise, problem.y)
    assert found.log_evidence == pytest.approx(log_evidence, abs=1e-3)
    np.testing.assert_allclose(np.exp(found.posterior.log_weights), np.exp(exact.log_weights), atol=1e-4)
    np.testing.assert_allclose(found.posterior.mean, exact.mean, atol=1e-4)


@every
def test_the_data_leave_more_than_one_image_and_not_all(name):
    """The number that the weights amount to, 1 / sum of squares, over instances that score nobody."""
    weights = [np.exp(load(name, TUNING_START + i).posterior.log_weights) for i in range(12)]
    left = [1 / np.sum(w**2) for w in weights]
    assert 1.5 < np.median(left) < 40


@every
def test_the_truth_is_as_likely_as_the_posterior_says(name):
    """The rank of its weight among all images, weighted: uniform if truth and measurement are a draw of the joint."""
    below = []
    for index in range(60):
        found = load(name, index)
        weights = np.exp(found.posterior.log_weights)
        squares = np.sum((found.problem.prior.component_means - found.x_true) ** 2, axis=(1, 2))
        own = int(np.argmin(squares))
        assert squares[own] < 2 * found.x_true.size * SMOOTH**2
        lighter = weights < weights[own]
        below.append(weights[lighter].sum() + np.random.default_rng(index).random() * weights[own])
    assert scipy.stats.kstest(below, "uniform").pvalue > 1e-4


def test_the_rings_are_images_of_their_own():
    images = ring_atoms().component_means
    assert images.shape == (RINGS, SIDE, SIDE)
    assert images.min() >= 0
    np.testing.assert_allclose(images.max(axis=(1, 2)), 1)
    border = np.concatenate([images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1]], axis=1)
    assert np.mean(border.max(axis=1) > 0.05) < 0.01
    assert border.max() < 0.15
    squares = np.sum((images[:200, None] - images[None, :200]) ** 2, axis=(2, 3))
    assert np.min(squares[np.triu_indices(200, 1)]) > (20 * SMOOTH) ** 2


def test_what_they_provide():
    assert {"linear", "svd"} & FAMILIES["atoms-digits-phase"].provides == set()
    assert "gaussian_noise" in FAMILIES["atoms-digits-phase"].provides
    assert {"linear", "svd"} <= FAMILIES["atoms-digits-poisson"].provides
    assert "gaussian_noise" not in FAMILIES["atoms-digits-poisson"].provides
