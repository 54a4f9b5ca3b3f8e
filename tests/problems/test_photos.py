"""Patches of photographs under mixtures: what they are, and that the prior knows photographs it was not fitted to."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from problems import TUNING_START, load
from problems.make_data import PHOTO_COMPONENTS, PHOTO_FLOOR, PHOTO_STRIDE
from problems.photos import measurement, prior
from problems.pictures import patches
from problems.restoration import RESTORATIONS

SIDES = pytest.mark.parametrize("side", [8, 16])


@SIDES
def test_truths_are_patches_of_other_photographs(side):
    test, tune = patches("test", side, 8), patches("tune", side, 8)
    for index in (0, 3, len(test) + 1):
        np.testing.assert_array_equal(load(f"photos-{side}-deblur", index).x_true, test[index % len(test)])
        np.testing.assert_array_equal(
            load(f"photos-{side}-denoise", TUNING_START + index).x_true, tune[index % len(tune)]
        )
    train = patches("train", side, PHOTO_STRIDE[side]).reshape(-1, side**2)
    for truth in test[:5].reshape(-1, side**2):
        assert np.sqrt(np.mean((train - truth) ** 2, axis=1)).min() > 0.005


@SIDES
def test_the_prior_has_its_components_and_its_floor(side):
    mixture = prior(side)
    assert len(mixture.log_weights) == PHOTO_COMPONENTS[side]
    assert mixture.eigenvalues.min() > 0.98 * PHOTO_FLOOR
    assert mixture.eigenvalues.max() > 100 * mixture.eigenvalues.min()


@SIDES
def test_the_mixture_knows_unseen_patches_better_than_one_gaussian(side):
    """By nats for a patch, where a Gaussian has the moments of the training patches."""
    train, test = patches("train", side, PHOTO_STRIDE[side]), patches("test", side, 8)[:400]
    flat = train.reshape(-1, side**2)
    cov = np.cov(flat.T) + PHOTO_FLOOR * np.eye(side**2)
    alone = scipy.stats.multivariate_normal.logpdf(test.reshape(-1, side**2), flat.mean(axis=0), cov)
    gain = prior(side).log_prob(test) - alone
    assert gain.mean() > 5 * gain.std() / len(gain) ** 0.5
    assert gain.mean() > 0.1 * side**2


@SIDES
@pytest.mark.parametrize("task", RESTORATIONS)
def test_the_measurement_is_that_of_the_restoration(side, task):
    operator, noise = measurement(side, task)
    other, same = RESTORATIONS[task].measurement((side, side))
    x = patches("tune", side, 8)[:4]
    np.testing.assert_allclose(operator(x), other(x), atol=1e-12)
    assert noise.std == same.std
    assert operator.rank == other.rank
