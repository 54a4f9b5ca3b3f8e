"""The conformance suite: whether a sampler keeps the contract, and what its output says about its bugs, in words."""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import randomness, symptoms
from benchmarks.executor import Executor
from benchmarks.plugins import source_of
from benchmarks.trial import OutOfTime, Trial, Verdict, Verdicts, fault, fine, host, instance, one_thread
from benchmarks.watch import NEEDS, Record, std_in_tweedie, watched
from benchmarks.work import Work, count_jaxpr, counted, work_of
from benchmarks.worker import Failure
from methods import Method, Samples
from problems import Problem, load
from problems.arrays import framework_of

CHECK_SECONDS = 300.0
"""Wall time of the check of one sampler in a process of its own; its runs stop themselves long before."""


@dataclass(frozen=True)
class Finding:
    """One sentence about a sampler.

    Attributes:
        ok: False for what has to be mended. A remark is ok: it says what was seen, or what could not be checked.
        title: what was checked.
    """

    ok: bool
    title: str
    message: str


def check_file(path: Path, executor: Executor, limit_seconds: float = CHECK_SECONDS) -> list[Finding]:
    """The findings for every sampler that a plugin file registers.

    They are made in the executor's worker, so that a file or a sampler may hang, crash or exit without taking us along.
    """
    names = executor.call("plugin", path, timeout_seconds=limit_seconds)
    if isinstance(names, Failure):
        return [Finding(False, "file", names.reason)]
    found: dict[str, list[Finding]] = {}
    for name in names:
        reply = executor.call("check", path, name, timeout_seconds=limit_seconds)
        found[name] = [Finding(False, "runs", reply.reason)] if isinstance(reply, Failure) else reply
    named = len(found) > 1
    return [Finding(f.ok, f"{name}, {f.title}" if named else f.title, f.message) for name in found for f in found[name]]


def check_method(entry: Method) -> list[Finding]:
    """The findings for a sampler with its default preset, from about fifteen runs and thirty more of four samples.

    A sampler that does not run, or does not return what it should, is not checked further; nor is a point estimate for
    its spread, or one of images on vectors.
    """
    trial = Trial(entry)
    with one_thread():
        findings = _findings(trial, "runs", _runs)
        if all(finding.ok for finding in findings):
            for title in _applicable(entry):
                findings += _findings(trial, title, CHECKS[title])
    return findings


def _applicable(entry: Method) -> list[str]:
    """The checks that mean something for a method."""
    if "image" in entry.requires:
        return []
    return [title for title in CHECKS if not entry.point or title in ("uses", "frameworks")]


def _runs(trial: Trial) -> Verdicts:
    """A vector and an image, with sizes that occur nowhere else, and as many samples as the other checks need."""
    of_images = "image" in trial.method.requires
    for kind, example, n in (("a vector", instance(), 7), ("an image", load("gaussian-field-16", 0), 5)):
        if of_images and kind == "a vector":
            continue
        problem = trial.carried(example)
        for sentence in _wrong_return(trial.run(problem, trial.key(1), n), problem, n, trial.framework):
            yield fault(f"{sentence} (for {kind})")
            return
    if of_images:
        yield fine("returns finite samples of the right shape and type for an image; the other checks are of vectors")
        return
    x = trial.draw()
    finite = float(np.isfinite(x).mean())
    if finite < 1:
        yield fault(_not_finite(finite))
    elif trial.method.point:
        yield fine(
            "returns finite estimates of the right shape and type; being a point estimate, its spread is not checked"
        )
    elif np.ptp(x, axis=0).max() == 0:
        yield fault("all samples of a run are the same: a point estimate, or random numbers that all samples share")
    else:
        yield fine("returns finite samples of the right shape and type, for a vector and for an image")


def _wrong_return(samples: Any, problem: Problem, n: int, framework: str) -> Iterator[str]:
    """What is wrong with what a sampler returned, the most basic fault first."""
    expected = (n, *problem.shape)
    if not isinstance(samples, Samples):
        yield f"returns {type(samples).__name__}, expected Samples(x)"
        return
    x, log_prob = samples.x, samples.log_prob
    if not hasattr(x, "dtype") or framework_of(x) != framework:
        yield f"x is of type {type(x).__module__}.{type(x).__name__}, expected an array of {framework}"
        return
    shape, dtype = tuple(x.shape), str(x.dtype).split(".")[-1]
    if shape != expected:
        unused = "; n is not used" if shape[:1] != (n,) else ""
        flat = "; reshape to (n, *problem.shape)" if not unused and np.prod(shape) == np.prod(expected) else ""
        yield f"x has the shape {shape}, expected {expected}{unused}{flat}"
    if dtype != "float32":
        yield f"x has the type {dtype}, the problem float32; create arrays and draw with the dtype of problem.y"
    finite = float(np.isfinite(host(x)).mean())
    if finite < 1:
        yield _not_finite(finite)
    if log_prob is not None and tuple(log_prob.shape) != (n,):
        yield f"log_prob has the shape {tuple(log_prob.shape)}, expected {(n,)}"


def _not_finite(finite: float) -> str:
    return (
        f"{1 - finite:.0%} of the numbers in x are NaN or infinite: a step or the weight of the data is too large, "
        "or something is divided by sigma = 0 at the last step"
    )


def _uses(trial: Trial) -> Verdicts:
    """What the sampler does with its problem: what it needs, how much it works, what it measures."""
    record = Record()
    try:
        samples = trial.run(watched(trial.carried(instance()), record), trial.key(1), 5)
        work = _work_in_torch(trial) if trial.framework == "torch" else _work_in_jax(trial)
    except OutOfTime:
        raise
    except (Exception, SystemExit) as error:  # perhaps it looks at the type of its prior
        yield fine(f"cannot be watched, so its needs and its work are not checked: {type(error).__name__}: {error}")
        return
    if not trial.method.oracle:
        yield _needs(record, work, trial.method)
    yield from _claims(work, samples)
    slips = std_in_tweedie(record)
    if slips is not None and slips > 0.5:
        yield fault(
            "a standard deviation is used as a variance: the operator is applied to x + sigma score, but Tweedie's "
            "formula is x0_hat = x + sigma**2 score; look for a missing square"
        )


def _work_in_torch(trial: Trial) -> Work | None:
    """The work per sample, counted; None if it seems to depend on n, as it does where torch.func hides the rows."""
    found = []
    for n in (5, 3):
        tally = Counter[str]()
        trial.run(counted(trial.carried(instance()), tally), trial.key(1), n)
        found.append(work_of(tally, n))
    return found[0] if found[0] == found[1] else None


def _work_in_jax(trial: Trial) -> Work | None:
    """The work of a sampler that can be traced as a whole; None for one that cannot."""
    import jax

    def sample(problem: Problem, key: Any) -> Any:
        return trial.method.run(problem, key, n=5, **trial.hyper).x

    with suppress(Exception):
        return count_jaxpr(jax.make_jaxpr(sample)(counted(trial.carried(instance())), trial.key(1)), 5)
    return None


def _needs(record: Record, work: Work | None, method: Method) -> Verdict:
    """Parts used without being declared, or the reverse; 'linear' and 'gaussian_noise' may also be assumptions."""
    used = {need for use, need in NEEDS.items() if use in record.uses}
    if work is not None and work.vjp > 0:
        used.add("differentiable")
    missing = used - method.requires
    if missing:
        parts = [".".join(use) for use, need in NEEDS.items() if need in missing and use in record.uses]
        parts += ["derivatives"] if "differentiable" in missing else []
        return fault(
            f"uses {', '.join(parts)} without requires={{{', '.join(map(repr, sorted(missing)))}}}: on a problem that "
            "lacks it the sampler fails where it should be skipped"
        )
    visible = {"svd", "prior_log_prob", "prior_sample", "prior_cov"} | (
        {"differentiable"} if work is not None else set()
    )
    idle = sorted((method.requires & visible) - used)
    if idle:
        return fine(f"requires {', '.join(idle)} but did not use it here: it is skipped where it could run")
    return fine("uses what it declares")


def _claims(work: Work | None, samples: Samples) -> Verdicts:
    """nfe and vjp as reported against what was counted."""
    if work is None:
        yield fine("its work cannot be counted here, so that nfe and vjp are not checked")
        return
    for name, claimed, found in (("nfe", samples.nfe, work.nfe), ("vjp", samples.vjp, work.vjp)):
        if claimed is not None and abs(float(claimed) - found) > 1e-6 * max(found, 1.0):
            yield fault(f"reports {name} = {float(claimed):g}, but {found:g} per sample were counted")


CHECKS: dict[str, Callable[[Trial], Verdicts]] = {
    "uses": _uses,
    "key": randomness.key,
    "rows": randomness.rows,
    "frameworks": randomness.frameworks,
    "data": symptoms.data,
    "noise": symptoms.noise_level,
    "prior": symptoms.unseen,
    "bias": symptoms.bias,
}


def _findings(trial: Trial, title: str, check: Callable[[Trial], Verdicts]) -> list[Finding]:
    """The verdicts of one check; an exception is a verdict as well."""
    found = []
    try:
        with np.errstate(all="ignore"):  # a figure of a faulty sampler may be infinite
            for ok, message in check(trial):
                found.append(Finding(ok, title, message))
    except OutOfTime as late:
        found.append(Finding(True, title, f"not checked: {late}"))
    except (Exception, SystemExit) as error:
        found.append(Finding(False, title, _sentence(error, source_of(trial.method.name))))
    return found


def _sentence(error: BaseException, source: Path | None) -> str:
    """One sentence for an exception, with the line of the plugin."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if source and Path(f.filename).resolve() == source]
    where = f" in line {frames[-1].lineno}" if frames else ""
    first = (str(error).strip().splitlines() or ["no message"])[0]
    return f"raises {type(error).__name__}{where}: {first}"
