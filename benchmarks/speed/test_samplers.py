"""Each sampler that is plain array arithmetic, jitted as a whole, on gmm25-80-1: 128 samples, 100 steps, float32."""

from __future__ import annotations

import time

import jax
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from methods import METHODS
from problems import load
from problems.arrays import make_key

N, STEPS = 128, 100


@pytest.mark.parametrize("name", [name for name, method in METHODS.items() if method.framework == "array"])
def test_sampler(name: str, benchmark: BenchmarkFixture) -> None:
    method, instance = METHODS[name], load("gmm25-80-1", 0)
    hyper = method.configure(overrides={"steps": STEPS} if "steps" in method.hyper else {})
    problem, key = (instance.oracle() if method.oracle else instance.problem).to("jax"), make_key("jax", [1])
    start = time.perf_counter()
    run = jax.jit(lambda problem, key: method.run(problem, key, n=N, **hyper).x).lower(problem, key).compile()
    benchmark.extra_info["compile_seconds"] = time.perf_counter() - start
    x = benchmark.pedantic(lambda: jax.block_until_ready(run(problem, key)), rounds=7, warmup_rounds=1)
    assert x.shape == (N, *problem.shape)
