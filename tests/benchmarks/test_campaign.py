"""A plan carried out by a real worker process: every status, resuming, scoring again, and the tables that result."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from benchmarks import campaign, errands, plugins
from benchmarks.campaign import carry_out, start, take_stock
from benchmarks.executor import Executor, Job
from benchmarks.overview import any_failed, outcome_lines
from benchmarks.plan import Plan, Request, make_plan
from benchmarks.progress import Lines
from benchmarks.records import Record
from benchmarks.rescore import rescore
from benchmarks.results import COLUMNS, collect
from benchmarks.selection import parse_override
from benchmarks.store import RunDirectory, floor_file, open_run
from benchmarks.suites import Suite
from benchmarks.tasks import STATUSES
from benchmarks.worker import Failure
from methods import METHODS
from problems import load
from problems.names import UsageError
from scores import METRICS
from tests.benchmarks.conftest import TOYS, registries_restored

N = 24
SUITE = Suite.model_validate(
    {
        "summary": "",
        "problems": ["gmm25-8-1"],
        "methods": [
            *("exact", "toy", "toy[far]", "toy-nan", "toy-shape", "toy-array", "toy-raises", "toy-exits"),
            *("toy-hungry", "toy-crashes", "toy-killed"),
        ],
        "sizes": [{"n": N, "steps": 5, "instances": 1, "budget_seconds": 3600.0}],
    }
)
SLOW = Request(methods=("toy-slow",), timeout_seconds=0.5)


def quiet() -> Lines:
    return Lines(Console(file=io.StringIO()))


def by_config(run: RunDirectory) -> dict[str, Record]:
    return {record.task.config: record for record in run.records.values()}


@pytest.fixture(scope="module")
def _loaded() -> Iterator[None]:
    with registries_restored():
        plugins.load_file(TOYS)
        yield


@pytest.fixture(scope="module")
def plan(_loaded: None) -> Plan:
    return make_plan(SUITE, Request(methods=tuple(SUITE.methods)))


@pytest.fixture(scope="module")
def directory(plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run."""
    path = tmp_path_factory.mktemp("run")
    with open_run(path, create=True) as run, Executor((TOYS,)) as executor:
        start(plan, run, executor, command=["posterior-bench", "run"], suite="mine/own.toml")
        carry_out(plan, run, executor, quiet())
        carry_out(make_plan(SUITE, SLOW), run, executor, quiet())
        collect(run)
    return path


@pytest.fixture
def run(directory: Path, tmp_path: Path) -> Iterator[RunDirectory]:
    """A copy of it, open."""
    import shutil

    shutil.copytree(directory, tmp_path / "copy")
    with open_run(tmp_path / "copy", create=True) as opened:
        yield opened


@pytest.mark.parametrize(
    ("config", "status", "said"),
    [
        ("exact", "ok", ""),
        ("toy", "ok", ""),
        ("toy[far]", "ok", ""),
        ("toy-nan", "diverged", "8 of 24 samples (33.3 %) are not finite"),
        ("toy-shape", "failed", "ValueError: expected samples of shape (24, 8), got (8, 24)"),
        ("toy-array", "failed", "TypeError: a sampler returns Samples, got "),
        ("toy-raises", "failed", "RuntimeError: the first line"),
        ("toy-exits", "failed", "SystemExit: 3"),
        ("toy-hungry", "out_of_memory", "MemoryError"),
        ("toy-crashes", "failed", "the process ended with SIGABRT"),
        ("toy-killed", "out_of_memory", "the system killed the process, most likely for want of memory"),
        ("toy-slow", "timeout", "stopped after 0.5 s, the limit of one task"),
    ],
)
def test_every_end_has_its_status_and_its_reason(run: RunDirectory, config: str, status: str, said: str) -> None:
    record = by_config(run)[config]
    assert (record.status, record.reason[: len(said) or None]) == (status, said)
    assert record.status in STATUSES


def test_a_failure_keeps_its_traceback_and_a_crash_its_last_words(run: RunDirectory) -> None:
    records = by_config(run)
    assert "the second line" in records["toy-raises"].traceback
    assert "in toy_raises" in records["toy-raises"].traceback
    assert "last words" in records["toy-crashes"].traceback
    assert "in toy_crashes" in records["toy-crashes"].traceback


def test_samples_that_are_not_finite_are_counted_and_kept_as_they_are(run: RunDirectory) -> None:
    record = by_config(run)["toy-nan"]
    assert record.metrics["nonfinite"][0] == pytest.approx(1 / 3)
    assert np.isnan(record.metrics["sw1"][0])
    kept = run.samples(record.task)
    assert kept is not None
    np.testing.assert_array_equal(np.isnan(kept["x"])[:, 0], np.arange(N) % 3 == 0)
    assert np.isfinite(kept["x"][:, 1:]).all()


def test_samples_are_those_of_the_sampler_and_scored_against_the_floor(run: RunDirectory) -> None:
    records = by_config(run)
    near, far = (run.samples(records[c].task) for c in ("toy", "toy[far]"))
    assert near is not None
    assert far is not None
    assert near["x"].dtype == np.float32
    np.testing.assert_allclose(far["x"] - near["x"], 2.75, atol=1e-5)
    assert records["toy[far]"].metrics["sw1"][0] > records["toy"].metrics["sw1"][0] > 0
    draws = run.kept_arrays(floor_file(records["exact"].task))
    assert draws is not None
    assert draws["sw1"].shape == (20,)


def test_the_long_table(run: RunDirectory, directory: Path) -> None:
    table = pd.read_parquet(directory / "results.parquet")
    assert list(table.columns) == list(COLUMNS)
    assert list(pd.read_csv(directory / "results.csv").columns) == [name for name in COLUMNS if name != "versions"]
    assert set(table["config"]) == {*(planned for planned in by_config(run))}
    row = table[(table["config"] == "toy[far]") & (table["metric"] == "sw1")].iloc[0]
    record = by_config(run)["toy[far]"]
    draws = run.kept_arrays(floor_file(record.task))
    assert draws is not None
    assert (row["problem"], row["instance"], row["method"], row["framework"]) == ("gmm25-8-1", 0, "toy", "jax")
    assert row["value"] == record.metrics["sw1"][0]
    assert row["floor95"] == pytest.approx(np.quantile(draws["sw1"], 0.95))
    assert (row["unit"], row["better"]) == (METRICS["sw1"].unit, METRICS["sw1"].better)
    assert (row["n"], row["nfe"], row["vjp"], row["operator_calls"], bool(row["oracle"])) == (N, 0, 0, 0, False)
    assert json.loads(row["hyper"]) == {"shift": 3.0, "steps": 5}
    assert "jax" in json.loads(row["versions"])
    assert row["peak_bytes"] > 1e7
    assert row["started_at"].endswith("+00:00")
    targets = table[table["metric"] == "std_ratio_range"]["better"]
    assert set(targets) == {"1.0"}


def test_the_long_table_derives_speed_and_has_one_row_for_a_task_without_metrics(directory: Path) -> None:
    table = pd.read_parquet(directory / "results.parquet")
    rows = table[table["config"] == "toy"].set_index("metric")["value"]
    assert rows["seconds"] * rows["samples_per_second"] == pytest.approx(N)
    failed = table[table["config"] == "toy-raises"]
    assert failed["metric"].tolist() == [""]
    assert failed["value"].isna().all()
    assert failed["status"].tolist() == ["failed"]
    assert table[table["config"] == "exact"]["oracle"].all()


def test_a_reason_that_no_table_can_hold_is_read_as_one_that_it_can(run: RunDirectory) -> None:
    record = by_config(run)["toy-raises"]
    run.commit(replace(record, reason="\ud800 bad", traceback="\udfff worse"))
    run.close()
    with open_run(run.path, create=False) as again:
        collect(again)
        assert by_config(again)["toy-raises"].traceback == "\\udfff worse"
    table = pd.read_parquet(run.path / "results.parquet")
    assert table[table["config"] == "toy-raises"]["reason"].tolist() == ["\\ud800 bad"]


@pytest.mark.usefixtures("_loaded")
def test_what_a_plugin_leaves_behind_is_met_by_its_own_tasks_alone(tmp_path: Path) -> None:
    request = Request(methods=("toy-untidy", "prior", "toy"), n=N, instances=2)
    tidy = replace(request, methods=("prior", "toy"))
    kept = []
    for name, asked in (("tidy", tidy), ("untidy", request)):
        with open_run(tmp_path / name, create=True) as run, Executor((TOYS,)) as executor:
            carry_out(make_plan(SUITE, asked), run, executor, quiet())
            kept.append({(r.task.config, r.task.instance): r for r in run.records.values()})
    for key, record in kept[0].items():
        assert kept[1][key].metrics == record.metrics
    assert [kept[1]["toy-untidy", i].metrics for i in range(2)] == [{}, {}]


def test_the_floors_table(directory: Path) -> None:
    floors = pd.read_parquet(directory / "floors.parquet")
    assert list(floors.columns) == ["problem", "instance", "n", "metric", "draw", "value"]
    sw1 = floors[floors["metric"] == "sw1"]
    assert sw1["draw"].tolist() == list(range(20))
    assert set(sw1["n"]) == {N}


def test_run_json_says_what_the_results_share(directory: Path) -> None:
    content = json.loads((directory / "run.json").read_text())
    assert content["schema"] == 1
    assert content["suite"] == "own"
    assert content["seed"] == 0
    assert content["command"] == ["posterior-bench", "run"]
    assert {"digits-blur", "digits-superres", "photos-32-deblur"} <= set(content["foreign_truths"])
    assert not {"seed2d", "gmm25-8-1", "digits-model-inpaint"} & set(content["foreign_truths"])
    assert set(content) == {
        *("schema", "command", "suite", "seed", "created_at", "versions", "devices", "threads", "code", "scores_code"),
        *("precision", "foreign_truths", "methods", "problems", "metrics"),
    }
    assert set(content["methods"]) == set(METHODS)


def test_the_picture_of_an_instance(run: RunDirectory) -> None:
    picture = run.kept_arrays("pictures/gmm25-8-1-0.npz")
    assert picture is not None
    instance = load("gmm25-8-1", 0)
    assert set(picture) == {"x_true", "y", "prior_std", "posterior_mean", "posterior_std", "samples"}
    assert picture["samples"].shape == (1000, 8)
    for name, value in (
        ("x_true", instance.x_true),
        ("prior_std", instance.problem.prior.std),
        ("posterior_std", instance.posterior.std),
    ):
        np.testing.assert_allclose(picture[name], value, rtol=1e-6)


def test_the_outcome_in_sentences(run: RunDirectory, plan: Plan) -> None:
    lines = outcome_lines(plan, run)
    assert "diverged: toy-nan on gmm25-8-1: 8 of 24 samples (33.3 %) are not finite" in lines
    assert lines[-1] == "11 of 11 tasks are finished: 3 ok, 1 diverged, 5 failed, 2 out_of_memory"
    assert any_failed(plan, run)
    assert not any_failed(replace(plan, tasks=plan.tasks[:4]), run)


class Absent(Executor):
    """No job may be sent."""

    def attempt(self, seat: int, job: Job) -> Any:  # noqa: ARG002
        raise AssertionError(f"{job.name} was sent")


def test_a_second_run_of_the_same_command_runs_nothing(run: RunDirectory, plan: Plan) -> None:
    before = dict(run.records)
    assert take_stock(plan, run).sentences() == ["tasks that are finished and stay: 11"]
    with Absent() as executor:
        carry_out(plan, run, executor, quiet())
    assert run.records == before


def test_when_all_is_done_no_time_is_left(run: RunDirectory, plan: Plan) -> None:
    left = [0.0]

    class Clock(Lines):
        def start(self, tasks: int, seconds: float) -> None:  # noqa: ARG002
            left[0] = seconds

        def advance(self, estimate: float, *, ran: bool) -> None:  # noqa: ARG002
            left.append(left[-1] - estimate)

    with Absent(workers=2) as executor:
        carry_out(plan, run, executor, Clock(Console(file=io.StringIO())))
    assert left[0] == pytest.approx(plan.seconds / 2)
    assert left[-1] == pytest.approx(0.0, abs=1e-9)
    assert len(left) == 1 + len(plan.tasks)


def test_a_changed_configuration_or_code_runs_again_and_says_so(
    run: RunDirectory, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    wider = make_plan(SUITE, Request(methods=("exact", "toy"), n=N + 1))
    assert take_stock(wider, run).sentences() == ["tasks to run again, because their configuration changed: 2"]
    newer = [replace(p, task=replace(p.task, code="other")) for p in plan.tasks]
    stock = take_stock(replace(plan, tasks=tuple(newer)), run)
    assert stock.sentences() == ["tasks to run again, because the code of problems or methods changed: 11"]
    other = make_plan(SUITE, Request(methods=("toy",), overrides=(parse_override("toy.shift=1.5"),)))
    assert take_stock(other, run).sentences() == []
    longer = make_plan(SUITE, replace(SLOW, timeout_seconds=0.6))
    assert take_stock(make_plan(SUITE, SLOW), run).sentences() == ["tasks that are finished and stay: 1"]
    assert take_stock(longer, run).sentences() == []
    monkeypatch.setattr(campaign, "scores_code", lambda: "other")
    assert take_stock(plan, run).sentences() == [
        "tasks that are finished and stay: 7",
        "tasks to score again, because the metrics changed: 4",
    ]


def test_when_only_the_metrics_changed_kept_samples_are_scored_again_and_nothing_is_sampled_twice(
    run: RunDirectory, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (campaign, errands):
        monkeypatch.setattr(module, "scores_code", lambda: "other")
    records = by_config(run)
    (run.path / "samples" / f"{records['exact'].task.id}.npz").unlink()
    sent: list[tuple[str, str]] = []

    class Scribe(Executor):
        def attempt(self, seat: int, job: Job) -> Any:  # noqa: ARG002
            sent.append((job.name, getattr(job.arguments[0], "config", "")))
            if job.name == "sample":
                return replace(records["exact"], metrics={"sw1": (7.0, 0.0)}), {"x": np.zeros((N, 8))}
            return {"sw1": (5.0, 0.0)} if job.name == "evaluate" else {"sw1": np.arange(20.0)}

    with Scribe() as executor:
        carry_out(plan, run, executor, quiet())
    assert sent == [("floor", ""), ("sample", "exact"), ("evaluate", ""), ("evaluate", ""), ("evaluate", "")]
    again = by_config(run)
    assert [again[c].metrics["sw1"][0] for c in ("exact", "toy", "toy[far]", "toy-nan")] == [7.0, 5.0, 5.0, 5.0]
    assert again["toy-nan"].status == "diverged"
    assert take_stock(plan, run).sentences() == ["tasks that are finished and stay: 11"]


def test_a_used_up_budget_skips_the_rest_and_a_later_run_takes_it_up(run: RunDirectory, plan: Plan) -> None:
    sizes = {name: sizes.model_copy(update={"budget_seconds": 1e-6}) for name, sizes in plan.sizes.items()}
    tasks = tuple(replace(p, task=replace(p.task, repeat=1)) for p in plan.tasks[:2])
    poor = replace(plan, tasks=tasks, sizes=sizes)

    class Deaf(Executor):
        def attempt(self, seat: int, job: Job) -> Any:  # noqa: ARG002
            assert job.name == "compile"

    with Deaf() as executor:
        carry_out(poor, run, executor, quiet())
    assert [run.records[p.task.id].status for p in tasks] == ["skipped"] * 2
    assert run.records[tasks[0].task.id].reason == "the time budget of gmm25-8-1, 1e-06 s, is used up"
    assert take_stock(replace(poor, sizes=plan.sizes), run).finished == 0


@pytest.mark.parametrize("why", ["budget", "skip"])
def test_a_skip_never_throws_a_result_away(why: str, run: RunDirectory, plan: Plan) -> None:
    """Neither one of another configuration nor one whose metrics are of another code; and it is said."""
    changed, rescored = [p for p in plan.tasks if p.task.config in ("exact", "toy")]
    run.commit(replace(run.records[rescored.task.id], scores_code="older"))
    (run.path / "samples" / f"{rescored.task.id}.npz").unlink()
    tasks = [replace(changed, task=replace(changed.task, n=N + 1)), rescored]
    if why == "skip":
        tasks = [replace(planned, skip="it needs more") for planned in tasks]
    sizes = {name: sizes.model_copy(update={"budget_seconds": 1e-6}) for name, sizes in plan.sizes.items()}
    told = io.StringIO()

    class Deaf(Executor):
        def attempt(self, *_: Any) -> Any:
            return Failure("failed", "not now", "")

    with Deaf() as executor:
        poor = replace(plan, tasks=tuple(tasks), sizes=sizes)
        carry_out(poor, run, executor, Lines(Console(file=told, width=1000)))
    assert run.records[changed.task.id].status == "ok"
    assert run.samples(changed.task) is not None
    assert run.records[rescored.task.id].metrics
    assert "gmm25-8-1: 2 results of another code or configuration stay as they were" in told.getvalue()


def test_a_worker_that_cannot_load_a_plugin_is_told_in_one_sentence(plan: Plan, tmp_path: Path) -> None:
    moody = tmp_path / "moody.py"
    moody.write_text("1 / 0\n")
    with open_run(tmp_path / "run", create=True) as run, Executor((moody,)) as executor:
        with pytest.raises(UsageError, match=r"a worker process does not start: .*ZeroDivisionError") as caught:
            start(plan, run, executor, command=[], suite="own")
        assert "\n" not in str(caught.value)


def test_every_worker_is_asked_before_a_run_begins(plan: Plan, tmp_path: Path) -> None:
    class Uneven(Executor):
        def attempt(self, seat: int, _: Any) -> Any:
            return ("", "a device") if seat == 0 else ("no device", "")

    told = pytest.raises(UsageError, match="no device")
    with open_run(tmp_path / "run", create=True) as run, Uneven(workers=2) as executor, told:
        start(plan, run, executor, command=[], suite="own")


def test_one_directory_has_one_seed(run: RunDirectory, plan: Plan) -> None:
    other = replace(plan, tasks=tuple(replace(p, task=replace(p.task, seed=7)) for p in plan.tasks))
    expected = "holds results of seed 0: choose another folder with --out"
    with Absent() as executor, pytest.raises(UsageError, match=expected):
        start(other, run, executor, command=[], suite="own")


def test_one_directory_has_one_precision(run: RunDirectory, plan: Plan) -> None:
    other = replace(plan, tasks=tuple(replace(p, task=replace(p.task, precision="bfloat16")) for p in plan.tasks))
    expected = "holds results in float32: choose another folder with --out"
    with Absent() as executor, pytest.raises(UsageError, match=expected):
        start(other, run, executor, command=[], suite="own")


def test_what_was_said_of_a_problem_that_is_registered_no_more_stays(run: RunDirectory, plan: Plan) -> None:
    gone, card = "folder-mine-0a1b2c-denoise", {"provides": ["linear"]}
    record = by_config(run)["exact"]
    run.commit(replace(record, task=replace(record.task, problem=gone)))
    told = json.loads((run.path / "run.json").read_text())
    told["problems"] |= {gone: card, "without-results": card}
    told["foreign_truths"].append(gone)
    (run.path / "run.json").write_text(json.dumps(told))
    with Executor() as executor:
        start(plan, run, executor, command=[], suite="own")
    again = json.loads((run.path / "run.json").read_text())
    assert again["problems"][gone] == card
    assert "without-results" not in again["problems"]
    assert gone in again["foreign_truths"]


def test_scoring_again_gives_the_divergences_of_what_was_kept(run: RunDirectory) -> None:
    record = by_config(run)["exact"]
    kept = run.samples(record.task)
    assert kept is not None
    densities = {"log_prob": np.zeros(N), "exact_x": kept["x"][:7], "exact_log_prob": np.full(7, 3.0)}
    run.commit(replace(record, metrics={"sw1": (99.0, 0.0)}), kept | densities)
    with Executor() as executor:
        rescore(run, executor, quiet())
    found = by_config(run)["exact"].metrics
    log_p = load(record.task.problem, record.task.instance).posterior.log_prob(kept["x"].astype(float))
    assert found["log_density_regret"][0] == pytest.approx(-np.mean(log_p), rel=1e-5)
    assert found["kl_reverse"][0] == pytest.approx(np.mean(log_p[:7]) - 3, rel=1e-5)
    assert found["sw1"] == pytest.approx(record.metrics["sw1"], nan_ok=True)


def test_scoring_again_needs_no_sampler_and_says_what_it_could_not_score(run: RunDirectory) -> None:
    records = by_config(run)
    for config in ("exact", "toy", "toy-nan"):
        run.commit(replace(records[config], metrics={"sw1": (99.0, 0.0)}))
    run.commit(replace(records["toy[far]"], problems_code="older"))
    elsewhere = replace(records["toy[far]"].task, problem="folder-mine-0a1b2c-denoise")
    run.commit(replace(records["toy[far]"], task=elsewhere))
    (run.path / "samples" / f"{records['exact'].task.id}.npz").unlink()
    with Executor() as executor:
        told = rescore(run, executor, quiet())
    assert told == [
        "tasks scored again: 2",
        "tasks left as they were, because their samples were not kept: 1",
        "tasks left as they were, because the problems changed since; run them again: 1",
        "tasks left as they were, because their problems are of a folder or a plugin that is not given here; the "
        "command of the run scores them: 1",
    ]
    again = by_config(run)
    assert again["exact"].metrics["sw1"][0] == 99.0
    assert again["toy"].metrics["sw1"][0] == pytest.approx(records["toy"].metrics["sw1"][0], rel=1e-9)
    assert again["toy-nan"].metrics["nonfinite"][0] == records["toy-nan"].metrics["nonfinite"][0]
    assert again["toy"].status == "ok"
