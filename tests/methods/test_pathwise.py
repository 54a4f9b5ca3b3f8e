"""On the same noise every sampler goes the same way as its formulas in plain NumPy, for a mixture prior.

This is where the settings belong that have no closed-form law: normalised steps, the signal-to-noise rule, conjugate
gradients that stop early, and every guidance with a denoiser that is not affine.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.linalg import sqrtm

from tests.methods import reference_samplers as reference
from tests.methods.affine import Given, sampler
from tests.methods.cases import MIXTURE, TALL, WIDE, Case
from tests.methods.formulas import karras_ratios, posterior, ve_top
from tests.methods.laws import named, obeys

N, DRAWS = 6, 150
GUIDANCES: list[tuple[str, dict[str, Any]]] = [
    ("none", {}),
    ("jalal", {"gamma": 1.3}),
    ("dps", {"scale": 0.4}),
    ("pigdm", {"prior_std": 0.8}),
    ("tmpd", {}),
    ("mmps", {"iterations": 1}),
    ("mmps", {"iterations": 2}),
    ("mmps", {"iterations": 1, "solver": "gmres"}),
    ("mmps", {"iterations": 2, "solver": "gmres"}),
]
INTEGRATORS: list[tuple[str, dict[str, Any]]] = [
    ("em", {"grid": "karras", "steps": 12}),
    ("pc", {"grid": "karras", "steps": 24, "corrector": "langevin", "snr": 0.2, "corrector_steps": 2}),
    ("pc", {"grid": "score-sde", "steps": 25, "corrector": "langevin"}),
    ("pc", {"schedule": "ve", "steps": 12, "predictor": "reverse-diffusion", "corrector": "langevin"}),
    ("ancestral", {"grid": "ddpm", "steps": 10, "variance": "large"}),
    ("ancestral", {"grid": "score-sde", "steps": 22}),
    ("ancestral", {"schedule": "ve", "steps": 12}),
    ("reverse-diffusion", {"schedule": "ve", "steps": 12}),
    ("ddim", {"steps": 10, "eta": 0.7}),
    ("ode", {"steps": 8}),
]


def _noise(case: Case, seed: int = 7) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((DRAWS, N, len(case.means[0])))


def _found(case: Case, noise: np.ndarray, name: str, preset: str = "default", **hyper: Any) -> np.ndarray:
    problem = case.problem.to("torch", dtype="float64")
    return sampler(name, preset, **hyper)(problem, Given(0, [1], noise), n=N).x.numpy()


def _agree(name: str, found: np.ndarray, expected: np.ndarray, law: str = "way of its formulas on given noise") -> None:
    obeys(name, law, found, expected, 1e-8 * max(1.0, np.abs(expected).max()))


@pytest.mark.parametrize(("guidance", "own"), GUIDANCES)
@pytest.mark.parametrize(("integrator", "hyper"), INTEGRATORS)
def test_guided_samplers(integrator: str, hyper, guidance: str, own):
    noise = _noise(MIXTURE)
    updates = getattr(reference, integrator.replace("-", "_"))(MIXTURE, guidance=guidance, **hyper, **own)
    expected = reference.path(updates, noise[1], noise[3:])
    name = f"{integrator}-{guidance}"
    _agree(name, _found(MIXTURE, noise, name, **hyper, **own), expected)


@pytest.mark.parametrize("case", [MIXTURE, TALL, WIDE], ids=["mixture", "tall", "wide"])
@pytest.mark.parametrize(
    ("name", "preset", "meaning", "own"),
    [
        ("dps", "paper", {"scale": 2.0, "weight": "normalised"}, {"steps": 10}),
        ("dps", "code", {"scale": 0.3, "weight": "normalised"}, {"steps": 10}),
        ("dps", "calibrated", {"scale": 1.0, "weight": "likelihood"}, {"steps": 10}),
        ("mcg", "default", {}, {"steps": 10}),
        ("mcg", "default", {}, {"steps": 20, "scale": 0.4}),
        ("lgd-mc", "default", {}, {"steps": 10}),
        ("lgd-mc", "default", {}, {"steps": 20, "draws": 2, "prior_std": 1.3}),
        ("pigdm-ddim", "default", {"eta": 1.0}, {"steps": 10, "prior_std": 0.8}),
        ("pigdm-ddim", "deterministic", {"eta": 0.0}, {"steps": 20}),
        ("ddrm", "default", {}, {"steps": 20}),
        ("diffpir", "default", {}, {"steps": 12}),
        ("diffpir", "inpainting", {"zeta": 1.0}, {"steps": 13}),
        ("projection", "default", {}, {"steps": 24}),
        ("projection", "snr", {"corrector": "langevin"}, {"steps": 24}),
        (
            "projection",
            "snr",
            {"corrector": "langevin"},
            {"steps": 24, "corrector_steps": 2, "lam": 0.7, "denoise": False},
        ),
        ("langevin-projection", "default", {}, {"steps": 24}),
        ("langevin-projection", "snr", {"corrector": "langevin"}, {"steps": 24, "lam": 0.8, "snr": 0.3}),
    ],
)
def test_samplers_of_their_own(name: str, preset: str, meaning, own, case: Case):
    """The reference is told what the preset means."""
    noise = _noise(case)
    updates = getattr(reference, name.replace("-", "_"))(case, **meaning, **own)
    _agree(named(name, preset), _found(case, noise, name, preset, **own), reference.path(updates, noise[1], noise[3:]))


@pytest.mark.parametrize("case", [MIXTURE, TALL, WIDE], ids=["mixture", "tall", "wide"])
@pytest.mark.parametrize(
    ("preset", "own"),
    [
        ("default", {"learning_rate": 0.1}),
        ("readme", {"learning_rate": 0.5}),
        ("default", {"lam": 2.0, "data_weight": 0.3}),
    ],
)
def test_red_diff(preset: str, own, case: Case):
    """It has no start to draw and does not split its key: the steps follow from 1."""
    noise = _noise(case)
    hyper = {k: v for k, v in own.items() if k != "learning_rate"}
    expected = reference.red_diff(case, noise[1:], steps=40, **own)
    _agree(named("red-diff", preset), _found(case, noise, "red-diff", preset, steps=40, **hyper), expected)


@pytest.mark.parametrize("case", [TALL, WIDE], ids=["tall", "wide"])
def test_the_ascent_to_the_mode(case: Case):
    """It starts at the prior's own draws, by the symmetric root of its covariance; key 4. In the end, at the mode."""
    noise = _noise(case)
    start = case.means[0] + noise[4] @ sqrtm(case.covs[0]).real
    own = {"steps": 60, "learning_rate": 0.2}
    _agree("map", _found(case, noise, "map", **own), reference.ascent(case, start, **own))
    _agree("map", _found(case, noise, "map"), posterior(case).means, "mode of the posterior")


@pytest.mark.parametrize(("preset", "likelihood"), [("default", "gaussian"), ("normalised", "normalised")])
def test_annealed_langevin(preset: str, likelihood: str):
    noise = _noise(MIXTURE)
    top = ve_top(MIXTURE)
    bottom = 0.1 * MIXTURE.noise_std / np.linalg.norm(MIXTURE.matrix, 2)
    own = {"steps_per_level": 4, "step_size": 0.06}
    updates = reference.annealed_langevin(
        MIXTURE, sigmas=np.geomspace(top, bottom, 9), likelihood=likelihood, data_weight=5.0, **own
    )
    found = _found(MIXTURE, noise, "annealed-langevin", preset, steps=36, **own)
    _agree(named("annealed-langevin", preset), found, reference.path(updates, top * noise[1], noise[3:]))


@pytest.mark.parametrize("name", ["snips", "annealed-ula"])
def test_other_chains_at_decreasing_levels(name: str):
    noise = _noise(MIXTURE)
    bottom = 0.1 * MIXTURE.noise_std / np.linalg.norm(MIXTURE.matrix, 2)
    own = {"steps_per_level": 4, "step_size": 0.06}
    sigmas = np.geomspace(ve_top(MIXTURE), bottom, 9)
    updates = getattr(reference, name.replace("-", "_"))(MIXTURE, sigmas=sigmas, **own)
    _agree(name, _found(MIXTURE, noise, name, steps=36, **own), reference.path(updates, noise[1], noise[3:]))


@pytest.mark.parametrize("name", ["oracle-em", "oracle-pc", "oracle-ode", "oracle-ode[euler]"])
def test_oracles(name: str):
    """They split their first key once more: the start is key 3, the steps follow from 5."""
    steps, noise = 21, _noise(MIXTURE)
    updates = {
        "oracle-em": lambda: reference.em(MIXTURE, steps=steps),
        "oracle-pc": lambda: reference.pc(MIXTURE, steps=steps),
        "oracle-ode": lambda: reference.probability_flow_heun(MIXTURE, ratios=karras_ratios(MIXTURE, steps)),
        "oracle-ode[euler]": lambda: reference.probability_flow_euler(MIXTURE, steps=steps),
    }[name]()
    own = {"solver": "euler"} if "euler" in name else {}
    found = _found(MIXTURE, noise, name.partition("[")[0], steps=steps, start="normal", **own)
    _agree(name, found, reference.path(updates, noise[3], noise[5:]))
