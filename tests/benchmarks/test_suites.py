"""Suite files: ours hold what they promise, a user's own works the same way, and mistakes are named."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from benchmarks.plan import Request, make_plan
from benchmarks.suites import load_suite, suite_names
from methods import METHODS
from problems import FAMILIES
from problems.names import UsageError
from reports.paired import can_order
from reports.ranking import reference_key

MINIMAL = """
summary = "mine"
problems = ["seed2d"]
methods = ["exact"]
[[sizes]]
n = 20
steps = 10
instances = 2
"""


def written(folder: Path, text: str) -> str:
    path = folder / "mine.toml"
    path.write_text(text)
    return str(path)


def test_there_are_nine_suites() -> None:
    assert suite_names() == ["calibration", "ci", "exhaustive", "full", "gmm25", "images", "learned", "levy", "quick"]


@pytest.mark.parametrize("name", suite_names())
def test_a_shipped_suite_plans_and_has_sizes_for_every_problem(name: str) -> None:
    suite = load_suite(name)
    tasks = make_plan(suite, Request()).tasks
    assert any(not planned.skip for planned in tasks)
    for family in FAMILIES.values():
        assert suite.sizes_of(family).n >= 2


def test_the_instances_of_the_full_suite_can_order_its_methods_and_a_few_plugins() -> None:
    """Rivals are those with a rank: no references, and no estimates of one signal."""
    plan = make_plan(load_suite("full"), Request())
    for problem, sizes in plan.sizes.items():
        rivals = {
            p.task.config
            for p in plan.tasks
            if p.task.problem == problem and not p.skip and not METHODS[p.task.method].point
            if reference_key(p.task.method, p.task.config)[0] == reference_key("another", "another")[0]
        }
        assert len(rivals) > 30
        assert can_order(len(rivals) + 3, sizes.instances), (problem, len(rivals))


def test_the_suite_of_the_papers_on_particles_has_their_sizes() -> None:
    plan = make_plan(load_suite("gmm25"), Request())
    told = {
        (FAMILIES[t.problem].dim, t.n, json.loads(t.hyper)["steps"])
        for t in (p.task for p in plan.tasks)
        if t.method in ("ancestral-mmps", "ddrm", "tds")
    }
    small = {(8, 1000, steps) for steps in (20, 100, 1000)}
    assert told == {*small, (80, 256, 100), (800, 256, 100)}
    assert {p.task.instance for p in plan.tasks} == set(range(20))
    assert "tds" not in {p.task.method for p in plan.tasks if p.task.problem == "gmm25-800-1"}
    stiff = {p.task.problem for p in plan.tasks if p.task.method == "pf-ode-dps"}
    assert {name for name in stiff if name.startswith("gmm25-800")} == {"gmm25-800-1"}


@pytest.mark.parametrize(
    ("problem", "n", "steps"),
    [
        *(("seed2d", 500, 250), ("linear-gaussian-16", 500, 250), ("gmm25-8-4", 500, 250)),
        *(("digits-blur", 128, 100), ("gmm25-800-1", 128, 100), ("gaussian-field-16", 128, 100)),
        ("gaussian-field-64", 32, 100),
    ],
)
def test_the_sizes_of_the_full_suite(problem: str, n: int, steps: int) -> None:
    sizes = load_suite("full").sizes_of(FAMILIES[problem])
    assert (sizes.n, sizes.steps, sizes.instances) == (n, steps, 16)


def test_the_exhaustive_suite_is_a_thousand_by_a_thousand_everywhere() -> None:
    suite = load_suite("exhaustive")
    assert {(suite.sizes_of(f).n, suite.sizes_of(f).steps) for f in FAMILIES.values()} == {(1000, 1000)}


@pytest.mark.parametrize("name", suite_names())
def test_no_suite_gives_the_steps_of_a_sampler_to_training(name: str) -> None:
    plan = make_plan(load_suite(name), Request(problems=("seed2d",), methods=("dpi-*",), instances=1))
    assert {json.loads(p.task.hyper)["steps"] for p in plan.tasks} == {
        METHODS[p.task.method].hyper["steps"] for p in plan.tasks
    }


def test_the_full_suite_trains_in_two_dimensions_alone() -> None:
    plan = make_plan(load_suite("full"), Request())
    trained = {(p.task.problem, p.task.instance) for p in plan.tasks if p.task.method.startswith("dpi-")}
    assert trained == {(name, k) for name in ("seed2d", "linear-gaussian-2") for k in (0, 1)}


@pytest.mark.parametrize("name", ["quick", "ci", "full", "exhaustive"])
def test_twins_are_for_calibration_alone(name: str) -> None:
    problems = {p.task.problem for p in make_plan(load_suite(name), Request()).tasks}
    assert not {problem for problem in problems if problem.endswith("-model")}
    known = {problem for problem, family in FAMILIES.items() if "posterior" in family.provides}
    known -= {problem for problem in known if re.search("-model|-net$", problem)}
    if name == "exhaustive":
        assert problems == {problem for problem in known if not problem.startswith("levy")}
    if name == "full":
        imaging = "atoms-.*|photos-.*|levy-.*|gmm-bipsda-.*|gaussian-field-(128|64-inpaint)"
        assert problems == {problem for problem in known if not re.fullmatch(f"gmm25-.*-2|{imaging}", problem)}


def test_the_calibration_suite_has_one_task_per_cell_on_truths_from_the_prior() -> None:
    plan = make_plan(load_suite("calibration"), Request())
    tasks = [planned.task for planned in plan.tasks]
    problems = {task.problem for task in tasks}
    assert problems == {
        "digits-inpaint",
        *(name for name in FAMILIES if re.fullmatch("seed2d|linear-.*|gmm25-80?-.*|digits-.*-model", name)),
    }
    assert len({(task.problem, task.config) for task in tasks}) == len(tasks)
    assert {task.instance for task in tasks} == {0}
    assert min(task.instances for task in tasks) == 200
    assert {(task.problem, task.instances) for task in tasks} >= {("seed2d", 1024), ("gmm25-8-2", 256)}
    assert {task.n for task in tasks} == {63}
    assert not any(task.method.startswith("dpi-") for task in tasks)
    assert not any(planned.skip for planned in plan.tasks)
    assert plan.seconds < 2400


def test_a_batched_suite_takes_its_number_of_instances_from_the_user(tmp_path: Path) -> None:
    path = written(tmp_path, "batched = true\n" + MINIMAL)
    (whole,), (cut,) = (make_plan(load_suite(path), Request(instances=k)).tasks for k in (None, 5))
    assert (whole.task.instance, whole.task.instances, cut.task.instances) == (0, 2, 5)
    assert cut.seconds > whole.seconds


def test_a_users_own_file_works_the_same_way(tmp_path: Path) -> None:
    tasks = make_plan(load_suite(written(tmp_path, MINIMAL)), Request()).tasks
    assert [(p.task.problem, p.task.instance, p.task.n, p.task.seed) for p in tasks] == [
        ("seed2d", 0, 20, 0),
        ("seed2d", 1, 20, 0),
    ]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("instances = 2", "instancs = 2", "no key of the suite .* 'instancs'; did you mean 'instances'"),
        ('summary = "mine"', 'sumary = "mine"', "no key of the suite .*'sumary'; did you mean 'summary'"),
        ("n = 20", "n = 1", "sizes.0.n: .* greater than or equal to 2, got 1"),
        ("n = 20", 'n = "20"', "sizes.0.n: .*valid integer, got '20'"),
        ("steps = 10", "", "sizes.0.steps: Field required$"),
        ("[[sizes]]", "[[sizes]", "not valid TOML"),
        (
            'summary = "mine"',
            'summary = "mine"\nfloor_draws = 19',
            "floor_draws: .* greater than or equal to 20, got 19",
        ),
        ('problems = ["seed2d"]', "problems = []", "problems: .*at least 1 item"),
        ("[[sizes]]", '[[limits]]\nmethods = ["exact"]\nsecond = 1\n[[sizes]]', "'second'; did you mean 'seconds'"),
    ],
)
def test_a_mistake_in_a_file_is_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        load_suite(written(tmp_path, MINIMAL.replace(old, new)))


def test_a_file_that_is_not_there_and_a_suite_that_does_not_exist() -> None:
    with pytest.raises(UsageError, match=r"cannot read the suite nowhere\.toml: No such file"):
        load_suite("nowhere.toml")
    with pytest.raises(UsageError, match="no suite 'quikc'; did you mean 'quick'"):
        load_suite("quikc")


def test_the_first_matching_sizes_count_and_none_is_an_error(tmp_path: Path) -> None:
    two = MINIMAL.replace(
        "[[sizes]]",
        '[[sizes]]\nproblems = ["gmm25-*"]\nmax_dim = 8\nn = 7\nsteps = 3\ninstances = 1\n[[sizes]]\nmax_dim = 64',
    )
    suite = load_suite(written(tmp_path, two))
    assert [suite.sizes_of(FAMILIES[name]).n for name in ("gmm25-8-1", "seed2d", "digits-blur")] == [7, 20, 20]
    with pytest.raises(UsageError, match="no \\[\\[sizes\\]\\] for problem 'gmm25-80-1'"):
        suite.sizes_of(FAMILIES["gmm25-80-1"])
