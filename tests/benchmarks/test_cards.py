"""The cards of methods, problems and metrics: complete, plain, and written with every run."""

from __future__ import annotations

import json
from typing import Any

import pytest

from benchmarks.cards import cards
from methods import METHODS, Samples, method
from problems import FAMILIES
from scores import METRICS


def test_everything_has_a_card_that_json_keeps_as_it_is() -> None:
    told = cards()
    assert (set(told["methods"]), set(told["problems"]), set(told["metrics"])) == (
        set(METHODS),
        set(FAMILIES),
        set(METRICS),
    )
    assert json.loads(json.dumps(told)) == told


def test_a_composed_method_tells_its_guidance_and_its_paper() -> None:
    doc = cards()["methods"]["em-mmps"]["doc"]
    assert doc.startswith("Euler-Maruyama")
    assert "2405.13712" in doc
    assert "g = J^T A^T" in doc


def test_a_card_says_what_the_registry_says() -> None:
    told = cards()
    dps, seed2d = told["methods"]["dps"], told["problems"]["seed2d"]
    assert dps["hyper"]["steps"] == 1000
    assert dps["requires"] == ["differentiable", "gaussian_noise", "likelihood"]
    assert dps["frameworks"] == ["jax", "torch"]
    assert dps["presets"]["code"] == {"scale": 0.3}
    assert (told["methods"]["exact"]["oracle"], dps["oracle"]) == (True, False)
    assert seed2d["stresses"] == FAMILIES["seed2d"].stresses
    assert seed2d["shape"] == [2]
    assert told["problems"]["digits-blur"]["model_truth"] is False
    assert told["metrics"]["coverage90_range"]["better"] == 0
    assert told["metrics"]["sw1"]["has_floor"] is True


def test_defaults_that_json_lacks_become_text() -> None:
    @method("odd")
    def odd(problem: Any, key: Any, *, n: int, kind: Any = complex(1, 2)) -> Samples:
        raise NotImplementedError

    assert cards()["methods"]["odd"]["hyper"] == {"kind": "(1+2j)"}
    assert cards()["methods"]["odd"]["doc"] == ""


def test_every_problem_says_what_it_stresses() -> None:
    short = [name for name, card in cards()["problems"].items() if len(card["stresses"]) < 80]
    assert short == []


@pytest.mark.parametrize("name", ["methods", "problems", "metrics"])
def test_cards_have_a_summary(name: str) -> None:
    assert [entry for entry, card in cards()[name].items() if not card["summary"]] == []
