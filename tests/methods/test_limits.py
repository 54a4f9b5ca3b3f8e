"""What a sampler must do where the answer is plain: no information, no guidance, no residual, a matched covariance."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from methods import METHODS, Method
from methods.guidance import GUIDANCES, guided_score
from problems import Problem
from problems.noise import GaussianNoise
from problems.operators import matrix_operator
from tests.methods.affine import Given, sampler, torch_law
from tests.methods.cases import GAUSSIANS, LG1, MIXTURE, TALL, WIDE, Case, case
from tests.methods.configurations import everyday, labels, rare, seen
from tests.methods.formulas import integral, posterior, score

N, KEYS = 5, 110
INTEGRATORS = ("em", "pc", "reverse-diffusion", "ancestral", "ddim", "ode")
CONFIGURATIONS = {label: chosen for label, chosen in labels(steps=25).items() if "image" not in chosen[0].requires}


def _asks(method: Method, hyper: dict[str, Any]) -> bool:
    """Whether the pull of y falls with its noise, among methods that no other test compares with the unguided one.

    Of the others some take y for exact (MCGDiff at its noisiest level, however little that says), and some give the
    pull a length of its own, by a norm or by Adam.
    """
    others = ("projection", "langevin-projection", "mcg", "ddnm", "mcgdiff", "red-diff", "dcps", "mgdm")
    guided = method.name.startswith(tuple(f"{integrator}-" for integrator in INTEGRATORS))
    normalised = "normalised" in (hyper.get("weight"), hyper.get("likelihood"))
    return bool(method.requires) and not guided and not normalised and method.name not in others


def _noise(d: int) -> np.ndarray:
    return np.random.default_rng(5).standard_normal((KEYS, N, d))


def _run(problem: Problem, name: str, noise: np.ndarray, **hyper: Any) -> np.ndarray:
    carried = problem.to("torch", dtype="float64")
    key = Given(0, [1], noise.reshape(KEYS, N, *problem.shape))
    return sampler(name, **hyper)(carried, key, n=N).x.numpy().reshape(N, -1)


@pytest.mark.parametrize("case", [MIXTURE, GAUSSIANS["image"]], ids=["mixture", "image"])
@pytest.mark.parametrize(
    ("name", "unconditional", "hyper"),
    [
        *((f"{i}-{g}", f"{i}-none", {}) for i in INTEGRATORS for g in GUIDANCES if g != "none"),
        ("dps", "ancestral-none", {"weight": "likelihood"}),
        ("pigdm-ddim", "ddim-none", {"eta": 0.0}),
    ],
)
def test_infinite_noise_is_no_measurement(name: str, unconditional: str, hyper, case: Case):
    noise = _noise(case.problem.dim)
    blind = replace(case.problem, noise=GaussianNoise(np.array(1e8)))
    expected = _run(blind, unconditional, noise, steps=25)
    np.testing.assert_allclose(_run(blind, name, noise, steps=25, **hyper), expected, rtol=0, atol=1e-9)
    assert np.abs(_run(case.problem, name, noise, steps=25, **hyper) - expected).max() > 0.1


def test_infinite_noise_makes_the_draws_of_lgd_alike():
    """Every step draws three states around the denoised one before the noise of the ancestral step."""
    noise = _noise(3)
    single = noise.copy()
    single[3:28] = noise[6:106:4]
    blind = replace(MIXTURE.problem, noise=GaussianNoise(np.array(1e8)))
    expected = _run(blind, "ancestral-none", single, steps=25)
    np.testing.assert_allclose(_run(blind, "lgd-mc", noise, steps=25), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("label", [one for one, chosen in CONFIGURATIONS.items() if _asks(*chosen)])
def test_with_infinite_noise_nobody_reads_y(label: str):
    """The samples for another y are the same; those for the noise as given are others."""
    method, hyper = CONFIGURATIONS[label]
    loud = replace(WIDE, noise_std=1e10)
    x, other, given = (
        method.run(seen(method, one.instance).to("torch", dtype="float64"), Given(0, [1], _noise(3)), n=N, **hyper).x
        for one in (loud, replace(loud, y=loud.y + 5.0), WIDE)
    )
    torch.testing.assert_close(other, x, rtol=0, atol=1e-6)
    assert torch.isfinite(x).all()
    assert method.name == "prior" or torch.abs(given - x).max() > 0.01


@pytest.mark.parametrize(("preset", "noise_std"), [("default", 1e8), ("calibrated", 1e8), ("calibrated", 10.0)])
def test_daps_with_loud_noise_has_the_spread_of_the_prior(preset: str, noise_std: float):
    """Of the posterior, which is nearly that; steps at the edge of stability would give four times as much.

    A third more is its own: the end of the flow has the spread of the prior already, and sigma^2 is added to it.
    """
    loud = replace(WIDE, noise_std=noise_std)
    mean, cov = torch_law(sampler("daps", preset, steps=500, inner_steps=10), loud.problem)
    exact = posterior(loud)
    root = np.linalg.cholesky(exact.covs[0])
    whitened = np.linalg.solve(root, np.linalg.solve(root, cov).T)
    np.testing.assert_allclose(np.linalg.eigvalsh(whitened) ** 0.5, 1.4, atol=0.1)
    np.testing.assert_allclose(np.linalg.solve(root, mean - exact.means[0]), 0.0, atol=0.05)


def test_annealed_langevin_with_infinite_noise_measures_nothing():
    """Compared with A = 0; the levels are given because their defaults follow the noise."""
    hyper = {"steps": 40, "sigma_max": 4.0, "sigma_min": 0.1}
    blind = replace(MIXTURE.problem, noise=GaussianNoise(np.array(1e8)))
    nothing = replace(MIXTURE.problem, operator=replace(blind.operator, matrix=0.0 * blind.operator.matrix))
    expected = _run(nothing, "annealed-langevin", _noise(3), **hyper)
    np.testing.assert_allclose(_run(blind, "annealed-langevin", _noise(3), **hyper), expected, rtol=0, atol=1e-9)


def test_annealed_langevin_diverges_without_the_annealed_variance():
    """The step at the first level, sigma = 20, times the curvature 1 / noise_std^2 of the data is 44.4 x 11."""
    last = _run(LG1.problem, "annealed-langevin", _noise(1), steps=100, sigma_max=20.0, sigma_min=0.03, gamma=0.0)
    stable = _run(LG1.problem, "annealed-langevin", _noise(1), steps=100, sigma_max=20.0, sigma_min=0.03)
    assert not np.all(np.abs(last) < 1e6)
    assert np.all(np.abs(stable) < 10.0)


@pytest.mark.parametrize(
    ("name", "hyper"),
    [
        ("dps", {"weight": "normalised"}),
        ("projection", {}),
        ("langevin-projection", {}),
        ("mcg", {}),
        ("ddnm", {}),
        ("red-diff", {}),
        ("annealed-langevin", {"likelihood": "normalised", "sigma_min": 0.1}),
    ],
)
def test_methods_that_never_ask_for_the_noise(name: str, hyper):
    louder = replace(MIXTURE.problem, noise=GaussianNoise(np.array(3.0)))
    first = _run(MIXTURE.problem, name, _noise(3), steps=25, **hyper)
    np.testing.assert_array_equal(_run(louder, name, _noise(3), steps=25, **hyper), first)


@pytest.mark.parametrize(
    ("name", "unconditional", "hyper"),
    [
        ("dps", "ancestral-none", {"weight": "normalised"}),
        ("dps", "ancestral-none", {"weight": "likelihood"}),
        ("em-dps", "em-none", {}),
    ],
)
def test_no_weight_is_no_guidance(name: str, unconditional: str, hyper):
    found = _run(MIXTURE.problem, name, _noise(3), steps=25, scale=1e-300, **hyper)
    np.testing.assert_allclose(found, _run(MIXTURE.problem, unconditional, _noise(3), steps=25), rtol=0, atol=1e-12)


def test_dps_weighted_by_the_likelihood_is_a_guided_ancestral_sampler():
    """At the scale of either unless told otherwise."""
    found = _run(MIXTURE.problem, "dps", _noise(3), steps=25, weight="likelihood")
    np.testing.assert_array_equal(found, _run(MIXTURE.problem, "ancestral-dps", _noise(3), steps=25))


@pytest.mark.parametrize("name", ["ancestral-pigdm", "pigdm-ddim", "lgd-mc"])
def test_a_width_that_is_not_given_is_that_of_the_prior(name: str):
    width = float(MIXTURE.problem.prior.std.mean())
    assert abs(width - 1) > 0.05
    found, expected = (_run(MIXTURE.problem, name, _noise(3), steps=25, prior_std=one) for one in (None, width))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    assert np.abs(_run(MIXTURE.problem, name, _noise(3), steps=25) - expected).max() > 0.01


def test_no_coefficient_leaves_the_hidden_part_alone():
    """lam = 0: the unconditional path, whose measured part the last merge of 'projection' replaces all the same."""
    noise = _noise(3)
    single = noise.copy()
    single[3:28] = noise[4:54:2]  # projection draws twice a step, the predictor's noise second
    free = _run(MIXTURE.problem, "ancestral-none", single, steps=25)
    hyper = {"steps": 25, "corrector_steps": 0, "denoise": False, "predictor": "ancestral"}
    found = _run(MIXTURE.problem, "projection", noise, lam=0.0, **hyper)
    inverse = np.linalg.pinv(MIXTURE.matrix)
    merged = free + (MIXTURE.y - free @ MIXTURE.matrix.T) @ inverse.T
    np.testing.assert_allclose(found, merged, rtol=0, atol=1e-12)
    other = replace(MIXTURE.problem, y=MIXTURE.y + 5.0)
    first, second = (_run(p, "langevin-projection", noise, steps=25, lam=0.0) for p in (MIXTURE.problem, other))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("label", everyday(zip(CONFIGURATIONS), rare))
def test_a_measurement_of_nothing_changes_nothing(label: str):
    """A row of zeros in A: its singular value is left out, not divided by, and the law is that without the row."""
    method, hyper = CONFIGURATIONS[label]
    operator = matrix_operator(np.vstack([WIDE.matrix, np.zeros(3)]), (3,))
    padded = replace(WIDE.instance, problem=replace(WIDE.problem, operator=operator, y=np.append(WIDE.y, 0.3)))
    padded, plain = (
        method.run(seen(method, i).to("torch", dtype="float64"), Given(0, [1], _noise(3)), n=N, **hyper).x
        for i in (padded, WIDE.instance)
    )
    assert torch.isfinite(padded).all()
    sees_the_row = (  # a norm, a mean over measurements, a Krylov space
        hyper.get("weight") == "normalised" or method.name in ("mcg", "red-diff") or hyper.get("iterations") == 1
    )
    if not sees_the_row:
        torch.testing.assert_close(padded, plain, rtol=0, atol=1e-9)


@pytest.mark.parametrize("label", everyday(zip(CONFIGURATIONS), rare))
def test_no_residual_is_no_pull(label: str):
    """The noise moves what is not measured; the measured coordinate starts at y and every residual is exactly zero."""
    method, hyper = CONFIGURATIONS[label]
    centred = case([[0.0, 0.7]], [[[1.2, 0.0], [0.0, 0.8]]], [[0.9, 0.0]], [0.0], 0.3)
    noise = _noise(2)
    noise[:, :, 0] = 0.0
    x = method.run(seen(method, centred.instance).to("torch", dtype="float64"), Given(0, [1], noise), n=N, **hyper).x
    np.testing.assert_array_equal(x[:, 0], 0.0)
    assert torch.isfinite(x).all()
    assert method.point or x[:, 1].std() > 0.05


def _guided(case: Case, x: np.ndarray, alpha: float, sigma: float, guidance: str, **hyper: Any) -> np.ndarray:
    problem = case.problem.to("torch", dtype="float64")
    state = torch.tensor(x.reshape(-1, *case.shape))
    levels = torch.tensor(alpha, dtype=torch.float64), torch.tensor(sigma, dtype=torch.float64)

    def guide(*args: Any) -> Any:
        return GUIDANCES[guidance](*args, **hyper)

    return guided_score(guide, problem, state, *levels).numpy().reshape(len(x), -1)


LEVELS = [(0.995, 0.1), (0.8, 0.6), (0.3, 0.954), (1.0, 2.5)]


@pytest.mark.parametrize(("alpha", "sigma"), LEVELS)
@pytest.mark.parametrize("case", GAUSSIANS.values(), ids=GAUSSIANS)
def test_the_exact_covariance_gives_the_exact_posterior_score(case: Case, alpha: float, sigma: float):
    """MMPS with as many iterations as there are measurements, for every Gaussian prior; the others are biased."""
    x = np.random.default_rng(2).standard_normal((7, case.problem.dim))
    exact = score(posterior(case), x, alpha, sigma)
    scale = np.abs(exact).max()
    iterations = len(case.y)
    np.testing.assert_allclose(
        _guided(case, x, alpha, sigma, "mmps", iterations=iterations), exact, rtol=0, atol=1e-8 * scale
    )
    for guidance in ("none", "jalal", "dps", "pigdm"):
        assert np.abs(_guided(case, x, alpha, sigma, guidance) - exact).max() > 1e-4 * scale


def test_the_rank_is_too_few_iterations_for_more_measurements_than_that():
    x = np.random.default_rng(2).standard_normal((7, 2))
    assert TALL.problem.operator.rank == 2 < len(TALL.y)
    assert np.abs(_guided(TALL, x, 0.8, 0.6, "mmps", iterations=2) - score(posterior(TALL), x, 0.8, 0.6)).max() > 0.1


@pytest.mark.parametrize(("alpha", "sigma"), LEVELS)
def test_pigdm_is_exact_for_an_isotropic_prior_whose_scale_it_knows(alpha: float, sigma: float):
    isotropic = replace(WIDE, covs=1.7**2 * np.eye(3)[None])
    x = np.random.default_rng(2).standard_normal((7, 3))
    exact = score(posterior(isotropic), x, alpha, sigma)
    scale = np.abs(exact).max()
    np.testing.assert_allclose(
        _guided(isotropic, x, alpha, sigma, "pigdm", prior_std=1.7), exact, rtol=0, atol=1e-10 * scale
    )
    assert np.abs(_guided(isotropic, x, alpha, sigma, "pigdm") - exact).max() > 1e-3 * scale


@pytest.mark.parametrize(("solver", "case"), [("cg", WIDE), ("gmres", GAUSSIANS["image"])], ids=["cg", "gmres"])
@pytest.mark.parametrize("integrator", INTEGRATORS)
def test_the_exact_covariance_samples_the_exact_posterior(integrator: str, solver: str, case: Case):
    """Every integrator goes the way that it goes unguided with the posterior for its prior."""
    noise = _noise(case.problem.dim)
    expected = _run(posterior(case).problem, f"{integrator}-none", noise, steps=25)
    found = _run(case.problem, f"{integrator}-mmps", noise, steps=25, iterations=2, solver=solver)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("integrator", INTEGRATORS)
def test_row_sums_are_the_covariance_of_one_measurement(integrator: str):
    single = replace(WIDE, matrix=WIDE.matrix[:1], y=WIDE.y[:1])
    expected = _run(posterior(single).problem, f"{integrator}-none", _noise(3), steps=25)
    np.testing.assert_allclose(
        _run(single.problem, f"{integrator}-tmpd", _noise(3), steps=25), expected, rtol=0, atol=1e-8
    )


@pytest.mark.parametrize("schedule", ["vp", "ve"])
@pytest.mark.parametrize("guidance", GUIDANCES)
def test_ddim_with_all_of_its_noise_is_the_ancestral_step(guidance: str, schedule: str):
    expected = _run(MIXTURE.problem, f"ancestral-{guidance}", _noise(3), steps=25, schedule=schedule)
    found = _run(MIXTURE.problem, f"ddim-{guidance}", _noise(3), steps=25, schedule=schedule, eta=1.0)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)
    assert (
        np.abs(_run(MIXTURE.problem, f"ddim-{guidance}", _noise(3), steps=25, schedule=schedule) - found).max() > 0.01
    )


@pytest.mark.parametrize("case", GAUSSIANS.values(), ids=GAUSSIANS)
@pytest.mark.parametrize("eta", [0.3, 0.85])
def test_ddrm_and_ddnm_plus_are_one_sampler_but_for_the_start(eta: float, case: Case):
    """What is left of the start when it has been denoised once is alpha_T^2 of it."""
    ddrm, ddnm_plus = (torch_law(sampler(name, steps=25, eta=eta), case.problem) for name in ("ddrm", "ddnm-plus"))
    left = np.exp(-integral(case, 1.0))
    for one, other in zip(ddrm, ddnm_plus, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=left)
    partly = torch_law(sampler("ddrm", steps=25, eta=eta, eta_b=0.6), case.problem)
    assert max(np.abs(a - b).max() for a, b in zip(partly, ddnm_plus, strict=True)) > 10 * left


@pytest.mark.parametrize("case", [WIDE, GAUSSIANS["image"]], ids=["wide", "image"])
@pytest.mark.parametrize(
    ("name", "noise_std"),
    [
        ("ddnm", 0.35),
        ("projection", 0.35),
        ("mcg", 0.35),
        ("ddrm", 0.0),
        ("ddnm-plus", 0.0),
        ("conditional-gaussian", 1e-6),
        ("perturb-and-optimise", 1e-6),
        ("laplace", 1e-6),
        ("tikhonov", 1e-6),
        ("daps-exact-inner", 1e-6),
        ("daps-covariance", 1e-6),
    ],
)
def test_a_measurement_without_noise_is_met(name: str, noise_std: float, case: Case):
    """At noise 0, or nearly for those that divide by it; the first three always take y for exact."""
    silent = replace(case, noise_std=noise_std)
    hyper = {"steps": 25} if "steps" in METHODS[name].hyper else {}
    x = _run(silent.problem, name, _noise(case.problem.dim), **hyper)
    np.testing.assert_allclose(
        x @ case.matrix.T, np.broadcast_to(case.y, (N, 2)), rtol=0, atol=2e-5 if noise_std == 1e-6 else 1e-9
    )


@pytest.mark.parametrize("case", [WIDE, GAUSSIANS["image"]], ids=["wide", "image"])
def test_mcgdiff_meets_a_measurement_without_noise_at_the_last_level(case: Case):
    """With kappa to spare, and one free step behind it; as the prior A x would be of the order of 1 away."""
    x = _run(replace(case, noise_std=0.0).problem, "mcgdiff", _noise(case.problem.dim), steps=25)
    assert np.abs(x @ case.matrix.T - case.y).max() < 0.1
