"""The worker as seen from the parent: what it prints, how it fails, and what one GPU or processor is called."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from benchmarks import nannies, prepare, seats
from benchmarks.devices import device_name, missing_device
from benchmarks.executor import Executor, Job
from benchmarks.prepare import cores
from benchmarks.provenance import code_of
from benchmarks.tasks import Task
from benchmarks.worker import Failure, failure
from problems.names import UsageError
from tests.benchmarks.conftest import TOYS
from tests.benchmarks.test_execute import task


@pytest.fixture
def slow() -> Task:
    return task("toy-slow", "gmm25-8-1", seconds=2.5)


@pytest.mark.usefixtures("toys")
def test_what_a_sampler_prints_last_is_heard_and_a_job_may_take_its_time(slow: Task) -> None:
    heard: list[str] = []
    with Executor((TOYS,), listen=lambda line, _: heard.append(line)) as executor:
        record, arrays = executor.call("sample", slow, timeout_seconds=60.0)
        assert record.status == "ok"
        assert record.seconds_sample > 2.5
        assert arrays["x"].shape == (12, 8)
        assert "asleep" in heard


def test_a_worker_that_does_not_start_is_told(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("import nowhere_at_all\n")
    with Executor((tmp_path / "mine.py",)) as executor:
        reply = executor.call("hello", {"jax"})
    assert isinstance(reply, Failure)
    assert reply.status == "failed"
    assert "fails on import in line 1" in reply.traceback


@pytest.mark.usefixtures("toys")
def test_what_a_sampler_does_to_its_process_costs_its_own_task() -> None:
    """One worker meets them all; between two of them it runs a sound sampler."""
    said = {
        "toy-poison": ("failed", "ValueError: object __array__ method not producing an array"),
        "toy-poison-error": ("failed", "PoisonedError"),
        "toy-poison-exit": ("failed", "PoisonedExit"),
        "toy-poison-text": ("failed", "the failure itself could not be told"),
        "toy-dies": ("failed", "the process ended with exit code 7"),
        "toy-segfault": ("failed", "the process ended with SIGSEGV"),
        "toy-eats": ("out_of_memory", "it used more memory than one worker may"),
    }
    with Executor((TOYS,), limit_bytes=2 * 2**30) as executor:
        for name, (status, reason) in said.items():
            reply = executor.call("sample", task(name, "gmm25-8-1"), timeout_seconds=60.0)
            assert isinstance(reply, Failure)
            assert (reply.status, reply.reason[: len(reason)]) == (status, reason)
            record, _ = executor.call("sample", task("toy", "gmm25-8-1"), timeout_seconds=60.0)
            assert (record.status, record.reason) == ("ok", "")
        late = [Job("sample", (task("toy-late", "gmm25-8-1"),)) for _ in range(2)]
        for job in late:
            record, _ = executor.attempt(0, job)
            assert record.status == "ok"  # the second was not what ended the process that they shared
        lost = "a first try was lost when its process ended with exit code 11"
        assert [job.remark for job in late] == ["", lost]


@pytest.mark.slow
@pytest.mark.usefixtures("toys")
def test_a_worker_that_dies_often_comes_back_every_time() -> None:
    """An engine that takes a worker for lost some seconds after its death must not look while another one starts."""
    with Executor((TOYS,)) as executor:
        deadline = time.monotonic() + 25.0
        while time.monotonic() < deadline:
            reply = executor.call("sample", task("toy-dies", "gmm25-8-1"), timeout_seconds=30.0)
            assert reply.reason == "the process ended with exit code 7"


@pytest.mark.usefixtures("toys")
def test_what_a_sampler_started_ends_with_it() -> None:
    heard: list[str] = []
    with Executor((TOYS,), listen=lambda line, _: heard.append(line)) as executor:
        reply = executor.call("sample", task("toy-brood", "gmm25-8-1"), timeout_seconds=8.0)
    assert reply.status == "timeout"
    (pid,) = {int(line) for line in heard if line.isdigit()}
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("late", [0.0, 0.3])
def test_when_one_worker_ends_the_run_the_replies_of_its_neighbours_are_kept(late: float) -> None:
    class Doomed(Executor):
        workers = 3

        def attempt(self, seat: int, job: Job) -> str:
            if seat == 1:
                broken.set()
                raise UsageError("the scheduler is gone")
            broken.wait()
            time.sleep(late)
            if seat == 2:
                raise UsageError("the scheduler is gone")
            return job.what

    broken = threading.Event()
    jobs, kept = [Job("code", what=str(i)) for i in range(3)], []
    with Doomed() as executor, pytest.raises(UsageError, match="the scheduler is gone"):
        executor.serve(lambda _: jobs.pop(0) if jobs else None, lambda job, reply, _: kept.append((job.what, reply)))
    assert kept == [("0", "0")]


def test_the_limit_of_a_job_begins_once_its_process_has_loaded_what_it_needs(tmp_path: Path) -> None:
    plugin = tmp_path / "slow.py"
    plugin.write_text(
        "import time\nfrom methods import method\ntime.sleep(4)\n"
        "@method('slow')\ndef slow(problem, key, *, n):\n    return None\n"
    )
    with Executor((plugin,)) as executor:
        reply = executor.call("code", timeout_seconds=3.0)
    assert reply == code_of()


def test_a_process_that_never_loads_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seats, "_LOAD_SECONDS", 3.0)
    (tmp_path / "stuck.py").write_text("import time\ntime.sleep(600)\n")
    with Executor((tmp_path / "stuck.py",)) as executor:
        assert executor.call("code") == Failure("failed", "its process was not ready after 3 s", "")


def test_a_worker_has_cores_of_its_own_and_so_many_threads() -> None:
    wanted = cores()[:2]
    with Executor(workers=len(wanted)) as executor:
        executor.call("code")
        seats = executor._seats
        for seat in seats:
            seat.prepare()
        found = [psutil.Process(seat._pid).cpu_affinity() for seat in seats]
    assert found == [[core] for core in wanted]


@pytest.mark.parametrize(
    ("device", "precision", "products", "override"),
    [
        ("cuda", "float32", "float32", "0"),
        ("cuda", "bfloat16", "float32", "0"),
        ("cuda", "tf32", "tensorfloat32", "None"),
        ("cpu", "float32", "None", "None"),
    ],
)
def test_a_worker_of_a_gpu_is_told_how_to_take_products(
    device: str, precision: str, products: str, override: str, tmp_path: Path
) -> None:
    """Before either framework is imported; left alone, both take some of them with ten bits."""
    log = tmp_path / "log"
    asked = "[os.environ.get(name) for name in ('JAX_DEFAULT_MATMUL_PRECISION', 'NVIDIA_TF32_OVERRIDE')]"
    text = f"import os; from benchmarks.prepare import prepare; prepare({str(log)!r}, 0, 1, {device!r}, {precision!r})"
    subprocess.run([sys.executable, "-c", f"{text}; print({asked})"], check=True, timeout=60)
    assert log.read_text().strip() == str([None if word == "None" else word for word in (products, override)])


@pytest.mark.parametrize(("says", "granted"), [("100000 100000", 1), ("50000 100000", 1), ("max 100000", None)])
def test_a_container_is_taken_at_its_quota(
    says: str, granted: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare, "_QUOTA", tmp_path / "cpu.max")
    unlimited = cores()
    (tmp_path / "cpu.max").write_text(says + "\n")
    assert cores() == unlimited[:granted]


def test_every_worker_is_asked() -> None:
    there = len(cores())
    with Executor(workers=there) as executor:
        assert executor.call_all("code") == [code_of()] * there
        assert all(seat._pid is not None for seat in executor._seats)


def test_nobody_without_the_certificate_reaches_the_scheduler_or_a_worker() -> None:
    """A Dask scheduler runs whatever it is sent."""
    from distributed import Client

    with Executor() as executor:
        executor.call("code")
        engine, seat = executor._engine, executor._seats[0]
        assert engine is not None
        for address in (engine._cluster.scheduler_address, seat._nanny, seat._address):
            assert address.startswith("tls://127.0.0.1:")
            with pytest.raises(OSError, match=r"timed out|Timed out|refused|closed"):
                Client(address.replace("tls:", "tcp:"), timeout=1.0, set_as_default=False)


@pytest.mark.usefixtures("toys")
def test_what_a_sampler_prints_does_not_fill_the_disk(slow: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nannies, "_LOG_BYTES", 3)
    with Executor((TOYS,)) as executor:
        executor.call("sample", slow, timeout_seconds=60.0)
        (child,) = [one for one in nannies._CHILDREN.values() if one.pid == executor._seats[0]._pid]
        time.sleep(0.3)
        assert child.log.stat().st_size == 0


def test_more_cores_than_there_are() -> None:
    there = len(cores())
    with pytest.raises(UsageError, match=f"{there} workers of 2 threads need {2 * there} cores, there are {there}"):
        Executor(workers=there, threads=2)


def test_no_scheduler_at_an_address() -> None:
    missing = pytest.raises(UsageError, match=r"no scheduler answers at tcp://127\.0\.0\.1:9: ")
    with Executor(scheduler="tcp://127.0.0.1:9") as executor, missing:
        executor.call("code")


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (MemoryError(), "out_of_memory", "MemoryError"),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating"), "out_of_memory", "RuntimeError: RESOURCE_EXH"),
        (RuntimeError("[enforce] DefaultCPUAllocator: can't allocate memory"), "out_of_memory", "RuntimeError: [enf"),
        (RuntimeError("CUDA out of memory. Tried"), "out_of_memory", "RuntimeError: CUDA out"),
        (ValueError("\n\n  first\nsecond"), "failed", "ValueError: first"),
        (KeyError(), "failed", "KeyError"),
        (ValueError("\ud800 bad"), "failed", "ValueError: \\ud800 bad"),
        (UsageError("\ud800 bad"), "failed", "\\ud800 bad"),
    ],
)
def test_what_an_exception_means(error: Exception, status: str, reason: str) -> None:
    told = failure(error)
    assert told.status == status
    assert told.reason.startswith(reason)
    assert "second" not in told.reason
    (told.reason + told.traceback).encode()  # it can be written


def test_devices() -> None:
    assert missing_device("cpu", {"jax", "torch"}) == ""
    assert device_name("cpu") != ""
    if missing_device("cuda", {"jax"}):
        assert "JAX sees no CUDA device" in missing_device("cuda", {"jax", "torch"})
