"""The law of every affine sampler, from its own code, against published and recomputed tables of exact laws."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest

from methods import Samples
from methods.guidance import none
from methods.integrators import continuous_steps, reverse_diffusion_steps
from methods.levels import score_sde_levels
from methods.reverse_sde import reverse_sde, start_normal
from problems.arrays import split
from tests.methods.affine import Law, jax_laws, jax_laws_by_derivative, sampler, torch_law
from tests.methods.cases import LG1_PADDED, LG2, case

PROBLEMS = {"LG1": LG1_PADDED.problem, "LG2": LG2.problem}
ALD = {"sigma_max": 20.0, "sigma_min": 0.03}
LOUD = {"tau": 0.01 / 2**0.5 / 0.3}
REPLACEMENT = {"predictor": "ancestral", "corrector_steps": 0, "denoise": False}
# name, preset, hyper-parameters; mean and std on LG1; mean, std and correlation on LG2: five digits.
TABLE: list[tuple[str, str, dict[str, Any], tuple[float, float], tuple[float, float, float, float, float]]] = [
    ("ancestral-none", "default", {}, (0, 0.99552), (0, 0, 0.99577, 0.99577, 0.802)),
    ("ancestral-none", "default", {"variance": "large"}, (0, 0.99995), (0, 0, 0.99967, 0.99967, 0.799)),
    ("ancestral-none", "default", {"steps": 100}, (0, 0.96), (0, 0, 0.96219, 0.96219, 0.813)),
    ("ancestral-dps", "default", {}, (0.79999, 0.20735), (1.19998, 1.16356, 0.20749, 0.55984, 0.119)),
    ("dps", "calibrated", {}, (0.79999, 0.20735), (1.19998, 1.16356, 0.20749, 0.55984, 0.119)),
    ("ancestral-pigdm", "default", {}, (0.73394, 0.28361), (1.07518, 0.83696, 0.29824, 0.65572, 0.403)),
    ("ancestral-pigdm", "default", {"prior_std": 1e6}, (0.66853, 0.3075), (0.94292, 0.56352, 0.33393, 0.71624, 0.508)),
    ("ancestral-mmps", "default", {}, (0.73394, 0.28361), (1.10091, 0.88072, 0.28372, 0.63852, 0.361)),
    ("ancestral-mmps", "paper", {"variance": "large"}, (0.73394, 0.28828), (1.10091, 0.88072, 0.28822, 0.64308, 0.357)),
    ("ancestral-jalal", "default", {}, (0.66947, 0.25408), (0.94341, 0.40455, 0.28275, 0.78288, 0.598)),
    ("projection", "default", REPLACEMENT, (0.8, 0.0), (1.2, 0.59885, 0.0, 0.69981, 0.0)),
    ("annealed-langevin", "default", ALD, (0.7271, 0.29658), (1.07721, 0.79083, 0.29939, 0.6887, 0.389)),
    ("snips", "default", ALD, (0.74254, 0.27846), (1.1114, 0.87544, 0.27846, 0.66271, 0.336)),
    ("ancestral-tmpd", "default", {}, (0.73394, 0.28361), (1.10091, 0.88072, 0.28372, 0.63852, 0.361)),
    (
        "ancestral-tmpd",
        "default",
        {"variance": "large"},
        (0.73394, 0.28828),
        (1.10091, 0.88072, 0.28822, 0.64308, 0.357),
    ),
    ("ddim-none", "default", {"eta": 1.0, "steps": 100}, (0, 0.96), (0, 0, 0.96219, 0.96219, 0.813)),
    ("pigdm-ddim", "default", {}, (0.8, 0.11992), (1.2, 1.13666, 0.12039, 0.52112, 0.036)),
    ("pigdm-ddim", "default", {"steps": 1000}, (0.8, 0.06727), (1.2, 1.16574, 0.06721, 0.54708, 0.003)),
    ("ddrm", "default", {}, (0.72108, 0.17268), (1.03014, 0.58231, 0.18992, 0.57782, 0.567)),
    ("ddrm", "default", {"steps": 100}, (0.73858, 0.15591), (1.09608, 0.78581, 0.16458, 0.56413, 0.487)),
    ("ddrm", "default", {"steps": 1000}, (0.776, 0.09174), (1.16109, 0.87088, 0.09517, 0.55525, 0.353)),
    ("ddnm-plus", "default", {}, (0.73858, 0.15591), (1.09608, 0.78581, 0.16458, 0.56413, 0.487)),
    ("ddnm-plus", "default", {"steps": 1000}, (0.776, 0.09174), (1.16109, 0.87088, 0.09517, 0.55525, 0.353)),
    ("ddnm", "default", {}, (0.8, 0.0), (1.2, 0.88472, 0.0, 0.53251, 0.0)),
    ("diffpir", "default", {}, (0.7442, 0.26578), (1.08544, 0.56686, 0.26789, 0.74494, 0.462)),
    ("diffpir", "default", {"zeta": 1.0}, (0.73535, 0.19345), (1.09575, 0.82472, 0.19302, 0.45867, 0.380)),
    ("diffpir", "default", {"zeta": 1.0, "lam": 8.0}, (0.47862, 0.44003), (0.70535, 0.53991, 0.44033, 0.55477, 0.663)),
    ("daps-exact-inner", "default", {}, (0.73518, 0.28652), (1.09744, 0.8371, 0.28636, 0.67135, 0.36)),
    ("daps-exact-inner", "default", LOUD, (0.79996, 0.00707), (1.19994, 0.91151, 0.00707, 0.63075, 0.01)),
    ("daps-covariance", "default", {}, (0.73394, 0.28735), (1.10092, 0.88073, 0.28735, 0.64253, 0.3578)),
]


@pytest.fixture(scope="module")
def laws() -> dict[str, dict[str, Law]]:
    return jax_laws({str(row): sampler(*row[:2], **row[2]) for row in TABLE}, PROBLEMS)


@pytest.mark.parametrize("row", TABLE, ids=[f"{row[0]}-{row[2]}" for row in TABLE])
def test_published_laws(laws, row):
    _compare(laws[str(row)], *row[3:])


def test_annealed_langevin_with_fifty_steps_per_level():
    run = sampler("annealed-langevin", **ALD, steps=10000, steps_per_level=50)
    laws = jax_laws_by_derivative(run, PROBLEMS)
    _compare(laws, (0.73281, 0.28948), (1.09794, 0.87068, 0.28974, 0.64829, 0.361))


def test_derivatives_and_responses_give_the_same_law():
    run = sampler("annealed-langevin", **ALD, steps=60, steps_per_level=3)
    laws = jax_laws_by_derivative(run, PROBLEMS)
    for name, problem in PROBLEMS.items():
        np.testing.assert_allclose(np.vstack(laws[name]), np.vstack(torch_law(run, problem)), rtol=1e-9, atol=1e-12)


def _compare(laws, first, second):
    mean, cov = laws["LG1"]
    np.testing.assert_allclose([mean[0], cov[0, 0] ** 0.5], first, atol=1e-4)
    mean, cov = laws["LG2"]
    std = np.diag(cov) ** 0.5
    np.testing.assert_allclose([*mean, *std], second[:4], atol=1e-4)
    np.testing.assert_allclose(cov[0, 1], second[4] * std[0] * std[1], atol=6e-4)  # the correlation has three digits


# N(.8, .1^2) beside N(0, .5^2): steps; std of both after each integrator of the VP schedule, started from N(0, I).
TARGETS = case([[0.8, 0.0]], [[[0.01, 0.0], [0.0, 0.25]]], [[1.0, 0.0]], [0.8], 0.3).problem
COLUMNS = {
    "euler-maruyama": {50: (0.09090, 0.50653), 100: (0.09361, 0.50300), 500: (0.09890,), 1000: (0.09969, 0.50023)},
    "ancestral": {50: (0.09545, 0.49877), 100: (0.09663, 0.49983), 500: (0.10106,), 1000: (0.10176, 0.50126)},
    "probability-flow": {50: (0.08130, 0.50080), 100: (0.09030, 0.50015), 500: (0.09823,), 1000: (0.09926, 0.49977)},
    "reverse-diffusion": {50: (0.09590, 0.51133), 100: (0.09697, 0.50611), 500: (0.10115,), 1000: (0.10181, 0.50189)},
    "noisy-last": {50: (0.10325, 0.50890), 100: (0.09981, 0.50419), 500: (0.10011,), 1000: (0.10029, 0.50035)},
}


def _unregistered(predictor, noisy, problem, key, *, n, steps):
    """A predictor on the score-sde grid that no registered method runs alone."""
    grid = (
        reverse_diffusion_steps(score_sde_levels(problem, steps))
        if predictor == "reverse-diffusion"
        else continuous_steps(problem, steps, "score-sde")
    )
    if noisy:
        grid = grid._replace(noise_std=grid.gain**0.5)
    first, second = split(key, 2)
    return Samples(reverse_sde(problem, second, start_normal(problem, first, n), grid, none))


INTEGRATORS = {
    "euler-maruyama": partial(sampler, "em-none", "score-sde"),
    "ancestral": partial(sampler, "ancestral-none", "score-sde"),
    "probability-flow": partial(sampler, "oracle-ode", "euler", start="normal"),
    "reverse-diffusion": partial(partial, _unregistered, "reverse-diffusion", False),
    "noisy-last": partial(partial, _unregistered, "euler-maruyama", True),
}


@pytest.fixture(scope="module")
def many_steps() -> dict[str, dict[str, Law]]:
    runs = {f"{name} {steps}": make(steps=steps) for name, make in INTEGRATORS.items() for steps in (500, 1000)}
    return jax_laws(runs | {"small variance": sampler("ancestral-none")}, {"targets": TARGETS})


@pytest.mark.parametrize("steps", [50, 100, 500, 1000])
@pytest.mark.parametrize("integrator", COLUMNS)
def test_integrators_at_every_number_of_steps(many_steps, integrator, steps):
    many = steps > 100
    mean, cov = (
        many_steps[f"{integrator} {steps}"]["targets"]
        if many
        else torch_law(INTEGRATORS[integrator](steps=steps), TARGETS)
    )
    stds = COLUMNS[integrator][steps]
    np.testing.assert_allclose((np.diag(cov) ** 0.5)[: len(stds)], stds, atol=1e-4)
    np.testing.assert_allclose(mean, [0.8, 0.0], atol=3e-3)
    assert abs(cov[0, 1]) < 1e-12


def test_small_variance_is_too_narrow_for_narrow_targets(many_steps):
    _, cov = many_steps["small variance"]["targets"]
    np.testing.assert_allclose(np.diag(cov) ** 0.5, [0.0963, 0.4961], atol=1e-4)
