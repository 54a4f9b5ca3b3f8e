"""The reference workload that the timings of a file are divided by, and timing with device synchronisation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.guard_speed import Parts, bare
from problems import load
from problems.arrays import make_key

N = 500
PARTS = Parts(steps=50, denoised=1, backward=1, draws=1)


@pytest.fixture
def reference(benchmark: BenchmarkFixture) -> Callable[[], Any]:
    """Times the bare parts of a guided sampler on gmm25-80-1: every file has this as its test_reference."""
    problem, key = load("gmm25-80-1", 0).problem.to("jax"), make_key("jax", [6])
    program = jax.jit(lambda problem, key: bare(problem, key, N, PARTS)).lower(problem, key).compile()
    return lambda: benchmark.pedantic(lambda: jax.block_until_ready(program(problem, key)), rounds=15, warmup_rounds=2)
