"""Every registered array method with every preset, by its label; nothing here is kept by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from methods import METHODS, Method
from methods.guidance import GUIDANCES
from methods.guided import INTEGRATORS
from problems import FAMILIES, Instance, Problem

Configuration = tuple[Method, dict[str, Any]]


def labels(**overrides: Any) -> dict[str, Configuration]:
    """label -> (method, hyper-parameters); an override applies to the methods that have such a hyper-parameter."""
    return {
        name if preset == "default" else f"{name}[{preset}]": (
            method,
            method.configure(preset, {k: v for k, v in overrides.items() if k in method.hyper}),
        )
        for name, method in METHODS.items()
        if method.framework == "array"
        for preset in method.presets
    }


def distinct(configurations: dict[str, Configuration]) -> dict[str, Configuration]:
    """Without the presets that a guided sampler shares with its integrator: those of the unguided one stand for all."""
    shared = tuple(f"-{guidance}[" for guidance in GUIDANCES if guidance != "none")
    return {label: c for label, c in configurations.items() if not any(end in label for end in shared)}


PAIRS = {f"{integrator}-{guidance}": (integrator, guidance) for integrator in INTEGRATORS for guidance in GUIDANCES}


def crossed(label: str) -> bool:
    """Whether a label is a pair of an integrator and a guidance that are both in another pair.

    Of those every guidance is in em-*, every integrator in *-pigdm, and every schedule in a preset of em-pigdm.
    """
    name, _, preset = label.partition("[")
    integrator, guidance = PAIRS.get(name, ("em", "pigdm"))
    return (integrator, guidance) != ("em", "pigdm") and ((integrator != "em" and guidance != "pigdm") or preset != "")


def rare(label: str) -> bool:
    """Whether another configuration of its method, and another pair, stand for it every day."""
    return crossed(label) or "[" in label


def everyday(cells: Iterable[tuple[str, ...]], slow: Callable[[str], bool] = crossed) -> list[Any]:
    """Tuples that begin with a label as the parameters of a test; some labels are slow."""
    return [pytest.param(*cell, id="-".join(cell), marks=[pytest.mark.slow] if slow(cell[0]) else []) for cell in cells]


NORMS = {"mcg", "lgd-mc", "dcps", "mgdm", "red-diff", "map"}
"""Their updates divide by norms, weigh draws, or are those of Adam."""
DECISIONS = {"annealed-mala", "annealed-hmc"}


def affine(method: Method, hyper: dict[str, Any]) -> bool:
    """Whether a configuration is affine in its noise for a Gaussian prior and one measurement, a vector."""
    normalised = hyper.get("corrector") == "langevin" or "normalised" in (hyper.get("likelihood"), hyper.get("weight"))
    others = method.name in NORMS | DECISIONS or "image" in method.requires
    others |= method.particle and method.name != "laplace"  # Newton's method ends at the one maximum from any start
    return not normalised and not others


def fits(method: Method, family: str) -> bool:
    """Whether a method that asks for images gets one."""
    return "image" not in method.requires or FAMILIES[family].kind == "image"


def seen(method: Method, instance: Instance) -> Problem:
    """What the runner gives the method."""
    return instance.oracle() if method.oracle else instance.problem
