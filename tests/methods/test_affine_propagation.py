"""The law of every affine sampler, from its own code, against published and recomputed tables of exact laws."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from scipy.linalg import solve_discrete_lyapunov, sqrtm

from methods import Samples
from methods.guidance import none
from methods.integrators import ancestral_steps, continuous_steps, reverse_diffusion_steps
from methods.levels import SIGMA_MIN, Levels, score_sde_levels, unit
from methods.reverse_sde import reverse_sde, start_normal
from problems import Problem
from problems.arrays import namespace, split
from problems.schedules import VE
from tests.methods.affine import Law, jax_laws, jax_laws_by_derivative, sampler, torch_law, torch_stationary_law
from tests.methods.cases import LG1_PADDED, LG2, WIDE, Case, case
from tests.methods.formulas import posterior
from tests.methods.laws import named, obeys
from tests.methods.particle_laws import conditioned

CASES = {"LG1": LG1_PADDED, "LG2": LG2}
PROBLEMS = {name: one.problem for name, one in CASES.items()}
ALD = {"sigma_max": 20.0, "sigma_min": 0.03}
LOUD = {"tau": 0.01 / 2**0.5 / 0.3}
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
    ("projection", "replacement", {}, (0.8, 0.0), (1.2, 0.59885, 0.0, 0.69981, 0.0)),
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
    ("diffpir", "strong-prior", {}, (0.47862, 0.44003), (0.70535, 0.53991, 0.44033, 0.55477, 0.663)),
    ("daps-exact-inner", "default", {}, (0.73518, 0.28652), (1.09744, 0.8371, 0.28636, 0.67135, 0.36)),
    ("daps-exact-inner", "default", LOUD, (0.79996, 0.00707), (1.19994, 0.91151, 0.00707, 0.63075, 0.01)),
    ("daps-covariance", "default", {}, (0.73394, 0.28735), (1.10092, 0.88073, 0.28735, 0.64253, 0.3578)),
]


@pytest.fixture(scope="module")
def laws() -> dict[str, dict[str, Law]]:
    return jax_laws({str(row): sampler(*row[:2], **row[2]) for row in TABLE}, PROBLEMS)


@pytest.mark.parametrize("row", TABLE, ids=[f"{row[0]}-{row[2]}" for row in TABLE])
def test_published_laws(laws, row):
    _compare(named(*row[:2], **row[2]), laws[str(row)], *row[3:])


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [
        ("annealed-langevin", (0.73281, 0.28948), (1.09794, 0.87068, 0.28974, 0.64829, 0.361)),
        ("snips", (0.73538, 0.28541), (1.10307, 0.88169, 0.28541, 0.64497, 0.354)),
    ],
)
def test_fifty_steps_per_level(name: str, first, second):
    hyper = {**ALD, "steps": 10000, "steps_per_level": 50}
    _compare(named(name, **hyper), jax_laws_by_derivative(sampler(name, **hyper), PROBLEMS), first, second)


def test_derivatives_and_responses_give_the_same_law():
    run = sampler("annealed-langevin", **ALD, steps=60, steps_per_level=3)
    laws = jax_laws_by_derivative(run, PROBLEMS)
    for name, problem in PROBLEMS.items():
        np.testing.assert_allclose(np.vstack(laws[name]), np.vstack(torch_law(run, problem)), rtol=1e-9, atol=1e-12)


def _compare(name: str, laws, first, second):
    mean, cov = laws["LG1"]
    obeys(name, "published mean and std, one dimension", [mean[0], cov[0, 0] ** 0.5], first, 1e-4)
    mean, cov = laws["LG2"]
    std = np.diag(cov) ** 0.5
    obeys(name, "published means and std, two dimensions", [*mean, *std], second[:4], 1e-4)
    if len(second) > 4 and std.min() > 1e-6:  # three digits
        obeys(name, "published correlation, two dimensions", cov[0, 1] / (std[0] * std[1]), second[4], 6e-4)


# N(.8, .1^2) beside N(0, .5^2): steps; std of both after each integrator of the VP schedule, started from N(0, I).
TARGETS = case([[0.8, 0.0]], [[[0.01, 0.0], [0.0, 0.25]]], [[1.0, 0.0]], [0.8], 0.3).problem
COLUMNS = {
    "euler-maruyama": {50: (0.09090, 0.50653), 100: (0.09361, 0.50300), 500: (0.09890,), 1000: (0.09969, 0.50023)},
    "ancestral": {50: (0.09545, 0.49877), 100: (0.09663, 0.49983), 500: (0.10106,), 1000: (0.10176, 0.50126)},
    "probability-flow": {50: (0.08130, 0.50080), 100: (0.09030, 0.50015), 500: (0.09823,), 1000: (0.09926, 0.49977)},
    "reverse-diffusion": {50: (0.09590, 0.51133), 100: (0.09697, 0.50611), 500: (0.10115,), 1000: (0.10181, 0.50189)},
    "noisy-last": {50: (0.10325, 0.50890), 100: (0.09981, 0.50419), 500: (0.10011,), 1000: (0.10029, 0.50035)},
}


def _noisy_last(problem, key, *, n, steps):
    """Euler-Maruyama with the noise of the last step as well, which no registered method has."""
    grid = continuous_steps(problem, steps, "score-sde")
    first, second = split(key, 2)
    start = start_normal(problem, first, n)
    return Samples(reverse_sde(problem, second, start, grid._replace(noise_std=grid.gain**0.5), none))


REGISTERED: dict[str, tuple[str, str, dict[str, Any]]] = {
    "euler-maruyama": ("em-none", "score-sde", {}),
    "ancestral": ("ancestral-none", "score-sde", {}),
    "probability-flow": ("oracle-ode", "euler", {"start": "normal"}),
    "reverse-diffusion": ("reverse-diffusion-none", "score-sde", {}),
}
INTEGRATORS = {key: partial(sampler, *row[:2], **row[2]) for key, row in REGISTERED.items()}
INTEGRATORS["noisy-last"] = partial(partial, _noisy_last)


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
    name, preset, hyper = REGISTERED.get(integrator, ("em-none", "score-sde", {"last": "noisy"}))
    told = named(name, preset, **hyper, steps=steps)
    obeys(told, "published std of two targets", (np.diag(cov) ** 0.5)[: len(stds)], stds, 1e-4)
    obeys(told, "mean of two targets", mean, [0.8, 0.0], 3e-3)
    assert abs(cov[0, 1]) < 1e-12


def test_small_variance_is_too_narrow_for_narrow_targets(many_steps):
    _, cov = many_steps["small variance"]["targets"]
    obeys("ancestral-none steps=1000", "published std of two targets", np.diag(cov) ** 0.5, [0.0963, 0.4961], 1e-4)


def _ddpm_of_few_levels(problem, key, *, n, steps):
    """The small variance on levels of its own, abar = prod (1 - linspace(.1, 20, steps) / steps): no stride of 1000."""
    beta = np.linspace(0.1, 20.0, steps)[::-1] / steps
    abar = np.cumprod((1 - beta)[::-1])[::-1]
    columns = abar**0.5, (1 - abar) ** 0.5, np.append((1 - abar[1:]) ** 0.5, 0.0), (1 - beta) ** 0.5, beta
    one = problem.schedule.one
    levels = Levels(*(namespace(one).asarray(column.copy(), dtype=one.dtype) for column in columns))
    first, second = split(key, 2)
    return Samples(reverse_sde(problem, second, start_normal(problem, first, n), ancestral_steps(levels), none))


@pytest.mark.parametrize(("steps", "stds"), [(50, (0.0703, 0.4433)), (100, (0.0801, 0.4682))])
def test_small_variance_is_narrower_still_on_fewer_levels(steps: int, stds):
    _, cov = torch_law(partial(_ddpm_of_few_levels, steps=steps), TARGETS)
    told = named("ancestral-none", steps=steps, levels=steps)
    obeys(told, "published std of two targets", np.diag(cov) ** 0.5, stds, 1e-4)


# Of a variance-exploding schedule, .01 to 50: std of both targets.
EXPLODING = {
    "reverse-diffusion": {100: (0.10398, 0.52220), 1000: (0.09993, 0.50204)},
    "ancestral": {100: (0.09541, 0.47916), 1000: (0.09909, 0.49778)},
}


def _exploding(predictor, problem, key, *, n, steps):
    """On the schedule of the table; the registered samplers go up to the diameter of the prior, here 1."""
    one = problem.schedule.one
    problem = replace(problem, schedule=VE(0.01 * one, 50.0 * one))
    levels = score_sde_levels(problem, steps)
    grid = reverse_diffusion_steps(levels) if predictor == "reverse-diffusion" else ancestral_steps(levels)
    first, second = split(key, 2)
    return Samples(reverse_sde(problem, second, start_normal(problem, first, n), grid, none))


@pytest.mark.parametrize("steps", [100, 1000])
@pytest.mark.parametrize("integrator", EXPLODING)
def test_integrators_of_the_variance_exploding_schedule(integrator: str, steps: int):
    mean, cov = torch_law(partial(_exploding, integrator, steps=steps), TARGETS)
    told = named(f"{integrator}-none", schedule="ve", sigma_max=50, steps=steps)
    obeys(told, "published std of two targets", np.diag(cov) ** 0.5, EXPLODING[integrator][steps], 1e-4)
    obeys(told, "mean of two targets", mean, [0.8, 0.0], 3e-3)
    assert abs(cov[0, 1]) < 1e-12


# On the diffused posterior only the integrator errs: the laws of ancestral steps are those of an exact guidance.
ORACLES = {
    "ancestral-none": {"variance": "small"},
    "ancestral-none[large]": {"variance": "large"},
    "oracle-em": {},
    "oracle-pc": {},
    "oracle-ode": {},
}


@pytest.fixture(scope="module")
def oracles() -> dict[str, dict[str, Law]]:
    runs = {name: sampler(name.partition("[")[0], **hyper) for name, hyper in ORACLES.items()}
    return jax_laws(runs, {name: one.instance.oracle() for name, one in CASES.items()})


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [
        ("ancestral-none", (0.73394, 0.28361), (1.10091, 0.88072, 0.28372, 0.63852, 0.361)),
        ("ancestral-none[large]", (0.73394, 0.28828), (1.10091, 0.88072, 0.28822, 0.64308, 0.357)),
    ],
)
def test_ancestral_steps_on_the_posterior(oracles, name: str, first, second):
    told = named("ancestral-none", of="the posterior", variance=ORACLES[name]["variance"])
    _compare(told, oracles[name], first, second)


@pytest.mark.parametrize("name", ["oracle-em", "oracle-pc", "oracle-ode"])
def test_oracles_are_close_to_the_posterior(oracles, name: str):
    """The std on LG1 is published as .285 to .288, in three digits; the mean of what LG2 does not measure as .881."""
    laws = oracles[name]
    obeys(name, "published std, one dimension", laws["LG1"][1][0, 0] ** 0.5, 0.2865, 0.002)
    obeys(name, "published mean of what is not measured", laws["LG2"][0][1], 0.881, 5e-4)
    for problem, one in CASES.items():
        exact = posterior(one)
        std = np.diag(exact.covs[0]) ** 0.5
        obeys(name, "mean of the posterior", laws[problem][0], exact.means[0], 1e-3)
        obeys(name, "std of the posterior", np.diag(laws[problem][1]) ** 0.5, std, 0.01 * std)


# rho: mean and std on LG1; mean, std and correlation on LG2.
SPLIT_GIBBS = {
    0.3: ((0.67797, 0.39057), (1.01695, 0.81356, 0.39057, 0.67648, 0.462)),
    0.1: ((0.72727, 0.30151), (1.09091, 0.87273, 0.30151, 0.64667, 0.373)),
}


def _stationary(name: str, problem: Problem, rho: float, **hyper: Any) -> Law:
    """The law that one iteration keeps, for prior steps of length 0: two of Richardson's extrapolations.

    An iteration is a Markov kernel, whose law that stays needs no chain: at rho .1 one would take a thousand of them.
    """
    laws = [
        torch_stationary_law(
            sampler(name, rho_max=rho, rho_min=rho, steps=steps, prior_steps=steps, **hyper),
            problem,
            rho * float(unit(problem)),
        )
        for steps in (50, 100, 200)
    ]
    moments = zip(*laws, strict=True)
    mean, cov = ((4 * (2 * third - second) - (2 * second - first)) / 3 for first, second, third in moments)
    return mean, cov


@pytest.mark.parametrize("rho", SPLIT_GIBBS)
@pytest.mark.parametrize("name", ["pnp-dm", "dpnp"])
def test_split_gibbs_keeps_the_published_laws(name: str, rho: float):
    laws = {case: _stationary(name, problem, rho) for case, problem in PROBLEMS.items()}
    _compare(named(name, rho=rho), laws, *SPLIT_GIBBS[rho])


def _kept(case: Case, rho: float, kernel: str, bottom: float) -> Law:
    """The law that stays of exact steps: z given x and y, x at level `bottom` from z at level rho, E[x_0 | x].

    z = V (A^T y / noise_std^2 + x / rho^2) + N(0, V). From z either a draw of x given z, or the end of the flow.
    """
    a, mean, cov, eye = case.matrix, case.means[0], case.covs[0], np.eye(len(case.means[0]))
    v = np.linalg.inv(a.T @ a / case.noise_std**2 + eye / rho**2)
    narrow = cov + bottom**2 * eye
    share = narrow @ np.linalg.inv(cov + rho**2 * eye)
    last = cov @ np.linalg.inv(narrow)
    move = last @ (sqrtm(share).real if kernel == "flow" else share)
    spread = 0.0 * eye if kernel == "flow" else last @ (narrow - share @ narrow) @ last.T
    both = move @ v / rho**2
    fixed = np.linalg.solve(eye - both, mean + move @ (v @ a.T @ case.y / case.noise_std**2 - mean))
    return fixed, solve_discrete_lyapunov(both, move @ v @ move.T + spread)


def _same(found: Law, expected: Law, atol: float) -> None:
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=atol)


@pytest.mark.parametrize("rho", SPLIT_GIBBS)
@pytest.mark.parametrize(
    ("name", "hyper"), [("pnp-dm", {}), ("pnp-dm", {"kernel": "flow"}), ("dpnp", {})], ids=["sde", "flow", "ancestral"]
)
def test_split_gibbs_keeps_the_law_of_its_exact_steps(name: str, hyper, rho: float):
    """On a problem that is not isotropic; rho is in units of the prior."""
    expected = _kept(WIDE, rho * float(unit(WIDE.problem)), hyper.get("kernel", "exact"), SIGMA_MIN)
    for found, moment in zip(_stationary(name, WIDE.problem, rho, **hyper), expected, strict=True):
        obeys(named(name, **hyper, rho=rho), "law that its exact steps keep", found, moment, 2e-5)


@pytest.mark.parametrize("rho", SPLIT_GIBBS)
def test_exact_steps_keep_the_posterior_of_a_louder_noise(rho: float):
    """Of covariance noise_std^2 I + rho^2 A A^T, which is no multiple of I here."""
    louder = WIDE.noise_std**2 * np.eye(2) + rho**2 * WIDE.matrix @ WIDE.matrix.T
    expected, _ = conditioned((WIDE.means[0], WIDE.covs[0]), WIDE.matrix, WIDE.y, louder)
    _same(_kept(WIDE, rho, "exact", 0.0), expected, 1e-10)
    _same(_kept(WIDE, rho, "exact", SIGMA_MIN), expected, 3e-4)


def test_a_flow_in_place_of_a_draw_keeps_a_narrower_law():
    """As rho falls the mean on LG1 tends to y / (1 + noise_std^2 / 2), the variance to 1 / (1 + 2 / noise_std^2)."""
    mean, cov = _kept(LG1_PADDED, 1e-3, "flow", 0.0)
    np.testing.assert_allclose([mean[0], cov[0, 0] ** 0.5], [0.7656, 0.2075], atol=1e-4)


@pytest.mark.parametrize(
    ("preset", "tau", "first", "second"),
    [
        ("default", 0.01 / 0.3, (0.79988, 0.00748), (1.19981, 0.89772, 0.00747, 0.56534)),
        ("calibrated", 2**0.5, (0.75894, 0.30111), (1.1333, 0.8496, 0.30079, 0.86401)),
    ],
)
def test_daps_as_released(preset: str, tau: float, first, second):
    """tau .01 with the step 1e-4; sqrt(2) of the noise with .09, which has the right noise and is too wide."""
    laws = jax_laws_by_derivative(sampler("daps", preset, tau=tau), PROBLEMS)
    _compare(named("daps", preset, tau=tau), laws, first, second)
