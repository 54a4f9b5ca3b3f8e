"""The conformance suite names planted faults in words, and finds none in a sound sampler."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from benchmarks import trial, worker
from benchmarks.conformance import check_file, check_method
from benchmarks.executor import Executor
from benchmarks.trial import MATRIX, NOISE_STD, UNSEEN, UNSEEN_COV, Trial, change_of_law, effective_variance, instance
from methods import METHODS, Samples
from problems.arrays import make_key
from problems.noise import GaussianNoise
from problems.posteriors import condition
from run_benchmark import app
from tests.benchmarks.conforming import faults, only

PLUGINS = Path(__file__).parents[1] / "plugins"


class Here:
    """An executor without a process of its own, in which a test can leave checks out."""

    def call(self, name: str, *arguments: Any, timeout_seconds: float) -> Any:  # noqa: ARG002
        try:
            return worker._jobs("cpu")[name](*arguments)
        except Exception as error:
            return worker.failure(error)


HERE: Any = Here()


# ---- planted faults ----


@pytest.mark.parametrize(
    ("file", "title", "words", "also"),
    [
        ("std_as_variance", "noise", ["noise_std were the variance", "expected 0.09", "missing square"], []),
        ("std_in_tweedie", "uses", ["standard deviation is used as a variance", "sigma**2"], []),
        ("data_ignored", "data", ["the data are ignored"], []),
        ("seed_ignored", "key", ["the seed is ignored"], []),
        ("coupled", "rows", ["the samples are coupled", "over the whole batch"], ["data"]),
        ("wrong_range", "prior", ["the range is wrong", "[-1, 1] to [0, 1]"], []),
    ],
)
def test_a_planted_fault_is_named_and_no_other(file: str, title: str, words: list[str], also: list[str]) -> None:
    found = faults(check_file(PLUGINS / f"{file}.py", HERE))
    assert sorted(found) == sorted([title, *also])
    assert all(word in found[title] for word in words), found[title]


def test_the_command_fails_for_a_faulty_sampler() -> None:
    result = CliRunner().invoke(app, ["check", str(PLUGINS / "data_ignored.py")])
    assert result.exit_code == 1
    (line,) = [line for line in result.output.splitlines() if "FAIL" in line]
    assert line.split()[:2] == ["FAIL", "data:"]
    assert "the data are ignored" in line


def test_a_sound_sampler_passes_every_check() -> None:
    result = CliRunner().invoke(app, ["check", str(PLUGINS / "good_sampler.py")])
    assert result.exit_code == 0, result.output
    assert "FAIL" not in result.output
    assert "not checked" not in result.output
    assert [line.split()[1] for line in result.output.splitlines()] == [
        "runs:", "uses:", "key:", "rows:", "data:", "noise:", "prior:", "bias:",
    ]  # fmt: skip


def test_the_sound_sampler_takes_no_more_than_30_lines() -> None:
    assert len((PLUGINS / "good_sampler.py").read_text().splitlines()) <= 30


# ---- one change to the sound sampler ----

RETURN = "return Samples(x, nfe=steps, vjp=steps)"
FRESH = "torch.randn(x.shape, **like)"
CHANGES = [
    ("runs", RETURN, "return x", "returns Tensor, expected Samples(x)"),
    ("runs", RETURN, "return Samples(x.numpy())", "of type numpy.ndarray, expected an array of torch"),
    ("runs", RETURN, "return Samples(x.double())", "float64, the problem float32"),
    ("runs", RETURN, "return Samples(x.reshape(n, -1))", "(5, 256), expected (5, 16, 16); reshape"),
    ("runs", "(n, *problem.shape)", "(9, *problem.shape)", "(9, 6), expected (7, 6); n is not used"),
    ("runs", RETURN, "return Samples(x / x.clamp(min=0))", "NaN or infinite"),
    ("runs", RETURN, "return Samples(x.mean(0).expand(x.shape))", "all samples of a run are the same"),
    ("runs", RETURN, "return Samples(x, log_prob=x)", "log_prob has the shape (7, 6), expected (7,)"),
    ("runs", RETURN, "raise ArithmeticError('no\\nluck')", "raises ArithmeticError in line 29: no"),
    ("uses", "nfe=steps", "nfe=2 * steps", "reports nfe = 400, but 200 per sample were counted"),
    ("uses", "vjp=steps", "vjp=steps + 1", "reports vjp = 201, but 200 per sample were counted"),
    ("uses", ', "differentiable"', "", "uses derivatives without requires={'differentiable'}"),
    ("uses", "    like = {", "    problem.operator.pseudo_inverse(y[None])\n    like = {", "requires={'svd'}"),
    ("key", FRESH, "torch.randn(x.shape)", "come from the global generator of torch"),
    ("key", FRESH, "torch.randn(x.shape, generator=torch.Generator().manual_seed(int(1e6 * s)))", "partly ignored"),
    ("key", "x = torch.randn(", "torch.rand(1)\n    x = torch.randn(", "draws from the global generator of torch"),
    ("rows", FRESH, "torch.randn(problem.shape, **like)", "the means of two runs lie"),
    ("rows", RETURN, "return Samples(x[torch.randint(n, (n,), generator=key)])", "of 512 samples are distinct"),
    ("rows", "guidance).detach()", "(guidance * (20 / guidance.norm()).clamp(max=1))).detach()", "follow another law"),
    ("data", "y - problem.operator", "y + problem.operator", "the sign of the residual is wrong"),
    ("data", "scale=1.0", "scale=0.01", "the data are nearly ignored"),
    ("noise", "(2 * problem.noise.std**2)", "(2 * problem.noise.std**-2)", "noise_std**2 multiplied the data term"),
    ("noise", ".sum() / (2", ".sum(-1).sqrt().sum() / (2", "noise_std**2 were the standard deviation"),
    ("prior", RETURN, "return Samples(2 * x - 1)", "[0, 1] to [-1, 1], once too often"),
    ("prior", RETURN, "return Samples(255 * x)", "the range is wrong"),
    ("prior", RETURN, "return Samples(x.clamp(-1, 1))", "x is clipped"),
    ("prior", RETURN, "return Samples(x - 1)", "the range is wrong: samples look like 0.99 x -1"),
    ("prior", "var**0.5 * torch", "var * torch", "a variance used as standard deviation"),
]


@pytest.mark.parametrize(("title", "old", "new", "words"), CHANGES, ids=[f"{c[0]}: {c[3]}" for c in CHANGES])
def test_a_change_to_the_sound_sampler_is_named(
    title: str, old: str, new: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (PLUGINS / "good_sampler.py").read_text()
    assert old in text
    file = tmp_path / "changed.py"
    file.write_text(text.replace(old, new))
    if title != "runs":
        only(monkeypatch, title)
    found = faults(check_file(file, HERE))
    assert list(found) == [title], found
    assert words in found[title]


# ---- other frameworks ----

ARRAY = """
from methods import Samples, method
from problems.arrays import normal

@method("changed")
def changed(problem, key, *, n):
    x = normal(key, (n, *problem.shape), problem.y)
    return Samples({})
"""


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        ("x if x.sum() > 0 else -x", "runs in torch, but not in JAX under jit: TracerBoolConversionError"),
        ("x if type(x).__module__ == 'torch' else x + 0.01", "torch and JAX differ by"),
    ],
)
def test_array_methods_must_run_in_both_frameworks(
    returned: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "changed.py"
    file.write_text(ARRAY.format(returned))
    only(monkeypatch, "frameworks")
    assert words in faults(check_file(file, HERE))["frameworks"]


JAX = """
import jax
from methods import Samples, method

@method("changed", framework="jax")
def changed(problem, key, *, n):
    x = jax.random.normal(key, {}, problem.y.dtype){}.reshape(n, *problem.shape)
    return Samples({})
"""


@pytest.mark.parametrize(
    ("by_row", "returned", "ok", "words"),
    [
        (True, "x", True, "does not depend on how many samples"),
        (True, "x / (1 + 0.1 * (x * x).mean())", False, "3 samples and the first 3 of 7 with the same"),
        (False, "x", True, "cannot be replayed with fewer samples; 4 samples at a time"),
        (False, "x / abs(x).max()", False, "4 samples at a time follow another law than 512"),
    ],
)
def test_rows_in_jax(
    by_row: bool, returned: str, ok: bool, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = ("(n, problem.dim)", "") if by_row else ("(problem.dim, n)", ".T")
    file = tmp_path / "changed.py"
    file.write_text(JAX.format(*draw, returned))
    only(monkeypatch, "rows")
    finding = check_file(file, HERE)[-1]
    assert (finding.title, finding.ok, words in finding.message) == ("rows", ok, True), finding.message


def test_noise_drawn_one_sample_at_a_time_is_not_taken_for_coupling(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(problem: Any, key: Any, *, n: int) -> Samples:
        x = torch.zeros((n, *problem.shape))
        for _ in range(2):
            x = x + torch.stack([torch.randn(problem.shape, generator=key) for _ in range(n)])
        return Samples(x)

    only(monkeypatch, "rows")
    finding = check_method(replace(METHODS["prior"], run=run))[-1]
    assert (finding.title, finding.ok, "cannot be replayed" in finding.message) == ("rows", True, True)


@pytest.mark.parametrize(("power", "expected"), [(1, ["uses"]), (2, [])])
def test_tweedies_formula_is_read_off_a_running_jax_program(
    power: int, expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (PLUGINS / "seed_ignored.py").read_text()
    assert "operator(x)" in text
    file = tmp_path / "changed.py"
    x0_hat = f"operator(x + sigma**{power} * problem.prior.score(x, sigma))"
    file.write_text(text.replace("operator(x)", x0_hat).replace("nfe=steps", "nfe=2 * steps").replace("1000", "100"))
    only(monkeypatch, "uses")
    assert list(faults(check_file(file, HERE))) == expected


def test_work_that_cannot_be_counted_is_not_held_against_the_sampler(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(problem: Any, key: Any, *, n: int) -> Samples:
        x = torch.randn((n, *problem.shape), generator=key)
        return Samples(torch.func.vmap(lambda row: problem.prior.denoise(row[None], 0.5)[0])(x), nfe=1)

    only(monkeypatch, "uses")
    findings = check_method(replace(METHODS["prior"], run=run, requires=frozenset()))
    assert not faults(findings)
    assert any("cannot be counted" in finding.message for finding in findings)


# ---- files ----


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def f(:", "has a syntax error in line 1"),
        ("import nothing_of_that_name", "fails on import in line 1: ModuleNotFoundError"),
        ("x = 1", "registers no method"),
        (ARRAY.replace("changed", "dps").format("x"), "method 'dps' is already taken"),
        (ARRAY.replace("*, n", "*, n, steps").format("x"), "a sampler is (problem, key, *, n, name=default, ...), got"),
    ],
)
def test_a_file_that_cannot_be_loaded_is_one_finding(text: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "changed.py"
    file.write_text(text)
    (finding,) = check_file(file, HERE)
    assert (finding.ok, finding.title) == (False, "file")
    assert words in finding.message


def test_the_samplers_of_a_file_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "two.py"
    file.write_text(ARRAY.format("x") + ARRAY.replace("changed", "second").format("0 / x"))
    only(monkeypatch)
    assert [(finding.ok, finding.title) for finding in check_file(file, HERE)] == [
        (True, "changed, runs"),
        (False, "second, runs"),
    ]


# ---- a process of its own ----


HARMFUL = """
import os, sys, time
from methods import Samples, method

@method("exits")
def exits(problem, key, *, n):
    sys.exit(0)

@method("dies")
def dies(problem, key, *, n):
    os._exit(5)

@method("hangs")
def hangs(problem, key, *, n):
    time.sleep(1e6)

@method("lives")
def lives(problem, key, *, n):
    return Samples(problem.prior.sample(key, n) + float("nan"))
"""


def test_samplers_that_exit_die_or_hang_are_findings_and_the_others_are_checked(tmp_path: Path) -> None:
    file = tmp_path / "harmful.py"
    file.write_text(HARMFUL)
    with Executor() as executor:
        found = faults(check_file(file, executor, limit_seconds=20))
        assert found == {
            "exits, runs": "raises SystemExit in line 7: 0",
            "dies, runs": "the process ended with exit code 5",
            "hangs, runs": "stopped after 20 s, the limit of one task",
            "lives, runs": found["lives, runs"],
        }
        assert "NaN" in found["lives, runs"]
        file.write_text("import sys\nsys.exit(0)\n")
        (finding,) = check_file(file, executor)
    assert (finding.ok, finding.title) == (False, "file")
    assert finding.message == f"the plugin {file} fails on import in line 2: SystemExit: 0"


def test_particle_methods_may_couple_their_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(problem: Any, key: Any, *, n: int) -> Samples:
        x = problem.prior.sample(key, n)
        return Samples(x - 0.5 * x.mean(0))

    only(monkeypatch, "rows")
    entry = replace(METHODS["prior"], run=run)
    assert "the samples are coupled" in faults(check_method(entry))["rows"]
    assert not faults(check_method(replace(entry, particle=True)))


def test_checks_that_would_take_too_long_are_left_out_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "LIMIT_SECONDS", 0.0)
    findings = check_method(METHODS["exact"])
    assert all(finding.ok for finding in findings)
    assert all("not checked: one run takes" in finding.message for finding in findings)


# ---- the rates and figures behind the verdicts ----


def test_sixty_keys_of_the_exact_sampler_raise_no_alarm(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "key", "rows", "data", "noise", "prior")
    for offset in range(60):
        monkeypatch.setattr(Trial, "key", lambda self, seed, o=offset: make_key(self.framework, [o, seed]))
        assert not faults(check_method(METHODS["exact"]))


def test_what_y_says_nothing_about_has_the_law_of_the_prior() -> None:
    posterior = instance().posterior
    assert np.allclose(UNSEEN.T @ posterior.cov() @ UNSEEN, UNSEEN_COV)
    assert np.allclose(UNSEEN.T @ posterior.mean, UNSEEN.T @ trial.MEAN)
    assert np.abs(MATRIX @ UNSEEN).max() < 1e-12


def test_units_change_the_problem_and_not_the_posterior() -> None:
    usual, other = instance(), instance(units=0.25, noise_std=0.25 * NOISE_STD)
    assert np.allclose(usual.posterior.cov(), other.posterior.cov())
    assert np.allclose(usual.problem.operator.s, 4 * other.problem.operator.s)


@pytest.mark.parametrize("variance", [0.02, 0.09, 0.31])
def test_the_effective_variance_is_that_of_the_posterior_that_was_sampled(variance: float) -> None:
    problem = instance().problem
    posterior = condition(problem.prior, problem.operator, GaussianNoise(np.array(variance**0.5)), problem.y)[0]
    x = posterior.sample(make_key("numpy", [5]), 4000)
    assert effective_variance(x) == pytest.approx(variance, rel=0.1)


def test_the_change_of_a_law_is_in_posterior_standard_deviations_beyond_the_error() -> None:
    posterior, n = instance().posterior, 40_000
    x = posterior.sample(make_key("numpy", [6]), n)
    y = posterior.sample(make_key("numpy", [7]), n)
    root = np.linalg.cholesky(posterior.cov())
    wider = posterior.mean + (x - posterior.mean) * 1.3
    moved = x + 0.4 * root[:, 0]
    assert change_of_law(x, x) == 0
    assert change_of_law(x, y) < 0
    assert change_of_law(x, wider) == pytest.approx(np.log(1.3), abs=0.01)
    assert change_of_law(x, moved) == pytest.approx(0.4, abs=1e-9)
    assert change_of_law(x, np.full_like(x, np.nan)) == np.inf
