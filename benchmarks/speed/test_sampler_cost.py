"""What every sampler costs beyond its parts: denoiser, backward passes and random numbers, on gmm25-80-1.

Each is timed in turn with a scan of those parts alone, so that a busy machine slows both; extra_info has the median
ratio, which is for reading: below 1.3 is what a sampler may cost. Particles are those of one run.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.guard_speed import PROBLEM, bare, interleaved, parts_of, sampler
from methods import METHODS

N, STEPS = 500, 60
ROUNDS, FEWEST, SECONDS = 15, 5, 20.0
"""Rounds of both; fewer, but not less than FEWEST, where they would take longer than these seconds."""
NAMES = [
    name
    for name, method in METHODS.items()
    if method.framework == "array" and "steps" in method.hyper and "image" not in method.requires
]


def test_reference(reference: Callable[[], Any]) -> None:
    assert reference().shape == (500, 80)


@pytest.mark.parametrize("name", NAMES)
def test_overhead(name: str, benchmark: BenchmarkFixture) -> None:
    method = METHODS[name]
    one_run = {"runs": "one"} if "runs" in method.hyper else {}
    hyper = method.configure(overrides={"steps": STEPS, **one_run})
    run, problem, key = sampler(name, hyper, PROBLEM, N)
    parts = parts_of(run, problem, key, N, STEPS)
    both = [jax.jit(f).lower(problem, key).compile() for f in (run, partial(bare, n=N, parts=parts))]
    first, second = (partial(program, problem, key) for program in both)
    once = interleaved(first, second, 1)
    rounds = max(FEWEST, min(ROUNDS, round(SECONDS / once.sum())))
    seconds = interleaved(first, second, rounds)
    benchmark.extra_info["ratio"] = float(np.exp(np.median(np.log(seconds[:, 0] / seconds[:, 1]))))
    benchmark.pedantic(lambda: jax.block_until_ready(first()), rounds=3)
