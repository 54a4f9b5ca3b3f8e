"""The law of every affine sampler, from its own code, against the same sampler written from the papers in NumPy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.methods import reference_samplers as reference
from tests.methods.affine import sampler, torch_law
from tests.methods.cases import GAUSSIANS, MIXTURE, Case
from tests.methods.formulas import karras_ratios, levels_at, posterior, ve_top
from tests.methods.laws import named, obeys

GUIDANCES: dict[str, tuple[str, dict[str, Any]]] = {
    "none": ("none", {}),
    "jalal": ("jalal", {"gamma": 0.7}),
    "dps": ("dps", {"scale": 0.6}),
    "pigdm": ("pigdm", {"prior_std": 1.4}),
    "tmpd": ("tmpd", {}),
    "mmps": ("mmps", {"iterations": 4}),
    "mmps-gmres": ("mmps", {"iterations": 4, "solver": "gmres"}),
}
INTEGRATORS: list[tuple[str, dict[str, Any]]] = [
    ("em", {"grid": "karras", "steps": 12}),
    ("em", {"grid": "score-sde", "steps": 30}),
    ("em", {"grid": "karras", "steps": 12, "schedule": "ve"}),
    ("em", {"grid": "score-sde", "steps": 20, "schedule": "ve"}),
    ("em", {"grid": "karras", "steps": 12, "schedule": "subvp"}),
    ("em", {"grid": "score-sde", "steps": 30, "schedule": "subvp"}),
    ("pc", {"grid": "karras", "steps": 24, "corrector": "ald", "snr": 0.3}),
    ("pc", {"grid": "score-sde", "steps": 25, "corrector": "ald", "corrector_steps": 2}),
    ("pc", {"steps": 12, "schedule": "ve", "predictor": "reverse-diffusion", "snr": 0.2}),
    ("pc", {"steps": 25, "predictor": "reverse-diffusion", "snr": 0.2}),
    ("pc", {"grid": "karras", "steps": 12, "schedule": "ve"}),
    ("pc", {"grid": "karras", "steps": 24, "schedule": "subvp"}),
    ("reverse-diffusion", {"grid": "ddpm", "steps": 10}),
    ("reverse-diffusion", {"grid": "score-sde", "steps": 25}),
    ("reverse-diffusion", {"steps": 12, "schedule": "ve"}),
    ("ancestral", {"grid": "ddpm", "steps": 10}),
    ("ancestral", {"grid": "ddpm", "steps": 20, "variance": "large"}),
    ("ancestral", {"grid": "score-sde", "steps": 30}),
    ("ancestral", {"steps": 12, "schedule": "ve"}),
    ("ancestral", {"steps": 12, "schedule": "ve", "variance": "large"}),
    ("ddim", {"steps": 10}),
    ("ddim", {"steps": 10, "eta": 0.5}),
    ("ddim", {"steps": 10, "eta": 1.0}),
    ("ddim", {"steps": 12, "schedule": "ve"}),
    ("ddim", {"steps": 12, "schedule": "ve", "eta": 0.5}),
    ("ode", {"steps": 12}),
]


def _agree(name: str, found, expected, law: str = "exact law, from its formulas in NumPy"):
    """Mean and covariance to 1e-8 of the larger of 1 and the largest entry."""
    for moment, one, other in zip(("mean", "covariance"), found, expected, strict=True):
        obeys(name, f"{moment} of the {law}", one, other, 1e-8 * max(1.0, np.abs(other).max()))


def _agree_with(updates, name: str, case: Case, **hyper: Any) -> None:
    """The sampler's law with that of the updates from N(0, I)."""
    d = case.problem.dim
    found = torch_law(sampler(name, **hyper), case.problem)
    _agree(name, found, reference.propagated(updates, np.zeros(d), np.eye(d)))


@pytest.mark.parametrize("guidance", GUIDANCES)
@pytest.mark.parametrize("which", range(len(INTEGRATORS)))
def test_every_guidance_with_every_integrator(which: int, guidance: str):
    """The three problems in turn, so that each guidance and each integrator meets them all."""
    integrator, hyper = INTEGRATORS[which]
    name, own = GUIDANCES[guidance]
    case = list(GAUSSIANS.values())[(which + list(GUIDANCES).index(guidance)) % 3]
    updates = getattr(reference, integrator.replace("-", "_"))(case, guidance=name, **hyper, **own)
    _agree_with(updates, f"{integrator}-{name}", case, **hyper, **own)


OF_THEIR_OWN: list[tuple[str, dict[str, Any]]] = [
    ("projection", {"steps": 25, "lam": 0.7, "snr": 0.3}),
    ("projection", {"steps": 25, "lam": 0.8, "corrector_steps": 2, "denoise": False}),
    ("projection", {"steps": 10, "predictor": "ancestral", "lam": 0.6, "corrector_steps": 0, "denoise": False}),
    ("projection", {"steps": 10, "predictor": "ancestral", "lam": 0.9}),
    ("projection", {"steps": 25}),
    ("langevin-projection", {"steps": 25, "lam": 0.7, "snr": 0.3}),
    ("langevin-projection", {"steps": 22}),
    ("dps", {"steps": 10, "scale": 0.7, "weight": "likelihood"}),
    ("pigdm-ddim", {"steps": 10}),
    ("pigdm-ddim", {"steps": 20, "eta": 0.4, "prior_std": 1.3}),
    ("ddrm", {"steps": 10}),
    ("ddrm", {"steps": 20, "eta": 0.6, "eta_b": 0.7}),
    ("ddnm", {"steps": 10}),
    ("ddnm", {"steps": 10, "eta": 0.5, "travel": 4, "repeats": 2}),
    ("ddnm-plus", {"steps": 20}),
    ("ddnm-plus", {"steps": 10, "eta": 0.5, "travel": 3, "repeats": 3}),
    ("diffpir", {"steps": 12}),
    ("diffpir", {"steps": 14, "lam": 3.0, "zeta": 0.6, "eta": 0.5}),
    ("daps-exact-inner", {"steps": 8}),
    ("daps-exact-inner", {"steps": 9, "tau": 0.6, "sigma_max": 20.0, "sigma_min": 0.3}),
    ("daps-covariance", {"steps": 8}),
    ("daps-covariance", {"steps": 7, "tau": 1.7, "sigma_max": 20.0, "sigma_min": 0.3}),
    ("daps", {"steps": 16, "ode_steps": 3, "inner_steps": 4}),
    ("daps", {"steps": 12, "ode_steps": 4, "inner_steps": 6, "tau": 1.2, "step_size": 0.4, "sigma_max": 15.0}),
    ("daps", {"steps": 12, "ode_steps": 4, "inner_steps": 6, "tau": 30.0}),
    ("pnp-dm", {"steps": 30, "prior_steps": 5}),
    ("pnp-dm", {"steps": 50, "prior_steps": 5, "rho_max": 4.0, "rho_min": 0.4, "decay": 0.7}),
    ("pnp-dm", {"steps": 30, "prior_steps": 6, "decay": 0.4, "kernel": "flow"}),
    ("dpnp", {"steps": 45, "prior_steps": 5}),
    ("dpnp", {"steps": 24, "prior_steps": 4, "rho_max": 1.7, "rho_min": 0.3}),
]


@pytest.mark.parametrize("case", GAUSSIANS.values(), ids=GAUSSIANS)
@pytest.mark.parametrize(("name", "hyper"), OF_THEIR_OWN)
def test_samplers_of_their_own(name: str, hyper, case: Case):
    _agree_with(getattr(reference, name.replace("-", "_"))(case, **hyper), name, case, **hyper)


@pytest.mark.parametrize("case", GAUSSIANS.values(), ids=GAUSSIANS)
@pytest.mark.parametrize("name", ["ddrm", "ddnm-plus"])
def test_a_measurement_that_is_noisier_than_every_level(name: str, case: Case):
    """Then nothing starts at y, and no level covers its noise."""
    case = replace(case, noise_std=1000.0)
    _agree_with(getattr(reference, name.replace("-", "_"))(case, steps=10), name, case, steps=10)


@pytest.mark.parametrize("case", GAUSSIANS.values(), ids=GAUSSIANS)
@pytest.mark.parametrize("noise_std", [None, 9.0], ids=["as-given", "loud"])
@pytest.mark.parametrize("bounds", [{}, {"sigma_max": 9.0, "sigma_min": 0.07}])
def test_annealed_langevin(bounds, noise_std: float | None, case: Case):
    """With loud noise the last level follows the narrowest entry of x instead."""
    case = replace(case, noise_std=noise_std or case.noise_std)
    norm = np.linalg.norm(case.matrix, 2)
    narrowest = np.diag(case.covs[0]).min() ** 0.5
    assert (case.noise_std / norm > narrowest) == (noise_std is not None)
    top = bounds.get("sigma_max", 2 * np.trace(case.covs[0]) ** 0.5)
    bottom = bounds.get("sigma_min", 0.1 * min(case.noise_std / norm, narrowest))
    chosen = {"step_size": 0.08, "gamma": 0.6, "steps_per_level": 3}
    updates = reference.annealed_langevin(case, sigmas=np.geomspace(top, bottom, 7), **chosen)
    d = case.problem.dim
    found = torch_law(sampler("annealed-langevin", steps=23, **chosen, **bounds), case.problem)  # 7 whole levels of 3
    _agree("annealed-langevin", found, reference.propagated(updates, np.zeros(d), top**2 * np.eye(d)))


@pytest.mark.parametrize("case", GAUSSIANS.values(), ids=GAUSSIANS)
@pytest.mark.parametrize("bounds", [{}, {"sigma_max": 9.0, "sigma_min": 0.07}])
def test_snips(bounds, case: Case):
    finest = min(case.noise_std / np.linalg.norm(case.matrix, 2), np.diag(case.covs[0]).min() ** 0.5)
    top, bottom = bounds.get("sigma_max", ve_top(case)), bounds.get("sigma_min", 0.1 * finest)
    updates = reference.snips(case, sigmas=np.geomspace(top, bottom, 7), steps_per_level=3, step_size=0.08)
    _agree_with(updates, "snips", case, steps=23, steps_per_level=3, step_size=0.08, **bounds)


@pytest.mark.parametrize("case", GAUSSIANS.values(), ids=GAUSSIANS)
def test_annealed_ula(case: Case):
    finest = min(case.noise_std / np.linalg.norm(case.matrix, 2), np.diag(case.covs[0]).min() ** 0.5)
    own = {"steps_per_level": 3, "step_size": 0.07, "gamma": 0.6}
    updates = reference.annealed_ula(case, sigmas=np.geomspace(ve_top(case), 0.1 * finest, 6), **own)
    _agree_with(updates, "annealed-ula", case, steps=20, **own)  # 6 whole levels of 3


@pytest.mark.parametrize("case", GAUSSIANS.values(), ids=GAUSSIANS)
@pytest.mark.parametrize(
    ("name", "hyper"),
    [("conditional-gaussian", {}), ("perturb-and-optimise", {}), ("laplace", {"steps": 30}), ("exact", {})],
)
def test_the_posterior_itself(name: str, hyper, case: Case):
    """Of a Gaussian prior; Newton's method is there after one step, wherever Adam stopped."""
    problem = case.instance.oracle() if name == "exact" else case.problem
    exact = posterior(case)
    _agree(name, torch_law(sampler(name, **hyper), problem), (exact.means[0], exact.covs[0]), "posterior")


def _matched(case: Case) -> Case:
    """The Gaussian prior with the mean and the covariance of a mixture."""
    mean = case.weights @ case.means
    off = case.means - mean
    cov = np.einsum("k,kij->ij", case.weights, case.covs + off[:, :, None] * off[:, None, :])
    return replace(case, means=mean[None], covs=cov[None], weights=np.ones(1))


def test_the_linear_answer_for_a_mixture():
    exact = posterior(_matched(MIXTURE))
    name, law = "conditional-gaussian", "posterior of a Gaussian prior with the moments of the mixture"
    _agree(name, torch_law(sampler(name), MIXTURE.problem), (exact.means[0], exact.covs[0]), law)


@pytest.mark.parametrize("case", GAUSSIANS.values(), ids=GAUSSIANS)
def test_the_prior_itself(case: Case):
    _agree("prior", torch_law(sampler("prior"), case.problem), (case.means[0], case.covs[0]), "prior")


@pytest.mark.parametrize("case", [*GAUSSIANS.values(), MIXTURE], ids=[*GAUSSIANS, "mixture"])
def test_tikhonov(case: Case):
    """The posterior mean of an isotropic prior as wide as this one on average."""
    matched = _matched(case)
    ridge = replace(matched, covs=np.diag(matched.covs[0]).mean() * np.eye(matched.covs.shape[1])[None])
    found, spread = torch_law(sampler("tikhonov"), case.problem)
    expected = posterior(ridge).means[0], np.zeros_like(spread)
    _agree("tikhonov", (found, spread), expected, "posterior mean of an isotropic prior")


@pytest.mark.parametrize("case", GAUSSIANS.values(), ids=GAUSSIANS)
@pytest.mark.parametrize("start", ["exact", "normal"])
@pytest.mark.parametrize("name", ["oracle-em", "oracle-pc", "oracle-ode", "oracle-ode[euler]"])
def test_oracles(name: str, start: str, case: Case):
    steps, d = 22, case.problem.dim
    alpha, sigma = levels_at(case, np.array(1.0))
    exact = alpha * case.means[0], alpha**2 * case.covs[0] + sigma**2 * np.eye(d)
    updates = {
        "oracle-em": lambda: reference.em(case, steps=steps),
        "oracle-pc": lambda: reference.pc(case, steps=steps, snr=0.3),
        "oracle-ode": lambda: reference.probability_flow_heun(case, ratios=karras_ratios(case, steps)),
        "oracle-ode[euler]": lambda: reference.probability_flow_euler(case, steps=steps),
    }[name]()
    own = {"oracle-pc": {"snr": 0.3}, "oracle-ode[euler]": {"solver": "euler"}}.get(name, {})
    run = sampler(name.partition("[")[0], steps=steps, start=start, **own)
    expected = reference.propagated(updates, *(exact if start == "exact" else (np.zeros(d), np.eye(d))))
    _agree(named(name, start=start), torch_law(run, case.problem), expected)
