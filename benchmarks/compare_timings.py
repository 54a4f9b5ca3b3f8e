"""Compares two JSON files of pytest-benchmark, as ratios to the reference workload of each test file."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from benchmarks.compare_finding import Finding
from benchmarks.compare_speeds import THRESHOLD, speed_finding
from problems.names import UsageError

REFERENCE = "test_reference"
"""The benchmark of a file that the others are divided by."""


def is_timings(path: Path) -> bool:
    """Whether a file is a JSON of pytest-benchmark."""
    try:
        content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and isinstance(content.get("benchmarks"), list)


def compare_timings(run: Path, base: Path, threshold: float = THRESHOLD) -> list[Finding]:
    """One finding for each benchmark that both files have.

    What is controlled is less than in `benchmarks.compare_speeds`: the reference is timed once in each file and not in
    turn with the others, so that its own error, and what slows the machine for a part of the file, pass for a change.
    On a busy machine take a higher threshold.

    Raises:
        UsageError: if a file has no reference workload, or nothing is in common.
    """
    got, expected = _log_ratios(run), _log_ratios(base)
    common = [name for name in expected if name in got]
    if not common:
        raise UsageError(f"{run} and {base} have no benchmark in common")
    missing = [Finding("speed", name, "", "worse", "is missing in the run") for name in expected if name not in got]
    new = [Finding("speed", name, "", "new", "not in the baseline") for name in got if name not in expected]
    return [*missing, *(speed_finding(name, got[name], expected[name], threshold) for name in common), *new]


def _log_ratios(path: Path) -> dict[str, list[float]]:
    """Benchmark -> the logarithms of its rounds over the median of its file's reference."""
    benchmarks: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["benchmarks"]
    references = {_file(one): one["stats"]["median"] for one in benchmarks if one["name"].startswith(REFERENCE)}
    found = {}
    for one in benchmarks:
        if one["name"].startswith(REFERENCE):
            continue
        if _file(one) not in references:
            raise UsageError(f"{path}: {_file(one)} has no benchmark {REFERENCE!r} to compare with")
        rounds = one["stats"].get("data") or [one["stats"]["median"]]
        found[one["fullname"]] = [math.log(seconds / references[_file(one)]) for seconds in rounds]
    return found


def _file(benchmark: dict[str, Any]) -> str:
    return str(benchmark["fullname"]).partition("::")[0]
