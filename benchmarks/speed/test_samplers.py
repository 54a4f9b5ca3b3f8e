"""Each sampler that is plain array arithmetic on a prior of each kind, jitted: 128 samples, 50 steps, float32."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import jax
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from methods import METHODS
from problems import FAMILIES, load
from problems.arrays import make_key

N, STEPS = 128, 50
NAMES = [name for name, method in METHODS.items() if method.framework == "array"]
KINDS = {type(load(name, 0).problem.prior).__name__: name for name in reversed(FAMILIES)}
"""A prior's kind -> the first problem that has it."""


def test_reference(reference: Callable[[], Any]) -> None:
    assert reference().shape == (500, 80)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NAMES)
def test_sampler(name: str, kind: str, benchmark: BenchmarkFixture) -> None:
    method, family = METHODS[name], FAMILIES[KINDS[kind]]
    if missing := method.requires - family.provides:
        pytest.skip(f"{family.name} lacks {missing}")
    instance = load(family.name, 0)
    hyper = method.configure(overrides={"steps": STEPS} if "steps" in method.hyper else {})
    problem, key = (instance.oracle() if method.oracle else instance.problem).to("jax"), make_key("jax", [1])
    start = time.perf_counter()
    run = jax.jit(lambda problem, key: method.run(problem, key, n=N, **hyper).x).lower(problem, key).compile()
    benchmark.extra_info["compile_seconds"] = time.perf_counter() - start
    x = benchmark.pedantic(lambda: jax.block_until_ready(run(problem, key)), rounds=7, warmup_rounds=1)
    assert x.shape == (N, *problem.shape)
