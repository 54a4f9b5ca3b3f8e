"""What priors and posteriors draw has the mean and the covariance that they state, in all entries.

First exactly: the mixture that the sampler draws (read off with unit vectors as noise) has the stated moments to
rounding. Then by law: the moments of draws, every entry, at a family-wise false-alarm rate of 1e-4 over the registry.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from problems import FAMILIES, load
from problems.arrays import make_key
from problems.fourier_gaussian import FourierGaussian
from tests.problems.closed import CLOSED

FALSE_ALARM = 1e-4
DRAWS = 6000
PIXELS = 256
"""Of larger fields, all entries of as many random pixels are judged."""

DENSE = [name for name in CLOSED if FAMILIES[name].dim <= 800]
FIELDS = [name for name in CLOSED if isinstance(load(name, 0).posterior, FourierGaussian)]

every = pytest.mark.parametrize("role", ["prior", "posterior"])


def judged(name):
    return FAMILIES[name].dim if name in DENSE else PIXELS


ENTRIES = 2 * sum(judged(name) * (judged(name) + 3) // 2 for name in CLOSED)


def bound(variance, scale, n, tests=ENTRIES):
    """Bernstein: a mean of n terms with this variance and this scale errs by more in FALSE_ALARM / tests of cases."""
    log_odds = np.log(2 * tests / FALSE_ALARM)
    return np.sqrt(2 * variance * log_odds / n) + scale * log_odds / n


@every
@pytest.mark.parametrize("name", DENSE)
def test_stated_moments_are_those_of_the_sampled_mixture(name, role, problem_of, components, relative):
    law, parts = problem_of(name, role).prior, components(name, role)
    weights = np.exp([part.log_weight for part in parts])
    means = np.stack([part.mean for part in parts])
    mean = weights @ means
    covs = {id(part.cov): part.cov for part in parts}
    within = sum(weights[[id(part.cov) == i for part in parts]].sum() * cov for i, cov in covs.items())
    cov = within + ((means - mean).T * weights) @ (means - mean)
    assert relative(law.mean.ravel(), mean) < 1e-12
    assert relative(law.cov(), cov) < 1e-10
    assert law.std.shape == law.mean.shape == law.shape
    assert relative(law.std.ravel(), np.sqrt(np.diag(cov))) < 1e-10
    distances = np.linalg.norm(means[:, None] - means[None], axis=-1)
    diameter = distances.max() + 2 * np.sqrt(max(np.trace(cov) for cov in covs.values()))
    assert float(law.diameter) == pytest.approx(diameter, rel=1e-10)


@every
@pytest.mark.parametrize("name", FIELDS)
def test_fields_are_stationary_with_the_stated_spectrum(name, role, problem_of, given):
    """Noise in one pixel gives the kernel of the root, wherever the pixel is; its autocorrelation is the covariance."""
    law = problem_of(name, role).prior
    side = law.shape[0]
    units = np.zeros((2, side, side))
    units[0, 0, 0] = units[1, 3, 5] = 1.0
    first, second = law.sample_components(given(units), np.zeros(2, int)) - law.mean
    np.testing.assert_allclose(second, np.roll(first, (3, 5), axis=(0, 1)), atol=1e-12)
    covariance = np.fft.ifft2(np.abs(np.fft.fft2(first)) ** 2).real
    np.testing.assert_allclose(np.fft.rfft2(covariance).real, law.spectrum, rtol=1e-9)
    np.testing.assert_allclose(law.std, np.sqrt(covariance[0, 0]), rtol=1e-12)
    assert float(law.diameter) == pytest.approx(2 * np.sqrt(side**2 * covariance[0, 0]), rel=1e-12)
    if side == 16:
        rows = law.cov().reshape(side**2, side, side)
        for pixel in (0, 1, 37, 255):
            np.testing.assert_allclose(rows[pixel], np.roll(covariance, divmod(pixel, side), axis=(0, 1)), atol=1e-12)


def pixel_cov(law, pixels):
    """The covariance of some pixels of a stationary field."""
    side = law.shape[0]
    kernel = np.fft.irfft2(law.spectrum, s=law.shape)
    rows, columns = np.divmod(pixels, side)
    return kernel[(rows[:, None] - rows) % side, (columns[:, None] - columns) % side]


def product_moments(weights, shifts, covs):
    """E[u_i u_j] and E[u_i^2 u_j^2] of a centred mixture: shifts m_k - mean, Isserlis' theorem for each component."""
    second, fourth = 0.0, 0.0
    for weight, shift, cov in zip(weights, shifts, covs, strict=True):
        square = shift**2 + np.diag(cov)
        across = np.outer(shift, shift)
        second = second + weight * (across + cov)
        fourth = fourth + weight * (np.outer(square, square) + 2 * cov**2 + 4 * across * cov)
    return second, fourth


@every
@pytest.mark.parametrize("name", CLOSED)
def test_draws_have_the_stated_mean_and_covariance(name, role, problem_of, components):
    law, n = problem_of(name, role).prior, DRAWS if name in DENSE else 1500
    x = law.sample(make_key("numpy", [1, 2, 3]), n).reshape(n, -1) - law.mean.ravel()
    if name in DENSE:
        parts = components(name, role)
        weights, covs = np.exp([part.log_weight for part in parts]), [part.cov for part in parts]
        shifts = np.stack([part.mean for part in parts]) - law.mean.ravel()
    else:
        pixels = np.random.default_rng(9).choice(x.shape[1], PIXELS, replace=False)
        x, weights, shifts, covs = x[:, pixels], [1.0], np.zeros((1, PIXELS)), [pixel_cov(law, pixels)]
    second, fourth = product_moments(weights, shifts, covs)
    reach = np.max(np.abs(shifts), axis=0) + np.sqrt(2 * np.max([np.diag(cov) for cov in covs], axis=0))
    assert np.all(np.abs(x.mean(axis=0)) < bound(np.diag(second), reach, n)), "mean"
    error = np.abs(x.T @ x / n - second)
    assert np.all(error < bound(fourth - second**2, np.outer(reach, reach), n)), "covariance"


@every
@pytest.mark.parametrize("name", CLOSED)
def test_components_are_drawn_by_their_weights(name, role, problem_of):
    """The mean responsibility of draws is the weight of the component."""
    law = problem_of(name, role).prior
    n = DRAWS if law.log_weights.size > 1 else 10
    found = law.responsibilities(law.sample(make_key("numpy", [4, 5]), n))
    assert found.shape == (n, law.log_weights.size)
    weights = np.exp(law.log_weights)
    error = np.abs(found.mean(axis=0) - weights)
    assert np.all(error <= bound(weights * (1 - weights), 1 / 3, n, tests=25 * 2 * len(CLOSED)))


@every
@pytest.mark.parametrize("name", CLOSED)
def test_labels_choose_the_component(name, role, problem_of, given):
    """Without noise, a draw from component k is its mean, in the order of the labels."""
    law = problem_of(name, role).prior
    labels = np.array([2, 0, 1, 1, 3]) % law.log_weights.size
    silent = law.sample_components(given(np.zeros((5, *law.shape))), labels)
    np.testing.assert_allclose(silent, law.component_means[labels], rtol=1e-14)


@every
@pytest.mark.parametrize("name", CLOSED)
def test_draws_do_not_depend_on_the_signs_of_eigenvectors(name, role, problem_of):
    """Linear algebra libraries choose them differently; the truth of an instance must be the same on every machine."""
    law = problem_of(name, role).prior
    changes = {}
    for field in ("basis", "eigenvectors"):
        if hasattr(law, field):
            vectors = getattr(law, field)
            signs = np.where(np.random.default_rng(6).random(vectors.shape[1:]) < 0.5, -1.0, 1.0)
            changes[field] = vectors * signs
    turned = dataclasses.replace(law, **changes)
    expected = law.sample(make_key("numpy", [7]), 20)
    np.testing.assert_allclose(turned.sample(make_key("numpy", [7]), 20), expected, atol=1e-10)
