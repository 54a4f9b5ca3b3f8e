"""Speed and memory against a baseline: thresholds on ratios, beside the tests and without their correction.

A speed is worse if the change of its log ratio, less one standard error, is beyond the threshold. The error is that of
`median_and_error`, both sides together, and at least RUN_TO_RUN. At a threshold of 20 % and an error of RUN_TO_RUN this
is wrong about an unchanged method less than once in a million runs, about one slower by 17 % in 3 % of the runs and by
20 % in 16 %; one slower by 30 % is found in 95 %.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from benchmarks.compare_finding import Finding
from benchmarks.compare_statistics import RUN_TO_RUN, median_and_error

THRESHOLD = 0.2
"""The slowdown and the growth of memory that pass."""
ELSEWHERE = 0.5
"""The same at least, where the baseline is of another kind of processor: the ratios hardly move, but they do."""


def speeds(config: str, got: dict[str, Any] | None, expected: dict[str, Any], threshold: float) -> Iterator[Finding]:
    """The speed and the memory of one configuration."""
    if "failed" in expected:
        yield Finding("speed", config, "", "untested", f"failed in the baseline: {expected['failed']}")
    elif got is None or "failed" in got:
        reason = got["failed"] if got else "it is missing in the run"
        yield Finding("speed", config, "", "worse", f"its speed cannot be taken: {reason}")
    else:
        if got["device"] != expected["device"]:
            threshold = max(threshold, ELSEWHERE)
        yield speed_finding(config, got["log_ratios"], expected["log_ratios"], threshold)
        if expected.get("memory_ratio"):
            yield _memory(config, got.get("memory_ratio"), expected["memory_ratio"], threshold)


def speed_finding(config: str, got: list[float], expected: list[float], threshold: float) -> Finding:
    """A change counts if it is beyond the threshold by more than its standard error."""
    (a, a_error), (b, b_error) = median_and_error(got), median_and_error(expected)
    change, error, allowed = a - b, max(math.hypot(a_error, b_error), RUN_TO_RUN), math.log1p(threshold)
    words = (
        f"time over the reference workload {math.exp(b):.3f} -> {math.exp(a):.3f}, "
        f"{100 * math.expm1(change):+.0f} % +- {100 * error:.0f} % (allowed: {100 * threshold:.0f} %)"
    )
    beyond = abs(change) - error > allowed
    verdict = ("worse" if change > 0 else "better") if beyond else "changed" if abs(change) > allowed else "same"
    return Finding("speed", config, "", verdict, words, error=error, relevant=allowed)


def _memory(config: str, got: float | None, expected: float, threshold: float) -> Finding:
    if got is None:
        return Finding("memory", config, "", "worse", "its memory is missing in the run")
    words = f"memory over the reference workload {expected:.3f} -> {got:.3f} (allowed: +{100 * threshold:.0f} %)"
    if got > expected * (1 + threshold):
        return Finding("memory", config, "", "worse", words)
    return Finding("memory", config, "", "better" if got < expected / (1 + threshold) else "same", words)
