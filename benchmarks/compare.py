"""Compares a run with a baseline: what is the same, what changed, and whether what changed got worse.

First equality beyond rounding, on the same keys. What differs in moments and metrics is then tested for being worse,
one-sided, with Holm's correction over all these tests: a run in which nothing got worse is told otherwise in at most
1 % of comparisons. Speed has a threshold of its own, see `benchmarks.compare_speeds`. Deterministic parts, work,
configurations, memory and outcomes need no test.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.compare_cells import ROUNDING, cell_findings
from benchmarks.compare_finding import Finding, judged
from benchmarks.compare_snapshot import SMALL_ERROR, Snapshot
from benchmarks.compare_speeds import THRESHOLD, speeds
from benchmarks.compare_statistics import batch_t, standard_error
from problems.names import UsageError

DETERMINISTIC = 1e-10
"""Of float64 values, relative to the largest of a quantity; machines differ by less."""
RELEVANT_ERROR = math.log(1.01)
"""The change of log(error + SMALL_ERROR) of moments that is nobody's concern: 1 % of an error, 5e-4 at none."""


def compare(run: Snapshot, base: Snapshot, threshold: float = THRESHOLD) -> list[Finding]:
    """All findings; a run of selected methods or problems is compared in what it has.

    Raises:
        UsageError: if the two have no cell in common.
    """
    common = [(c, p) for c, cells in base["cells"].items() for p in cells if p in run["cells"].get(c, {})]
    if not common:
        raise UsageError("the run and the baseline have no cell in common; compare runs of one suite")
    return judged([*_values(run, base), *_moments(run, base), *_cells(run, base), *_speeds(run, base, threshold)])


def _absent(run: Snapshot, config: str, problem: str | None = None) -> bool:
    """Whether a part that a run lacks was left out by the user, who named methods or problems."""
    problems = {name for cells in run["cells"].values() for name in cells}
    named = config in run["cells"] and (problem is None or problem in problems)
    return bool(run["partial"]) and not named


def _values(run: Snapshot, base: Snapshot) -> Iterator[Finding]:
    if run["values_failed"]:
        yield Finding("values", "values", "", "worse", f"they cannot be taken: {run['values_failed']}")
        return
    for subject, quantities in base["values"].items():
        for quantity, expected in quantities.items():
            got = run["values"].get(subject, {}).get(quantity)
            if got is None or len(got) != len(expected):
                yield Finding("values", subject, quantity, "worse", "is missing in the run")
                continue
            moved = _moved(np.array(got), np.array(expected))
            same = moved <= DETERMINISTIC
            words = "" if same else f"moved by {moved:.2g} of its size (allowed: {DETERMINISTIC:g})"
            yield Finding("values", subject, quantity, "same" if same else "worse", words)
    for subject in run["values"].keys() - base["values"].keys():
        yield Finding("values", subject, "", "new", "not in the baseline")


def _moved(a: np.ndarray, b: np.ndarray) -> float:
    """The largest difference, relative to the largest finite value of b; inf or nan if one is not finite.

    The same infinity on both sides is no difference; not a number is one from anything, even from itself.
    """
    differs = a != b
    scale = float(np.max(np.abs(b), initial=0.0, where=np.isfinite(b))) or 1.0
    return float(np.max(np.abs(a[differs] - b[differs]), initial=0.0)) / scale


def _moments(run: Snapshot, base: Snapshot) -> Iterator[Finding]:
    for config, wheres in base["moments"].items():
        for where, expected in wheres.items():
            got = run["moments"].get(config, {}).get(where)
            if got is None and _absent(run, config):
                continue
            if "failed" in expected:
                yield Finding("moments", config, where, "untested", f"failed in the baseline: {expected['failed']}")
            elif got is None or "failed" in got:
                reason = got["failed"] if got else "they are missing in the run"
                yield Finding("moments", config, where, "worse", f"the moments cannot be taken: {reason}")
            else:
                yield _moment(config, where, got, expected)
        for where in run["moments"].get(config, {}).keys() - wheres.keys():
            yield Finding("moments", config, where, "new", "not in the baseline")


def _moment(config: str, where: str, got: dict[str, Any], expected: dict[str, Any]) -> Finding:
    a, b = np.array(got["log_error"]), np.array(expected["log_error"])
    if a.shape != b.shape:
        return Finding("moments", config, where, "untested", f"{len(a)} batches, the baseline has {len(b)}")
    change = a - b
    moved = [
        np.max(np.abs(np.subtract(got[k], expected[k]) / np.maximum(1, np.abs(expected[k])))) for k in ("mean", "std")
    ]
    if max(moved) <= ROUNDING and abs(change.mean()) <= RELEVANT_ERROR / 10:
        return Finding("moments", config, where, "same")
    error = standard_error(change)
    before, after = (math.exp(values.mean()) - SMALL_ERROR for values in (b, a))
    words = (
        f"squared W2 to the exact posterior {before:.4g} -> {after:.4g} posterior variances per dimension; with "
        f"{SMALL_ERROR:g} added the change is {100 * math.expm1(change.mean()):+.3g} % +- {100 * error:.2g} %"
    )
    worse, better = batch_t(change, RELEVANT_ERROR), batch_t(-change, RELEVANT_ERROR)
    return Finding("moments", config, where, "changed", words, worse, better, error, RELEVANT_ERROR, len(change))


def _cells(run: Snapshot, base: Snapshot) -> Iterator[Finding]:
    for config, problems in base["cells"].items():
        for problem in problems:
            if problem in run["cells"].get(config, {}):
                yield from cell_findings(config, problem, run, base)
            elif not _absent(run, config, problem):
                yield Finding("status", config, problem, "worse", "the run has no such cell")
    for config, problems in run["cells"].items():
        for problem in problems.keys() - base["cells"].get(config, {}).keys():
            yield Finding("status", config, problem, "new", "not in the baseline")


def _speeds(run: Snapshot, base: Snapshot, threshold: float) -> Iterator[Finding]:
    for config, expected in base["speed"].items():
        got = run["speed"].get(config)
        if got is not None or not _absent(run, config):
            yield from speeds(config, got, expected, threshold)
