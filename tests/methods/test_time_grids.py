"""The rows that the integrators walk through, where the tables of laws do not reach."""

from __future__ import annotations

import numpy as np
import pytest

from methods.reverse_sde import Steps, continuous_steps, ddpm_steps, karras_levels, score_sde_steps
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
        found = _rows(ddpm_steps(_torch(case), steps, variance))
        expected = [np.sqrt(abar), np.sqrt(1 - abar), beta, noise]
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-13)


def test_the_noise_of_the_last_step_stays_if_something_follows():
    silent, noisy = (_rows(score_sde_steps(_torch(TALL), 30, last_noise=keep)) for keep in (False, True))
    for one, other in zip(silent[:3], noisy[:3], strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(silent[3][:-1], noisy[3][:-1])
    assert (silent[3][-1], noisy[3][-1]) == (0.0, noisy[2][-1] ** 0.5)


def test_karras_levels_end_where_they_should_and_their_steps_cover_the_time():
    problem = _torch(TALL)
    levels = karras_levels(problem, 40).numpy()
    np.testing.assert_allclose(levels[[0, -1]], [np.sqrt(np.expm1((0.25 + 17.0) / 2)), 2e-3], rtol=1e-10)
    np.testing.assert_allclose(np.diff(levels ** (1 / 7), 2), 0.0, atol=1e-12)
    alpha, sigma, beta, noise = _rows(continuous_steps(problem, 40))
    np.testing.assert_allclose(sigma / alpha, levels, rtol=1e-9)
    t = problem.schedule.time(karras_levels(problem, 40)).numpy()
    np.testing.assert_allclose(beta.sum(), np.sum((0.25 + 16.75 * t) * -np.diff(np.append(t, 0.0))), rtol=1e-12)
    np.testing.assert_allclose(noise[:-1], beta[:-1] ** 0.5, rtol=1e-12)
    assert noise[-1] == 0.0


@pytest.mark.parametrize("steps", [1, 2])
def test_one_or_two_steps_are_a_grid(steps: int):
    for grid in (
        continuous_steps(_torch(LG1), steps),
        score_sde_steps(_torch(LG1), steps),
        ddpm_steps(_torch(LG1), steps),
    ):
        assert all(column.shape == (steps,) and np.all(np.isfinite(column)) for column in _rows(grid))
