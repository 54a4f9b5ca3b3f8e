"""The worker as seen from the parent: what it prints, how it fails, and what one GPU or processor is called."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.devices import device_name, missing_device
from benchmarks.executor import Executor
from benchmarks.tasks import Task
from benchmarks.worker import Failure, failure
from tests.benchmarks.conftest import TOYS
from tests.benchmarks.test_execute import task


@pytest.fixture
def slow() -> Task:
    return task("toy-slow", "gmm25-8-1", seconds=2.5)


@pytest.mark.usefixtures("toys")
def test_what_a_sampler_prints_last_is_heard_and_a_job_may_take_its_time(slow: Task) -> None:
    heard: list[str] = []
    with Executor((TOYS,), listen=heard.append) as executor:
        record, arrays = executor.call("sample", slow, timeout_seconds=60.0)
        assert record.status == "ok"
        assert record.seconds_sample > 2.5
        assert arrays["x"].shape == (12, 8)
        assert "asleep" in heard
        log = executor._log
        assert log.exists()
    assert not log.exists()


def test_a_worker_that_does_not_start_is_told(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("import nowhere_at_all\n")
    with Executor((tmp_path / "mine.py",)) as executor:
        reply = executor.call("hello", {"jax"})
    assert isinstance(reply, Failure)
    assert reply.status == "failed"
    assert "fails on import in line 1" in reply.traceback


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (MemoryError(), "out_of_memory", "MemoryError"),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating"), "out_of_memory", "RuntimeError: RESOURCE_EXH"),
        (RuntimeError("[enforce] DefaultCPUAllocator: can't allocate memory"), "out_of_memory", "RuntimeError: [enf"),
        (RuntimeError("CUDA out of memory. Tried"), "out_of_memory", "RuntimeError: CUDA out"),
        (ValueError("\n\n  first\nsecond"), "failed", "ValueError: first"),
        (KeyError(), "failed", "KeyError"),
    ],
)
def test_what_an_exception_means(error: Exception, status: str, reason: str) -> None:
    told = failure(error)
    assert told.status == status
    assert told.reason.startswith(reason)
    assert "second" not in told.reason


def test_devices() -> None:
    assert missing_device("cpu", {"jax", "torch"}) == ""
    assert device_name("cpu") != ""
    if missing_device("cuda", {"jax"}):
        assert "JAX sees no CUDA device" in missing_device("cuda", {"jax", "torch"})
