"""Runs that are killed or stopped, and started again, end with the results of a run that nobody disturbed."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest

import run_benchmark
from tests.benchmarks.conftest import TOYS

ROOT = Path(run_benchmark.__file__).parent
PROGRAM = ["run_benchmark.py"]
WITHOUT_REPORT = [
    "-c",
    "import reports, run_benchmark\n"
    "reports.write_report = lambda directory: []\n"
    "reports.print_leaderboard = lambda directory, console: None\n"
    "run_benchmark.main()",
]
WORDS = ["--problems", "gmm25-8-1,linear-gaussian-16", "--n", "18", "--instances", "2"]
METHODS = ["--methods", "exact,prior,em-none", "--set", "em-*.steps=5"]
TASKS = 12
ACCURACY = ["problem", "instance", "method", "config", "framework", "repeat", "metric", "value", "stderr", "floor95"]
WORK = ["status", "reason", "n", "nfe", "vjp", "operator_calls", "hyper", "oracle"]


def begin(out: Path, *words: str, program: list[str] = WITHOUT_REPORT) -> subprocess.Popen[str]:
    command = [sys.executable, *program, "run", *WORDS, *(words or METHODS), "--out", str(out)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)


def finish(out: Path) -> str:
    process = begin(out)
    text, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return text


def finished(out: Path) -> int:
    return len(list((out / "tasks").glob("[0-9a-f]*.json")))


def kill(process: subprocess.Popen[str]) -> None:
    """The program alone, without warning; its worker must not outlive it."""
    workers = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate()
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert alive == []


def tables(out: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    return pd.read_parquet(out / "results.parquet")[[*ACCURACY, *WORK]], pd.read_parquet(out / "floors.parquet")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, pd.DataFrame]:
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    finish(out)
    return tables(out)


def same(out: Path, undisturbed: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    for one, other in zip(tables(out), undisturbed, strict=True):
        rows = one[~one["metric"].isin(["seconds", "samples_per_second"])].reset_index(drop=True)
        expected = other[~other["metric"].isin(["seconds", "samples_per_second"])].reset_index(drop=True)
        pd.testing.assert_frame_equal(rows, expected, check_exact=True)


def test_killed_at_three_moments_and_started_again(
    tmp_path: Path, undisturbed: tuple[pd.DataFrame, pd.DataFrame]
) -> None:
    out, chance = tmp_path / "run", random.Random(1)
    for enough in (1, 5, 8):
        process = begin(out)
        while finished(out) < enough and process.poll() is None:
            time.sleep(0.002)
        time.sleep(0.05 * chance.random())
        assert process.poll() is None
        kill(process)
        assert finished(out) >= enough
    kept = finished(out)
    text = finish(out)
    assert f"tasks that are finished and stay: {kept}\n" in text
    assert finished(out) == TASKS
    same(out, undisturbed)


@pytest.mark.slow
def test_killed_at_ten_random_moments_and_started_again(
    tmp_path: Path, undisturbed: tuple[pd.DataFrame, pd.DataFrame]
) -> None:
    out, chance = tmp_path / "run", random.Random()
    start = time.monotonic()
    finish(tmp_path / "measure")
    whole = time.monotonic() - start
    for _ in range(10):
        process = begin(out)
        time.sleep(whole * chance.random())
        if process.poll() is None:
            kill(process)
        process.communicate()
    finish(out)
    same(out, undisturbed)


def test_a_worker_that_something_else_kills_is_replaced(
    tmp_path: Path, undisturbed: tuple[pd.DataFrame, pd.DataFrame]
) -> None:
    out = tmp_path / "run"
    process = begin(out)
    while finished(out) < 3:
        time.sleep(0.002)
    for worker in psutil.Process(process.pid).children(recursive=True):
        worker.kill()
    process.communicate(timeout=300)
    assert process.returncode == 0
    same(out, undisturbed)


def test_an_interrupt_keeps_what_is_finished_and_collects_it(tmp_path: Path) -> None:
    out = tmp_path / "run"
    process = begin(out, "--plugin", str(TOYS), "--methods", "exact,toy-slow")
    while finished(out) < 1:
        time.sleep(0.01)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    text, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert text.splitlines()[-1] == (
        f"stopped; what is finished stays in {out}, and the same command goes on from there"
    )
    assert "1 of 8 tasks are finished: 1 ok" in text
    assert errors == ""
    assert set(pd.read_parquet(out / "results.parquet")["config"]) == {"exact"}


def test_a_faulty_plugin_and_a_foreign_file_do_not_stop_the_other_cells(tmp_path: Path) -> None:
    out = tmp_path / "run"
    (out / "tasks").mkdir(parents=True)
    (out / "tasks" / "notes.txt").write_text("mine")
    process = begin(out, "--plugin", str(TOYS), "--methods", "toy-raises,toy-nan,toy-shape,exact", program=PROGRAM)
    text, errors = process.communicate(timeout=300)
    assert (process.returncode, errors) == (1, "")
    assert f"{out / 'tasks' / 'notes.txt'} is foreign; it is left out" in text
    assert "failed: toy-raises on gmm25-8-1: RuntimeError: the first line\n" in text
    assert "failed: toy-shape on gmm25-8-1: ValueError: expected samples of shape (18, 8), got (8, 18)\n" in text
    assert "diverged: toy-nan on linear-gaussian-16: 6 of 18 samples (33.3 %) are not finite\n" in text
    assert "16 of 16 tasks are finished: 4 ok, 4 diverged, 8 failed\n" in text
    assert "Traceback" not in text
    assert (out / "leaderboard.md").exists()
