"""The conformance suite finds nothing in registered samplers, and sees a wrong noise level through every guidance."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from benchmarks import conformance
from benchmarks.conformance import check_method
from methods import METHODS, Samples
from problems.noise import GaussianNoise
from tests.benchmarks.conforming import faults, only, shortened
from tests.methods.configurations import crossed

UNGUIDED = {"prior", *(name for name in METHODS if name.endswith("-none"))}
"""They sample the prior, which is what the check finds."""
STEPS = {
    **dict.fromkeys(["annealed-langevin", "langevin-projection", "snips", "dpnp", "pnp-dm"], 300),
    **{"mgdm": 20, "smc": 20, "daps-covariance": 30},
}
"""Of those that converge slowly, or whose steps are long."""
OWN: dict[str, dict[str, Any]] = {"pnp-dm": {"rho_max": 1.0}, "dcps": {"learning_rate": 0.01}}
"""Of those that are weak in few dimensions by default."""
JAX = {name for name, method in METHODS.items() if method.framework == "jax"}
"""They compile for every run, or train for minutes."""
LONG = {
    *("annealed-hmc", "annealed-langevin", "annealed-mala", "daps", "daps-covariance", "dcps", "ddim-pigdm", "dpnp"),
    *("ddnm-plus", "em-mmps", "em-tmpd", "fps", "langevin-projection", "lgd-mc", "mcg", "mcgdiff", "mgdm", "ode-pigdm"),
    *("oracle-ode", "oracle-pc", "pc-pigdm", "pigdm-ddim", "pnp-dm", "projection", "reverse-diffusion-pigdm", "smc"),
    *("snips", "tds"),
}
"""Three seconds or more each, and near enough to another; all methods and presets are among the slow tests."""
TRAINED = {name for name in METHODS if name.startswith("dpi")}


@pytest.mark.parametrize("name", sorted(name for name in set(METHODS) - JAX - LONG if not crossed(name)))
def test_registered_methods_have_no_faults(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, *(title for title in conformance.CHECKS if title != "frameworks"))  # methods have their own tests
    found = faults(check_method(shortened(name, STEPS.get(name, 60), **OWN.get(name, {}))))
    assert list(found) == (["data"] if name in UNGUIDED else []), found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "preset"), [(name, p) for name in sorted(set(METHODS) - TRAINED) for p in METHODS[name].presets]
)
def test_presets_have_no_faults(name: str, preset: str) -> None:
    found = faults(check_method(shortened(name, STEPS.get(name, 500), preset, **OWN.get(name, {}))))
    assert list(found) == (["data"] if name in UNGUIDED else []), found


@pytest.mark.parametrize(
    ("name", "preset", "power", "words"),
    [
        ("annealed-langevin", "default", 0.5, "noise_std were the variance"),
        ("annealed-langevin", "default", 2.0, "noise_std**2 were the standard deviation"),
        ("dps", "calibrated", 0.5, "noise_std were the variance"),
        ("em-dps", "default", 0.5, "noise_std were the variance"),
        ("em-jalal", "default", 0.5, "noise_std were the variance"),
        ("em-jalal", "default", 2.0, "noise_std**2 were the standard deviation"),
        ("em-mmps", "default", 0.5, "noise_std were the variance"),
        ("ancestral-pigdm", "default", 0.5, "noise_std were the variance"),
        ("ancestral-pigdm", "default", 2.0, "noise_std**2 were the standard deviation"),
    ],
)
def test_a_wrong_power_of_noise_std_is_seen_through_every_guidance(
    name: str, preset: str, power: float, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = shortened(name, 100, preset)

    def run(problem: Any, key: Any, *, n: int, **hyper: Any) -> Samples:
        return entry.run(replace(problem, noise=GaussianNoise(problem.noise.std**power)), key, n=n, **hyper)

    only(monkeypatch, "noise")
    assert words in faults(check_method(replace(entry, run=run)))["noise"]


def test_methods_that_ignore_the_noise_level_are_remarked_on(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "noise")
    (_, finding) = check_method(shortened("projection", 20))
    assert finding.ok
    assert "ignores noise_std" in finding.message


def test_a_step_in_the_units_of_y_is_remarked_on(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = shortened("dps", 100, "paper")

    def run(problem: Any, key: Any, *, n: int, steps: int, scale: float, weight: str) -> Samples:
        return entry.run(problem, key, n=n, steps=steps, scale=scale / (1 + float(problem.noise.std)), weight=weight)

    only(monkeypatch, "noise")
    (_, finding) = check_method(replace(entry, run=run))
    assert finding.ok
    assert "depends on the units of y" in finding.message
