"""All metrics of a run of 256 samples, and the reference that its methods share, for each family."""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import scores
from problems import FAMILIES, load
from problems.arrays import make_key

N = 256


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
def test_reference(name: str, benchmark: BenchmarkFixture) -> None:
    instance = load(name, 0)
    reference = benchmark.pedantic(scores.reference, args=(instance, N, [5]), rounds=3, warmup_rounds=1)
    assert reference.x.shape == (N, *FAMILIES[name].shape)
