"""All metrics of a run of 256 samples and the reference that its methods share, for each family; each metric alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import scores
from problems import FAMILIES, load
from problems.arrays import make_key
from scores import METRICS
from scores.candidate import Candidate

N = 256


def test_reference(reference: Callable[[], Any]) -> None:
    assert reference().shape == (500, 80)


@pytest.mark.parametrize("name", FAMILIES)
def test_evaluate(name: str, benchmark: BenchmarkFixture) -> None:
    instance = load(name, 0)
    reference = scores.reference(instance, N, [5])
    x = instance.posterior.sample(make_key("numpy", [4]), N)
    found = benchmark.pedantic(
        scores.evaluate,
        args=(x, instance, reference),
        kwargs={"data_range": FAMILIES[name].data_range},
        rounds=3,
        warmup_rounds=1,
    )
    assert found["nonfinite"][0] == 0


@pytest.mark.parametrize("name", FAMILIES)
def test_exact_reference(name: str, benchmark: BenchmarkFixture) -> None:
    instance = load(name, 0)
    reference = benchmark.pedantic(scores.reference, args=(instance, N, [5]), rounds=3, warmup_rounds=1)
    assert reference.x.shape == (N, *FAMILIES[name].shape)


@cache
def candidates() -> list[Candidate]:
    """Exact samples of one problem of each kind that metrics ask for: a plane, a mixture, an image."""
    made = []
    for name in ("seed2d", "gmm25-80-1", "digits-inpaint", "gaussian-field-16"):
        instance = load(name, 0)
        x = instance.posterior.sample(make_key("numpy", [4]), N)
        made.append(Candidate(x, instance, scores.reference(instance, N, [5]), FAMILIES[name].data_range))
    return made


@pytest.mark.parametrize("name", METRICS)
def test_metric(name: str, benchmark: BenchmarkFixture) -> None:
    """On the first problem where it applies; a fresh candidate every round, which keeps what metrics share."""
    metric = METRICS[name]
    found = [one for one in candidates() if metric.applies(one)]
    if not found:
        pytest.skip("needs what exact samples lack, such as a density")
    benchmark.pedantic(metric.compute, setup=lambda: ((replace(found[0]),), {}), rounds=7, warmup_rounds=1)
