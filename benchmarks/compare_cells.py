"""The cells of a run against those of a baseline: configurations, outcomes, work, and metrics paired by instance."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.compare_finding import Finding
from benchmarks.compare_snapshot import WORK, Snapshot
from benchmarks.compare_statistics import sign_flip, standard_error

ROUNDING = 1e-4
"""Of float32 results, relative (moments: in posterior standard deviations); machines differ by less with one key."""
UNITS = {"sw1": "units of x", "mode_tv": "probability"}
RELEVANT = {"sw1": math.log(1.02), "mode_tv": 0.005}
"""The change of a metric that is nobody's concern: of log SW1, and of a probability."""
TINY = 1e-9
"""What SW1 counts as at least, because its logarithm is compared."""
_SMALL = 0.005
"""Values of a metric below this are the same to the rounding of this one."""
_BROKEN = ("failed", "timeout", "out_of_memory")


def cell_findings(config: str, problem: str, run: Snapshot, base: Snapshot) -> Iterator[Finding]:
    """All findings of a cell that both have; of another configuration only that."""
    got, expected = (one["cells"][config][problem] for one in (run, base))
    setups = [name for name, value in expected["setup"].items() if got["setup"].get(name) != value]
    if setups:
        words = ", ".join(f"{name} {expected['setup'][name]} -> {got['setup'].get(name)}" for name in setups)
        yield Finding("setup", config, problem, "worse", f"another configuration cannot be compared: {words}")
        return
    missing = sorted(expected["status"].keys() - got["status"].keys())
    if missing and not run["partial"]:
        yield Finding(
            "status", config, problem, "worse", f"the run lacks {len(missing)} instances, such as {missing[0]}"
        )
    yield _status(config, problem, got["status"], expected["status"], same_keys=run["seed"] == base["seed"])
    if expected["work"] is not None:
        counts = zip(WORK, got["work"] or [None] * len(WORK), expected["work"], strict=True)
        changed = [f"{name} {_count(b)} -> {_count(a)}" for name, a, b in counts if a != b]
        words = f"per sample {', '.join(changed)}" if changed else ""
        yield Finding("work", config, problem, "worse" if changed else "same", words)
    prior = base["cells"].get("prior", {}).get(problem, {"metrics": {}})["metrics"]
    for metric in expected["metrics"]:
        yield _metric(config, problem, metric, got, expected, prior.get(metric, {}))


def _count(value: float | None) -> str:
    return "not counted" if value is None else f"{value:g}"


def _status(config: str, problem: str, got: dict[str, str], expected: dict[str, str], *, same_keys: bool) -> Finding:
    """Any instance that broke counts. So does one that diverges on the keys on which it did not; with fresh keys
    divergence is partly chance, and counts from a quarter of the instances on."""
    common = [i for i in expected if i in got]
    broke = [f"{i}: {got[i]}" for i in common if got[i] in _BROKEN and expected[i] not in _BROKEN]
    if broke:
        return Finding("status", config, problem, "worse", f"instance {broke[0]} ({len(broke)} of {len(common)})")
    before, after = (sum(status[i] == "diverged" for i in common) for status in (expected, got))
    fresh = [i for i in common if got[i] == "diverged" and expected[i] == "ok"]
    words = f"diverged in {before} -> {after} of {len(common)} instances" if before != after or fresh else ""
    words += f", newly in {fresh[0]}" if fresh else ""
    lost = bool(fresh) if same_keys else after - before >= max(4, len(common) / 4)
    return Finding("status", config, problem, "worse" if lost else "changed" if words else "same", words)


def _metric(
    config: str, problem: str, metric: str, got: dict[str, Any], expected: dict[str, Any], prior: dict[str, float]
) -> Finding:
    where = f"{problem}: {metric}"
    before, now = (cell["metrics"].get(metric, {}) for cell in (expected, got))
    lost = [
        i
        for i in before
        if expected["status"][i] == got["status"].get(i) == "ok" and not math.isfinite(now.get(i, math.nan))
    ]
    if lost:
        words = f"has no value any more in {len(lost)} of {len(before)} instances, such as {lost[0]}"
        return Finding("metric", config, where, "worse", words)
    pairs, left_out = _pairs(metric, got, expected, prior)
    if not len(pairs):
        return Finding("metric", config, where, "untested", "no instance in common has a finite value")
    a, b = pairs.T
    words = f"{metric} {b.mean():.4g} -> {a.mean():.4g} {UNITS[metric]} (mean of {len(pairs)} instances)"
    if left_out:
        words += f"; {left_out} that diverged on one side are left out: the baseline has no prior to put in their place"
    if np.all(np.abs(a - b) <= ROUNDING * np.maximum(np.abs(b), _SMALL)):
        return Finding("metric", config, where, "changed" if left_out else "same", words if left_out else "")
    if len(pairs) < 2:
        return Finding("metric", config, where, "untested", f"{words}; one instance is not tested")
    change = np.log(np.maximum(a, TINY) / np.maximum(b, TINY)) if metric == "sw1" else a - b
    relevant = RELEVANT[metric]
    worse, better = sign_flip(change, relevant), sign_flip(-change, relevant)
    error = standard_error(change)
    return Finding("metric", config, where, "changed", words, worse, better, error, relevant, len(pairs))


def _pairs(
    metric: str, got: dict[str, Any], expected: dict[str, Any], prior: dict[str, float]
) -> tuple[np.ndarray, int]:
    """The values of run and baseline by instance, (k, 2), and how many instances diverged on one side and have no pair.

    An instance that diverged counts as the prior there, which ignores the data, and as no better than its other side.
    """
    pairs, left_out = [], 0
    for i in expected["status"]:
        cells = [cell for cell in (got, expected) if i in cell["status"]]
        values = [cell["metrics"].get(metric, {}).get(i) for cell in cells]
        known = [value for value in values if value is not None]
        if len(known) == 1 and len(values) == 2 and cells[values.index(None)]["status"][i] == "diverged":
            if i not in prior:
                left_out += 1
                continue
            values = [max(prior[i], known[0]) if value is None else value for value in values]
        if len(values) == 2 and None not in values:
            pairs.append(values)
    return np.array(pairs), left_out
