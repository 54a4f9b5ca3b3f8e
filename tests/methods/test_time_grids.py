"""The rows that the integrators walk through, where the tables of laws do not reach."""

from __future__ import annotations

import numpy as np
import pytest

from methods.integrators import Steps, ancestral_steps, continuous_steps, ddim_steps, reverse_diffusion_steps
from methods.levels import ddpm_levels, karras_levels, on_schedule, score_sde_levels
from tests.methods.cases import LG1, TALL


def _rows(steps: Steps) -> list[np.ndarray]:
    return [column.numpy() for column in steps]


def _torch(case):
    return case.problem.to("torch", dtype="float64")


@pytest.mark.parametrize("case", [LG1, TALL], ids=["default", "other"])
@pytest.mark.parametrize(("steps", "levels"), [(7, 1000), (3, 1000), (1000, 1000), (1500, 2000), (1, 1000)])
def test_ddpm_levels_for_every_number_of_steps(case, steps: int, levels: int):
    """A number that does not divide 1000 rounds its levels down; more than 1000 steps refine them."""
    betas = np.linspace(case.beta[0], case.beta[1], levels) / levels
    abar = np.cumprod(1 - betas)[[levels * i // steps for i in range(steps)]][::-1]
    after = np.append(abar[1:], 1.0)
    beta = 1 - abar / after
    for variance in ("small", "large"):
        noise = np.sqrt(beta * (1 - after) / (1 - abar) if variance == "small" else beta)
        noise[-1] = 0.0
        found = _rows(ancestral_steps(ddpm_levels(_torch(case), steps), variance))
        root = np.sqrt(1 - beta)
        expected = [np.sqrt(abar), np.sqrt(1 - abar), 1 / root, beta / root, noise, 1 - beta]
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-13)


def test_the_noise_of_the_last_step_stays_if_something_follows():
    levels = score_sde_levels(_torch(TALL), 30)
    silent, noisy = (reverse_diffusion_steps(levels, last_noise=keep) for keep in (False, True))
    for name in Steps._fields:
        one, other = getattr(silent, name).numpy(), getattr(noisy, name).numpy()
        np.testing.assert_array_equal(one[:-1], other[:-1])
        assert (one[-1] == other[-1]) == (name != "noise_std")
    assert (silent.noise_std[-1], noisy.noise_std[-1]) == (0.0, noisy.gain[-1] ** 0.5)


@pytest.mark.parametrize("eta", [0.0, 0.4, 0.85, 1.0])
def test_ddim_is_the_published_update_and_at_eta_1_the_ancestral_one(eta: float):
    """x' = alpha' x0_hat + sqrt(sigma'^2 - c^2) eps_hat + c z, applied to x and to the score apart."""
    levels = ddpm_levels(_torch(TALL), 20)
    alpha, sigma, sigma_next, ratio, beta = (column.numpy() for column in levels)
    c = eta * np.sqrt(beta) * sigma_next / sigma
    deterministic = np.sqrt(sigma_next**2 - c**2)
    growth, gain = alpha / ratio / alpha, alpha / ratio * sigma**2 / alpha - deterministic * sigma
    found = ddim_steps(levels, eta)
    for one, other in zip(found[2:5], (growth, gain, c), strict=True):
        np.testing.assert_allclose(one.numpy(), other, rtol=1e-9, atol=1e-12)
    if eta == 1.0:
        for one, other in zip(found, ancestral_steps(levels), strict=True):
            np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-12)


def test_variance_exploding_levels_are_geometric_and_end_at_the_data():
    problem = on_schedule(_torch(LG1), "ve")
    levels = score_sde_levels(problem, 100)
    sigma = levels.sigma.numpy()
    np.testing.assert_allclose(sigma, np.geomspace(2.0, 0.01, 100), rtol=1e-10)  # twice the prior's std
    np.testing.assert_allclose(levels.sigma_next.numpy(), np.append(sigma[1:], 0.0), rtol=1e-12)
    np.testing.assert_allclose(levels.beta.numpy(), sigma**2 - np.append(sigma[1:], 0.0) ** 2, rtol=1e-12)
    assert set(levels.alpha.tolist()) == set(levels.ratio.tolist()) == {1.0}


def test_karras_levels_end_where_they_should_and_their_steps_cover_the_time():
    problem = _torch(TALL)
    levels = karras_levels(problem, 40).numpy()
    np.testing.assert_allclose(levels[[0, -1]], [np.sqrt(np.expm1((0.25 + 17.0) / 2)), 2e-3], rtol=1e-10)
    np.testing.assert_allclose(np.diff(levels ** (1 / 7), 2), 0.0, atol=1e-12)
    alpha, sigma, growth, beta, noise, _ = _rows(continuous_steps(problem, 40))
    np.testing.assert_allclose(sigma / alpha, levels, rtol=1e-9)
    t = problem.schedule.time(karras_levels(problem, 40)).numpy()
    np.testing.assert_allclose(beta.sum(), np.sum((0.25 + 16.75 * t) * -np.diff(np.append(t, 0.0))), rtol=1e-12)
    np.testing.assert_allclose(noise[:-1], beta[:-1] ** 0.5, rtol=1e-12)
    np.testing.assert_allclose(growth, 1 + beta / 2, rtol=1e-12)
    flow = _rows(continuous_steps(problem, 40, flow=True))
    np.testing.assert_allclose(flow[3], beta / 2, rtol=1e-12)
    assert not flow[4].any()
    assert noise[-1] == 0.0


@pytest.mark.parametrize("steps", [1, 2])
def test_one_or_two_steps_are_a_grid(steps: int):
    for grid in (
        continuous_steps(_torch(LG1), steps),
        reverse_diffusion_steps(score_sde_levels(_torch(LG1), steps)),
        ancestral_steps(ddpm_levels(_torch(LG1), steps)),
        ddim_steps(ddpm_levels(_torch(LG1), steps, "quadratic"), 0.5),
    ):
        assert all(column.shape == (steps,) and np.all(np.isfinite(column)) for column in _rows(grid))
