"""What the user selects: problems and rows by glob patterns, hyper-parameters by METHOD.NAME=VALUE."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from benchmarks.tuned_presets import presets_of
from methods import METHODS
from problems.names import UsageError, lookup, unknown


@dataclass(frozen=True)
class Row:
    """A row of the table: a method and one of its presets."""

    method: str
    preset: str = "default"


@dataclass(frozen=True)
class Override:
    """`--set dps.steps=500`; the method is a glob pattern."""

    pattern: str
    name: str
    value: Any


def is_glob(pattern: str) -> bool:
    """Whether a pattern may stand for more than one name."""
    return any(mark in pattern for mark in "*?")


def select(kind: str, patterns: Iterable[str], names: Sequence[str]) -> list[str]:
    """The names that match any of the patterns, in the order of the patterns.

    Raises:
        UsageError: for a pattern that matches nothing.
    """
    chosen: dict[str, None] = {}
    for pattern in patterns:
        matching = [name for name in names if fnmatchcase(name, pattern)]
        if not matching:
            raise unknown(kind, pattern, names)
        chosen.update(dict.fromkeys(matching))
    return list(chosen)


def select_rows(patterns: Iterable[str]) -> list[Row]:
    """The rows that patterns stand for: 'em-*', 'dps[paper]', 'oracle-*[*]'; without brackets the default preset.

    Raises:
        UsageError: for a method or a preset that does not exist.
    """
    rows: dict[Row, None] = {}
    for pattern in patterns:
        name, bracket, rest = pattern.partition("[")
        if bracket and not rest.endswith("]"):
            raise UsageError(f"a method with a preset is written like 'dps[paper]', got {pattern!r}")
        preset = rest[:-1] if bracket else "default"
        found = [
            Row(method, one)
            for method in select("method", [name], list(METHODS))
            for one in presets_of(method)
            if fnmatchcase(one, preset)
        ]
        if not found:
            presets = {one for method in select("method", [name], list(METHODS)) for one in presets_of(method)}
            raise unknown(f"preset of {name}", preset, presets)
        rows.update(dict.fromkeys(found))
    return list(rows)


def parse_override(text: str) -> Override:
    """METHOD.NAME=VALUE; the value is a TOML value, else a string.

    Raises:
        UsageError: for another form, an unknown method or an unknown hyper-parameter.
    """
    target, equals, raw = text.partition("=")
    pattern, dot, name = target.strip().rpartition(".")
    if not (equals and dot and pattern and name):
        raise UsageError(f"--set takes METHOD.NAME=VALUE, for example dps.steps=500, got {text!r}")
    for method in select("method", [pattern], list(METHODS)):
        lookup(f"hyper-parameter of {method}", name, METHODS[method].hyper)
    try:
        value = tomllib.loads(f"value = {raw.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        value = raw.strip()
    return Override(pattern, name, value)


def overrides_of(method: str, overrides: Iterable[Override]) -> dict[str, Any]:
    """The hyper-parameters that the user sets for a method; the last word counts."""
    return {o.name: o.value for o in overrides if fnmatchcase(method, o.pattern)}


def label(row: Row, overrides: dict[str, Any]) -> str:
    """How a row is called in every table: 'dps', 'dps[paper]', 'dps[paper,steps=500]'."""
    inside = ([] if row.preset == "default" else [row.preset]) + [f"{k}={overrides[k]}" for k in sorted(overrides)]
    return f"{row.method}[{','.join(inside)}]" if inside else row.method
