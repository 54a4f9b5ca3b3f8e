"""Which tasks are run: selections, sizes, skips, limits and what is kept. Nothing here samples."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.plan import Plan, Request, make_plan, sample_bytes
from benchmarks.plugins import load_file
from benchmarks.provenance import code_of
from benchmarks.selection import Row, label, parse_override, select_rows
from benchmarks.suites import Suite
from methods import METHODS
from problems import FAMILIES
from problems.families import register
from problems.names import UsageError
from tests.benchmarks.conftest import registries_restored

SIZES = [
    {"problems": ["gmm25-*"], "n": 30, "steps": 11, "instances": 1},
    {"max_dim": 64, "n": 40, "steps": 12, "instances": 3},
    {"n": 50, "steps": 13, "instances": 2},
]


def planned(request: Request | None = None, **changes: Any) -> Plan:
    settings = {"summary": "", "problems": ["seed2d"], "methods": ["exact", "dps"], "sizes": SIZES, **changes}
    return make_plan(Suite.model_validate(settings), request or Request())


def configs(plan: Plan) -> list[str]:
    return list(dict.fromkeys(p.task.config for p in plan.tasks))


def hyper(plan: Plan, config: str) -> dict[str, Any]:
    return next(json.loads(p.task.hyper) for p in plan.tasks if p.task.config == config)


def test_sizes_come_from_the_suite_for_each_problem() -> None:
    plan = planned(problems=["seed2d", "gaussian-field-64", "gmm25-800-2"])
    sizes = {
        p.task.problem: (p.task.n, json.loads(p.task.hyper).get("steps")) for p in plan.tasks if p.task.config == "dps"
    }
    assert sizes == {"seed2d": (40, 12), "gaussian-field-64": (50, 13), "gmm25-800-2": (30, 11)}
    assert [p.task.problem for p in plan.tasks].count("gaussian-field-64") == 2 * 2


def test_what_the_user_asks_for_comes_before_the_suite() -> None:
    request = Request(problems=("gmm25-8-*",), methods=("prior",), n=9, instances=2, seed=0, timeout_seconds=5.0)
    plan = planned(request, seed=4, timeout_seconds=99)
    assert {(p.task.problem, p.task.config) for p in plan.tasks} == {(f"gmm25-8-{m}", "prior") for m in (1, 2, 4)}
    assert {(p.task.n, p.task.seed) for p in plan.tasks} == {(9, 0)}
    assert (len(plan.tasks), plan.timeout_seconds) == (6, 5.0)


def test_one_problem_after_the_other_and_in_it_one_instance_after_the_other() -> None:
    plan = planned(problems=["seed2d", "gmm25-8-1"])
    order = [(p.task.problem, p.task.instance, p.task.config) for p in plan.tasks]
    assert order == [
        *(("seed2d", i, config) for i in range(3) for config in ("exact", "dps")),
        *(("gmm25-8-1", 0, config) for config in ("exact", "dps")),
    ]


def test_repeats_are_tasks_of_their_own() -> None:
    plan = planned(repeats=2)
    assert len(plan.tasks) == len({p.task.id for p in plan.tasks}) == 2 * 2 * 3


@pytest.mark.usefixtures("toys")
def test_the_suites_steps_leave_presets_and_overrides_alone() -> None:
    METHODS["toy"].presets["short"] = {"steps": 3}  # type: ignore[index]
    request = Request(overrides=(parse_override("toy-work.steps=4"),))
    plan = planned(request, methods=["toy[*]", "toy-work", "exact"])
    assert [hyper(plan, c).get("steps") for c in ("toy", "toy[far]", "toy[short]", "toy-work[steps=4]")] == [
        12,
        12,
        3,
        4,
    ]


@pytest.mark.parametrize(
    ("patterns", "rows"),
    [
        (["dps"], [("dps", "default")]),
        (["dps[paper]", "dps"], [("dps", "paper"), ("dps", "default")]),
        (["dps[p*]"], [("dps", "paper")]),
        (["oracle-em[N(0,I)]"], [("oracle-em", "N(0,I)")]),
        (["em-d*", "em-dps"], [("em-dps", "default")]),
        (["oracle-?m[*]"], [("oracle-em", "default"), ("oracle-em", "N(0,I)")]),
    ],
)
def test_patterns_select_rows(patterns: list[str], rows: list[tuple[str, str]]) -> None:
    assert select_rows(patterns) == [Row(*row) for row in rows]


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("dsp", "no method 'dsp'; did you mean 'dps'"),
        ("xx-*", "no method 'xx-\\*'; there are: "),
        ("dps[papr]", "no preset of dps 'papr'; did you mean 'paper'"),
        ("dps[paper", "written like 'dps\\[paper\\]'"),
    ],
)
def test_a_method_that_does_not_exist(pattern: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        select_rows([pattern])


def test_labels() -> None:
    assert label(Row("dps"), {}) == "dps"
    assert label(Row("dps", "paper"), {"steps": 5, "scale": 0.5}) == "dps[paper,scale=0.5,steps=5]"
    assert label(Row("dps"), {"steps": 5}) == "dps[steps=5]"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("dps.steps=500", 500),
        ("dps.steps=5e2", 500.0),
        ("dps.weight=likelihood", "likelihood"),
        ("dps.scale = .3", ".3"),
    ],
)
def test_values_are_toml_or_else_text(text: str, value: object) -> None:
    assert parse_override(text).value == value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("steps=5", "--set takes METHOD.NAME=VALUE"),
        ("dps.steps", "--set takes METHOD.NAME=VALUE"),
        ("dsp.steps=5", "no method 'dsp'; did you mean 'dps'"),
        ("dps.stepz=5", "no hyper-parameter of dps 'stepz'; did you mean 'steps'"),
        ("em-*.scales=5", "no hyper-parameter of em-none 'scales'"),
    ],
)
def test_a_hyper_parameter_that_does_not_exist(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_override(text)


def test_values_out_of_range_and_methods_that_do_not_run_are_refused() -> None:
    with pytest.raises(UsageError, match=r"dps: steps is out of range.*got 0"):
        planned(Request(overrides=(parse_override("dps.steps=0"),)))
    with pytest.raises(UsageError, match="--set names 'em-dps', which is not among the methods to run: dps, exact"):
        planned(Request(overrides=(parse_override("em-dps.steps=3"),)))


@pytest.mark.usefixtures("toys")
def test_a_need_that_a_problem_lacks_is_a_skip_with_the_reason() -> None:
    family = FAMILIES["seed2d"]
    register(replace(family, name="bare", provides=family.provides - {"svd", "linear"}))
    plan = planned(Request(problems=("bare",), methods=("toy-needy", "toy")))
    assert {(p.task.config, p.skip) for p in plan.tasks} == {
        ("toy-needy", "toy-needy needs svd, which bare does not provide"),
        ("toy", ""),
    }
    assert {p.seconds == 0 for p in plan.tasks if p.skip} == {True}


@pytest.mark.usefixtures("toys")
def test_a_framework_that_a_named_method_lacks_is_refused_and_one_of_a_pattern_skipped() -> None:
    with pytest.raises(UsageError, match="method 'toy-slow' runs in jax, not in torch"):
        planned(Request(framework="torch", methods=("dps", "toy-slow")))
    with pytest.raises(UsageError, match="method 'toy-slow' runs in jax, not in torch"):
        planned(Request(framework="torch", methods=("toy-sl*",)))
    plan = planned(Request(framework="torch", methods=("toy*",)))
    skips = {p.task.config: p.skip for p in plan.tasks}
    assert skips["toy-slow"] == "toy-slow does not run in torch"
    assert skips["toy"] == ""
    assert {p.task.framework for p in plan.tasks if not p.skip} == {"torch"}


def test_auto_means_jax_for_array_methods() -> None:
    assert {p.task.framework for p in planned().tasks} == {"jax"}


def test_the_tuned_preset_is_one_per_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    table = {"seed2d": {"dps": {"scale": 0.125}}, "gmm25-8-1": {"dps": {"scale": 0.5, "steps": 3}}}
    monkeypatch.setattr("benchmarks.tuned_presets.tuned", lambda: table)
    problems = ("seed2d", "gmm25-8-1", "digits-blur")
    plan = planned(Request(problems=problems, methods=("dps[t*]",), instances=1))
    chosen = {p.task.problem: (json.loads(p.task.hyper), p.skip) for p in plan.tasks}
    assert {p.task.config for p in plan.tasks} == {"dps[tuned]"}
    assert (chosen["seed2d"][0]["scale"], chosen["seed2d"][0]["steps"]) == (0.125, 12)
    assert (chosen["gmm25-8-1"][0]["scale"], chosen["gmm25-8-1"][0]["steps"]) == (0.5, 3)
    assert [skip for _, skip in chosen.values()] == ["", "", "dps was not tuned on digits-blur"]
    with pytest.raises(UsageError, match="no preset of em-dps 'tuned'"):
        planned(Request(methods=("em-dps[tuned]",)))


def test_a_twin_is_tuned_as_its_sibling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.tuned_presets.tuned", lambda: {"digits-blur": {"dps": {"scale": 0.125}}})
    plan = planned(Request(problems=("digits-blur-model", "digits-denoise-model"), methods=("dps[tuned]",)))
    chosen = {p.task.problem: (json.loads(p.task.hyper)["scale"], p.skip) for p in plan.tasks}
    assert chosen["digits-blur-model"] == (0.125, "")
    assert chosen["digits-denoise-model"][1] == "dps was not tuned on digits-denoise-model"


LIMITS = [{"methods": ["dps"], "problems": ["gmm25-*"], "instances": 2, "seconds": 77.0}]


def test_limits_hold_until_the_user_names_what_they_forbid() -> None:
    both = ["seed2d", "gmm25-8-1"]

    def where(request: Request) -> set[tuple[str, int]]:
        plan = planned(request, problems=both, limits=LIMITS)
        return {(p.task.problem, p.task.instance) for p in plan.tasks if p.task.config == "dps"}

    assert where(Request()) == {("gmm25-8-1", 0)}
    assert where(Request(methods=("dps",))) == {("gmm25-8-1", 0)}
    assert where(Request(methods=("dps",), problems=("seed2d",))) == {("seed2d", 0), ("seed2d", 1)}
    assert where(Request(instances=3)) == {("gmm25-8-1", i) for i in range(3)}
    plan = planned(Request(methods=("dps",)), problems=both, limits=LIMITS)
    assert [p.seconds for p in plan.tasks] == [77.0]
    with pytest.raises(UsageError, match="nothing to run"):
        planned(Request(methods=("dps",)), limits=LIMITS)


@pytest.mark.parametrize(("steps", "expected"), [(0, 1000), (77, 77), (None, 12)])
def test_methods_whose_steps_are_of_training_have_their_own(steps: int | None, expected: int) -> None:
    limits = [{"methods": ["d*"]}, {"methods": ["dps"]} | ({} if steps is None else {"steps": steps})]
    plan = planned(methods=["dps", "em-none"], limits=limits)
    assert (hyper(plan, "dps")["steps"], hyper(plan, "em-none")["steps"]) == (expected, 12)


@pytest.mark.usefixtures("toys")
def test_a_plugin_named_on_the_command_line_joins_every_selection_but_an_explicit_one() -> None:
    assert "toy" in configs(planned())
    assert configs(planned(Request(methods=("exact",)))) == ["exact"]
    assert configs(planned(methods=["toy", "exact"])).count("toy") == 1


@pytest.mark.usefixtures("toys")
def test_a_plugins_method_has_the_code_of_its_file() -> None:
    codes = {p.task.config: p.task.code for p in planned().tasks}
    assert codes["toy"] != codes["exact"] == codes["dps"]


@pytest.mark.parametrize("part", ["sampler.py", "helper_of_it.py"])
def test_a_changed_plugin_has_another_code_and_so_has_a_changed_module_beside_it(
    part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sampler.py").write_text(
        "import helper_of_it\nfrom methods import method\n@method('own')\ndef own(problem, key, *, n): ...\n"
    )
    (tmp_path / "helper_of_it.py").write_text("SCALE = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    codes = []
    for _ in range(2):
        with registries_restored():
            sys.modules.pop("helper_of_it", None)
            load_file(tmp_path / "sampler.py")
            codes += [p.task.code for p in planned(methods=["own"]).tasks][:1]
        (tmp_path / part).write_text((tmp_path / part).read_text() + "# changed\n")
        code_of.cache_clear()
    assert codes[0] != codes[1]


def test_the_estimate_grows_with_work_and_counts_the_compilation_once() -> None:
    seconds = {p.task.instance: p.seconds for p in planned(problems=["gaussian-field-64"], methods=["dps"]).tasks}
    assert seconds[0] == pytest.approx(seconds[1] + 3.0)
    (twice,) = {p.seconds for p in planned(Request(n=100), problems=["gaussian-field-64"], methods=["dps"]).tasks[1:]}
    assert twice - 0.1 == pytest.approx(2 * (seconds[1] - 0.1))


def test_samples_are_given_up_from_the_last_instances_of_the_largest_problems() -> None:
    everything = planned(problems=["seed2d", "gaussian-field-64"], keep_gib=1.0)
    assert all(p.keep for p in everything.tasks)
    large = [p for p in everything.tasks if p.task.problem == "gaussian-field-64"]
    total = sum(sample_bytes(p.task) for p in everything.tasks)
    assert sample_bytes(large[0].task) == 4 * 50 * 4097 + 1024

    def dropped(budget: float) -> list[tuple[str, int]]:
        plan = planned(problems=["seed2d", "gaussian-field-64"], keep_gib=budget / 2**30)
        return [(p.task.problem, p.task.instance) for p in plan.tasks if not p.keep]

    one = sample_bytes(large[0].task)
    assert dropped(total - 1) == [("gaussian-field-64", 1)]
    assert dropped(total - one - 1) == [("gaussian-field-64", 1)] * 2
    assert dropped(total - 2 * one - 1) == [("seed2d", 2), *[("gaussian-field-64", 1)] * 2]
    first = sum(sample_bytes(p.task) for p in everything.tasks if p.task.instance == 0)
    assert {instance for _, instance in dropped(first)} == {1, 2}
    assert dropped(first - 1)[0] == ("seed2d", 1)
    assert ("gaussian-field-64", 0) in dropped(first - 1)
    assert ("seed2d", 0) not in dropped(first - 1)
    assert len(dropped(0)) == len(everything.tasks)


def test_a_limit_may_name_a_preset() -> None:
    """Without brackets it is for all presets, with 'default' for the one without a name."""
    limits = [{"methods": ["dps[paper]"], "steps": 5}, {"methods": ["d*[default]"], "problems": ["nowhere"]}]
    plan = planned(methods=["dps", "dps[paper]", "dps[code]", "exact"], limits=limits)
    assert configs(plan) == ["dps[paper]", "dps[code]", "exact"]
    assert (hyper(plan, "dps[paper]")["steps"], hyper(plan, "dps[code]")["steps"]) == (5, 12)
    every = planned(methods=["dps", "dps[paper]"], limits=[{"methods": ["dps"], "steps": 5}])
    assert [hyper(every, config)["steps"] for config in configs(every)] == [5, 5]


def test_more_steps_are_more_rows() -> None:
    """Of those that have as many as the suite says; a limit, the user and the method itself know better."""
    METHODS["dps"].presets["short"] = {"steps": 3}  # type: ignore[index]
    sizes = [{"n": 40, "steps": 12, "more_steps": [4, 90], "instances": 2}]
    limits = [{"methods": ["em-mmps"], "steps": 0}]
    request = Request(overrides=(parse_override("em-dps.steps=7"), parse_override("dps.scale=2.0")))
    methods = ["dps", "dps[short]", "em-dps", "em-mmps", "ddrm", "exact"]
    try:
        plan = planned(request, methods=methods, sizes=sizes, limits=limits)
    finally:
        del METHODS["dps"].presets["short"]  # type: ignore[attr-defined]
    names = ["dps[scale=2.0]", "dps[scale=2.0,steps=4]", "dps[scale=2.0,steps=90]", "dps[short,scale=2.0]"]
    assert configs(plan) == [*names, "em-dps[steps=7]", "em-mmps", "ddrm", "exact"]
    assert [hyper(plan, name)["steps"] for name in names] == [12, 4, 90, 3]
    assert (hyper(plan, "em-mmps")["steps"], hyper(plan, "ddrm")["steps"]) == (1000, 20)
    assert len(plan.tasks) == 2 * 8
    told = planned(methods=["ddrm"], sizes=sizes, limits=[{"methods": ["ddrm"], "steps": 12}])
    assert configs(told) == ["ddrm", "ddrm[steps=4]", "ddrm[steps=90]"]
    alike = planned(methods=["ddrm"], sizes=[{**sizes[0], "steps": 20}])  # as many as its own by chance
    assert configs(alike) == ["ddrm"]


def test_a_method_that_cannot_afford_a_dimension_is_skipped_with_the_reason() -> None:
    plan = planned(problems=["gaussian-field-64", "seed2d"], methods=["laplace"])
    assert {(p.task.problem, p.skip) for p in plan.tasks} == {
        ("gaussian-field-64", "laplace takes at most 1024 dimensions, gaussian-field-64 has 4096"),
        ("seed2d", ""),
    }


def test_the_calibration_of_a_point_estimate_is_not_tested() -> None:
    plan = planned(methods=["red-diff", "dps"], batched=True)
    reasons = {p.task.method: p.skip for p in plan.tasks}
    assert reasons["dps"] == ""
    assert reasons["red-diff"].startswith("red-diff estimates one signal")
