"""What DPS costs beyond its two parts: its denoiser with the vjp, and its random numbers, each run alone.

All three are jitted scans over the same 1000 rows of the schedule, 1000 samples in float32. They are timed in turn in
every round, so that a busy machine slows all of them; extra_info has the medians and the ratio of the sampler to the
sum of its parts, which should stay below 1.5.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from methods import METHODS
from methods.guidance import denoiser
from methods.reverse_sde import Steps, ddpm_steps, start_normal
from problems import load
from problems.arrays import make_key, normal, scan, split, vjp
from problems.contract import Problem

N, STEPS, ROUNDS = 1000, 1000, 5


def sampler(problem: Problem, key: Any) -> Any:
    method = METHODS["dps"]
    return method.run(problem, key, n=N, **method.configure(overrides={"steps": STEPS})).x


def denoiser_and_vjp(problem: Problem, key: Any) -> Any:
    """The vjp is that of the residual, so the operator and its adjoint are part of it."""

    def step(x: Any, row: Steps, keys: Any) -> Any:  # noqa: ARG001
        x0_hat, pull = vjp(denoiser(problem, row.alpha, row.sigma), x)
        residual = problem.y[None, :] - problem.operator(x0_hat)
        return x + 1e-6 * (x0_hat + pull(problem.operator.adjoint(residual)))  # x hardly moves, but all is needed

    return scan(step, start_normal(problem, key, N), ddpm_steps(problem, STEPS), key)


def random_numbers(problem: Problem, key: Any) -> Any:
    def step(x: Any, row: Steps, keys: Any) -> Any:
        return 0.5 * x + row.noise_std * normal(keys[0], x.shape, x)

    first, second = split(key, 2)
    return scan(step, start_normal(problem, first, N), ddpm_steps(problem, STEPS), second)


def seconds(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    jax.block_until_ready(run())
    return time.perf_counter() - start


@pytest.mark.parametrize("d", [8, 80, 800])
def test_guided_overhead(d: int, benchmark: BenchmarkFixture) -> None:
    problem, key = load(f"gmm25-{d}-1", 0).problem.to("jax"), make_key("jax", [2])
    programs = {
        f.__name__: jax.jit(f).lower(problem, key).compile() for f in (sampler, denoiser_and_vjp, random_numbers)
    }
    times: dict[str, list[float]] = {name: [] for name in programs}

    def all_in_turn() -> None:
        for name, program in programs.items():
            times[name].append(seconds(partial(program, problem, key)))

    benchmark.pedantic(
        lambda: jax.block_until_ready(programs["sampler"](problem, key)), setup=all_in_turn, rounds=ROUNDS
    )
    medians = {name: statistics.median(times[name]) for name in programs}
    parts = medians["denoiser_and_vjp"] + medians["random_numbers"]
    benchmark.extra_info.update(medians, ratio=medians["sampler"] / parts)
