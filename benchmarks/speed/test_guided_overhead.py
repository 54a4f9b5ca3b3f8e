"""What DPS costs beyond its parts: 1000 steps of its denoiser with the vjp and its random numbers, 1000 samples.

The two are timed in turn, so that a busy machine slows both; extra_info has the median ratio, which should stay below
1.5.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.guard_speed import bare, interleaved, parts_of, sampler
from methods import METHODS

N, STEPS, ROUNDS = 1000, 1000, 5


def test_reference(reference: Callable[[], Any]) -> None:
    assert reference().shape == (500, 80)


@pytest.mark.parametrize("d", [8, 80, 800])
def test_guided_overhead(d: int, benchmark: BenchmarkFixture) -> None:
    hyper = METHODS["dps"].configure(overrides={"steps": STEPS})
    run, problem, key = sampler("dps", hyper, f"gmm25-{d}-1", N)
    parts = parts_of(run, problem, key, N, STEPS)
    both = [jax.jit(f).lower(problem, key).compile() for f in (run, partial(bare, n=N, parts=parts))]
    first, second = (partial(program, problem, key) for program in both)
    seconds = interleaved(first, second, ROUNDS)
    benchmark.extra_info["ratio"] = math.exp(sorted(math.log(a / b) for a, b in seconds)[ROUNDS // 2])
    benchmark.pedantic(lambda: jax.block_until_ready(first()), rounds=ROUNDS)
