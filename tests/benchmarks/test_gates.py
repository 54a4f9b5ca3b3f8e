"""The gates tried themselves: metrics that see nothing, little, or faults where there are none must not be believed."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from scipy.stats import binom

import run_benchmark
from benchmarks import planted
from benchmarks.executor import Executor, Job
from benchmarks.gates import COLUMNS, LEVEL, pooled, run_gates, smallest_found, verdicts
from benchmarks.plan import Plan, Request, make_plan
from benchmarks.planted import GateDraws, evaluations, gate, label
from benchmarks.progress import Lines
from benchmarks.store import RunDirectory, open_run
from benchmarks.suites import Suite, load_suite, suite_names
from benchmarks.worker import Failure, failure
from scores import METRICS
from scores.calibration import coverage_error
from scores.faults import FAULTS
from scores.registry import metric

DRAWS = GateDraws()
SUITE = Suite.model_validate(
    {
        "summary": "",
        "problems": ["*"],
        "methods": ["exact"],
        "sizes": [{"n": 120, "steps": 5, "instances": 5}],
    }
)


class Here:
    """An executor that works in this process, and notes what it was asked."""

    workers = 1

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.broken: set[int] = set()
        self.stop_at: int | None = None

    def call(self, name: str, *arguments: Any, timeout_seconds: float | None = None) -> Any:
        assert timeout_seconds == SUITE.timeout_seconds
        assert name == "plantable"
        return planted.plantable(*arguments)

    def serve(self, take: Callable[[int], Job | None], done: Callable[[Any, Any, float], None]) -> None:
        while (job := take(0)) is not None:
            assert (job.name, job.timeout_seconds) == ("gate", SUITE.timeout_seconds)
            done(job, self._answer(job.arguments), 1.0)

    def _answer(self, arguments: tuple[Any, ...]) -> Any:
        if arguments[1] == self.stop_at:
            raise KeyboardInterrupt
        self.asked.append(arguments)
        if arguments[1] in self.broken:
            return failure(MemoryError("no room"))
        return gate(*arguments)


class Told(Lines):
    def __init__(self) -> None:
        self.text = io.StringIO()
        super().__init__(Console(file=self.text, width=400))


@pytest.fixture
def few_metrics() -> Iterator[None]:
    """Of the metrics only cheap ones, and what a test registers is forgotten."""
    before = dict(METRICS)
    cheap = {"mode_tv", "std_ratio_range", "nonfinite", "psnr_gain_expected_db", "log_density_regret", "kl_reverse"}
    for name in set(METRICS) - cheap:
        del METRICS[name]
    yield
    METRICS.clear()
    METRICS.update(before)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[RunDirectory]:
    with open_run(tmp_path / "run", create=True) as opened:
        yield opened


def planned(*problems: str, **asked: Any) -> Plan:
    return make_plan(SUITE, Request(problems=problems, **asked))


def table_of(plan: Plan, run: RunDirectory, executor: Any = None, draws: GateDraws = DRAWS) -> pd.DataFrame:
    run_gates(plan, run, executor or Here(), Told(), draws)
    return pd.read_parquet(run.path / "gates.parquet")


def verdict(table: pd.DataFrame, name: str) -> tuple[bool, str]:
    """Whether a metric is believed and why not: the same in all its rows."""
    rows = table[table["metric"] == name][["believed", "reason"]].drop_duplicates()
    assert len(rows) == 1
    return bool(rows["believed"].iloc[0]), rows["reason"].iloc[0]


def smallest(table: pd.DataFrame, name: str) -> dict[str, float]:
    rows = table[(table["metric"] == name) & table["smallest"]]
    return dict(zip(rows["fault"], rows["size"], strict=True))


@pytest.mark.usefixtures("few_metrics")
def test_blind_metrics_are_not_believed_and_good_ones_are(run: RunDirectory) -> None:
    generator = np.random.default_rng(8)
    calls = iter(range(10**6))
    metric("constant", unit="1", better="lower")(lambda _: 0.7)
    metric("noise", unit="1", better=0.0)(lambda _: float(generator.standard_normal()))
    metric("wolf", unit="1", better="lower", claims=())(lambda _: float(next(calls)))
    metric("empty", unit="1", better="lower")(lambda _: float("nan"))
    metric("humble", unit="1", better="lower", claims=())(lambda _: 0.7)
    table = table_of(planned("seed2d", n=300), run)
    at = " at n = 300, 5 instances"
    everything = (
        "misses a mode that lost 100 % of its weight, weights tilted by 10 %, a std divided by 2, a std multiplied by "
        "2, a shift by 0.2 std in range(A^T), a shift by 0.2 std in null(A), samples that ignore y and a noise std "
        "divided by 2"
    )
    assert verdict(table, "constant") == (False, everything + at)
    assert verdict(table, "noise") == (False, everything + at)
    assert verdict(table, "wolf") == (False, "flags 100 % of exact cells instead of 5 %" + at)
    assert verdict(table, "empty") == (False, "has no finite value on exact samples" + at)
    for good in ("mode_tv", "std_ratio_range", "nonfinite", "psnr_gain_expected_db", "humble"):
        assert verdict(table, good) == (True, "")
    assert smallest(table, "constant") == smallest(table, "noise") == smallest(table, "empty") == {}
    assert not table.loc[table["metric"] == "empty", "found"].any()
    found = smallest(table, "mode_tv")
    assert found["drop_mode"] == 0.25
    assert found["tilt_weights"] <= 0.1
    assert not {"std_divided", "std_multiplied", "shift_range"} & set(found)
    assert smallest(table, "std_ratio_range")["std_multiplied"] <= 1.1
    rates = table.drop_duplicates("metric").set_index("metric")["null_rate"]
    assert rates["wolf"] == 1.0
    assert rates["constant"] == rates["nonfinite"] == 0.0
    assert 0 < rates["mode_tv"] < 0.25
    null_ok = table.drop_duplicates("metric").set_index("metric")["null_ok"]
    assert null_ok[["constant", "noise", "mode_tv", "wolf", "empty"]].tolist() == [True, True, True, False, False]


@pytest.mark.usefixtures("few_metrics")
def test_a_metric_that_sees_only_the_mean_misses_what_leaves_it_alone(run: RunDirectory) -> None:
    @metric("mean_only", unit="1", better="lower", has_floor=True)
    def mean_only(candidate: Any) -> float:
        return float(np.linalg.norm(candidate.flat.mean(axis=0) - candidate.frame.origin))

    @metric("mean_claimed", unit="1", better="lower", claims=("shift_null", "ignore_y"))
    def mean_claimed(candidate: Any) -> float:
        return mean_only(candidate)

    table = table_of(planned("linear-gaussian-2"), run)
    believed, reason = verdict(table, "mean_only")
    assert not believed
    assert reason.startswith("misses a std divided by 2")
    assert "shift by 0.2 std in null(A)" not in reason
    assert "ignore y" not in reason
    assert verdict(table, "mean_claimed") == (True, "")
    assert smallest(table, "mean_claimed") == smallest(table, "mean_only")
    rows = table[(table["metric"] == "mean_claimed") & table["nominal"]].set_index("fault")
    assert rows.index[rows["claimed"]].tolist() == ["shift_null", "ignore_y"]


@pytest.mark.usefixtures("few_metrics")
def test_the_table(run: RunDirectory) -> None:
    table = table_of(planned("linear-gaussian-2"), run)
    assert list(table.columns) == list(COLUMNS)
    assert set(table["metric"]) == set(METRICS) - {"mode_tv"}
    assert set(table["fault"]) == set(FAULTS) - {"drop_mode", "tilt_weights"}
    for (_, fault), rows in table.groupby(["metric", "fault"]):
        assert tuple(rows["size"]) == FAULTS[fault].sizes
        assert rows.loc[rows["nominal"], "size"].tolist() == [FAULTS[fault].nominal]
        assert set(rows["size_unit"]) == {FAULTS[fault].size_unit}
        assert (rows["found"] == (rows["share_found"] >= 0.9)).all()
        assert rows["smallest"].sum() <= 1
        assert rows.loc[rows["smallest"], "found"].all()
    assert set(table["n"]) == {120}
    assert set(table["instances"]) == set(table["planted"]) == {5}
    assert table[["found", "smallest", "null_ok", "believed", "nominal", "claimed"]].dtypes.eq(bool).all()


def test_the_evidence_of_an_instance_is_that_of_its_laws(few_metrics: None) -> None:
    del few_metrics
    draws = GateDraws(yardstick=3, fresh=2, faulty=2)
    found = gate("seed2d", 0, 50, 7, draws)
    names = found["metrics"].tolist()
    assert found["planted"].tolist() == list(FAULTS)
    assert found["exact"].shape == (5, len(names))
    for fault in FAULTS.values():
        assert {label(fault.name, size) for size in fault.sizes} <= set(found)
    assert found[label("std_multiplied", 1.1)].shape == (2, len(names))
    ratio = found[label("std_multiplied", 2.0)][0, names.index("std_ratio_range")]
    assert 1.6 < ratio < 2.4
    assert len({*found["exact"][:, names.index("std_ratio_range")]}) == 5
    assert sum(len(table) for key, table in found.items() if "@" in key or key == "exact") == evaluations(draws, FAULTS)
    again = gate("seed2d", 0, 50, 7, replace(draws, yardstick=4))
    np.testing.assert_array_equal(again["exact"][:5], found["exact"])
    np.testing.assert_array_equal(again["std_multiplied@1.1"], found["std_multiplied@1.1"])
    assert not np.array_equal(gate("seed2d", 0, 50, 8, draws)["exact"], found["exact"])


@pytest.mark.usefixtures("few_metrics")
def test_every_run_has_a_truth_of_its_own_from_the_posterior() -> None:
    """Exact and faulty runs alike, independent of the samples; what was computed of the reference is not made again."""

    @metric("truth", unit="x", better=0.0)
    def truth(candidate: Any) -> float:
        assert candidate.truth["range"].shape == (1,)
        return float(candidate.instance.x_true[0])

    metric("sample", unit="x", better=0.0)(lambda candidate: float(candidate.x[0, 0]))
    references = set()
    metric("whose", unit="1", better=0.0)(lambda candidate: float(references.add(id(candidate.reference)) or 0))
    found = gate("linear-gaussian-2", 0, 20, 7, GateDraws(yardstick=200, fresh=50, faulty=100))
    place, sample = (found["metrics"].tolist().index(name) for name in ("truth", "sample"))
    law = planted.instance_of("linear-gaussian-2", 0).posterior
    for runs in (found["exact"], found[label("std_divided", 2.0)], found[label("ignore_y", 1.0)]):
        truths = runs[:, place]
        assert len({*truths}) == len(runs)
        assert abs(truths.mean() - law.mean[0]) < 4 * law.std[0] / len(runs) ** 0.5
        assert 0.7 < truths.std() / law.std[0] < 1.3
        assert abs(np.corrcoef(truths, runs[:, sample])[0, 1]) < 4 / len(runs) ** 0.5
    assert len(references) == 1


@pytest.mark.usefixtures("few_metrics")
def test_coverage_of_exact_runs_scatters_as_in_a_table() -> None:
    """One direction at 50 %: inside or outside, so the std of an exact run is .5; one truth for all would hide it."""
    metric("covered", unit="1", better=0.0)(partial(coverage_error, space="range", nominal=0.5))
    found = gate("linear-gaussian-2", 0, 99, 7, GateDraws(yardstick=150, fresh=1, faulty=1))
    assert found["exact"][:, found["metrics"].tolist().index("covered")].std() == pytest.approx(0.5, abs=0.05)


@pytest.mark.usefixtures("few_metrics")
def test_metrics_of_the_density_are_tried_too() -> None:
    """KL of a Gaussian of twice the std in 2 dimensions: 3 - 2 log 2, and the other way 2 log 2 - 3/4."""
    found = gate("linear-gaussian-2", 0, 1000, 7, GateDraws(yardstick=1, fresh=1, faulty=1))
    names = found["metrics"].tolist()
    forward, reverse = (names.index(name) for name in ("log_density_regret", "kl_reverse"))
    assert found["exact"][:, [forward, reverse]].tolist() == [[0.0, 0.0]] * 2
    wide = found[label("std_multiplied", 2.0)][0]
    assert wide[forward] == pytest.approx(3 - 2 * np.log(2), abs=0.4)
    assert wide[reverse] == pytest.approx(2 * np.log(2) - 0.75, abs=0.1)
    assert METRICS["log_density_regret"].claims == set(FAULTS) - {"drop_mode"}
    assert METRICS["kl_reverse"].claims == set(FAULTS)


@pytest.mark.usefixtures("few_metrics")
def test_a_fault_is_planted_on_the_instances_that_can_have_it(run: RunDirectory) -> None:
    metric("constant", unit="1", better="lower", claims=("tilt_weights",))(lambda _: 0.7)
    run_gates(planned("gmm25-8-1", instances=8), run, Here(), Told(), DRAWS)
    able = [FAULTS["tilt_weights"].applies(planted.instance_of("gmm25-8-1", index)) for index in range(8)]
    assert 4 <= sum(able) < 8
    table = pd.read_parquet(run.path / "gates.parquet")
    assert set(table.loc[table["fault"] == "tilt_weights", "planted"]) == {sum(able)}
    where = f"(planted on {sum(able)} of 8 instances) at n = 120, 8 instances"
    assert verdict(table, "constant") == (False, f"misses weights tilted by 10 % {where}")


@pytest.mark.usefixtures("few_metrics")
@pytest.mark.parametrize(("instances", "decides"), [(4, True), (5, False)])
def test_a_fault_that_few_instances_can_have_decides_nothing(run: RunDirectory, instances: int, decides: bool) -> None:
    """Instances 0 and 3 can have it: 2 of 4 are half of them, 2 of 5 are not."""
    metric("constant", unit="1", better="lower", claims=("tilt_weights",))(lambda _: 0.7)
    table = table_of(planned("gmm25-8-2", instances=instances), run)
    rows = table[(table["metric"] == "constant") & (table["fault"] == "tilt_weights")]
    assert set(rows["planted"]) == {2}
    assert set(rows["claimed"]) == {decides}
    assert verdict(table, "constant")[0] is not decides


@pytest.mark.usefixtures("few_metrics")
def test_a_second_run_goes_on_where_the_first_stopped(run: RunDirectory) -> None:
    plan, first = planned("seed2d"), Here()
    first.stop_at = 3
    with pytest.raises(KeyboardInterrupt):
        run_gates(plan, run, first, Told(), DRAWS)
    assert not (run.path / "gates.parquet").exists()
    second = Here()
    table = table_of(plan, run, second)
    assert [asked[1] for asked in second.asked] == [3, 4]
    torn = run.path / "gates" / "seed2d-1-120.npz"
    torn.write_bytes(torn.read_bytes()[:100])
    third = Here()
    pd.testing.assert_frame_equal(table_of(plan, run, third), table)
    assert [asked[1] for asked in third.asked] == [1]
    metric("another", unit="1", better="lower", claims=())(lambda _: 0.0)
    fourth = Here()
    assert "another" in set(table_of(plan, run, fourth)["metric"])
    assert len(fourth.asked) == 5


@pytest.mark.usefixtures("few_metrics")
@pytest.mark.parametrize("change", [{"draws": replace(DRAWS, faulty=3)}, {"seed": 1}, {"n": 60}])
def test_what_was_made_otherwise_is_made_again(run: RunDirectory, change: dict[str, Any]) -> None:
    run_gates(planned("seed2d", instances=1), run, Here(), Told(), DRAWS)
    draws, executor = change.pop("draws", DRAWS), Here()
    run_gates(planned("seed2d", instances=1, **change), run, executor, Told(), draws)
    assert len(executor.asked) == 1


@pytest.mark.usefixtures("few_metrics")
def test_rows_of_other_problems_stay_and_those_of_these_are_replaced(run: RunDirectory) -> None:
    table_of(planned("seed2d", instances=2), run)
    table_of(planned("linear-gaussian-2", instances=2), run)
    table = table_of(planned("seed2d", instances=3), run)
    sizes = table.drop_duplicates("problem").set_index("problem")["instances"].to_dict()
    assert sizes == {"seed2d": 3, "linear-gaussian-2": 2}
    assert not table.duplicated(["problem", "metric", "fault", "size"]).any()
    (run.path / "gates.parquet").write_bytes(b"torn")
    assert set(table_of(planned("seed2d", instances=3), run)["problem"]) == {"seed2d"}


@pytest.mark.usefixtures("few_metrics")
def test_an_instance_that_fails_is_told_and_left_out(run: RunDirectory) -> None:
    executor, told = Here(), Told()
    executor.broken = {1, 2}
    run_gates(planned("seed2d", instances=4), run, executor, told, DRAWS)
    assert "the gates of seed2d go without instance 2: MemoryError: no room" in told.text.getvalue()
    assert set(pd.read_parquet(run.path / "gates.parquet")["instances"]) == {2}
    executor.broken = set()
    assert set(table_of(planned("seed2d", instances=4), run, executor)["instances"]) == {4}


@pytest.mark.usefixtures("few_metrics")
def test_a_problem_that_cannot_be_built_is_told_and_left_out(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(problem: str, indices: list[int]) -> Any:
        return Failure("failed", "no data", "") if problem == "seed2d" else {index: list(FAULTS) for index in indices}

    monkeypatch.setattr(planted, "plantable", broken)
    told, executor = Told(), Here()
    run_gates(planned("seed2d", "gmm25-8-1", instances=1), run, executor, told, DRAWS)
    assert "the gates go without seed2d: no data" in told.text.getvalue()
    assert set(pd.read_parquet(run.path / "gates.parquet")["problem"]) == {"gmm25-8-1"}


def crafted(exact: np.ndarray, effect: float = 1.0, **faulty: np.ndarray) -> dict[str, np.ndarray]:
    """What `gate` gives for one metric on one instance; the fault is that of weights where there are faulty runs."""
    planted = np.array(["tilt_weights"][: len(faulty)], dtype=str)
    tables = {label("tilt_weights", 0.1): values[:, None] for values in faulty.values()}
    effects = np.array([effect] * len(planted))
    return {"metrics": np.array(["sw1"]), "planted": planted, "effects": effects, "exact": exact[:, None], **tables}


def test_the_first_exact_runs_are_the_yardstick_and_the_others_are_judged() -> None:
    draws = GateDraws(yardstick=20, fresh=5)
    exact = np.concatenate([np.zeros(10), np.full(10, 10.0), [9.0, 9.0, 9.0, 9.0, 99.0]])
    (row,) = verdicts("p", 30, [crafted(exact, runs=np.array([9.0, 99.0, 99.0, 99.0]))], draws)
    assert (row["null_rate"], row["null_cells"]) == (0.2, 5)
    assert row["share_found"] == pytest.approx(0.75, abs=0.03)
    assert (row["found"], row["smallest"], row["null_ok"]) == (False, False, True)
    assert row["reason"] == "misses weights tilted by 10 % at n = 30, 1 instance"


def test_instances_that_cannot_have_a_fault_stay_exact_in_its_cells() -> None:
    """Cells of (6 + u) / 2 against U[0, 8] / 2, whose stretched quantile is 3.9: flagged where u > 1.8.

    u are the draws that are judged, of which three in five are larger; of those of the yardstick more are.
    """
    draws = GateDraws(yardstick=20, fresh=5)
    spread = np.concatenate([np.linspace(0, 8, 20), [0.0, 1.0, 3.0, 4.0, 5.0]])
    instances = [crafted(np.zeros(25), runs=np.full(3, 6.0)), crafted(spread)]
    (row,) = verdicts("p", 30, instances, draws)
    assert row["planted"] == 1
    assert row["share_found"] == pytest.approx(0.6, abs=0.05)


@pytest.mark.parametrize(("effects", "claimed"), [((0.02, 0.09), True), ((0.02, 0.07), False)])
def test_a_distance_in_x_claims_a_fault_where_its_mean_effect_is_large_enough(
    effects: tuple[float, float], claimed: bool
) -> None:
    draws = GateDraws(yardstick=20, fresh=5)
    instances = [crafted(np.zeros(25), effect=one, runs=np.zeros(2)) for one in effects]
    (row,) = verdicts("p", 30, [*instances, crafted(np.zeros(25))], draws)
    assert METRICS["sw1"].in_x
    assert row["planted"] == 2
    assert (row["claimed"], row["believed"]) == (claimed, not claimed)


def test_exact_cells_are_disjoint_and_take_the_same_draw_of_every_instance() -> None:
    """Of 5 cells on two instances one is high, its draws together; combined at random, more or none would be."""
    exact = np.concatenate([np.linspace(0, 1, 20), [0.0, 0.0, 5.0, 0.0, 0.0]])
    (row,) = verdicts("p", 30, [crafted(exact, runs=np.zeros(2))] * 2, GateDraws(yardstick=20, fresh=5))
    assert (row["null_rate"], row["null_cells"]) == (0.2, 5)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({0.1: True, 0.2: True, 0.4: True}, 0.1),
        ({0.1: False, 0.2: True, 0.4: True}, 0.2),
        ({0.1: True, 0.2: False, 0.4: True}, 0.4),
        ({0.1: False, 0.2: True, 0.4: False}, 0.2),
        ({0.1: True, 0.2: False, 0.4: False}, None),
        ({0.05: True, 0.1: False, 0.2: True, 0.4: True}, 0.2),
        ({0.2: True}, 0.2),
        ({}, None),
    ],
)
def test_the_smallest_size_is_found_with_all_between_it_and_the_nominal_one(
    found: dict[float, bool], expected: float | None
) -> None:
    assert smallest_found(found, nominal=0.2) == expected


def null_table(rates: dict[str, list[tuple[int, int]]]) -> pd.DataFrame:
    """Metric -> (flagged, exact cells) of its problems, as rows of two faults."""
    rows = [
        {"problem": f"p{i}", "metric": name, "fault": fault, "null_rate": count / cells if cells else np.nan}
        | {"null_cells": cells, "own_reason": "", "null_ok": True, "believed": True, "reason": "stale"}
        for name, problems in rates.items()
        for i, (count, cells) in enumerate(problems)
        for fault in ("a", "b")
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("problems", "believed"),
    [
        ([(1, 10)] * 17 + [(2, 10)] * 2, False),
        ([(1, 10)] * 18 + [(0, 10)], True),
        ([(4, 10)] + [(0, 10)] * 18, True),
        ([(10, 100)] + [(1, 10)] * 10, False),
        ([(3, 10)] * 2, False),
        ([(3, 10)], True),
        ([(0, 10), (0, 0), (4, 10)], True),
    ],
)
def test_crying_wolf_on_many_problems_adds_up(problems: list[tuple[int, int]], believed: bool) -> None:
    """Counts over all problems against a binomial of 5 %, one-sided at .01 over the number of metrics."""
    table = null_table({"wolf": problems, "calm": [(1, 20)] * len(problems)})
    count, cells = np.sum(problems, axis=0)
    assert (binom.sf(count - 1, cells, LEVEL) > 0.005 or len(problems) == 1) == believed
    found = pooled(table)
    calm, wolf = (found[found["metric"] == name] for name in ("calm", "wolf"))
    assert calm["believed"].all()
    assert calm["null_ok"].all()
    assert set(calm["reason"]) == {""}
    assert set(wolf["believed"]) == {believed}
    assert set(wolf.loc[wolf["null_cells"] > 0, "null_ok"]) == {believed}
    said = f"flags {100 * count / cells:.0f} % of {cells} exact cells over {len(problems)} problems instead of 5 %"
    assert set(wolf["reason"]) == {"" if believed else said}


def test_many_metrics_are_tried_and_so_each_at_a_smaller_level() -> None:
    """18 of 190 flagged have a probability of .007: too many of one metric, not of one among ten."""
    problems = [(1, 10)] * 18 + [(0, 10)]
    assert 0.001 < binom.sf(17, 190, LEVEL) < 0.01
    assert not pooled(null_table({"one": problems}))["believed"].any()
    assert pooled(null_table({f"m{i}": problems for i in range(10)}))["believed"].all()


def test_what_a_problem_says_alone_stays_and_what_all_said_before_does_not() -> None:
    table = null_table({"wolf": [(5, 10)] + [(1, 10)] * 9})
    table.loc[table["problem"] == "p0", "own_reason"] = "misses a tilt"
    table.loc[table["problem"] == "p0", "null_cells"] = 10
    found = pooled(table).drop_duplicates("problem").set_index("problem")
    assert found.loc["p0", "reason"].startswith("misses a tilt; flags 14 % of 100 exact cells over 10 problems")
    assert not found["null_ok"].any()
    again = pooled(found.reset_index()[lambda rows: rows["problem"].isin(["p0", "p1", "p2"])].assign(null_rate=0.1))
    assert again["reason"].tolist() == ["misses a tilt", "", ""]
    assert again["null_ok"].all()
    assert again["believed"].tolist() == [False, True, True]


def test_a_worker_does_the_jobs(run: RunDirectory) -> None:
    """The real executor, all metrics, one instance: the quantiles of one instance still make verdicts."""
    draws = GateDraws(yardstick=5, fresh=3, faulty=1)
    with Executor() as executor:
        table = table_of(planned("gmm25-8-1", n=16, instances=1), run, executor, draws)
    assert {"sw1", "mode_tv", "z_std", "mmse_gap_db"} <= set(table["metric"])
    assert set(table["instances"]) == {1}
    assert {"log_density_regret", "kl_reverse"} <= set(table["metric"])


def test_a_run_has_its_gates_where_the_suite_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    suite, out = tmp_path / "own.toml", tmp_path / "run"
    sizes = "[[sizes]]\nn = 16\nsteps = 2\ninstances = 1\n"
    suite.write_text(f'summary = ""\nproblems = ["gmm25-8-1"]\nmethods = ["exact"]\ngates = true\n{sizes}')
    assert called(monkeypatch, "run", "--suite", str(suite), "--out", str(out)) == 0
    table = (out / "gates.parquet").read_bytes()
    assert (out / "gates.md").exists()
    capsys.readouterr()
    assert called(monkeypatch, "gates", "--suite", str(suite), "--out", str(out)) == 0
    text = capsys.readouterr().out
    assert "not believed: " in text
    assert any(line.split()[:2] == ["gmm25-8-1", "mode_tv"] for line in text.splitlines())
    assert (out / "gates.parquet").read_bytes() == table


def test_only_long_suites_have_gates() -> None:
    assert {name for name in suite_names() if make_plan(load_suite(name), Request()).gates} == {"full", "exhaustive"}


def called(monkeypatch: pytest.MonkeyPatch, *words: str) -> object:
    """The exit code of the command line, in this process."""
    monkeypatch.setattr("sys.argv", ["posterior-bench", *words])
    try:
        run_benchmark.main()
    except SystemExit as end:
        return end.code or 0
    return 0
