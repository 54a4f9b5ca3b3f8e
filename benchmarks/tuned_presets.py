"""The preset 'tuned': hyper-parameters per problem, chosen on tuning instances by `python -m benchmarks.tune`."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from methods import METHODS
from problems.digits import MODEL

NAME = "tuned"
FILE = Path(__file__).parent / "tuned.toml"


@cache
def tuned() -> dict[str, dict[str, dict[str, Any]]]:
    """problem -> method -> the chosen hyper-parameters, as committed."""
    return tomllib.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}


def tuned_on(problem: str, method: str) -> dict[str, Any] | None:
    """What was chosen for a method on a problem; a twin with model-drawn truths takes what its sibling was given."""
    return tuned().get(problem.removesuffix(MODEL), {}).get(method)


def presets_of(method: str) -> list[str]:
    """The presets of a method, 'tuned' among them if it was tuned on any problem."""
    own = list(METHODS[method].presets)
    return [*own, NAME] if any(method in table for table in tuned().values()) else own
