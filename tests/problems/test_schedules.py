"""Schedules: their identities, their inverses, and their precision near t = 0."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import torch

from problems import FAMILIES
from problems.contract import to
from problems.schedules import VE, VP, SubVP

SCHEDULES = [VP(), VP(np.array(0.3), np.array(7.0))]
ALL = [*SCHEDULES, SubVP(), SubVP(np.array(0.3), np.array(7.0)), VE(np.array(0.01), np.array(8.0))]
TIMES = np.array([0.0, 1e-6, 1e-3, 0.02, 0.37, 0.9, 1.0])


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_variance_is_preserved(schedule):
    np.testing.assert_allclose(schedule.alpha(TIMES) ** 2 + schedule.sigma(TIMES) ** 2, 1.0, rtol=1e-14)
    assert schedule.alpha(TIMES[0]) == 1.0
    assert schedule.sigma(TIMES[0]) == 0.0


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_integral_is_that_of_beta(schedule):
    for t in TIMES[1:]:
        expected = scipy.integrate.quad(lambda s: schedule.beta(np.array(s)), 0.0, t, epsabs=0, epsrel=1e-12)[0]
        assert schedule.integral(t) == pytest.approx(expected, rel=1e-11)
        assert schedule.alpha(t) == pytest.approx(np.exp(-expected / 2), rel=1e-11)
    assert schedule.beta(TIMES[0]) == schedule.beta_min
    assert schedule.beta(TIMES[-1]) == schedule.beta_max


@pytest.mark.parametrize("schedule", ALL)
def test_alpha_and_sigma_solve_the_stochastic_equation(schedule):
    """d alpha / dt = drift alpha and d sigma^2 / dt = 2 drift sigma^2 + diffusion."""
    t, step = TIMES[3:-1], 1e-6
    alpha_slope = (schedule.alpha(t + step) - schedule.alpha(t - step)) / (2 * step)
    variance_slope = (schedule.sigma(t + step) ** 2 - schedule.sigma(t - step) ** 2) / (2 * step)
    drift = schedule.drift(t)
    np.testing.assert_allclose(alpha_slope, drift * schedule.alpha(t), rtol=1e-7, atol=1e-12)
    expected = 2 * drift * schedule.sigma(t) ** 2 + schedule.diffusion(t)
    np.testing.assert_allclose(variance_slope, expected, rtol=1e-6, atol=1e-9)


def test_what_tells_the_schedules_apart():
    """arXiv 2011.13456, equations 28 to 31: sub-VP has VP's alpha and the square of its sigma; VE ends at sigma_max."""
    np.testing.assert_allclose(SubVP().alpha(TIMES), VP().alpha(TIMES), rtol=1e-15)
    np.testing.assert_allclose(SubVP().sigma(TIMES), VP().sigma(TIMES) ** 2, rtol=1e-12)
    ve = ALL[-1]
    np.testing.assert_allclose(ve.sigma(np.array(1.0)) ** 2, 8.0**2 - 0.01**2, rtol=1e-12)
    np.testing.assert_allclose(ve.diffusion(np.array(0.5)), 2 * 0.08 * np.log(800.0), rtol=1e-12)
    assert (ve.start_std, SubVP(np.array(0.1)).start_std) == (8.0, 1.0)


@pytest.mark.parametrize("schedule", ALL)
def test_time_inverts_the_ratio(schedule):
    ratio = schedule.sigma(TIMES) / schedule.alpha(TIMES)
    np.testing.assert_allclose(schedule.time(ratio), TIMES, rtol=1e-9, atol=1e-15)


def test_the_terminal_alpha_is_that_of_the_published_schedule():
    """exp(-(0.1 + 20) / 4) = .00657, the alpha of DDPM's thousand steps up to discretisation (.00635)."""
    assert VP().alpha(np.array(1.0)) == pytest.approx(np.exp(-5.025), rel=1e-14)


@pytest.mark.parametrize("host", [VP(), SubVP(), ALL[-1]], ids=["vp", "subvp", "ve"])
@pytest.mark.parametrize("framework", ["numpy", "torch", "jax"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_frameworks_agree_and_small_times_keep_their_precision(framework, dtype, host):
    """Entry by entry: 1 - exp(-B) and the naive inverse would lose every digit of sigma at t = 1e-6 in float32."""
    place = {"numpy": np.asarray, "torch": torch.tensor, "jax": jnp.asarray}[framework]
    t = TIMES[1:].astype(dtype)
    tolerance = 1e-13 if dtype == "float64" else 1e-5
    schedule = to(host, framework, dtype=dtype)
    exact = {name: getattr(host, name)(t.astype("float64")) for name in ("alpha", "sigma", "drift", "diffusion")}
    for name, expected in exact.items():
        found = getattr(schedule, name)(place(t))
        assert np.asarray(found).dtype == dtype
        np.testing.assert_allclose(np.asarray(found), expected, rtol=tolerance, err_msg=name)
    ratio = (exact["sigma"] / exact["alpha"]).astype(dtype)
    np.testing.assert_allclose(
        np.asarray(schedule.time(place(ratio))), host.time(ratio.astype("float64")), rtol=tolerance
    )


def test_every_family_uses_the_default_schedule(instance):
    for name in FAMILIES:
        schedule = instance(name, 0).problem.schedule
        assert type(schedule) is VP
        assert (float(schedule.beta_min), float(schedule.beta_max)) == (0.1, 20.0)
