"""What `list` says, and that it imports nothing heavy."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import run_benchmark
from benchmarks.listing import listing
from benchmarks.plan import Request, make_plan
from benchmarks.suites import load_suite
from methods import METHODS
from problems import FAMILIES
from scores import METRICS

ROOT = Path(run_benchmark.__file__).parent
INSTALLED = Path(sys.executable).with_name("posterior-bench")


@pytest.mark.parametrize(("what", "names"), [("problems", FAMILIES), ("methods", METHODS), ("metrics", METRICS)])
def test_everything_is_listed_with_one_line_each(what: str, names: dict[str, object]) -> None:
    head, *lines = listing(what)
    assert head.startswith("name")
    assert [line.split()[0] for line in lines] == list(names)


def test_needs_and_presets_are_listed() -> None:
    line = next(line for line in listing("methods") if line.startswith("dps "))
    for word in (*METHODS["dps"].requires, *(name for name in METHODS["dps"].presets if name != "default")):
        assert word in line
    assert any(line.startswith("exact ") and "(oracle)" in line for line in listing("methods"))


def test_without_a_name_all_lists_are_printed() -> None:
    lines = listing(None)
    assert [line for line in lines if line and not line.startswith(" ")] == [
        *("problems", "methods", "metrics", "suites", "capabilities")
    ]


def test_what_a_method_lacks_on_which_problems_is_listed() -> None:
    """Every problem stands in one group; where a method lacks nothing there and may be so large, a plan runs it."""
    lines = listing("capabilities")
    blank = lines.index("")
    groups = [line.partition(":")[2].replace(",", "").split() for line in lines[:blank]]
    assert sorted(name for group in groups for name in group) == sorted(FAMILIES)
    rows = {line.split()[0]: re.split(r"  +", line)[1:] for line in lines[blank + 2 :]}
    assert list(rows) == list(METHODS)
    plan = make_plan(load_suite("exhaustive"), Request(problems=("*",), methods=("*",), instances=1))
    runs = {(p.task.problem, p.task.method): not p.skip for p in plan.tasks}
    for name, (*told, most) in rows.items():
        for group, words in zip(groups, told, strict=True):
            for problem in group:
                lacking = METHODS[name].requires - FAMILIES[problem].provides
                assert words == (", ".join(sorted(lacking)) or "yes")
                small = most == "any" or FAMILIES[problem].dim <= int(most)
                assert runs[problem, name] == (words == "yes" and small), (problem, name)
    assert "image" in rows["tv"]


def test_list_imports_nothing_heavy() -> None:
    heavy = {"jax", "torch", "pandas", "matplotlib", "sklearn", "skimage", "ot", "scipy", "diffrax", "optax", "pyarrow"}
    listed = "import sys, run_benchmark; run_benchmark.app(['list'], standalone_mode=False)"
    command = [sys.executable, "-c", f"{listed}; print({heavy!r} & sys.modules.keys())"]
    end = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    assert end.stdout.splitlines()[-1] == "set()"


@pytest.mark.skipif(not INSTALLED.exists(), reason="not installed in this environment")
def test_the_installed_command_runs_from_any_folder(tmp_path: Path) -> None:
    """An editable installation must not hold a copy of the command line, which would miss its packages."""
    end = subprocess.run([INSTALLED, "list", "suites"], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (end.returncode, end.stderr) == (0, "")
    assert "quick" in end.stdout
