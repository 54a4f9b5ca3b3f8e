"""Building an instance with its exact posterior, and drawing 256 samples of that, for each family (NumPy, float64)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from problems import FAMILIES, load
from problems.arrays import make_key

N = 256


def test_reference(reference: Callable[[], Any]) -> None:
    assert reference().shape == (500, 80)


@pytest.mark.parametrize("name", FAMILIES)
def test_build(name: str, benchmark: BenchmarkFixture) -> None:
    assert benchmark.pedantic(load, args=(name, 1), rounds=7, warmup_rounds=1).x_true.shape == FAMILIES[name].shape


@pytest.mark.parametrize("name", FAMILIES)
def test_sample(name: str, benchmark: BenchmarkFixture) -> None:
    posterior, key = load(name, 0).posterior, make_key("numpy", [3])
    x = benchmark.pedantic(posterior.sample, args=(key, N), rounds=7, warmup_rounds=1)
    assert x.shape == (N, *FAMILIES[name].shape)
