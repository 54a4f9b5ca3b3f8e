"""Runs that are killed or stopped, and started again, end with the results of a run that nobody disturbed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pandas as pd
import psutil
import pytest
from typer.testing import CliRunner

import run_benchmark
from benchmarks import campaign, gates, rescore, results
from benchmarks.store import RunDirectory, open_run
from problems.names import UsageError
from tests.benchmarks.conftest import TOYS

ROOT = Path(run_benchmark.__file__).parent
PROGRAM = ["run_benchmark.py"]
WITHOUT_REPORT = [
    "-c",
    "import reports, run_benchmark\n"
    "reports.write_report = lambda directory, budget=None: []\n"
    "reports.print_leaderboard = lambda directory, console, budget=None: None\n"
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


def same(out: Path, undisturbed: tuple[pd.DataFrame, pd.DataFrame], but: tuple[str, ...] = ()) -> None:
    for one, other in zip(tables(out), undisturbed, strict=True):
        rows = one[~one["metric"].isin(["seconds", "samples_per_second"])].reset_index(drop=True)
        expected = other[~other["metric"].isin(["seconds", "samples_per_second"])].reset_index(drop=True)
        rows, expected = (table.drop(columns=[*but], errors="ignore") for table in (rows, expected))
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


def test_two_workers_and_one_give_the_same_table(
    tmp_path: Path, undisturbed: tuple[pd.DataFrame, pd.DataFrame]
) -> None:
    """Bit by bit: a task has as many threads, its numbers are its own, and nothing depends on what ran before."""
    for workers in (1, 2):
        process = begin(tmp_path / str(workers), *METHODS, "--workers", str(workers))
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
        same(tmp_path / str(workers), undisturbed)


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
    same(out, undisturbed, but=("reason",))
    reasons = pd.read_parquet(out / "results.parquet")["reason"]
    assert set(reasons) <= {"", "a first try was lost when its process ended with SIGKILL"}


def test_an_interrupt_keeps_what_is_finished_and_collects_it(tmp_path: Path) -> None:
    out = tmp_path / "run"
    process = begin(out, "--plugin", str(TOYS), "--methods", "exact,toy-slow", "--workers", "1")
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


@pytest.mark.parametrize("error", [UsageError("no worker is left"), KeyboardInterrupt("stop"), ValueError("a fault")])
def test_whatever_ends_a_run_its_tables_are_written(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def collect_disturbed(run: RunDirectory) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        results_collect(run)

    results_collect = results.collect
    monkeypatch.setattr(results, "collect", collect_disturbed)
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with open_run(tmp_path / "run", create=True) as run:
        with pytest.raises(type(error), match=str(error)), run_benchmark._collected(run):
            raise error
        assert (run.path / "results.parquet").exists()
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers


def test_the_error_that_ended_a_run_is_told_before_those_of_its_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: RunDirectory) -> None:
        raise UsageError("cannot write the tables")

    monkeypatch.setattr(results, "collect", refuse)
    with open_run(tmp_path / "run", create=True) as run:
        with pytest.raises(UsageError, match="no worker is left"), run_benchmark._collected(run):
            raise UsageError("no worker is left")
        with pytest.raises(UsageError, match="cannot write the tables"), run_benchmark._collected(run):
            pass


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("command", ["run", "score", "gates"])
def test_a_signal_stops_every_long_command_in_words(
    command: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        with suppress(Exception):
            os.kill(os.getpid(), number)
            time.sleep(1)
        raise AssertionError

    for module, name in ((campaign, "carry_out"), (rescore, "rescore"), (gates, "run_gates")):
        monkeypatch.setattr(module, name, interrupted)
    monkeypatch.setattr(campaign, "start", lambda *_, **__: None)
    out = tmp_path / "run"
    open_run(out, create=True).close()
    words = [str(out)] if command == "score" else ["--problems", "gmm25-8-1", "--out", str(out)]
    handler = signal.signal(signal.SIGTERM, signal.SIG_IGN)  # only the command's own may stop it
    found = CliRunner().invoke(run_benchmark.app, [command, *words])
    signal.signal(signal.SIGTERM, handler)
    assert found.exit_code == 130, found.output
    assert "stopped; what is finished stays in" in found.output
    assert (out / "results.parquet").exists() == (command != "gates")


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
