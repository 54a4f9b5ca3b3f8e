"""A comparison in words: what got worse and how to see it again, what changed, and what would have been found."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from benchmarks.compare_finding import Finding
from benchmarks.compare_snapshot import BARE, HARNESS, HARNESS_METHOD, SMALL_ERROR, Snapshot
from benchmarks.compare_statistics import (
    FAMILY_WISE,
    POWER,
    POWER_QUANTILE,
    detectable_by_signs,
    detectable_by_t,
)

_LISTED = 12
"""How many findings of a kind that needs no action are listed."""


def comparison_lines(found: list[Finding], hints: Callable[[Finding], Iterable[str]] = lambda _: ()) -> list[str]:
    """All that is worth saying, what got worse first, each with its hints."""
    lines: list[str] = []
    for one in (one for one in found if one.verdict == "worse"):
        lines.append(f"WORSE    {_told(one)}{_p(one)}")
        lines += [line for hint in hints(one) if (line := f"         {hint}") not in lines]
    for verdict in ("better", "changed", "untested", "new"):
        listed = [one for one in found if one.verdict == verdict]
        lines += [f"{verdict:<8} {_told(one)}{_p(one)}" for one in listed[:_LISTED]]
        lines += [f"{verdict:<8} and {len(listed) - _LISTED} more"] if len(listed) > _LISTED else []
    counts = {
        verdict: sum(one.verdict == verdict for one in found) for verdict in ("same", "changed", "better", "worse")
    }
    tests = sum(one.tested for one in found)
    return [
        *lines,
        *_power(found, tests),
        f"{len(found)} comparisons: "
        f"{counts['same']} same, {counts['changed']} changed but not worse, {counts['better']} better, "
        f"{counts['worse']} worse; {tests} tests at a family-wise false-alarm rate of {100 * FAMILY_WISE:g} %",
    ]


def what_to_look_at(one: Finding, run: Snapshot) -> list[str]:
    """How to see a finding again, and how to accept it."""
    if one.kind == "values" and not one.where:
        return ["nothing random enters the values: look at what failed"]
    config, _, framework = one.name.partition(" (")
    method = HARNESS_METHOD if one.name in (HARNESS, BARE) else config
    replay = f"posterior-bench run --suite {run['suite']} --seed {run['seed']} --methods '{method}'"
    replay += f" --framework {framework.removesuffix(')')}" if framework else ""
    if one.kind == "values":
        look = f"look at the code of {one.name}: nothing random enters this number"
    elif one.kind in ("moments", "speed", "memory"):
        look = f"take it anew, in a directory of its own: {replay} --out runs/again"
    else:
        look = f"replay: {replay} --problems {one.where.partition(':')[0]}"
    return [look, f"if it is meant: compare RUN BASELINE --accept '{one.name}' --because '...'"]


def _told(one: Finding) -> str:
    place = f"{one.name} on {one.where}" if one.kind != "values" else f"{one.name}: {one.where}"
    place = place.removesuffix(" on ").removesuffix(": ")
    return f"{place} [{one.kind}]: {one.words}"


def _p(one: Finding) -> str:
    return "" if not one.tested else f" (p = {min(one.p_worse, one.p_better):.2g})"


def _power(found: list[Finding], tests: int) -> Iterator[str]:
    """The smallest changes that the tests of this comparison find."""
    share = f"found with {100 * POWER:g} % power: "
    for kind, what in (
        ("moments", f"squared W2 of the moments plus {SMALL_ERROR:g}"),
        ("sw1", "SW1"),
        ("mode_tv", "mode_tv"),
    ):
        stated = detectable_by_t if kind == "moments" else detectable_by_signs
        sizes = [
            (stated(one.error, one.relevant, tests, one.count), f"{one.name} on {one.where}")
            for one in found
            if one.tested and (one.kind == kind or one.where.endswith(f": {kind}"))
        ]
        if not sizes:
            continue
        median, (most, where) = float(np.median([size for size, _ in sizes])), max(sizes)
        if kind == "mode_tv":
            yield f"{share}{what} {median:+.2g} in probability (median cell), {most:+.2g} ({where})"
        else:
            median, most = 100 * math.expm1(median), 100 * math.expm1(most)
            yield f"{share}{what} {median:+.2g} % (median cell), {most:+.2g} % ({where})"
    slow = [
        math.expm1(one.relevant + (1 + POWER_QUANTILE) * one.error)
        for one in found
        if one.kind == "speed" and one.error >= 0
    ]
    if slow:
        yield f"{share}a slowdown of {100 * np.median(slow):.0f} % (median method), {100 * max(slow):.0f} % (noisiest)"
