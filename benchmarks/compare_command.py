"""The command `compare`: two runs, a run and a baseline file, or two files of timings."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from benchmarks.compare import compare
from benchmarks.compare_accept import accept
from benchmarks.compare_lines import comparison_lines, what_to_look_at
from benchmarks.compare_snapshot import read, run_snapshot
from benchmarks.compare_speeds import THRESHOLD
from benchmarks.compare_timings import compare_timings, is_timings
from problems.names import UsageError


def compared(run: Path, baseline: Path, threshold: float = THRESHOLD) -> tuple[list[str], bool]:
    """The comparison in words, and whether anything got worse.

    Raises:
        UsageError: for a file that cannot be compared, or nothing in common.
    """
    timings = [is_timings(path) for path in (run, baseline)]
    if any(timings):
        if not all(timings):
            raise UsageError(f"{run} and {baseline} are not both timings of pytest-benchmark")
        found = compare_timings(run, baseline, threshold)
        return comparison_lines(found), any(one.verdict == "worse" for one in found)
    now, before = run_snapshot(run), read(baseline)
    found = compare(now, before, threshold)
    lines = comparison_lines(found, partial(what_to_look_at, run=now))
    if now["seed"] != before["seed"]:
        lines.insert(
            0, f"seed {now['seed']} against {before['seed']}: every sample differs, so all that can be is tested"
        )
    left = sorted(before["cells"].keys() - now["cells"].keys())
    if now["partial"] and left:
        lines.insert(0, f"not compared, because the run was of a part of its suite: {', '.join(left)}")
    if now["outdated"]:
        lines.insert(0, f"rows of other code than the run's last are left out: {', '.join(now['outdated'])}")
    return lines, any(one.verdict == "worse" for one in found)


def accepted(run: Path, baseline: Path, name: str, because: str) -> list[str]:
    """Accepts entries of a run into a baseline file; what was done, in words."""
    return accept(run_snapshot(run), baseline, name, because)
