"""What a run keeps for the regression gate: moments, values, speeds; taken once, and again if outdated."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from rich.console import Console

from benchmarks import guard, guard_moments, guard_speed, guard_values
from benchmarks.compare_snapshot import BARE, GUARD_FILE, HARNESS, SMALL_ERROR
from benchmarks.compare_statistics import FAMILY_WISE, least_p
from benchmarks.devices import device_name
from benchmarks.execute import Programs
from benchmarks.guard import take_guard
from benchmarks.guard_moments import bures, moments, pseudo_values, whitened
from benchmarks.guard_speed import Parts, bare, interleaved, parts_of, sampler
from benchmarks.plan import Plan, Request, make_plan
from benchmarks.progress import Lines
from benchmarks.store import open_run
from benchmarks.suites import Suite, load_suite
from benchmarks.work import count_jaxpr, counted
from benchmarks.worker import Failure, _jobs
from methods import METHODS
from problems import FAMILIES

RNG = np.random.default_rng(3)
SUITE = Suite.model_validate(
    {
        "summary": "",
        "problems": ["seed2d"],
        "methods": ["exact", "dps"],
        "guard": True,
        "sizes": [{"n": 16, "steps": 5, "instances": 2}],
    }
)


@pytest.fixture
def plan() -> Plan:
    return make_plan(SUITE, Request())


def test_bures_is_the_distance_of_two_gaussians_per_dimension() -> None:
    mean, std = np.array([0.3, -0.7]), np.array([0.5, 2.0])
    assert bures(mean, np.diag(std**2)) == pytest.approx((np.sum(mean**2) + np.sum((std - 1) ** 2)) / 2)
    q = np.linalg.qr(RNG.normal(size=(2, 2)))[0]
    assert bures(q @ mean, q @ np.diag(std**2) @ q.T) == pytest.approx(bures(mean, np.diag(std**2)))
    assert bures(np.zeros(3), np.eye(3)) == 0.0


def test_whitened_draws_have_the_law_that_they_are_whitened_by() -> None:
    a = RNG.normal(size=(3, 3))
    z = RNG.normal(size=(9, 3))
    x = np.array([1.0, 2.0, 3.0]) + z @ np.linalg.cholesky(a @ a.T).T
    np.testing.assert_allclose(whitened(x, np.array([1.0, 2.0, 3.0]), a @ a.T), z, rtol=1e-9)


def test_pseudo_values_are_the_jackknife_of_the_log_error() -> None:
    z = RNG.normal(size=(5, 7, 2)) * [0.5, 2.0] + [0.3, -0.2]

    def whole(batches: np.ndarray) -> float:
        rows = batches.reshape(-1, 2)
        return float(np.log(bures(rows.mean(axis=0), np.cov(rows.T, bias=True)) + SMALL_ERROR))

    expected = [5 * whole(z) - 4 * whole(np.delete(z, b, axis=0)) for b in range(5)]
    np.testing.assert_allclose(pseudo_values(z), expected, rtol=1e-9)


def test_the_error_is_unbiased_and_its_standard_error_true() -> None:
    std, mean = np.array([0.5, 2.0]), np.array([0.3, -0.2])
    found = np.array([pseudo_values(RNG.normal(size=(20, 40, 2)) * std + mean) for _ in range(200)])
    errors, claimed = found.mean(axis=1), found.std(axis=1, ddof=1) / 20**0.5
    truth = np.log(float(bures(mean, np.diag(std**2))) + SMALL_ERROR)
    assert abs(errors.mean() - truth) < 4 * errors.std() / 200**0.5
    assert np.median(claimed) == pytest.approx(errors.std(), rel=0.2)
    at_null = np.array([pseudo_values(RNG.normal(size=(20, 40, 2))).mean() for _ in range(200)])
    assert abs(at_null.mean() - np.log(SMALL_ERROR)) < 4 * at_null.std() / 200**0.5


def test_an_exploded_sampler_has_a_change_of_the_size_of_its_relative_change() -> None:
    z = 1e7 * RNG.standard_t(3, size=(20, 40, 2))
    change = pseudo_values(1.02 * z) - pseudo_values(z)
    np.testing.assert_allclose(change, 2 * np.log(1.02), rtol=1e-3)


def test_moments_of_a_task(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard_moments, "BATCHES", 10)
    task = replace(plan.tasks[0].task, problem="linear-gaussian-2", n=2000)
    assert task.method == "exact"
    found = moments(task, Programs())
    assert len(found["log_error"]) == 10
    assert abs(np.exp(np.mean(found["log_error"])) - SMALL_ERROR) < 0.005
    np.testing.assert_allclose(found["mean"], 0, atol=0.1)
    np.testing.assert_allclose(found["std"], 1, atol=0.1)


@pytest.mark.usefixtures("toys")
def test_draws_that_are_not_finite_are_told(plan: Plan) -> None:
    task = replace(plan.tasks[0].task, method="toy-nan", hyper="{}", oracle=False, problem="linear-gaussian-2", n=600)
    with pytest.raises(ValueError, match="200 of 600 draws are not finite"):
        moments(task, Programs())


def test_values_cover_the_registries_and_are_stable() -> None:
    found = guard_values.values()
    assert found == guard_values.values()
    assert set(FAMILIES) <= set(found)
    assert {name.split(",")[0] for name in found if name.startswith("grid")} == {
        *(f"grid {grid}" for grid in guard_values.GRIDS),
        "grid karras_levels",
    }
    assert all(np.isfinite(v).all() and 0 < len(v) <= 10 for entry in found.values() for v in entry.values())


@pytest.mark.parametrize("entry", [0, 7, 63])
def test_no_entry_of_an_array_changes_unseen(entry: int) -> None:
    a = RNG.normal(size=(8, 8))
    b = a.copy()
    b.ravel()[entry] += 1e-6
    assert np.abs(np.subtract(guard_values._waves(a), guard_values._waves(b))).max() > 1e-9
    assert np.abs(np.subtract(guard_values._waves(a), guard_values._waves(a.T))).max() > 1e-3


@pytest.mark.parametrize("parts", [Parts(4, 1, 1, 1), Parts(3, 2, 1, 4), Parts(3, 1, 3, 0), Parts(5, 2, 0, 2)])
def test_the_bare_parts_have_the_work_that_they_are_asked_for(parts: Parts) -> None:
    _, problem, key = sampler("dps", METHODS["dps"].configure(overrides={"steps": 3}), "gmm25-8-1", 6)

    def run(problem: Any, key: Any) -> Any:
        return bare(problem, key, 6, parts)

    work = count_jaxpr(jax.make_jaxpr(run)(counted(problem), key), 6)
    assert (work.nfe, work.vjp) == (parts.steps * parts.denoised, parts.steps * parts.backward)
    drawn = guard_speed._drawn(jax.make_jaxpr(run)(problem, key).jaxpr)
    assert drawn == 6 * 8 * (1 + parts.steps * parts.draws)  # the start is drawn as well


@pytest.mark.parametrize(
    ("name", "expected"),
    [("dps", Parts(9, 1, 1, 1)), ("em-mmps", Parts(9, 1, 4, 1)), ("projection", Parts(9, 2, 0, 4))],
)
def test_the_parts_of_a_sampler(name: str, expected: Parts) -> None:
    run, problem, key = sampler(name, METHODS[name].configure(overrides={"steps": 9}), "gmm25-8-1", 6)
    assert parts_of(run, problem, key, 6, 9) == expected


def test_interleaved_times_both_in_turn() -> None:
    called: list[str] = []
    seconds = interleaved(lambda: called.append("a"), lambda: called.append("b"), 3)
    assert seconds.shape == (3, 2)
    assert (seconds > 0).all()
    assert "".join(called) == "abab" + "ba" + "ab" + "ba"


@pytest.mark.parametrize(("spread", "rounds"), [(0.01, 16), (2.0, 48)])
def test_a_noisy_speed_takes_more_rounds(spread: float, rounds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    noise = np.random.default_rng(1)
    monkeypatch.setattr(guard_speed, "ROUNDS", 16)
    monkeypatch.setattr(guard_speed, "interleaved", lambda _a, _b, n: np.exp(spread * noise.normal(size=(n, 2))))
    found = guard_speed._measured(lambda: None, lambda: None)["log_ratios"]
    assert len(found) == rounds
    assert np.std(found) == pytest.approx(spread * 2**0.5, rel=0.4)


class Answers:
    """An executor that answers at once and remembers what it was asked."""

    def __init__(self, *failing: str) -> None:
        self.failing = failing
        self.asked: list[str] = []
        self.guests: dict[str, str] = {}
        self.compiled: list[str] = []

    def call(self, name: str, *arguments: Any, timeout_seconds: float | None = None, guest: str = "") -> Any:
        assert timeout_seconds is not None
        self.guests[name] = guest
        self.asked.append(name)
        self.compiled += [str(argument) for argument in arguments] if name == "compile" else []
        if name in self.failing:
            return Failure("failed", "it broke", "")
        return {"asked": [str(argument) for argument in arguments]}


def parts(path: Path) -> dict[str, Any]:
    return json.loads((path / GUARD_FILE).read_text())["parts"]


def take(plan: Plan, path: Path, executor: Any, started: str = "noon") -> None:
    with open_run(path, create=True) as run:
        run.write("run.json", json.dumps({"created_at": started}).encode())
        take_guard(plan, run, executor, Lines(Console(file=io.StringIO())))


def test_every_part_has_a_job_of_the_worker(plan: Plan) -> None:
    assert {job[0] for job in guard._jobs(plan).values()} <= _jobs("cpu").keys()


def test_a_guard_is_taken_once_and_again_for_another_seed(plan: Plan, tmp_path: Path) -> None:
    first = Answers()
    take(plan, tmp_path, first)
    found = parts(tmp_path)
    wheres = [f"{p}/{i}" for p, k in guard_moments.PROBLEMS.items() for i in range(k)]
    assert set(found) == {
        "values",
        *(f"moments|{config}|{where}" for config in ("exact", "dps") for where in wheres),
        *(f"speed|{name}" for name in ("exact", "dps", HARNESS, BARE)),
    }
    assert first.asked[0] == "compile"
    asked = " ".join(found["moments|dps|linear-gaussian-2/1"]["outcome"]["asked"])
    for words in ("instance=1", '"steps": 50', f"n={guard_moments.DRAWS}", "problem='linear-gaussian-2'"):
        assert words in asked
    again = Answers()
    take(plan, tmp_path, again)
    assert again.asked == []
    assert parts(tmp_path) == found
    other = Answers()
    take(make_plan(SUITE, Request(seed=4)), tmp_path, other)
    assert len(other.asked) == len(found) - 1  # all but two, which no seed enters, and the compilation
    assert not {"guard_values", "guard_bare"} & set(other.asked)


def test_what_is_lost_is_taken_again(plan: Plan, tmp_path: Path) -> None:
    take(plan, tmp_path, Answers())
    content = json.loads((tmp_path / GUARD_FILE).read_text())
    del content["parts"]["values"]
    (tmp_path / GUARD_FILE).write_text(json.dumps(content))
    again = Answers()
    take(plan, tmp_path, again)
    assert again.asked == ["compile", "guard_values"]
    (tmp_path / GUARD_FILE).write_text("{torn")
    take(plan, tmp_path, Answers())
    assert parts(tmp_path).keys() == content["parts"].keys() | {"values"}


def test_a_part_that_fails_is_kept_with_its_reason(plan: Plan, tmp_path: Path) -> None:
    take(plan, tmp_path, Answers("guard_speed"))
    assert parts(tmp_path)["speed|dps"]["outcome"] == {"failed": "it broke"}
    assert "failed" not in parts(tmp_path)["values"]["outcome"]


class Stopped(Answers):
    """Ctrl-C at the third part."""

    def call(self, name: str, *arguments: Any, timeout_seconds: float | None = None, guest: str = "") -> Any:
        if len(self.asked) == 3:
            raise KeyboardInterrupt
        return super().call(name, *arguments, timeout_seconds=timeout_seconds, guest=guest)


def test_a_guard_says_which_start_it_is_of_and_what_is_wanted(plan: Plan, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        take(plan, tmp_path, Stopped())
    content = json.loads((tmp_path / GUARD_FILE).read_text())
    assert content["started"] == "noon"
    assert content["wanted"] == list(guard._jobs(plan))
    assert len(content["parts"]) == 2
    take(plan, tmp_path, Answers())
    take(plan, tmp_path, Answers(), "one o'clock")  # nothing is missing
    content = json.loads((tmp_path / GUARD_FILE).read_text())
    assert content["started"] == "one o'clock"
    assert set(content["parts"]) == set(content["wanted"])


@pytest.mark.parametrize("what", ["file", "library"])
def test_a_guard_of_other_code_or_other_libraries_is_taken_again(
    what: str, plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take(plan, tmp_path, Answers())
    if what == "file":
        seen: list[str] = []
        monkeypatch.setattr(guard, "source_digest", lambda files: seen.extend(map(str, files)) or "changed")
    else:
        monkeypatch.setattr(guard, "versions", lambda: {"jax": "0.0.1"})
    guard._code.cache_clear()
    again = Answers()
    take(plan, tmp_path, again)
    guard._code.cache_clear()
    assert len(again.asked) == len(parts(tmp_path)) + 1
    if what == "file":
        ends = ("execute.py", "work.py", "devices.py", "guard.py", "guard_speed.py", "problems", "methods")
        assert all(any(path.endswith(f"/{end}") for path in seen) for end in ends)


def test_the_ci_suite_has_a_guard_and_enough_instances_and_quick_has_none() -> None:
    suite = load_suite("ci")
    assert make_plan(suite, Request()).guard
    cells = len(suite.methods) * len(suite.problems)
    assert all(least_p(sizes.instances) < FAMILY_WISE / (4 * cells) for sizes in suite.sizes)
    assert not make_plan(load_suite("quick"), Request()).guard


def test_a_plugins_method_is_a_guest_and_is_not_compiled_beside_others(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "guest", lambda method: method if method == "dps" else "")
    answers = Answers()
    take(plan, tmp_path, answers)
    assert answers.guests == {
        "compile": "",
        "guard_moments": "dps",
        "guard_values": "",
        "guard_speed": "dps",
        "guard_overhead": "",
        "guard_bare": "",
    }
    assert "method='dps'" not in " ".join(answers.compiled)


def test_bare_parts_that_get_slower_show_though_samplers_are_divided_by_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard_speed, "ROUNDS", 9)
    monkeypatch.setattr(guard_speed, "PORTIONS", 1)
    usual = np.median(guard_speed.bare_speed()["log_ratios"])
    assert abs(usual) < np.log(8)
    denoiser = guard_speed.denoiser

    def slow(problem: Any, alpha: Any, sigma: Any) -> Any:
        denoise = denoiser(problem, alpha, sigma)
        return lambda x: sum((denoise(x + 1e-3 * i) for i in range(6)), start=0.0 * x) / 6

    monkeypatch.setattr(guard_speed, "denoiser", slow)
    assert np.median(guard_speed.bare_speed()["log_ratios"]) > usual + np.log(1.5)


def test_a_speed_is_a_ratio_near_one(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard_speed, "ROUNDS", 3)
    monkeypatch.setattr(guard_speed, "N", 50)
    task = guard._with_steps(plan.tasks[1].task, 5, problem="seed2d")
    assert task.method == "dps"
    found = guard_speed.speed(task)
    assert len(found["log_ratios"]) in (3, 6, 9)
    assert found["device"] == device_name("cpu")
    assert 0.2 < found["memory_ratio"] < 5
    assert guard_speed.speed(replace(plan.tasks[0].task)) is None
