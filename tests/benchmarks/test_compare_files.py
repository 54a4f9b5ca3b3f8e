"""`compare` and `--accept` on files: run directories, baselines, timings; bad input; nothing heavy imported."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import run_benchmark
from benchmarks.compare_accept import accept, matches
from benchmarks.compare_command import accepted, compared
from benchmarks.compare_snapshot import read, run_snapshot, write
from benchmarks.compare_timings import compare_timings
from problems.names import UsageError

ROOT = Path(run_benchmark.__file__).parent
METRICS = {"sw1": 0.123456789, "mode_tv": 0.25, "w1": 3.0}
PARTS = {
    "values": {"seed2d": {"y": [0.1234567890123456]}, "grid g": {"beta": [1.0, 2.0]}},
    "moments|dps|linear-gaussian-2/0": {"log_error": [1.0, 2.0, 1.5], "mean": [0.1], "std": [0.9]},
    "moments|dps[paper]|linear-gaussian-2/0": {"log_error": [3.0, 2.0, 1.5], "mean": [0.2], "std": [0.9]},
    "speed|dps": {"device": "one", "log_ratios": [0.1, 0.2, 0.1], "memory_ratio": 1.25},
    "speed|dps[paper]": None,
}


def make_run(
    path: Path,
    *,
    command: tuple[str, ...] = ("run",),
    suite: str = "ci",
    seed: int = 0,
    factor: float = 1.0,
    instances: int = 14,
    **parts: Any,
) -> Path:
    """A run directory of two configurations on two problems, 14 instances each; instance 3 of one cell diverged."""
    path.mkdir(parents=True)
    rows = []
    for config in ("dps", "dps[paper]"):
        for problem in ("seed2d", "gmm"):
            for instance in range(instances):
                shared = {
                    "method": "dps",
                    "config": config,
                    "problem": problem,
                    "instance": instance,
                    "repeat": 0,
                    "framework": "jax",
                    "n": 50,
                    "hyper": "{}",
                    "status": "diverged" if (config, problem, instance) == ("dps", "gmm", 3) else "ok",
                    "nfe": 50.0,
                    "vjp": 100 / 3,
                    "operator_calls": float("nan"),
                    "code": "c0de",
                }
                for metric, value in METRICS.items():
                    lost = metric == "sw1" and shared["status"] == "diverged"
                    rows.append(shared | {"metric": metric, "value": float("nan") if lost else factor * value})
    rows.append(rows[0] | {"config": "em", "status": "skipped", "metric": "", "nfe": float("nan")})
    pd.DataFrame(rows).to_parquet(path / "results.parquet")
    content = {name: {"made_from": "", "outcome": outcome} for name, outcome in {**PARTS, **parts}.items()}
    guard = {"schema": 2, "started": "noon", "wanted": list(content), "parts": content}
    (path / "guard.json").write_text(json.dumps(guard))
    told = {"command": ["posterior-bench", *command], "suite": suite, "seed": seed, "code": "c0de"}
    methods = {"dps": {"plugin": ""}, "own": {"plugin": "own.py"}}
    (path / "run.json").write_text(json.dumps({**told, "created_at": "noon", "methods": methods}))
    return path


def only(run: Path, config: str) -> Path:
    """The run of one configuration of the two, as --methods gives it."""
    table = pd.read_parquet(run / "results.parquet")
    table[table["config"] == config].to_parquet(run / "results.parquet")
    guard = json.loads((run / "guard.json").read_text())
    guard["parts"] = {n: part for n, part in guard["parts"].items() if n.split("|")[1:2] in ([], [config])}
    guard["wanted"] = list(guard["parts"])
    (run / "guard.json").write_text(json.dumps(guard))
    return run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path / "run")


@pytest.fixture
def baseline(run: Path, tmp_path: Path) -> Path:
    path = tmp_path / "folder" / "ci.json"
    accepted(run, path, "*", "first baseline")
    return path


def test_a_run_directory_is_read(run: Path) -> None:
    found = run_snapshot(run)
    assert set(found["cells"]) == {"dps", "dps[paper]"}
    cell = found["cells"]["dps"]["gmm"]
    assert cell["work"] == [50.0, 33.3333333, None]
    assert cell["status"]["3"] == "diverged"
    assert sum(status == "ok" for status in cell["status"].values()) == 13
    assert set(cell["metrics"]) == {"sw1", "mode_tv"}
    assert cell["metrics"]["sw1"]["13"] == 0.123457
    assert "3" not in cell["metrics"]["sw1"]
    assert found["values"] == PARTS["values"]
    assert set(found["speed"]) == {"dps"}
    assert found["moments"]["dps[paper]"]["linear-gaussian-2/0"]["mean"] == [0.2]
    assert not found["partial"]


@pytest.mark.parametrize("option", [["--methods", "dps"], ["--problems=seed2d"], ["--instances", "2"]])
def test_a_run_of_a_part_is_known_by_its_command(tmp_path: Path, option: list[str]) -> None:
    assert run_snapshot(make_run(tmp_path / "part", command=("run", *option)))["partial"]


def test_a_baseline_is_written_and_read_to_the_last_digit(run: Path, baseline: Path) -> None:
    kept, now = read(baseline), run_snapshot(run)
    for section in ("values", "moments", "speed", "cells"):
        assert kept[section] == now[section]
    assert '"beta": [ 1.0, 2.0 ]' in baseline.read_text()
    assert kept["accepted"][0]["because"] == "first baseline"
    assert not list(baseline.parent.glob(".*"))


def test_a_run_is_compared_with_a_file_and_with_a_run(run: Path, baseline: Path) -> None:
    for base in (baseline, run):
        lines, worse = compared(run, base)
        assert not worse
        assert "0 worse" in lines[-1]


def test_another_seed_and_a_part_are_told(tmp_path: Path, baseline: Path) -> None:
    lines, worse = compared(make_run(tmp_path / "other", seed=5), baseline)
    assert not worse
    assert lines[0].startswith("seed 5 against 0: ")
    part = only(make_run(tmp_path / "part", command=("run", "--methods", "dps")), "dps")
    lines, worse = compared(part, baseline)
    assert lines[0].endswith("of a part of its suite: dps[paper]")
    assert not worse


@pytest.mark.parametrize("factor", [1.3, 1 / 1.3])
def test_worse_is_exit_code_1_and_better_is_0(tmp_path: Path, baseline: Path, factor: float) -> None:
    changed = make_run(tmp_path / "changed", factor=factor)
    words = [sys.executable, str(ROOT / "run_benchmark.py"), "compare", str(changed), str(baseline)]
    end = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, check=False)
    assert end.returncode == int(factor > 1), end.stderr
    assert ("WORSE    dps on seed2d: sw1" in end.stdout) == (factor > 1)
    assert ("better   dps on seed2d: sw1" in end.stdout) == (factor < 1)


def test_compare_imports_no_framework(run: Path, baseline: Path) -> None:
    heavy = {"jax", "torch", "matplotlib", "sklearn", "skimage", "ot", "methods"}
    call = (
        f"import run_benchmark; run_benchmark.app(['compare', {str(run)!r}, {str(baseline)!r}], standalone_mode=False)"
    )
    end = subprocess.run(
        [sys.executable, "-c", f"import sys\n{call}\nprint({heavy!r} & sys.modules.keys())"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    assert end.stdout.splitlines()[-1] == "set()"


def test_accepting_one_method_changes_its_entries_alone_and_keeps_the_reason(tmp_path: Path, baseline: Path) -> None:
    before = read(baseline)
    moved = {"log_error": [9.0, 9.5, 9.9], "mean": [0.7], "std": [0.9]}
    changed = make_run(
        tmp_path / "changed",
        factor=1.3,
        **{
            "moments|dps|linear-gaussian-2/0": moved,
            "speed|dps": {"device": "two", "log_ratios": [0.5], "memory_ratio": 2.0},
        },
    )
    lines = accepted(changed, baseline, "dps", " a new step size ")
    after = read(baseline)
    now = run_snapshot(changed)
    assert after["cells"]["dps"] == now["cells"]["dps"]
    assert after["cells"]["dps[paper]"] == before["cells"]["dps[paper]"]
    assert after["moments"]["dps"]["linear-gaussian-2/0"] == moved
    assert after["speed"]["dps"] == {"device": "two", "log_ratios": [0.5], "memory_ratio": 2.0}
    assert "devices" not in after
    assert after["values"] == before["values"]
    entry = after["accepted"][-1]
    assert (entry["name"], entry["because"]) == ("dps", "a new step size")
    assert any(line.startswith("dps seed2d: sw1 [metric] worse: sw1 0.1235 -> 0.1605") for line in entry["changed"])
    assert not any(line.startswith("dps[paper]") for line in entry["changed"])
    assert lines[0] == f"accepted into {baseline}: dps"
    assert len(after["accepted"]) == 2
    lines, worse = compared(changed, baseline)
    assert worse  # of the other configuration, which was not accepted
    assert not any(line.startswith("WORSE    dps on") for line in lines)


def test_accepting_a_problem_changes_its_values_and_its_cells(tmp_path: Path, baseline: Path) -> None:
    before = read(baseline)
    values = {"seed2d": {"y": [0.5]}, "grid g": {"beta": [7.0, 2.0]}}
    changed = make_run(tmp_path / "changed", factor=1.3, values=values)
    accepted(changed, baseline, "seed2d", "redefined")
    after = read(baseline)
    assert after["values"] == {"seed2d": {"y": [0.5]}, "grid g": {"beta": [1.0, 2.0]}}
    for config in ("dps", "dps[paper]"):
        assert after["cells"][config]["seed2d"]["metrics"]["sw1"]["0"] == pytest.approx(1.3 * 0.123457, rel=1e-5)
        assert after["cells"][config]["gmm"]["metrics"] == before["cells"][config]["gmm"]["metrics"]


def test_a_whole_run_removes_what_is_gone_and_a_part_does_not(tmp_path: Path, baseline: Path) -> None:
    fuller = make_run(tmp_path / "fuller", **{"speed|dps[paper]": PARTS["speed|dps"]})
    accepted(fuller, baseline, "*", "a speed more")
    before = read(baseline)
    for partial, gone in ((True, False), (False, True)):
        command = ("run", "--methods", "dps") if partial else ("run",)
        one = only(make_run(tmp_path / f"one-{partial}", command=command), "dps")
        accepted(one, baseline, "*", "one method less")
        after = read(baseline)
        for section in ("moments", "speed", "cells"):
            assert after[section] == ({"dps": before[section]["dps"]} if gone else before[section])
        assert after["values"] == before["values"]


def test_accepting_a_problem_takes_its_moments(tmp_path: Path, baseline: Path) -> None:
    """They are of its instances: 'linear-gaussian-2/0'."""
    before = read(baseline)
    moved = {"log_error": [9.0, 9.5, 9.9], "mean": [0.7], "std": [0.9]}
    values = {**PARTS["values"], "linear-gaussian-2": {"y": [1.0]}}
    parts = {"values": values, "moments|dps|linear-gaussian-2/0": moved}
    accepted(make_run(tmp_path / "changed", factor=1.3, **parts), baseline, "linear-gaussian-2", "redefined")
    after = read(baseline)
    assert after["moments"]["dps"]["linear-gaussian-2/0"] == moved
    assert after["values"] == values
    assert after["cells"] == before["cells"]


def test_a_run_with_fewer_instances_is_not_accepted(tmp_path: Path, baseline: Path) -> None:
    few = make_run(tmp_path / "few", command=("run", "--instances", "13"), instances=13)
    before = baseline.read_bytes()
    for name in ("*", "dps", "gmm"):
        with pytest.raises(UsageError, match="cannot be accepted: the run has 13 instances, the baseline 14"):
            accepted(few, baseline, name, "x")
    assert baseline.read_bytes() == before
    accepted(few, baseline, "grid g", "of a part that it has")
    accepted(make_run(tmp_path / "more", instances=15), baseline, "*", "more")


@pytest.mark.parametrize(
    ("part", "name", "other", "said"),
    [
        ("values", "seed2d", "dps", "the values of the run cannot be accepted, they failed: it broke"),
        ("speed|dps", "dps", "dps[paper]", r"dps cannot be accepted, its guard failed \(speed\): it broke"),
        ("moments|dps[paper]|linear-gaussian-2/0", "dps[paper]", "dps", "linear-gaussian-2/0"),
    ],
)
def test_parts_that_failed_are_not_accepted(
    tmp_path: Path, baseline: Path, part: str, name: str, other: str, said: str
) -> None:
    failed = make_run(tmp_path / "failed", **{part: {"failed": "it broke"}})
    before = baseline.read_bytes()
    for wanted in (name, "*"):
        with pytest.raises(UsageError, match=said):
            accepted(failed, baseline, wanted, "x")
    with pytest.raises(UsageError, match=said):
        accepted(failed, tmp_path / "new.json", "*", "x")
    assert baseline.read_bytes() == before
    accepted(failed, baseline, other, "of what did not fail")
    assert read(baseline)["values"] == PARTS["values"]


def test_another_suite_is_not_accepted(tmp_path: Path, baseline: Path) -> None:
    other = make_run(tmp_path / "other", suite="quick")
    with pytest.raises(UsageError, match="the run is of suite 'quick', the baseline of 'ci'"):
        accepted(other, baseline, "*", "x")


def test_a_run_that_was_stopped_before_its_guard_was_finished(run: Path, baseline: Path) -> None:
    whole = json.loads((run / "guard.json").read_text())
    for torn in ({"started": "one o'clock"}, {"wanted": [*whole["wanted"], "speed|exact"]}):
        (run / "guard.json").write_text(json.dumps({**whole, **torn}))
        for call in (lambda: compared(run, baseline), lambda: accepted(run, baseline, "*", "x")):
            with pytest.raises(
                UsageError, match=r"was interrupted before its guard.json was finished: the same command"
            ):
                call()


def test_rows_of_other_code_are_left_out_and_told_but_a_plugins(run: Path, baseline: Path) -> None:
    table = pd.read_parquet(run / "results.parquet")
    own = table[table["config"] == "dps"].assign(method="own", config="own", code="of a plugin")
    table.loc[(table["config"] == "dps") & (table["instance"] > 11), "code"] = "older"
    table.loc[table["config"] == "dps[paper]", "code"] = "older"
    pd.concat([table, own]).to_parquet(run / "results.parquet")
    found = run_snapshot(run)
    assert set(found["cells"]) == {"dps", "own"}
    assert len(found["cells"]["dps"]["gmm"]["status"]) == 12
    lines, worse = compared(run, baseline)
    assert worse
    assert lines[0] == "rows of other code than the run's last are left out: dps, dps[paper]"


def test_two_frameworks_of_one_configuration_are_two(run: Path) -> None:
    table = pd.read_parquet(run / "results.parquet")
    torch = table[table["config"] == "dps"].assign(framework="torch", value=7.0)
    table.loc[table["config"] == "dps[paper]", "framework"] = "torch"  # it ran in torch alone
    pd.concat([torch, table]).to_parquet(run / "results.parquet")
    found = run_snapshot(run)["cells"]
    assert set(found) == {"dps", "dps (torch)", "dps[paper]"}
    assert found["dps"]["gmm"]["metrics"]["sw1"]["0"] == 0.123457
    assert found["dps (torch)"]["gmm"]["metrics"]["sw1"]["0"] == 7.0
    assert found["dps (torch)"]["gmm"]["setup"]["framework"] == "torch"


def test_a_pattern_means_presets_literally() -> None:
    assert matches("dps[paper]", "dps[paper]")
    assert matches("dps[paper]", "dps*")
    assert matches("dps[paper]", "dps[p*]")
    assert not matches("dpsp", "dps[paper]")
    assert not matches("em-dps", "dps*")


@pytest.mark.parametrize(
    ("name", "because", "said"),
    [
        ("dps", " ", "--accept needs a reason"),
        ("dsp", "x", "no method, problem or other subject 'dsp'; did you mean 'dps'"),
    ],
)
def test_what_cannot_be_accepted(run: Path, baseline: Path, name: str, because: str, said: str) -> None:
    before = baseline.read_bytes()
    with pytest.raises(UsageError, match=said):
        accepted(run, baseline, name, because)
    assert baseline.read_bytes() == before


def test_a_baseline_is_not_begun_with_a_part_nor_with_one_name_nor_in_a_run(run: Path, tmp_path: Path) -> None:
    part = make_run(tmp_path / "part", command=("run", "--methods", "dps"))
    with pytest.raises(UsageError, match="a first baseline needs a run of the whole suite"):
        accepted(part, tmp_path / "new.json", "*", "x")
    assert not (tmp_path / "new.json").exists()
    with pytest.raises(UsageError, match="make it with --accept"):
        accepted(run, tmp_path / "new.json", "dps", "x")
    with pytest.raises(UsageError, match="is a run directory"):
        accepted(run, run, "*", "x")


def test_entries_of_another_seed_do_not_mix(tmp_path: Path, baseline: Path) -> None:
    other = make_run(tmp_path / "other", seed=4)
    with pytest.raises(UsageError, match="the run has seed 4, the baseline 0; run with --seed 0"):
        accepted(other, baseline, "dps", "x")
    accepted(other, baseline, "*", "a new seed")
    assert read(baseline)["seed"] == 4


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot read .*: No such file"),
        ("{", "is not valid JSON"),
        ("[]", "is not a baseline: it lacks 'values'"),
        ('{"schema": 1}', "is not a baseline"),
        ('{"schema": 7, "values": {}, "moments": {}, "speed": {}, "cells": {}}', "has schema 7, this program reads 2"),
    ],
)
def test_what_is_not_a_baseline(run: Path, tmp_path: Path, content: str | None, said: str) -> None:
    path = tmp_path / "base.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UsageError, match=said):
        compared(run, path)


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("run.json", "is not a finished run"),
        ("results.parquet", "is not a finished run"),
        ("guard.json", "guard = true"),
    ],
)
def test_what_is_not_a_run(run: Path, baseline: Path, missing: str, said: str) -> None:
    (run / missing).unlink()
    with pytest.raises(UsageError, match=said):
        compared(run, baseline)
    with pytest.raises(UsageError, match="is not a run directory"):
        compared(baseline, baseline)


def test_a_guard_of_another_schema(run: Path, baseline: Path) -> None:
    (run / "guard.json").write_text('{"schema": 1, "parts": {}}')
    with pytest.raises(UsageError, match="has schema 1, this program reads 2"):
        compared(run, baseline)


def test_a_file_that_cannot_be_written(run: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot write"):
        write(tmp_path / "file" / "ci.json", run_snapshot(run))


def test_accept_does_not_change_what_it_is_given(run: Path, baseline: Path) -> None:
    snapshot = run_snapshot(run)
    before = copy.deepcopy(snapshot)
    accept(snapshot, baseline, "*", "again")
    assert repr(snapshot) == repr(before)


def timings(path: Path, **seconds: list[float]) -> Path:
    rows = [
        {
            "name": f"test_{name}",
            "fullname": f"benchmarks/speed/test_a.py::test_{name}",
            "stats": {"median": sorted(data)[len(data) // 2], "data": data},
        }
        for name, data in seconds.items()
    ]
    path.write_text(json.dumps({"benchmarks": rows}))
    return path


STEADY = [1.0, 1.01, 0.99, 1.02, 0.98, 1.0, 1.005]


def test_timings_are_compared_as_ratios_to_their_reference(tmp_path: Path) -> None:
    base = timings(tmp_path / "a.json", reference=STEADY, fast=[0.1 * s for s in STEADY], slow=[3 * s for s in STEADY])
    half = [0.5 * s for s in STEADY]  # a machine twice as fast
    run = timings(tmp_path / "b.json", reference=half, fast=[0.05 * s for s in STEADY], slow=[2.1 * s for s in STEADY])
    found = {one.name.rpartition("::")[2]: one.verdict for one in compare_timings(run, base)}
    assert found == {"test_fast": "same", "test_slow": "worse"}
    lines, worse = compared(run, base)
    assert worse
    assert any("test_slow [speed]: time over the reference workload 3.000 -> 4.200, +40 %" in line for line in lines)


def test_timings_that_are_missing_or_new(tmp_path: Path) -> None:
    base = timings(tmp_path / "a.json", reference=STEADY, kept=STEADY, gone=STEADY)
    run = timings(tmp_path / "b.json", reference=STEADY, kept=STEADY, fresh=STEADY)
    found = {one.name.rpartition("::")[2]: one.verdict for one in compare_timings(run, base)}
    assert found == {"test_kept": "same", "test_gone": "worse", "test_fresh": "new"}


def test_timings_that_cannot_be_compared(tmp_path: Path, run: Path) -> None:
    base = timings(tmp_path / "a.json", reference=STEADY, one=STEADY)
    with pytest.raises(UsageError, match="are not both timings"):
        compared(run, base)
    with pytest.raises(UsageError, match="have no benchmark in common"):
        compared(timings(tmp_path / "b.json", reference=STEADY, other=STEADY), base)
    with pytest.raises(UsageError, match="has no benchmark 'test_reference' to compare with"):
        compared(timings(tmp_path / "c.json", one=STEADY), base)
