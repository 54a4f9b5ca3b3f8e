"""What the harness adds to a run of a sampler: the same 50 steps of 500 samples, bare and through `execute`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.execute import Programs, execute
from benchmarks.judge import evaluate, floor
from benchmarks.tasks import Task, canonical
from methods import METHODS

TASK = Task(
    problem="gmm25-80-1",
    instance=0,
    method="oracle-em",
    config="oracle-em",
    framework="jax",
    repeat=0,
    n=500,
    hyper=canonical(METHODS["oracle-em"].configure(overrides={"steps": 50})),
    seed=0,
    device="cpu",
    threads=1,
    code="",
    oracle=True,
)


def test_reference(reference: Callable[[], Any]) -> None:
    assert reference().shape == (500, 80)


def test_execute(benchmark: BenchmarkFixture) -> None:
    programs = Programs()
    drawn = benchmark.pedantic(execute, args=(TASK, programs), rounds=15, warmup_rounds=2)
    assert drawn.work.nfe == 50
    assert programs.made == 1


def test_evaluate(benchmark: BenchmarkFixture) -> None:
    x = execute(TASK, Programs()).x
    found = benchmark.pedantic(evaluate, args=(TASK.problem, 0, 0, x, None), rounds=5, warmup_rounds=1)
    assert found["nonfinite"][0] == 0


def test_floor(benchmark: BenchmarkFixture) -> None:
    found = benchmark.pedantic(floor, args=(TASK.problem, 0, TASK.n, 0, 3), rounds=3, warmup_rounds=1)
    assert found["sw1"].shape == (3,)
