"""Accepting a change: a run's entries of some names become the baseline's, with the reason."""

from __future__ import annotations

import copy
import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from benchmarks.compare import compare
from benchmarks.compare_snapshot import SCHEMA, SECTIONS, Snapshot, read, write
from problems.names import UsageError, unknown

_CHANGES = 40
"""How many changes are written down."""


def accept(run: Snapshot, path: Path, name: str, because: str) -> list[str]:
    """Writes the run's entries of a configuration, a problem or another subject into a baseline file.

    Args:
        name: may be a pattern, '*' for all; on a missing file only '*'.

    Raises:
        UsageError: without a reason, for a name that neither side has, if the baseline is a run directory or of
            another suite, or if the run has less to be compared with than the baseline: parts that failed, instances.
    """
    if not because.strip():
        raise UsageError("--accept needs a reason: --because '...'")
    if path.is_dir():
        raise UsageError(f"{path} is a run directory; a change is accepted into a baseline file")
    if not path.exists() and name != "*":
        raise UsageError(f"there is no baseline {path}; make it with --accept '*'")
    if run["partial"] and not path.exists():
        raise UsageError(
            "a first baseline needs a run of the whole suite, without --methods, --problems or --instances"
        )
    base = read(path) if path.exists() else _empty(run)
    if run["suite"] != base["suite"]:
        raise UsageError(f"the run is of suite {run['suite']!r}, the baseline of {base['suite']!r}")
    if run["seed"] != base["seed"] and (name != "*" or run["partial"]):
        raise UsageError(f"the run has seed {run['seed']}, the baseline {base['seed']}; run with --seed {base['seed']}")
    known = {key for one in (run, base) for key in _names(one)}
    matching = sorted(key for key in known if matches(key, name))
    if not matching:
        raise unknown("method, problem or other subject", name, known)
    _check(run, base, set(matching))
    changed = _changes(run, base, set(matching))
    result = copy.deepcopy(base)
    for section in ("values", "moments", "cells"):
        _replace(result[section], run[section], set(matching), whole=not run["partial"])
    for key in matching:  # a speed is one entry, taken or left as a whole
        if key in run["speed"]:
            result["speed"][key] = run["speed"][key]
        elif not run["partial"]:
            result["speed"].pop(key, None)
    result["seed"] = run["seed"]
    entry = {
        "name": name,
        "because": because.strip(),
        "on": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "changed": changed,
    }
    result["accepted"] = [*base.get("accepted", []), entry]
    write(path, result)
    return [f"accepted into {path}: {', '.join(matching)}", *changed]


def matches(name: str, pattern: str) -> bool:
    """Whether a name is meant; brackets are those of a preset."""
    return name == pattern or fnmatchcase(name, pattern.replace("[", "[[]"))


def _empty(run: Snapshot) -> Snapshot:
    return {"schema": SCHEMA, "suite": run["suite"], "seed": run["seed"]} | {section: {} for section in SECTIONS}


def _check(run: Snapshot, base: Snapshot, names: set[str]) -> None:
    if run["values_failed"] and (not base["values"] or names & base["values"].keys()):
        raise UsageError(f"the values of the run cannot be accepted, they failed: {run['values_failed']}")
    parts = [(config, where, part) for config, wheres in run["moments"].items() for where, part in wheres.items()]
    parts += [(config, "speed", part) for config, part in run["speed"].items()]
    for config, where, part in parts:
        if "failed" in part and _meant(config, where, names):
            raise UsageError(f"{config} cannot be accepted, its guard failed ({where}): {part['failed']}")
    for config, problems in base["cells"].items():
        for problem, cell in problems.items():
            got = run["cells"].get(config, {}).get(problem)
            if got is not None and _meant(config, problem, names) and len(got["status"]) < len(cell["status"]):
                counts = f"{len(got['status'])} instances, the baseline {len(cell['status'])}"
                raise UsageError(f"{config} on {problem} cannot be accepted: the run has {counts}")


def _meant(key: str, inner: str, names: set[str]) -> bool:
    """Whether an entry is named by its first or its second key; 'linear-gaussian-2/0' is of a problem."""
    return key in names or inner.partition("/")[0] in names


def _names(snapshot: Snapshot) -> set[str]:
    """Configurations, problems, and subjects of values and of speed."""
    problems = {problem for cells in snapshot["cells"].values() for problem in cells}
    return problems.union(*(snapshot[section] for section in SECTIONS))


def _changes(run: Snapshot, base: Snapshot, names: set[str]) -> list[str]:
    try:
        found = compare(run, base)
    except UsageError:  # nothing in common: all of it is new
        return []
    told = [
        f"{one.name} {one.where} [{one.kind}] {one.verdict}: {one.words}"
        for one in found
        if one.verdict not in ("same", "untested") and (one.name in names or one.where.partition(":")[0] in names)
    ]
    return told[:_CHANGES] + ([f"and {len(told) - _CHANGES} more"] if len(told) > _CHANGES else [])


def _replace(target: dict[str, Any], source: dict[str, Any], names: set[str], *, whole: bool) -> None:
    """Takes the entries whose first or second key is named; what a run of the whole suite lacks is removed."""
    pairs = {(key, inner) for table in (target, source) for key, entry in table.items() for inner in entry}
    for key, inner in pairs:
        if not _meant(key, inner, names):
            continue
        if inner in source.get(key, {}):
            target.setdefault(key, {})[inner] = source[key][inner]
        elif whole:
            del target[key][inner]
    for key in [key for key, entry in target.items() if not entry]:
        del target[key]
