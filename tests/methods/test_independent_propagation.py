"""The law of every affine sampler, from its own code, against the same sampler written from the papers in NumPy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.methods import reference_samplers as reference
from tests.methods.affine import sampler, torch_law
from tests.methods.cases import GAUSSIANS, Case
from tests.methods.formulas import karras_ratios, levels_at

GUIDANCES: dict[str, dict[str, Any]] = {
    "none": {},
    "jalal": {"gamma": 0.7},
    "dps": {"scale": 0.6},
    "pigdm": {"prior_std": 1.4},
    "mmps": {"iterations": 4},
}
INTEGRATORS: list[tuple[str, str, dict[str, Any]]] = [
    ("em", "karras", {"steps": 12}),
    ("em", "score-sde", {"steps": 30}),
    ("pc", "karras", {"steps": 24, "corrector": "ald", "snr": 0.3}),
    ("pc", "score-sde", {"steps": 25, "corrector": "ald", "corrector_steps": 2}),
    ("ancestral", "ddpm", {"steps": 10}),
    ("ancestral", "ddpm", {"steps": 20, "variance": "large"}),
    ("ancestral", "score-sde", {"steps": 30}),
]


def _agree(found, expected):
    """Mean and covariance to 1e-8 of the larger of 1 and the largest entry."""
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-8 * max(1.0, np.abs(other).max()))


@pytest.mark.parametrize("guidance", GUIDANCES)
@pytest.mark.parametrize("which", range(len(INTEGRATORS)))
def test_every_guidance_with_every_integrator(which: int, guidance: str):
    """The three problems in turn, so that each guidance and each integrator meets them all."""
    integrator, grid, hyper = INTEGRATORS[which]
    case = list(GAUSSIANS.values())[(which + list(GUIDANCES).index(guidance)) % 3]
    chosen = {"grid": grid, **hyper, **GUIDANCES[guidance]}
    updates = getattr(reference, integrator)(case, guidance=guidance, **chosen)
    d = case.problem.dim
    found = torch_law(sampler(f"{integrator}-{guidance}", **chosen), case.problem)
    _agree(found, reference.propagated(updates, np.zeros(d), np.eye(d)))


OF_THEIR_OWN: list[tuple[str, dict[str, Any]]] = [
    ("projection", {"steps": 25, "lam": 0.7, "snr": 0.3}),
    ("projection", {"steps": 25, "lam": 0.8, "corrector_steps": 2, "denoise": False}),
    ("projection", {"steps": 10, "predictor": "ancestral", "lam": 0.6, "corrector_steps": 0, "denoise": False}),
    ("projection", {"steps": 10, "predictor": "ancestral", "lam": 0.9}),
    ("projection", {"steps": 25}),
    ("langevin-projection", {"steps": 25, "lam": 0.7, "snr": 0.3}),
    ("langevin-projection", {"steps": 22}),
    ("dps", {"steps": 10, "scale": 0.7, "weight": "likelihood"}),
]


@pytest.mark.parametrize("case", GAUSSIANS.values(), ids=GAUSSIANS)
@pytest.mark.parametrize(("name", "hyper"), OF_THEIR_OWN)
def test_samplers_of_their_own(name: str, hyper, case: Case):
    d = case.problem.dim
    updates = getattr(reference, name.replace("-", "_"))(case, **hyper)
    _agree(torch_law(sampler(name, **hyper), case.problem), reference.propagated(updates, np.zeros(d), np.eye(d)))


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
    _agree(found, reference.propagated(updates, np.zeros(d), top**2 * np.eye(d)))


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
    _agree(torch_law(run, case.problem), expected)
