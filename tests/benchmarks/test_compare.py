"""Every branch of the decision, on toy snapshots."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from benchmarks.compare import compare
from benchmarks.compare_finding import Finding, judged
from benchmarks.compare_lines import comparison_lines, what_to_look_at
from benchmarks.compare_snapshot import SMALL_ERROR
from benchmarks.compare_speeds import speed_finding
from benchmarks.compare_statistics import FAMILY_WISE, POWER, detectable_by_signs, detectable_by_t
from problems.names import UsageError

INSTANCES = [str(i) for i in range(16)]
RNG = np.random.default_rng(11)


def cell(level: float) -> dict[str, Any]:
    return {
        "setup": {"framework": "jax", "n": 50, "hyper": '{"steps": 50}'},
        "work": [50.0, 50.0, 100.0],
        "status": dict.fromkeys(INSTANCES, "ok"),
        "metrics": {
            "sw1": {i: level * (1 + 0.1 * float(RNG.random())) for i in INSTANCES},
            "mode_tv": {i: 0.3 + 0.1 * float(RNG.random()) for i in INSTANCES},
        },
    }


def moments(level: float) -> dict[str, Any]:
    errors = np.log(level + SMALL_ERROR) + 0.05 * RNG.normal(size=40)
    return {"log_error": errors.tolist(), "mean": [0.2, -1.5], "std": [0.7, 2.0]}


@pytest.fixture(scope="module")
def _base() -> dict[str, Any]:
    return {
        "schema": 2,
        "suite": "ci",
        "seed": 3,
        "partial": False,
        "values_failed": "",
        "values": {"seed2d": {"posterior mean": [0.5, -2.0]}, "grid g": {"beta": [1e-6, 3e-7]}},
        "moments": {"dps": {"lg/0": moments(0.8)}, "exact": {"lg/0": moments(0.0)}},
        "speed": {
            "dps": {"device": "a", "log_ratios": [0.01, 0.02, 0.0, 0.03, 0.02], "memory_ratio": 1.5},
            "the harness": {"device": "a", "log_ratios": [0.7, 0.71, 0.72, 0.7, 0.69]},
        },
        "cells": {
            "dps": {"seed2d": cell(0.5), "gmm": cell(4.0)},
            "exact": {"seed2d": cell(0.05)},
            "prior": {"gmm": cell(9.0)},
        },
    }


@pytest.fixture
def base(_base: dict[str, Any]) -> dict[str, Any]:
    return copy.deepcopy(_base)


@pytest.fixture
def run(_base: dict[str, Any]) -> dict[str, Any]:
    return copy.deepcopy(_base)


def verdicts(found: list[Finding]) -> dict[tuple[str, str, str], str]:
    """What is not the same."""
    return {(one.kind, one.name, one.where): one.verdict for one in found if one.verdict != "same"}


def test_a_run_is_the_same_as_itself(run, base) -> None:
    found = compare(run, base)
    assert verdicts(found) == {}
    assert {one.kind for one in found} == {"values", "moments", "status", "work", "metric", "speed", "memory"}


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize(
    ("moved", "verdict"), [(1.9e-10, "same"), (2.1e-10, "worse"), (math.nan, "worse"), (-math.inf, "worse")]
)
def test_deterministic_values_are_relative_to_the_largest_of_their_quantity(run, base, index, moved, verdict) -> None:
    run["values"]["seed2d"]["posterior mean"][index] += moved  # the largest is 2
    expected = {} if verdict == "same" else {("values", "seed2d", "posterior mean"): "worse"}
    assert verdicts(compare(run, base)) == expected


@pytest.mark.parametrize(
    ("value", "verdict"), [(-math.inf, "same"), (math.inf, "worse"), (3.0, "worse"), (math.nan, "worse")]
)
def test_the_same_infinity_is_no_difference(run, base, value, verdict) -> None:
    base["values"]["seed2d"]["posterior mean"].append(-math.inf)
    run["values"]["seed2d"]["posterior mean"].append(value)
    expected = {} if verdict == "same" else {("values", "seed2d", "posterior mean"): verdict}
    assert verdicts(compare(run, base)) == expected
    run["values"]["seed2d"]["posterior mean"][1] -= 2.1e-10  # the scale is that of the finite ones
    assert verdicts(compare(run, base)) == {("values", "seed2d", "posterior mean"): "worse"}


def test_not_a_number_is_not_the_same_as_itself(run, base) -> None:
    base["values"]["seed2d"]["posterior mean"][1] = run["values"]["seed2d"]["posterior mean"][1] = math.nan
    assert verdicts(compare(run, base)) == {("values", "seed2d", "posterior mean"): "worse"}


def test_values_that_failed_are_told_once_and_why(run, base) -> None:
    run["values"], run["values_failed"] = {}, "ImportError: no posterior"
    found = compare(run, base)
    assert verdicts(found) == {("values", "values", ""): "worse"}
    text = "\n".join(comparison_lines(found, lambda one: what_to_look_at(one, run)))
    assert "WORSE    values [values]: they cannot be taken: ImportError: no posterior" in text
    assert "--accept 'values'" not in text


def test_small_values_are_not_forgiven(run, base) -> None:
    run["values"]["grid g"]["beta"][1] *= 1 + 1e-6
    assert verdicts(compare(run, base)) == {("values", "grid g", "beta"): "worse"}


@pytest.mark.parametrize("drop", ["subject", "quantity", "number"])
def test_values_that_are_missing(run, base, drop) -> None:
    if drop == "subject":
        del run["values"]["grid g"]
    elif drop == "quantity":
        del run["values"]["grid g"]["beta"]
    else:
        run["values"]["grid g"]["beta"].pop()
    assert verdicts(compare(run, base)) == {("values", "grid g", "beta"): "worse"}


def test_what_the_baseline_lacks_is_new(run, base) -> None:
    for table in ("values", "cells"):
        run[table]["other"] = run[table][next(iter(run[table]))]
    run["moments"]["dps"]["lg/1"] = run["moments"]["dps"]["lg/0"]
    assert set(verdicts(compare(run, base)).values()) == {"new"}


def test_work_is_exact_in_both_directions(run, base) -> None:
    run["cells"]["dps"]["gmm"]["work"][0] += 1
    run["cells"]["dps"]["seed2d"]["work"][2] -= 0.5
    found = compare(run, base)
    assert verdicts(found) == {("work", "dps", "gmm"): "worse", ("work", "dps", "seed2d"): "worse"}
    words = {one.where: one.words for one in found if one.kind == "work" and one.name == "dps"}
    assert words["gmm"] == "per sample nfe 50 -> 51"
    assert words["seed2d"] == "per sample operator_calls 100 -> 99.5"


def test_work_that_is_no_longer_counted(run, base) -> None:
    run["cells"]["dps"]["gmm"]["work"] = None
    found = compare(run, base)
    assert verdicts(found) == {("work", "dps", "gmm"): "worse"}
    assert any(one.words.startswith("per sample nfe 50 -> not counted, vjp 50 -> not") for one in found)


def test_another_configuration_is_not_compared(run, base) -> None:
    run["cells"]["dps"]["gmm"]["setup"]["n"] = 60
    run["cells"]["dps"]["gmm"]["metrics"] = {}
    assert verdicts(compare(run, base)) == {("setup", "dps", "gmm"): "worse"}


@pytest.mark.parametrize("status", ["failed", "timeout", "out_of_memory"])
def test_one_instance_that_breaks_is_worse(run, base, status) -> None:
    run["cells"]["dps"]["gmm"]["status"]["7"] = status
    assert verdicts(compare(run, base)) == {("status", "dps", "gmm"): "worse"}
    base["cells"]["dps"]["gmm"]["status"]["7"] = "timeout"  # it was no better before
    assert verdicts(compare(run, base)) == {}


def _diverged(snapshot: dict[str, Any], *instances: str, config: str = "dps") -> None:
    cell = snapshot["cells"][config]["gmm"]
    for i in instances:
        cell["status"][i] = "diverged"
        for values in cell["metrics"].values():
            del values[i]


def test_any_new_divergence_on_the_same_keys_is_worse(run, base) -> None:
    _diverged(base, "15")
    _diverged(run, "3")  # and 15 does no longer
    found = compare(run, base)
    assert verdicts(found)["status", "dps", "gmm"] == "worse"
    (words,) = (one.words for one in found if one.kind == "status" and one.verdict == "worse")
    assert words == "diverged in 1 -> 1 of 16 instances, newly in 3"
    run["cells"]["dps"]["gmm"] = copy.deepcopy(base["cells"]["dps"]["gmm"])
    assert verdicts(compare(run, base)) == {}


def _with_instances(snapshot: dict[str, Any], count: int) -> None:
    cell = snapshot["cells"]["dps"]["gmm"]
    for table in (cell["status"], *cell["metrics"].values()):
        values = {str(i): table[str(i % 16)] for i in range(count)}
        table.clear()
        table.update(values)


@pytest.mark.parametrize(
    ("instances", "count", "verdict"),
    [
        (12, 3, "changed"),
        (12, 4, "worse"),
        (16, 1, "changed"),
        (16, 3, "changed"),
        (16, 4, "worse"),
        (24, 5, "changed"),
        (24, 6, "worse"),
    ],
)
def test_with_fresh_keys_divergence_counts_from_a_quarter_of_the_instances_on(
    run, base, instances, count, verdict
) -> None:
    run["seed"] = 4
    for one in (run, base):
        _with_instances(one, instances)
        _diverged(one, str(instances - 1))
    _diverged(run, *INSTANCES[:count])
    assert verdicts(compare(run, base))["status", "dps", "gmm"] == verdict


def test_an_instance_that_diverged_counts_as_the_prior(run, base) -> None:
    """Or as its other side, if that is worse still."""
    prior = base["cells"]["prior"]["gmm"]["metrics"]["sw1"]
    before = copy.deepcopy(base["cells"]["dps"]["gmm"]["metrics"]["sw1"])
    base["cells"]["dps"]["gmm"]["metrics"]["sw1"]["2"] = run["cells"]["dps"]["gmm"]["metrics"]["sw1"]["2"] = 77.0
    del run["cells"]["prior"]
    run["partial"] = True
    _diverged(run, "1", "2")
    _diverged(base, "5")
    one = next(one for one in compare(run, base) if one.where == "gmm: sw1")
    logs = np.zeros(16)
    logs[1] = math.log(prior["1"] / before["1"])
    logs[5] = -math.log(prior["5"] / before["5"])
    assert one.count == 16
    assert one.error == pytest.approx(np.std(logs, ddof=1) / 4)


def test_instances_that_diverge_are_found_by_the_paired_test_or_told(run, base) -> None:
    run["seed"] = 4
    _scaled(run, "sw1", lambda v: v * 1.03)
    _diverged(run, "1", "2", "3")
    found = compare(run, base)
    assert verdicts(found)["metric", "dps", "gmm: sw1"] == "worse"
    assert next(one for one in found if one.where == "gmm: sw1").count == 16
    del base["cells"]["prior"]
    one = next(one for one in compare(run, base) if one.where == "gmm: sw1")
    assert one.count == 13
    assert "3 that diverged on one side are left out: the baseline has no prior" in one.words


def test_nothing_is_left_out_in_silence_where_the_rest_is_the_same(run, base) -> None:
    del base["cells"]["prior"], run["cells"]["prior"]
    run["seed"] = 4
    _diverged(run, "1")
    found = compare(run, base)
    assert verdicts(found)["metric", "dps", "gmm: mode_tv"] == "changed"
    assert any("1 that diverged on one side are left out" in one.words for one in found)


def test_a_cell_that_is_missing(run, base) -> None:
    del run["cells"]["dps"]["gmm"]
    assert verdicts(compare(run, base)) == {("status", "dps", "gmm"): "worse"}


def test_a_method_that_is_missing_is_worse_unless_the_run_is_of_other_methods(run, base) -> None:
    for section in ("moments", "cells"):
        del run[section]["exact"]
    assert set(verdicts(compare(run, base)).values()) == {"worse"}
    run["partial"] = True
    assert verdicts(compare(run, base)) == {}
    del run["cells"]["dps"]["gmm"], run["cells"]["prior"]  # of a problem that did not run
    assert verdicts(compare(run, base)) == {}
    run["cells"]["other"] = {"gmm": base["cells"]["prior"]["gmm"]}  # it did
    assert verdicts(compare(run, base))["status", "dps", "gmm"] == "worse"
    del (
        run["cells"]["other"],
        base["cells"]["dps"]["gmm"],
        run["moments"]["dps"],
        run["speed"]["dps"],
    )  # of a method that did run
    assert set(verdicts(compare(run, base))) == {("moments", "dps", "lg/0"), ("speed", "dps", "")}


def test_instances_that_are_missing(run, base) -> None:
    for i in INSTANCES[12:]:
        for table in (run["cells"]["exact"]["seed2d"]["status"], *run["cells"]["exact"]["seed2d"]["metrics"].values()):
            del table[i]
    assert verdicts(compare(run, base)) == {("status", "exact", "seed2d"): "worse"}
    run["partial"] = True
    run["cells"]["exact"]["seed2d"]["metrics"]["sw1"]["0"] *= 9
    assert verdicts(compare(run, base)) == {("metric", "exact", "seed2d: sw1"): "changed"}


def _scaled(snapshot: dict[str, Any], metric: str, change: Callable[[float], float]) -> None:
    values = snapshot["cells"]["dps"]["gmm"]["metrics"][metric]
    for i in values:
        values[i] = change(values[i])


@pytest.mark.parametrize(
    ("metric", "change", "verdict"),
    [
        ("sw1", lambda v: v * (1 + 0.9e-4), "same"),
        ("sw1", lambda v: v * (1 + 1.2e-4), "changed"),
        ("sw1", lambda v: v * 1.019, "changed"),
        ("sw1", lambda v: v * 1.022, "worse"),
        ("sw1", lambda v: v / 1.019, "changed"),
        ("sw1", lambda v: v / 1.022, "better"),
        ("mode_tv", lambda v: v + 0.0045, "changed"),
        ("mode_tv", lambda v: v + 0.0055, "worse"),
        ("mode_tv", lambda v: v - 0.0055, "better"),
    ],
)
def test_a_metric_counts_beyond_what_is_relevant(run, base, metric, change, verdict) -> None:
    _scaled(run, metric, change)
    expected = {} if verdict == "same" else {("metric", "dps", f"gmm: {metric}"): verdict}
    assert verdicts(compare(run, base)) == expected


def test_a_metric_whose_changes_disagree_in_sign_is_not_worse(run, base) -> None:
    values = run["cells"]["dps"]["gmm"]["metrics"]["sw1"]
    for k, i in enumerate(INSTANCES):
        values[i] *= 1.5 if k % 2 else 1 / 1.4
    assert verdicts(compare(run, base)) == {("metric", "dps", "gmm: sw1"): "changed"}


def test_pairs_are_of_the_same_instance(run, base) -> None:
    """The order of a table is not the order of its instances."""
    values = run["cells"]["dps"]["gmm"]["metrics"]["sw1"]
    run["cells"]["dps"]["gmm"]["metrics"]["sw1"] = dict(reversed(list(values.items())))
    assert verdicts(compare(run, base)) == {}


def test_no_finite_value_in_common(run, base) -> None:
    for one in (run, base):
        one["cells"]["dps"]["gmm"]["status"] = dict.fromkeys(INSTANCES, "timeout")
    run["cells"]["dps"]["gmm"]["metrics"]["sw1"] = {}
    assert verdicts(compare(run, base)) == {("metric", "dps", "gmm: sw1"): "untested"}


@pytest.mark.parametrize("lost", [INSTANCES, ["0"], ["11"]])
@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_a_metric_that_loses_its_value_where_the_sampler_ran_is_worse(run, base, lost, value) -> None:
    values = run["cells"]["dps"]["gmm"]["metrics"]["sw1"]
    for i in lost:
        values[i] = value
        if value is None:
            del values[i]
    found = compare(run, base)
    assert verdicts(found) == {("metric", "dps", "gmm: sw1"): "worse"}
    words = f"has no value any more in {len(lost)} of 16 instances, such as {lost[0]}"
    assert next(one for one in found if one.where == "gmm: sw1").words == words


def test_a_metric_that_is_gone_altogether_is_worse(run, base) -> None:
    del run["cells"]["dps"]["gmm"]["metrics"]["mode_tv"]
    assert verdicts(compare(run, base)) == {("metric", "dps", "gmm: mode_tv"): "worse"}


def test_probabilities_and_distances_near_zero(run, base) -> None:
    """Rounding is absolute there, and the logarithm exists."""
    for metric in ("mode_tv", "sw1"):
        base["cells"]["dps"]["gmm"]["metrics"][metric] = dict.fromkeys(INSTANCES, 0.0)
        run["cells"]["dps"]["gmm"]["metrics"][metric] = dict.fromkeys(INSTANCES, 4e-7)
    assert verdicts(compare(run, base)) == {}
    run["cells"]["dps"]["gmm"]["metrics"]["sw1"] = dict.fromkeys(INSTANCES, 6e-7)
    found = compare(run, base)
    assert verdicts(found) == {("metric", "dps", "gmm: sw1"): "worse"}


def test_too_few_instances_among_so_many_tests_are_said_so(run, base) -> None:
    _scaled(run, "sw1", lambda v: v * 1.5)
    assert verdicts(compare(run, base)) == {("metric", "dps", "gmm: sw1"): "worse"}
    run["partial"] = True
    for one in (run["cells"]["dps"]["gmm"]["status"], *run["cells"]["dps"]["gmm"]["metrics"].values()):
        for i in INSTANCES[7:]:
            del one[i]
    assert verdicts(compare(run, base)) == {("metric", "dps", "gmm: sw1"): "worse"}  # 2^-7 < 1 %
    _moved(run, "dps", 0.0)
    found = compare(run, base)
    assert verdicts(found)["metric", "dps", "gmm: sw1"] == "untested"
    assert any("no change can be found with 7 instances among 2 tests" in one.words for one in found)
    for one in (run["cells"]["dps"]["gmm"]["status"], *run["cells"]["dps"]["gmm"]["metrics"].values()):
        for i in INSTANCES[1:7]:
            del one[i]
    assert verdicts(compare(run, base))["metric", "dps", "gmm: sw1"] == "untested"


def _moved(snapshot: dict[str, Any], config: str, change: float) -> None:
    entry = snapshot["moments"][config]["lg/0"]
    entry["log_error"] = [v + change for v in entry["log_error"]]
    entry["std"][1] *= 1.01


@pytest.mark.parametrize(
    ("config", "change", "verdict"),
    [("dps", 0.0105, "worse"), ("dps", 0.0095, "changed"), ("dps", -0.0105, "better"), ("exact", 0.0105, "worse")],
)
def test_moments_with_the_same_keys_count_beyond_what_is_relevant(run, base, config, change, verdict) -> None:
    """1 %."""
    _moved(run, config, change)
    assert verdicts(compare(run, base)) == {("moments", config, "lg/0"): verdict}


def test_moments_within_rounding_are_the_same(run, base) -> None:
    run["moments"]["dps"]["lg/0"]["mean"][0] += 0.9e-4
    run["moments"]["dps"]["lg/0"]["std"][1] *= 1 + 0.9e-4
    run["moments"]["dps"]["lg/0"]["log_error"][0] += 0.9e-3 * 40
    assert verdicts(compare(run, base)) == {}
    run["moments"]["dps"]["lg/0"]["mean"][0] += 0.2e-4
    assert verdicts(compare(run, base)) == {("moments", "dps", "lg/0"): "changed"}


def test_moments_are_not_the_same_if_only_their_error_moved(run, base) -> None:
    """A correlation enters neither the means nor the widths."""
    entry = run["moments"]["dps"]["lg/0"]
    entry["log_error"] = [v + 0.2 for v in entry["log_error"]]
    found = compare(run, base)
    assert verdicts(found) == {("moments", "dps", "lg/0"): "worse"}
    (words,) = (one.words for one in found if one.verdict == "worse")
    assert "posterior variances per dimension; with 0.05 added the change is +22.1 % +- " in words


def test_moments_with_other_keys_are_tested_against_their_noise(run, base) -> None:
    noise = np.random.default_rng(1)
    for change, verdict in ((0.0, "changed"), (0.15, "worse")):
        entry = run["moments"]["dps"]["lg/0"]
        errors = np.log(0.85) + change + 0.05 * noise.normal(size=40)
        entry["log_error"], entry["mean"] = errors.tolist(), [0.3, -1.5]
        assert verdicts(compare(run, base)) == {("moments", "dps", "lg/0"): verdict}


def test_moments_that_cannot_be_taken(run, base) -> None:
    run["moments"]["dps"]["lg/0"] = {"failed": "7 draws are not finite"}
    found = compare(run, base)
    assert verdicts(found) == {("moments", "dps", "lg/0"): "worse"}
    assert any("7 draws are not finite" in one.words for one in found)
    base["moments"]["dps"]["lg/0"] = {"failed": "before"}
    assert verdicts(compare(run, base)) == {("moments", "dps", "lg/0"): "untested"}


def test_the_correction_runs_over_all_tests(run, base) -> None:
    """A p-value between a third of the level and the level passes alone, and not among three."""
    values = run["cells"]["dps"]["gmm"]["metrics"]["sw1"]
    for k, i in enumerate(INSTANCES):
        values[i] *= 1.3 if k > 3 else 0.86
    _moved(run, "exact", 0.005)
    run["cells"]["prior"]["gmm"]["metrics"]["sw1"]["3"] *= 1.5
    found = compare(run, base)
    p = next(one.p_worse for one in found if one.where == "gmm: sw1")
    tests = sum(not math.isnan(one.p_worse) for one in found)
    assert FAMILY_WISE / tests < p < FAMILY_WISE
    assert set(verdicts(found).values()) == {"changed"}
    run["cells"]["prior"] = base["cells"]["prior"]
    run["moments"] = base["moments"]
    assert verdicts(compare(run, base)) == {("metric", "dps", "gmm: sw1"): "worse"}


def test_better_has_a_correction_of_its_own() -> None:
    """Many that got worse do not make it easier to be better."""
    p = FAMILY_WISE / 3
    worse = [Finding("moments", "a", str(i), "changed", p_worse=1e-9, p_better=1.0) for i in range(9)]
    better = Finding("moments", "b", "", "changed", p_worse=1.0, p_better=p)
    assert [one.verdict for one in judged([*worse, better])] == ["worse"] * 9 + ["changed"]
    assert judged([better])[0].verdict == "better"


@pytest.mark.parametrize(
    ("ratio", "noise", "verdict"),
    [
        (1.3, 0.01, "worse"),
        (1.19, 0.01, "same"),
        (1.23, 0.01, "changed"),  # beyond 20 % by less than 3 %
        (1.24, 0.01, "worse"),
        (1.3, 0.5, "changed"),
        (1 / 1.19, 0.01, "same"),
        (1 / 1.23, 0.01, "changed"),
        (1 / 1.3, 0.01, "better"),
    ],
)
def test_speed_counts_beyond_the_threshold_and_the_noise(run, base, ratio, noise, verdict) -> None:
    steps = np.repeat([-1.0, 1.5, 0.0, -2.0, 2.0, 0.0, -1.5, 1.0], 7)  # of blocks; their median is 0
    base["speed"]["dps"]["log_ratios"] = (0.1 + noise * steps).tolist()
    run["speed"]["dps"]["log_ratios"] = (0.1 + math.log(ratio) + noise * steps).tolist()
    expected = {} if verdict == "same" else {("speed", "dps", ""): verdict}
    assert verdicts(compare(run, base)) == expected


@pytest.mark.parametrize(("ratio", "verdicts_there"), [(1.45, {}), (1.55, {("speed", "dps", ""): "worse"})])
def test_on_another_processor_speeds_may_differ_more(run, base, ratio, verdicts_there) -> None:
    run["speed"]["dps"]["device"] = "another processor"
    run["speed"]["dps"]["log_ratios"] = [one + math.log(ratio) for one in base["speed"]["dps"]["log_ratios"]]
    run["speed"]["dps"]["memory_ratio"] *= 1.45
    assert verdicts(compare(run, base)) == verdicts_there
    run["speed"]["the harness"]["log_ratios"] = [one + 0.3 for one in base["speed"]["the harness"]["log_ratios"]]
    assert verdicts(compare(run, base)) == {**verdicts_there, ("speed", "the harness", ""): "worse"}  # on the same one


@pytest.mark.parametrize("noisy", ["run", "base"])
def test_the_noise_of_either_side_counts(noisy) -> None:
    blocks = np.repeat([-0.5, 0.75, 0.0, -1.0, 1.0, 0.0, -0.75, 0.5], 7)
    run, base = 0.25 + (noisy == "run") * blocks, (noisy == "base") * blocks
    assert speed_finding("dps", run.tolist(), base.tolist(), 0.2).verdict == "changed"
    assert speed_finding("dps", (run - blocks * (noisy == "run")).tolist(), [0.0] * 56, 0.2).verdict == "worse"


def test_the_threshold_is_the_users() -> None:
    base, run = [0.0, 0.01, -0.01] * 5, [0.3, 0.31, 0.29] * 5
    assert speed_finding("dps", run, base, 0.2).verdict == "worse"
    assert speed_finding("dps", run, base, 0.35).verdict == "same"


def test_the_rates_that_are_promised_for_speeds() -> None:
    """With the spread from run to run alone: never without a change, few at 17 %, most at 30 %."""
    shares = {}
    for slowdown in (0.0, 0.17, 0.2, 0.3):
        changes = math.log1p(slowdown) + 0.03 * np.random.default_rng(2).normal(size=2000)
        found = [speed_finding("a", [c, c, c], [0.0, 0.0, 0.0], 0.2).verdict == "worse" for c in changes]
        shares[slowdown] = float(np.mean(found))
    assert shares == pytest.approx({0.0: 0.0, 0.17: 0.033, 0.2: 0.16, 0.3: 0.95}, abs=0.02)


def test_the_power_of_speeds_is_that_of_their_rule(run, base) -> None:
    (line,) = (line for line in comparison_lines(compare(run, base)) if line.startswith("found with"))
    slowdown = float(line.split("a slowdown of ")[1].split(" %")[0]) / 100
    changes = math.log1p(slowdown) + 0.03 * np.random.default_rng(2).normal(size=2000)
    found = [speed_finding("a", [c, c, c], [0.0, 0.0, 0.0], 0.2).verdict == "worse" for c in changes]
    assert abs(np.mean(found) - POWER) < 0.03  # it is told in whole percent


@pytest.mark.parametrize(("memory", "verdict"), [(1.79, "same"), (1.81, "worse"), (1.2, "better")])
def test_memory(run, base, memory, verdict) -> None:
    run["speed"]["dps"]["memory_ratio"] = memory
    expected = {} if verdict == "same" else {("memory", "dps", ""): verdict}
    assert verdicts(compare(run, base)) == expected
    del run["speed"]["dps"]["memory_ratio"]
    assert verdicts(compare(run, base)) == {("memory", "dps", ""): "worse"}


def test_nothing_in_common(run, base) -> None:
    run["cells"] = {"other": run["cells"]["dps"]}
    with pytest.raises(UsageError, match="no cell in common"):
        compare(run, base)


def test_the_power_of_each_test_is_its_own(run, base) -> None:
    """Sign flips of instances, t of batches, of the errors in this comparison."""
    noise = np.random.default_rng(8)
    for metric in ("sw1", "mode_tv"):
        values = run["cells"]["dps"]["gmm"]["metrics"][metric]
        for i in values:
            values[i] += 0.05 * noise.normal()
    entry = run["moments"]["dps"]["lg/0"]
    entry["log_error"] = (np.array(entry["log_error"]) + 0.05 * noise.normal(size=40)).tolist()
    entry["std"][0] += 0.1
    found = compare(run, base)
    lines = comparison_lines(found)
    sw1, tv, moved = (
        next(one for one in found if one.where == where) for where in ("gmm: sw1", "gmm: mode_tv", "lg/0")
    )
    assert (sw1.count, tv.count, moved.count) == (16, 16, 40)
    expected = 100 * math.expm1(detectable_by_signs(sw1.error, math.log(1.02), 3, 16))
    assert f"found with 90 % power: SW1 {expected:+.2g} % (median cell)" in "\n".join(lines)
    expected = detectable_by_signs(tv.error, 0.005, 3, 16)
    assert f"found with 90 % power: mode_tv {expected:+.2g} in probability (median" in "\n".join(lines)
    expected = 100 * math.expm1(detectable_by_t(moved.error, math.log(1.01), 3, 40))
    assert f"squared W2 of the moments plus 0.05 {expected:+.2g} % (median" in "\n".join(lines)


def test_the_lines_name_what_got_worse_by_how_much_and_what_to_do(run, base) -> None:
    _scaled(run, "sw1", lambda v: 1.5 * v)
    _moved(run, "exact", 0.02)
    run["values"]["grid g"]["beta"][0] *= 2
    lines = comparison_lines(compare(run, base), lambda one: what_to_look_at(one, run))
    text = "\n".join(lines)
    assert "WORSE    grid g: beta [values]: moved by 1 of its size" in text
    assert "WORSE    dps on gmm: sw1 [metric]: sw1 4." in text
    assert "replay: posterior-bench run --suite ci --seed 3 --methods 'dps' --problems gmm\n" in text
    take = "take it anew, in a directory of its own: posterior-bench run --suite ci --seed 3 --methods "
    assert f"{take}'exact' --out runs/again\n" in text
    for name, method in (("the harness", "'oracle-em'"), ("dps (torch)", "'dps' --framework torch")):
        look, accept = what_to_look_at(Finding("speed", name, "", "worse"), run)
        assert look == f"{take}{method} --out runs/again"
        assert f"--accept '{name}' " in accept
    assert "--accept 'grid g' --because" in text
    assert "found with 90 % power: SW1 +2 %" in text  # all changed by one factor: no spread
    assert "found with 90 % power: squared W2 of the moments plus 0.05 +1 % (median cell), +1 % (exact on lg/0)" in text
    assert lines[-1].endswith("3 worse; 2 tests at a family-wise false-alarm rate of 1 %")
