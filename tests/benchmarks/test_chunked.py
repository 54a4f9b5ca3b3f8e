"""Samples in chunks: as many as asked for, with keys of their own, and only where rows do not see each other."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

from benchmarks import execute as execution
from benchmarks.chunked import Chunked, joined, starved
from benchmarks.execute import Programs, execute
from benchmarks.tasks import Task
from methods import Samples
from problems.arrays import make_key
from tests.benchmarks.test_execute import task


def maker(most: int, bytes_per_row: int = 0) -> Any:
    """A sampler of as many normal rows as its part says, that runs out of memory beyond `most`."""

    def make(part: Task) -> tuple[Any, int]:
        def run(_: Any, key: Any) -> Samples:
            if part.n > most:
                raise MemoryError("full")
            x = key.standard_normal((part.n, 2))
            return Samples(x, log_prob=x[:, 0], nfe=7.0, info={"mean": x.mean()})

        return run, bytes_per_row * part.n

    return make


def test_rows_are_halved_until_a_program_needs_little_enough() -> None:
    one = task("em-none", n=48)
    run = Chunked(one, maker(48, bytes_per_row=10), limit_bytes=130)
    assert (run.rows, run.needed) == (12, 120)
    assert run.remark == "drawn in chunks of 12 samples, as all at once would take too much memory"
    samples = run(None, make_key("numpy", [1]))
    assert samples.x.shape == (48, 2)
    assert len(np.unique(samples.x[:, 0])) == 48
    np.testing.assert_array_equal(samples.log_prob, samples.x[:, 0])
    assert samples.nfe == 7
    assert samples.info["mean"] == pytest.approx(samples.x.mean())
    whole = Chunked(one, maker(48, bytes_per_row=10), limit_bytes=480)
    assert (whole.rows, whole.remark) == (48, "")


def test_rows_are_halved_when_the_memory_is_full() -> None:
    run = Chunked(task("em-none", n=24), maker(7), limit_bytes=1)
    assert run.rows == 24
    assert run(None, make_key("numpy", [1])).x.shape == (24, 2)
    assert run.rows == 6
    with pytest.raises(MemoryError):  # 3 rows cannot be halved
        Chunked(task("em-none", n=24), maker(2), limit_bytes=1)(None, make_key("numpy", [1]))


def test_what_was_lost_when_the_memory_was_full_is_no_time_of_sampling() -> None:
    def make(part: Task) -> tuple[Any, int]:
        def run(_: Any, key: Any) -> Samples:
            if part.n > 12:
                time.sleep(0.1)
                raise MemoryError("full")
            return Samples(key.standard_normal((part.n, 2)))

        return run, 0

    run = Chunked(task("em-none", n=24), make, limit_bytes=1)
    run(None, make_key("numpy", [1]))
    assert run.seconds_lost >= 0.1
    run(None, make_key("numpy", [1]))
    assert run.seconds_lost < 0.1


@pytest.mark.parametrize("method", ["mcgdiff", "dpi-elbo"])
def test_particles_and_fits_are_not_split(method: str) -> None:
    run = Chunked(task(method, n=24), maker(7, bytes_per_row=10), limit_bytes=1)
    assert run.rows == 24
    with pytest.raises(MemoryError):
        run(None, make_key("numpy", [1]))


def test_other_errors_are_told() -> None:
    def make(_: Task) -> tuple[Any, int]:
        def run(*_: Any) -> Samples:
            raise ZeroDivisionError

        return run, 0

    run = Chunked(task("em-none", n=24), make, limit_bytes=1)
    with pytest.raises(ZeroDivisionError):
        run(None, None)
    assert run.rows == 24


def test_what_says_that_memory_is_full() -> None:
    assert starved(MemoryError(), "")
    assert starved(RuntimeError(), "RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes")
    assert starved(RuntimeError(), "CUDA out of memory. Tried to allocate")
    assert not starved(RuntimeError(), "shapes differ")


def test_samples_without_a_density_are_joined() -> None:
    parts = [Samples(np.full((2, 1), i), nfe=3.0) for i in (0.0, 1.0)]
    found = joined(parts)
    np.testing.assert_array_equal(found.x[:, 0], [0, 0, 1, 1])
    assert found.log_prob is None
    assert found.nfe == 3


@pytest.mark.parametrize("framework", ["jax", "torch"])
def test_a_task_is_drawn_in_chunks(framework: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many samples of the same law, the same work per sample, and a remark.

    Torch tells nothing beforehand: there the memory is full when all rows have nearly been drawn.
    """
    whole = execute(task("em-pigdm", "linear-gaussian-16", framework, n=64, steps=20), Programs())
    make = execution._sampler

    def starving(part: Task) -> Any:
        def run(problem: Any, key: Any) -> Samples:
            samples = make(part)(problem, key)
            if framework == "torch" and part.n > 16:
                raise MemoryError("full")
            return samples

        return run

    monkeypatch.setattr(execution, "_sampler", starving)
    monkeypatch.setattr(execution, "chunk_bytes", lambda _: 20_000)
    parts = execute(task("em-pigdm", "linear-gaussian-16", framework, n=64, steps=20), Programs())
    assert parts.x.shape == whole.x.shape
    assert parts.work == whole.work
    assert parts.seconds_sample > 0
    assert len(np.unique(parts.x[:, 0])) == 64
    assert parts.remark == "drawn in chunks of 16 samples, as all at once would take too much memory"
    assert whole.remark == ""
    spread = np.abs(parts.x.std(axis=0) / whole.x.std(axis=0) - 1)
    assert spread.max() < 0.5
