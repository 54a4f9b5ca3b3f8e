"""What a guided sampler costs beyond its network, forward and backward, on photos-32-inpaint, in both frameworks.

As in test_sampler_cost: timed in turn with the bare parts; extra_info has the median ratio, below 1.05 is the aim. The
cost of a bridge from JAX to a network of torch's is timed beside the same network in torch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.guard_speed import bare, interleaved, parts_of, sampler
from methods import METHODS
from problems import load
from problems.arrays import make_key
from problems.guided_diffusion import Design, GuidedUNet
from problems.module_prior import Network, module_prior

PROBLEM, N, STEPS, ROUNDS = "photos-32-inpaint", 16, 10, 5
NAMES = ("dps", "ancestral-pigdm", "diffpir", "ddrm", "ddnm-plus")


def test_reference(reference: Callable[[], Any]) -> None:
    assert reference().shape == (500, 80)


@pytest.mark.parametrize("framework", ["jax", "torch"])
@pytest.mark.parametrize("name", NAMES)
def test_overhead(name: str, framework: str, benchmark: BenchmarkFixture) -> None:
    run, problem, key = sampler(name, METHODS[name].configure(overrides={"steps": STEPS}), PROBLEM, N)
    parts = parts_of(run, problem, key, N, STEPS)
    both: list[Callable[..., Any]] = [run, partial(bare, n=N, parts=parts)]
    if framework == "jax":
        both = [jax.jit(f).lower(problem, key).compile() for f in both]
    else:
        problem, key = load(PROBLEM, 0).problem.to("torch"), make_key("torch", [2])
    first, second = (partial(program, problem, key) for program in both)
    benchmark.extra_info["ratio"] = median_ratio(first, second)
    benchmark.pedantic(first, rounds=2)


def test_bridge(benchmark: BenchmarkFixture) -> None:
    """dps with a network of torch's, in JAX over dps in torch."""
    unet = GuidedUNet(Design(1, 1, 64, (64, 64), 1, (False, True), True, True)).eval().requires_grad_(False)
    bars = np.cumprod(1 - np.linspace(1e-4, 2e-2, 1000))
    prior = module_prior(Network(unet, "epsilon", bars), (32, 32))
    problem = dataclasses.replace(load(PROBLEM, 0).problem, prior=prior)
    run = partial(METHODS["dps"].run, n=N, steps=STEPS)
    in_jax, key = problem.to("jax"), make_key("jax", [2])
    program = jax.jit(lambda problem, key: run(problem, key).x).lower(in_jax, key).compile()
    bridged = partial(program, in_jax, key)
    plain = partial(run, problem.to("torch"), make_key("torch", [2]))
    benchmark.extra_info["ratio"] = median_ratio(bridged, lambda: plain().x)
    benchmark.pedantic(lambda: jax.block_until_ready(bridged()), rounds=2)


def median_ratio(first: Callable[[], Any], second: Callable[[], Any]) -> float:
    seconds = interleaved(first, second, ROUNDS)
    return float(np.exp(np.median(np.log(seconds[:, 0] / seconds[:, 1]))))
