"""Problems whose samplers get a score that is not exact: all else is as with the exact one."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from benchmarks.judge import floor
from problems import FAMILIES, load
from problems.arrays import make_key
from problems.contract import to
from problems.imperfect_scores import perturbed
from tests.benchmarks.test_execute import task

TWINS = {
    "digits-inpaint-model-net": "digits-inpaint-model",
    "digits-inpaint-model-perturbed-5": "digits-inpaint-model",
    "digits-inpaint-model-perturbed-20": "digits-inpaint-model",
    "gaussian-field-16-net": "gaussian-field-16",
}


@pytest.mark.parametrize(("twin", "base"), TWINS.items())
def test_truth_measurement_and_posterior_are_those_of_the_exact_problem(twin, base):
    for index in (0, 5):
        there, here = load(twin, index), load(base, index)
        np.testing.assert_array_equal(there.x_true, here.x_true)
        np.testing.assert_array_equal(there.problem.y, here.problem.y)
        np.testing.assert_array_equal(there.posterior.mean, here.posterior.mean)
        assert there.log_evidence == here.log_evidence
        assert there.problem.prior is not here.problem.prior
    assert FAMILIES[base].provides - FAMILIES[twin].provides == {"prior_log_prob", "prior_sample", "prior_cov"}


@pytest.mark.parametrize("size", [0.05, 0.2])
def test_the_error_of_the_noise_has_the_stated_size_at_every_level(size):
    """eps = (x - D) / sigma: its root mean square error, over draws of the diffused prior."""
    exact = load("digits-inpaint-model", 0).problem.prior
    prior = perturbed(exact, size)
    key = make_key("numpy", [1])
    x_0 = exact.sample(key, 400)
    for sigma in (0.01, 0.3, 2.0, 50.0):
        x = x_0 + sigma * key.standard_normal(x_0.shape)
        error = (prior.denoise(x, np.array(sigma)) - exact.denoise(x, np.array(sigma))) / sigma
        assert np.sqrt(np.mean(error**2)) == pytest.approx(size, rel=0.1)
        assert abs(np.mean(error)) < 0.3 * size
        score = (prior.denoise(x, np.array(sigma)) - x) / sigma**2
        np.testing.assert_allclose(prior.score(x, np.array(sigma)), score, rtol=1e-6, atol=1e-6 * np.abs(score).max())
    assert (prior.shape, float(prior.diameter)) == (exact.shape, float(exact.diameter))


def test_frameworks_agree():
    prior = perturbed(load("digits-inpaint-model", 0).problem.prior, 0.1)
    x = make_key("numpy", [2]).random((3, 8, 8))
    expected = prior.denoise(x, np.array(0.4))
    in_torch, in_jax = (to(prior, framework, dtype="float64") for framework in ("torch", "jax"))
    np.testing.assert_allclose(
        in_torch.denoise(torch.tensor(x), torch.tensor(0.4, dtype=torch.float64)), expected, rtol=1e-9, atol=1e-9
    )
    found = jax.jit(lambda x: in_jax.denoise(x, jnp.asarray(0.4)))(jnp.asarray(x))
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["digits-inpaint-model-net", "gaussian-field-16-net"])
def test_the_network_is_near_the_exact_denoiser_of_the_prior_that_it_learned(name):
    """What it misses of E[x_0 | x] is small beside what noise leaves unknown of x_0."""
    learned, exact = load(name, 0).problem.prior, load(TWINS[name], 0).problem.prior
    key = make_key("numpy", [3])
    x_0 = exact.sample(key, 500)
    for sigma in (0.1, 0.5, 2.0):
        x = x_0 + sigma * key.standard_normal(x_0.shape)
        best = exact.denoise(x, np.array(sigma))
        missed = np.mean((learned.denoise(x, np.array(sigma)) - best) ** 2)
        assert missed < 0.1 * np.mean((best - x_0) ** 2)


def test_samplers_meet_the_same_numbers_and_the_same_floor_on_both():
    """Exact samples then score the same, to the last digit, and a difference of rows is what the score costs."""
    twin, base = "digits-inpaint-model-perturbed-20", "digits-inpaint-model"
    ours, theirs = (task("dps", name) for name in (twin, base))
    assert ours.sampler_words == theirs.sampler_words
    assert ours.sampler_words != task("dps", "digits-inpaint").sampler_words
    there, here = (floor(name, 3, 20, seed=1, draws=3) for name in (twin, base))
    assert there.keys() == here.keys()
    for metric in here:
        np.testing.assert_array_equal(there[metric], here[metric])
