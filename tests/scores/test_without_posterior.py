"""Where the posterior is not known: what is still asked of samples, and that it is the same as with it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import scores
from problems import load
from problems.arrays import make_key
from scores.candidate import Candidate

ASKED = {
    *("nonfinite", "z_std", "chi2_per_m", "psnr_mean_db", "psnr_sample_db", "psnr_gain_db", "psnr_gain_expected_db"),
    *(f"coverage{percent}_{space}" for percent in (50, 68, 90, 95) for space in ("range", "null")),
    *(f"coverage90_{band}" for band in ("low", "mid", "high")),
}


@pytest.mark.parametrize("name", ["digits-inpaint-model", "gaussian-field-16"])
def test_metrics_that_need_no_posterior_have_the_same_values_without_it(name):
    """Coordinates are counted from another origin, which changes no rank, no spread and no distance to the truth."""
    instance = load(name, 0)
    x = instance.posterior.sample(make_key("numpy", [1]), 40) + 0.1
    known = scores.evaluate(x, instance, scores.reference(instance, 40, [1]), data_range=1.0)
    blind = replace(instance, known=None)
    found = scores.evaluate(x, blind, scores.frame(blind, 40), data_range=1.0)
    assert set(found) == set(known) & (ASKED | {"ssim_mean", "ssim_sample"})
    for metric, value in found.items():
        np.testing.assert_allclose(value, known[metric], rtol=1e-9, atol=1e-12, err_msg=metric)


def test_there_is_no_floor_and_no_reference():
    blind = replace(load("digits-inpaint-model", 0), known=None)
    frame = scores.frame(blind, 10)
    assert scores.floor(blind, frame, draws=3, seed_words=[1], data_range=1.0) == {}
    candidate = Candidate(np.zeros((10, 8, 8)), blind, frame, 1.0)
    assert not candidate.has_posterior
    with pytest.raises(TypeError, match="the posterior of this instance is not known"):
        _ = candidate.reference


def test_samples_that_do_not_fit_the_frame_are_refused():
    blind = replace(load("digits-inpaint-model", 0), known=None)
    with pytest.raises(ValueError, match=r"\(10, 8, 8\), got \(9, 8, 8\)"):
        scores.evaluate(np.zeros((9, 8, 8)), blind, scores.frame(blind, 10), data_range=1.0)


@pytest.mark.parametrize("name", ["photos-32-deblur", "ct-ellipses-64-limited", "mri-phantom-64", "photos-32-inpaint"])
def test_directions_of_an_operator_without_a_matrix_lie_in_its_range_or_beyond_it(name):
    instance = load(name, 0)
    operator, shape = instance.problem.operator, instance.problem.shape
    found = scores.frame(instance, 5).directions
    seen, hidden = found["range"], found["null"]
    for rows in (seen, hidden):
        np.testing.assert_allclose(rows @ rows.T, np.eye(len(rows)), atol=1e-9)
        assert len(rows) == 64
    np.testing.assert_allclose(operator(hidden.reshape(-1, *shape)), 0, atol=1e-6 * float(operator.norm))
    np.testing.assert_allclose(
        np.asarray(operator.project_range(seen.reshape(-1, *shape))).reshape(len(seen), -1), seen, atol=1e-6
    )
