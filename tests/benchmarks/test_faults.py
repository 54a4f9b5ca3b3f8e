"""Faults of ten kinds, at random over whole runs: no cell is lost, no row is wrong, and each fault is named."""

from __future__ import annotations

import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pandas as pd
import psutil
import pytest

import run_benchmark
from benchmarks.probe import check_import
from problems.names import UsageError
from tests.benchmarks.conftest import TOYS

ROOT = Path(run_benchmark.__file__).parent
SOUND = ["exact", "prior", "toy", "em-none"]
IN_A_TASK = {  # method -> kind, status and reason
    "toy-slow": ("hang", "timeout", "stopped after 20 s, the limit of one task"),
    "toy-eats": ("out of memory", "out_of_memory", "it used more memory than one worker may"),
    "toy-nan": ("nan", "diverged", "6 of 16 samples (37.5 %) are not finite"),
    "toy-raises": ("exception", "failed", "RuntimeError: the first line"),
    "toy-dies": ("bad plugin", "failed", "the process ended with exit code 7"),
    "toy-segfault": ("bad plugin", "failed", "the process ended with SIGSEGV"),
    "toy-poison": ("bad plugin", "failed", "ValueError: object __array__ method not producing an array"),
}
AROUND = ["runner killed", "worker killed", "full disk", "torn file", "dead scheduler", "clock jump"]
COMPARED = ["problem", "instance", "method", "config", "framework", "repeat", "metric", "value", "stderr", "floor95"]
LOST_TRY = "; a first try was lost when its process ended with SIGKILL"


class Chaos:
    """A run directory that things happen to.

    Attributes:
        named: how many faults of each kind happened, and were told in the words that they should be.
    """

    def __init__(self, out: Path, instances: int, chance: random.Random) -> None:
        self.out, self.chance = out, chance
        self.named: Counter[str] = Counter()
        methods = ",".join([*SOUND, *IN_A_TASK])
        self.words = ["--problems", "gmm25-8-1", "--n", "16", "--instances", str(instances), "--timeout", "20"]
        self.words += ["--plugin", str(TOYS), "--methods", methods, "--set", "em-*.steps=5", "--out", str(out)]

    def begin(self, fault: str = "none", *words: str) -> subprocess.Popen[str]:
        after = str(self.chance.randrange(1, 8))
        command = [sys.executable, "-m", "tests.benchmarks.chaotic", fault, after, "run", *self.words, *words]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)

    def finished(self) -> set[Path]:
        return set((self.out / "tasks").glob("[0-9a-f]*.json"))

    def wait(self, process: subprocess.Popen[str]) -> bool:
        """Until another task is finished, and a little longer; False if the run has ended instead."""
        before = self.finished()
        while not self.finished() - before and process.poll() is None:
            time.sleep(0.01)
        time.sleep(0.3 * self.chance.random())
        return process.poll() is None

    def stop(self, process: subprocess.Popen[str]) -> None:
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=300)
        assert process.returncode in (0, 1, 130), errors
        assert errors == ""

    def happen(self, kind: str) -> None:
        """One fault of a kind, told as it should be."""
        told = {
            "runner killed": self.kill_runner,
            "worker killed": self.kill_worker,
            "full disk": self.fill_disk,
            "torn file": self.tear,
            "dead scheduler": self.kill_scheduler,
            "clock jump": self.jump,
        }[kind]()
        self.named[kind] += told

    def kill_runner(self) -> bool:
        process = self.begin()
        reached = self.wait(process)
        workers = psutil.Process(process.pid).children(recursive=True) if reached else []
        process.kill()
        process.communicate()
        _, alive = psutil.wait_procs(workers, timeout=30)
        assert alive == []
        return reached and process.returncode == -signal.SIGKILL

    def kill_worker(self) -> bool:
        process = self.begin()
        killed = False
        if self.wait(process):
            with suppress(psutil.NoSuchProcess):  # one may end by itself at any moment
                children = psutil.Process(process.pid).children()
                self.chance.choice([p for p in children if "spawn_main" in " ".join(p.cmdline())]).kill()
                killed = True
            self.wait(process)
        self.stop(process)
        return killed

    def fill_disk(self) -> bool:
        process = self.begin("disk")
        _, errors = process.communicate(timeout=300)
        told = re.fullmatch(r"error: cannot write .*: No space left on device; finished tasks are kept\n", errors)
        assert (process.returncode == 2) == bool(told), errors
        return bool(told)

    def tear(self) -> bool:
        if not self.finished():
            return False
        torn = self.chance.choice(sorted(self.finished()))
        torn.write_bytes(torn.read_bytes()[: self.chance.randrange(1, 200)])
        process = self.begin()
        self.wait(process)
        process.send_signal(signal.SIGINT)
        text, errors = process.communicate(timeout=300)
        assert f"{torn} is torn; it is left out" in text, errors
        return True

    def kill_scheduler(self) -> bool:
        """A cluster as users have one: a scheduler and workers that somebody started."""
        where = self.out.with_suffix(".scheduler.json")
        where.unlink(missing_ok=True)  # of one that is dead
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": ROOT}
        common = ["--scheduler-file", str(where), "--no-dashboard"]
        cluster = [
            subprocess.Popen([sys.executable, "-m", "distributed.cli.dask_scheduler", *common, "--port", "0"], **quiet),
            subprocess.Popen(
                [sys.executable, "-m", "distributed.cli.dask_worker", *common, "--nworkers", "2", "--nthreads", "1"],
                **quiet,
            ),
        ]
        try:
            while not where.exists() or '"address"' not in where.read_text():
                time.sleep(0.05)
            address = re.findall(r'"address": "(tcp[^"]*)"', where.read_text())[0]
            for _ in range(100):  # until its workers are there
                process = self.begin("none", "--scheduler", address)
                if self.wait(process) or "has no worker" not in process.communicate()[1]:
                    break
                time.sleep(0.5)
            reached = process.poll() is None
            cluster[0].kill()
            _, errors = process.communicate(timeout=300)
        finally:
            for one in cluster:
                for child in psutil.Process(one.pid).children(recursive=True) if one.poll() is None else ():
                    child.kill()
                one.kill()
                one.wait()
        if reached:
            assert process.returncode == 2, errors
            assert errors == (
                f"error: the scheduler at {address} is gone; what is finished is kept, and the same command goes on\n"
            )
        return reached

    def jump(self) -> bool:
        process = self.begin("clock")
        reached = self.wait(process)
        self.wait(process)
        self.stop(process)
        return reached


def table(out: Path) -> pd.DataFrame:
    found = pd.read_parquet(out / "results.parquet")
    return found[~found["metric"].isin(["seconds", "samples_per_second"])].reset_index(drop=True)


def finish(chaos: Chaos) -> None:
    process = chaos.begin()
    _, errors = process.communicate(timeout=1200)
    assert process.returncode == 1, errors  # some cells have failed


def a_round(chaos: Chaos, kinds: list[str], undisturbed: pd.DataFrame) -> Counter[str]:
    """Faults around a run whose own tasks are full of them; at the end, its table is that of a run left in peace."""
    for kind in kinds:
        chaos.happen(kind)
    finish(chaos)
    found = table(chaos.out)
    pd.testing.assert_frame_equal(found[COMPARED], undisturbed[COMPARED], check_exact=True)
    assert found["status"].tolist() == undisturbed["status"].tolist()
    for method, (kind, status, reason) in IN_A_TASK.items():
        rows = found[found["method"] == method].drop_duplicates("instance")
        assert set(rows["status"]) == {status}
        assert {words.removesuffix(LOST_TRY) for words in rows["reason"]} == {reason}
        chaos.named[kind] += len(rows)
    sound = found[found["method"].isin(SOUND)]
    assert {f"; {words}".removesuffix(LOST_TRY) for words in sound["reason"]} <= {"", "; "}
    return chaos.named


def test_a_run_full_of_faults_ends_with_the_table_of_one_left_in_peace(tmp_path: Path) -> None:
    peace = Chaos(tmp_path / "peace", 1, random.Random(0))
    finish(peace)
    chaos = Chaos(tmp_path / "chaos", 1, random.Random(5))
    named = a_round(chaos, ["full disk", "torn file", "worker killed", "clock jump"], table(peace.out))
    assert named.total() >= 9, named


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("os._exit(0)", "ends the process that imports it, with exit code 0"),
        ("os.kill(os.getpid(), 9)", "ends the process that imports it, with SIGKILL"),
        ("time.sleep(600)", "is not imported after 6 s"),
    ],
)
def test_a_plugin_that_does_not_come_back_is_told(line: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text(f"import os, time\n{line}\n")
    with pytest.raises(UsageError, match=f"the plugin {tmp_path / 'bad.py'} {said}$"):
        check_import(tmp_path / "bad.py", 6.0 if "sleep" in line else 120.0)


def test_a_plugin_that_raises_or_is_missing_is_told_where_it_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("1 / 0\n")
    for name in ("bad.py", "missing.py"):
        check_import(tmp_path / name)


def test_every_command_tries_its_plugins_first(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("import os\nos._exit(0)\n")
    command = [sys.executable, "run_benchmark.py", "plan", "--plugin", str(tmp_path / "bad.py")]
    found = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert (found.returncode, found.stdout) == (2, "")
    assert "bad.py ends the process that imports it, with exit code 0" in found.stderr


def test_a_clock_that_jumps_is_not_told_as_a_slow_disk() -> None:
    """In a process whose clock was wrong from the start, as in a round of faults."""
    program = """
import time
from tests.benchmarks.chaotic import jump_the_clock
jump_the_clock(0)
from benchmarks.engine import _configure
_configure()
from distributed.utils import warn_on_duration
for _ in range(6):
    with warn_on_duration("1s", "slow"):
        time.sleep(0.013)
"""
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert (found.returncode, found.stderr) == (0, "")


@pytest.mark.slow
def test_two_hundred_faults_of_every_kind(tmp_path: Path) -> None:
    instances, kinds = 2, {*AROUND, *(kind for kind, _, _ in IN_A_TASK.values())}
    peace = Chaos(tmp_path / "peace", instances, random.Random(0))
    finish(peace)
    undisturbed, named = table(peace.out), Counter[str]()
    for seed in range(40):
        chaos = Chaos(tmp_path / f"chaos-{seed}", instances, random.Random(seed))
        named += a_round(chaos, chaos.chance.sample(AROUND, len(AROUND)), undisturbed)
        print(f"after round {seed + 1}: {dict(named)}", flush=True)
        if named.total() >= 200 and named.keys() == kinds:
            break
    assert named.total() >= 200
    assert named.keys() == kinds
