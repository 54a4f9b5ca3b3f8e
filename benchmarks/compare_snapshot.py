"""What a comparison looks at, of a run directory or of a baseline file, in one shape.

values    subject -> quantity -> numbers              deterministic parts
moments   config -> 'linear-gaussian-2/0' -> log_error, mean, std
speed     config -> device, log_ratios, memory_ratio
cells     config -> problem -> setup, work, status (instance -> word), metrics (name -> instance -> value)

A configuration that ran in two frameworks is there twice, 'dps' and 'dps (torch)'.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

from problems.names import UsageError

GUARD_FILE, GUARD_SCHEMA = "guard.json", 2
"""What `benchmarks.guard` writes into a run directory."""
SCHEMA = 2
"""Of a baseline file."""
HARNESS, HARNESS_METHOD = "the harness", "oracle-em"
"""The name under which the speed of the harness stands, and the method that it is taken with."""
BARE = "the bare parts"
"""The name under which the speed of denoiser, operator and random numbers stands, which all samplers are divided by."""
SMALL_ERROR = 0.05
"""What is added to an error of moments before its logarithm: smaller ones are compared by their difference."""
SECTIONS = ("values", "moments", "speed", "cells")
METRICS = ("sw1", "mode_tv")
"""The columns that are tested; the moments see what they miss, means and widths."""
WORK = ("nfe", "vjp", "operator_calls")
_PARTIAL = ("--methods", "--problems", "--instances")
"""Options with which a run has only a part of its suite."""

Snapshot = dict[str, Any]


def read(path: Path) -> Snapshot:
    """The snapshot of a run directory or of a baseline file.

    Raises:
        UsageError: if it is missing, torn, of another schema, or a run without a guard.
    """
    if path.is_dir():
        return run_snapshot(path)
    content = _json(path)
    if not isinstance(content, dict) or not set(SECTIONS) <= set(content):
        raise UsageError(f"{path} is not a baseline: it lacks {' or '.join(map(repr, SECTIONS))}")
    return _of_schema(content, SCHEMA, path)


def run_snapshot(path: Path) -> Snapshot:
    """The snapshot of a run directory.

    Raises:
        UsageError: if it is no finished run with a guard, or the guard is not that of its last start.
    """
    if not path.is_dir():
        raise UsageError(f"{path} is not a run directory")
    if not (path / "run.json").is_file() or not (path / "results.parquet").is_file():
        raise UsageError(f"{path} is not a finished run: it has no run.json or no results.parquet")
    if not (path / GUARD_FILE).is_file():
        raise UsageError(
            f"{path} has no {GUARD_FILE}: it was interrupted, or is of a suite without guard = true; ci has it"
        )
    run = _json(path / "run.json")
    guard = _of_schema(_json(path / GUARD_FILE), GUARD_SCHEMA, path / GUARD_FILE)
    if guard["started"] != run["created_at"] or not set(guard["wanted"]) <= set(guard["parts"]):
        raise UsageError(
            f"{path} was interrupted before its {GUARD_FILE} was finished: the same command goes on from there"
        )
    words = {word.partition("=")[0] for word in run["command"]}
    snapshot: Snapshot = {
        "schema": SCHEMA,
        "suite": run["suite"],
        "seed": run["seed"],
        "partial": bool(words & set(_PARTIAL)),
        "values_failed": "",
        **{section: {} for section in SECTIONS},
    }
    for name, part in guard["parts"].items():
        section, *keys = name.split("|")
        if part["outcome"] is None:
            continue
        if section == "values" and "failed" in part["outcome"]:
            snapshot["values_failed"] = part["outcome"]["failed"]
        elif section == "values":
            snapshot["values"] = part["outcome"]
        elif section == "speed":
            snapshot["speed"][keys[0]] = part["outcome"]
        else:
            snapshot["moments"].setdefault(keys[0], {})[keys[1]] = part["outcome"]
    snapshot["cells"], snapshot["outdated"] = _cells(path / "results.parquet", run)
    return snapshot


def write(path: Path, snapshot: Snapshot) -> None:
    """Writes a baseline file, lists of numbers on one line, so that a change reads well in a diff."""
    text = json.dumps(snapshot, indent=1, sort_keys=True)
    flat = re.sub(r"\[[^\[\]{}\"]*\]", lambda found: " ".join(found[0].split()), text)
    draft = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(flat + "\n", encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from None


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    except ValueError:
        raise UsageError(f"{path} is not valid JSON") from None


def _of_schema(content: Any, schema: int, path: Path) -> Any:
    found = content.get("schema") if isinstance(content, dict) else None
    if found != schema:
        raise UsageError(f"{path} has schema {found}, this program reads {schema}; make it anew")
    return content


def _cells(path: Path, run: dict[str, Any]) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """The cells, and the configurations with rows of other code, which are left out; of a plugin's code is no record.

    Instances are told apart by 'instance' or 'instance.repeat'.
    """
    import pyarrow.parquet as pq

    names = [
        "method",
        "config",
        "problem",
        "instance",
        "repeat",
        "framework",
        "n",
        "hyper",
        "status",
        "metric",
        "value",
    ]
    rows = pq.read_table(path, columns=[*names, "code", *WORK]).to_pylist()
    plugins = {name for name, card in run["methods"].items() if card["plugin"]}

    def current(row: dict[str, Any]) -> bool:
        return row["code"] == run["code"] or row["method"] in plugins

    rows = [row for row in rows if row["status"] != "skipped"]
    outdated = {row["config"] for row in rows if not current(row)}
    rows = [row for row in rows if current(row)]
    in_jax = {row["config"] for row in rows if row["framework"] == "jax"}
    cells: dict[str, dict[str, Any]] = {}
    for row in rows:
        twice = row["config"] in in_jax and row["framework"] != "jax"
        config = f"{row['config']} ({row['framework']})" if twice else row["config"]
        setup = {name: row[name] for name in ("framework", "n", "hyper")}
        empty: dict[str, Any] = {"setup": setup, "work": None, "status": {}, "metrics": {}}
        cell = cells.setdefault(config, {}).setdefault(row["problem"], empty)
        instance = f"{row['instance']}.{row['repeat']}" if row["repeat"] else str(row["instance"])
        cell["status"][instance] = row["status"]
        if row["nfe"] is not None:  # else it was not counted: parquet keeps nan as a missing value
            cell["work"] = [_rounded(row[name], 9) for name in WORK]
        if row["metric"] in METRICS and row["value"] is not None and math.isfinite(row["value"]):
            cell["metrics"].setdefault(row["metric"], {})[instance] = _rounded(row["value"], 6)
    return cells, sorted(outdated)


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else float(f"{value:.{digits}g}")
