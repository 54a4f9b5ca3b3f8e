"""One task in its framework: what is checked, what is counted, and that a family compiles once."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from psutil import Process

from benchmarks.devices import missing_device, peak_bytes, reset_peak, return_freed_memory
from benchmarks.execute import Drawn, Programs, execute
from benchmarks.judge import evaluate
from benchmarks.tasks import Task, canonical
from benchmarks.work import Work, count_jaxpr, counted
from benchmarks.worker import run_task, verdict
from methods import METHODS
from problems import FAMILIES, load
from problems.arrays import make_key


def task(method: str, problem: str = "seed2d", framework: str = "jax", n: int = 12, **hyper: Any) -> Task:
    entry = METHODS[method]
    return Task(
        problem=problem,
        instance=0,
        method=method,
        config=method,
        framework=framework,
        repeat=0,
        n=n,
        hyper=canonical(entry.configure("default", hyper)),
        seed=0,
        device="cpu",
        threads=1,
        code="",
        oracle=entry.oracle,
    )


@pytest.mark.parametrize(
    ("spoilt", "status", "reason"),
    [
        ({}, "ok", "a remark"),
        ({3: np.nan, 5: np.inf}, "diverged", "2 of 40 samples (5 %) are not finite"),
        ({3: np.nan, 5: 1e9}, "diverged", "1 of 40 samples (2.5 %) are not finite"),
        ({0: 1e300}, "diverged", "1 of 40 samples (2.5 %) are farther than 1000 diameters"),
        ({7: -1001.0}, "diverged", "1 of 40 samples (2.5 %) are farther than 1000 diameters"),
        ({7: 999.0}, "ok", "a remark"),
    ],
)
def test_samples_that_are_not_finite_or_absurdly_far_have_diverged(
    spoilt: dict[int, float], status: str, reason: str
) -> None:
    """Far is measured in diameters of the prior from its mean."""
    prior = load("linear-gaussian-2", 0).problem.prior
    x = prior.sample(make_key("numpy", [1]), 40)
    for row, diameters in spoilt.items():
        x[row, 0] = prior.mean[0] + diameters * prior.diameter
    found = verdict(Drawn(x, None, None, "a remark", 0.0, 0.0, 0.0, 0, {}), prior)
    assert (found[0], found[1].removesuffix(" of the prior from its mean")) == (status, reason)


def test_what_a_method_says_of_itself_reaches_its_metrics() -> None:
    """An estimate of p(y) is scored, and a point estimate is not asked for calibration."""
    few = {"framework": "torch", "n": 12}
    silent, evidence, point = (
        run_task(one, Programs())[0].metrics
        for one in (task("prior", **few), task("smc", **few, steps=3, particles=4), task("map", **few))
    )
    assert "log_evidence_error" in evidence
    assert "log_evidence_error" not in silent
    assert {"z_std", "coverage90_range"} <= set(silent)
    assert not {"z_std", "coverage90_range"} & set(point)


class CompileLog(logging.Handler):
    """What JAX says that it compiles."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage().startswith("Compiling"):
            self.lines.append(record.getMessage())


@pytest.fixture
def compile_log() -> Iterator[CompileLog]:
    import jax

    handler, logger = CompileLog(), logging.getLogger("jax")
    logger.addHandler(handler)
    with jax.log_compiles(True):
        yield handler
    logger.removeHandler(handler)


@pytest.mark.usefixtures("toys")
@pytest.mark.parametrize(
    ("problem", "method"), [*((name, "toy-touch") for name in FAMILIES), ("digits-blur", "em-dps")]
)
def test_the_second_instance_of_a_family_compiles_nothing(problem: str, method: str, compile_log: CompileLog) -> None:
    programs = Programs()
    first = task(method, problem, n=3, **({"steps": 3} if method == "em-dps" else {}))
    drawn = execute(first, programs)
    assert drawn.seconds_compile > 0
    lines = len(compile_log.lines)
    assert lines > 0
    again = execute(replace(first, instance=1), programs)
    assert compile_log.lines[lines:] == []
    assert programs.made == 1
    assert again.seconds_compile == 0
    assert not np.array_equal(again.x, drawn.x)


def test_another_n_or_hyper_parameter_is_another_program() -> None:
    programs = Programs()
    for variant in (task("prior"), task("prior", n=13), task("em-none", steps=2), task("em-none", steps=3)):
        execute(variant, programs)
    assert programs.made == 4


@pytest.mark.usefixtures("toys")
def test_programs_compiled_at_once_are_charged_to_the_first_task_that_uses_them() -> None:
    programs = Programs()
    tasks = [task("prior"), task("em-none", steps=2), task("prior", framework="torch"), task("toy-slow")]
    programs.compile([*tasks, tasks[0]])
    assert programs.made == 2
    programs.compile(tasks)
    assert programs.made == 2
    assert execute(tasks[0], programs).seconds_compile > 0
    assert execute(tasks[0], programs).seconds_compile == 0
    assert execute(tasks[1], programs).seconds_compile > 0
    assert programs.made == 2


@pytest.mark.usefixtures("toys")
def test_a_program_that_does_not_compile_is_left_to_its_own_task() -> None:
    programs = Programs()
    programs.compile([task("toy-array"), task("toy-touch")])
    assert execute(task("toy-touch"), programs).seconds_compile > 0
    with pytest.raises(TypeError, match="returns Samples"):
        execute(task("toy-array"), programs)


def test_a_program_is_given_up_when_two_compilations_have_not_asked_for_it() -> None:
    programs = Programs()
    first, second, third = ([task("em-none", steps=k)] for k in (2, 3, 4))
    for tasks in (first, second, first, third):
        programs.compile(tasks)
    assert programs.made == 3
    assert execute(first[0], programs).seconds_compile > 0
    assert programs.made == 3
    programs.compile(second)
    assert programs.made == 4
    programs.compile(first)
    assert programs.made == 5
    assert execute(first[0], programs).seconds_compile > 0


def test_a_program_of_torch_stays_as_long() -> None:
    programs = Programs()
    first, second, third = ([task("prior", problem, "torch")] for problem in ("seed2d", "gmm25-8-1", "gmm25-8-2"))
    programs.compile(first)
    execute(first[0], programs)
    programs.compile(second)
    execute(first[0], programs)
    assert programs.made == 1
    programs.compile(third)
    execute(first[0], programs)
    assert programs.made == 2


def test_freed_memory_goes_back_to_the_system() -> None:
    # Blocks too small to be mapped one by one; the last keeps the heap from shrinking at its end.
    blocks = [bytearray(100_000) for _ in range(2000)]
    end = bytearray(100_000)
    del blocks
    before = Process().memory_info().rss
    return_freed_memory()
    assert Process().memory_info().rss < before - 100e6
    assert len(end) == 100_000


def test_the_oldest_program_makes_room() -> None:
    programs = Programs(size=1)
    for method in ("prior", "exact", "prior"):
        execute(task(method), programs)
    assert programs.made == 3


def test_the_same_task_gives_the_same_samples_and_another_seed_or_repeat_others() -> None:
    programs = Programs()
    one = task("em-none", steps=4)
    x = execute(one, programs).x
    assert x.shape == (12, 2)
    assert x.dtype == np.float64
    np.testing.assert_array_equal(execute(one, Programs()).x, x)
    for other in (replace(one, seed=1), replace(one, repeat=1)):
        assert not np.any(execute(other, programs).x == x)


@pytest.mark.usefixtures("toys")
def test_torch_runs_array_methods_with_the_same_counts() -> None:
    hyper = {"steps": 3}
    one, other = (execute(task("toy-work", framework=f, **hyper), Programs()) for f in ("jax", "torch"))
    assert one.work == other.work == Work(nfe=7, vjp=9, operator_calls=7)
    assert one.remark == other.remark == ""
    assert other.seconds_compile > 0


def test_oracle_methods_see_the_posterior_and_no_other_method_does() -> None:
    posterior = load("linear-gaussian-2", 0).posterior
    mean = execute(task("exact", "linear-gaussian-2", n=4000), Programs()).x.mean(axis=0)
    np.testing.assert_allclose(mean, posterior.mean, atol=6 * float(np.max(posterior.std)) / 4000**0.5)
    prior = execute(task("prior", "linear-gaussian-2", n=4000), Programs()).x.std(axis=0)
    assert np.all(prior > 1.2 * posterior.std)


@pytest.mark.usefixtures("toys")
@pytest.mark.parametrize("framework", ["jax", "torch"])
@pytest.mark.parametrize(
    ("method", "said"),
    [
        ("toy-shape", r"expected samples of shape \(12, 2\), got \(2, 12\)"),
        ("toy-array", r"a sampler returns Samples, got \w+"),
    ],
)
def test_what_a_sampler_returns_is_checked(framework: str, method: str, said: str) -> None:
    with pytest.raises((ValueError, TypeError), match=said):
        execute(task(method, framework=framework), Programs())


def test_a_methods_own_count_is_checked_and_its_density_and_remarks_are_kept() -> None:
    from methods import Samples, method

    @method("toy-boasts")
    def boasts(problem: Any, key: Any, *, n: int) -> Samples:
        x = problem.prior.sample(key, n)
        return Samples(x, log_prob=problem.prior.log_prob(x), nfe=7, vjp=0, train_seconds=0.25, info={"loss": x[0, 0]})

    drawn = execute(task("toy-boasts"), Programs())
    assert drawn.work == Work(nfe=1, vjp=0, operator_calls=0)
    assert drawn.remark == "the method reports nfe 7 (counted 1)"
    assert drawn.log_prob is not None
    np.testing.assert_allclose(drawn.log_prob, load("seed2d", 0).problem.prior.log_prob(drawn.x), rtol=1e-4, atol=1e-4)
    assert drawn.seconds_train == 0.25
    assert drawn.info == {"loss": pytest.approx(drawn.x[0, 0])}


def test_a_method_that_compiles_for_itself_is_believed_and_that_is_said() -> None:
    from methods import Samples, method

    @method("toy-own", framework="jax")
    def own(problem: Any, key: Any, *, n: int, nfe: int | None = None) -> Samples:
        info = {"compile_seconds": 12.5, "loss": 3.0}
        return Samples(problem.prior.sample(key, n), nfe=nfe, train_seconds=2.0, info=info)

    drawn = execute(task("toy-own", nfe=9), Programs())
    assert (drawn.seconds_compile, drawn.seconds_train, drawn.seconds_sample) == (12.5, 2.0, 0.0)
    assert drawn.info == {"loss": 3.0}
    assert (drawn.work is not None and drawn.work.nfe, drawn.remark) == (9, "nfe and vjp as the method reports them")
    drawn = execute(task("toy-own"), Programs())
    assert (drawn.work, drawn.remark) == (None, "the work was not counted")


@pytest.mark.parametrize("framework", ["jax", "torch"])
def test_a_density_is_asked_about_exact_draws_that_are_the_same_for_all_methods(framework: str) -> None:
    from methods import Samples, method

    for name in ("toy-known", "toy-other"):

        @method(name, framework=framework)
        def known(problem: Any, key: Any, *, n: int) -> Samples:
            return Samples(problem.prior.sample(key, n), log_density=problem.prior.log_prob)

    n = 500
    first, other = (execute(task(name, framework=framework, n=n), Programs()) for name in ("toy-known", "toy-other"))
    again = execute(replace(task("toy-known", framework=framework, n=n), instance=1), Programs())
    assert first.remark == "the work was not counted" if framework == "jax" else not first.remark
    assert first.exact_x is not None
    assert first.exact_log_prob is not None
    np.testing.assert_array_equal(first.exact_x, other.exact_x)
    assert not np.any(first.exact_x == again.exact_x)
    assert not np.any(first.exact_x == first.x)
    instance = load("seed2d", 0)
    np.testing.assert_array_equal(first.exact_x, first.exact_x.astype(np.float32))  # as they are kept
    exact = instance.problem.prior.log_prob(first.exact_x)
    np.testing.assert_allclose(first.exact_log_prob, exact, rtol=1e-3, atol=1e-3)
    posterior = instance.posterior
    np.testing.assert_allclose(first.exact_x.mean(axis=0), posterior.mean, atol=5 * posterior.std.max() / n**0.5)
    assert execute(task("prior"), Programs()).exact_x is None


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda x: x[:, 0, None], r"its log_density has the shape (12, 1), expected (12,)"),
        (lambda x: {}[x.shape], "its log_density raises KeyError: (12, 2)"),
    ],
)
def test_a_density_that_fails_costs_no_samples(wrong: Any, said: str) -> None:
    from methods import Samples, method

    @method("toy-unsure", framework="jax")
    def unsure(problem: Any, key: Any, *, n: int) -> Samples:
        return Samples(problem.prior.sample(key, n), nfe=0, log_density=wrong)

    record, arrays = run_task(task("toy-unsure"), Programs())
    assert record.status == "ok"
    assert record.reason == f"nfe and vjp as the method reports them; {said}"
    assert list(arrays) == ["x"]
    assert "kl_reverse" not in record.metrics


def test_both_divergences_are_scored_and_can_be_scored_again_from_what_is_kept() -> None:
    """KL(posterior || prior) and KL(prior || posterior) of a sampler of the prior that knows its density."""
    from methods import Samples, method

    @method("toy-prior", framework="jax")
    def toy_prior(problem: Any, key: Any, *, n: int) -> Samples:
        x, prior = problem.prior.sample(key, n), problem.prior
        return Samples(x, log_prob=prior.log_prob(x), log_density=prior.log_prob)

    instance, n = load("linear-gaussian-2", 0), 500
    record, arrays = run_task(task("toy-prior", "linear-gaussian-2", n=n), Programs())
    assert {name: array.shape for name, array in arrays.items()} == {
        **{"x": (n, 2), "log_prob": (n,), "exact_x": (n, 2), "exact_log_prob": (n,)},
    }

    def divergence(p: Any, q: Any) -> float:
        precision, apart = np.linalg.inv(q.cov()), q.mean - p.mean
        log_det = np.linalg.slogdet(q.cov())[1] - np.linalg.slogdet(p.cov())[1]
        return 0.5 * float(np.trace(precision @ p.cov()) + apart @ precision @ apart - 2 + log_det)

    prior, posterior = instance.problem.prior, instance.posterior
    for name, expected in (
        ("kl_reverse", divergence(posterior, prior)),
        ("log_density_regret", divergence(prior, posterior)),
    ):
        value, stderr = record.metrics[name]
        assert abs(value - expected) < 4 * stderr < 0.3 * expected
    again = evaluate("linear-gaussian-2", 0, 0, *arrays.values())
    assert again["kl_reverse"] == pytest.approx(record.metrics["kl_reverse"], rel=1e-5)
    assert again["log_density_regret"] == pytest.approx(record.metrics["log_density_regret"], rel=1e-5)


def test_a_sampler_that_looks_at_the_type_of_its_prior_runs_uncounted() -> None:
    from methods import Samples, method

    @method("toy-typed")
    def typed(problem: Any, key: Any, *, n: int) -> Samples:
        if type(problem.prior).__name__ != "SharedMixture":
            raise TypeError("no mixture")
        return Samples(problem.prior.sample(key, n))

    assert execute(task("toy-typed"), Programs()).work is None
    assert execute(task("toy-typed", framework="torch"), Programs()).work is None
    with pytest.raises(TypeError, match="no mixture"):
        execute(task("toy-typed", "linear-gaussian-2"), Programs())


PRESETS = [(m.name, preset) for m in METHODS.values() if m.framework == "array" for preset in m.presets]


@pytest.mark.parametrize(("name", "preset"), PRESETS)
def test_every_array_method_reports_the_work_that_is_counted(name: str, preset: str) -> None:
    import jax

    entry = METHODS[name]
    instance = load("gaussian-field-16" if "image" in entry.requires else "linear-gaussian-2", 0)
    problem = counted((instance.oracle() if entry.oracle else instance.problem).to("jax"))
    hyper = entry.configure(preset, {"steps": 6} if "steps" in entry.hyper else {})
    own: list[Any] = []

    def run(problem: Any, key: Any) -> Any:
        samples = entry.run(problem, key, n=4, **hyper)
        own.append((samples.nfe, samples.vjp))
        return samples.x

    work = count_jaxpr(jax.make_jaxpr(run)(problem, make_key("jax", [0])), 4)
    ((nfe, vjp),) = own
    assert nfe == work.nfe
    assert vjp in (None, work.vjp)


def test_the_peak_is_set_back_and_rises_with_an_allocation() -> None:
    reset_peak("cpu")
    before = peak_bytes("cpu", "jax")
    block = np.ones(30_000_000)
    with_block = peak_bytes("cpu", "jax")
    assert block.nbytes * 0.9 < with_block - before < block.nbytes * 1.5
    del block
    assert peak_bytes("cpu", "jax") == pytest.approx(with_block, rel=0.01)  # the kernel counts in batches
    if Path("/proc/self/clear_refs").exists():
        reset_peak("cpu")
        assert peak_bytes("cpu", "jax") < with_block - 200e6


@pytest.mark.gpu
def test_on_a_gpu_the_peak_is_that_of_the_program() -> None:
    if missing_device("cuda", {"jax"}):
        pytest.skip("no CUDA device")
    small, large = (execute(replace(task("prior", n=n), device="cuda"), Programs()) for n in (10, 1_000_000))
    assert isinstance(small, Drawn)
    assert large.peak_bytes - small.peak_bytes >= 8_000_000 - 100


@pytest.mark.parametrize("framework", ["jax", "torch"])
def test_a_network_in_bfloat16_draws_nearly_the_same_samples(framework: str) -> None:
    """Of one pool of programs; samplers of exact scores draw the same ones."""
    programs = Programs()
    for problem, least, most in (("digits-inpaint-model-net", 1e-4, 0.05), ("digits-inpaint-model", 0.0, 0.0)):
        one = task("ddim-none", problem, framework, n=4, steps=10)
        exact, rounded = (execute(replace(one, precision=word), programs).x for word in ("float32", "bfloat16"))
        assert least <= np.std(rounded - exact) / np.std(exact) <= most
