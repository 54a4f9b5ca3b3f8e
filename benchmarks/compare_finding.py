"""What a comparison says of one thing, and which of the tested changes count."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.compare_statistics import FAMILY_WISE, least_p
from scores.holm import holm_threshold


@dataclass(frozen=True)
class Finding:
    """One thing that was compared.

    Attributes:
        kind: 'values', 'moments', 'metric', 'speed', 'memory', 'work', 'setup' or 'status'.
        name: the configuration, or the subject of values. where: the problem, or the quantity.
        verdict: 'same', 'changed' (to be tested, or not worse), 'worse', 'better', 'untested' or 'new'.
        words: from what to what, in the unit of the metric.
        p_worse, p_better: of the one-sided tests; nan where none is made.
        error: the standard error of the change. relevant: the change that does not count.
        count: how many batches or instances are behind a test.
    """

    kind: str
    name: str
    where: str
    verdict: str
    words: str = ""
    p_worse: float = math.nan
    p_better: float = math.nan
    error: float = math.nan
    relevant: float = 0.0
    count: int = 0

    @property
    def tested(self) -> bool:
        """Whether a test is made of it."""
        return not math.isnan(self.p_worse)


def judged(found: list[Finding]) -> list[Finding]:
    """The findings with their tests decided: Holm's correction over all of them, for worse and for better apart.

    A sign-flip test of too few instances to pass among so many tests is not made.
    """
    tests = sum(one.tested for one in found)
    found = [_left_out(one, tests) if one.tested and _hopeless(one, tests) else one for one in found]
    tested = [i for i, one in enumerate(found) if one.tested]
    worse = holm_threshold(np.array([found[i].p_worse for i in tested]), FAMILY_WISE)
    better = holm_threshold(np.array([found[i].p_better for i in tested]), FAMILY_WISE)
    for i in tested:
        one = found[i]
        verdict = "worse" if one.p_worse <= worse else "better" if one.p_better <= better else one.verdict
        found[i] = replace(one, verdict=verdict)
    return found


def _hopeless(one: Finding, tests: int) -> bool:
    return one.kind == "metric" and least_p(one.count) > FAMILY_WISE / tests


def _left_out(one: Finding, tests: int) -> Finding:
    words = f"{one.words}; no change can be found with {one.count} instances among {tests} tests"
    return replace(one, verdict="untested", words=words, p_worse=math.nan, p_better=math.nan)
