"""What a cell's own view tells beside the leaderboard: configuration, versions, command, floors, tracebacks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pandas as pd

from reports.cells import CELL, FLOORED, Floors
from reports.page.repeat import command
from reports.ranking import Cell
from reports.run import TASK, Run

UNTRACED = ("ok", "skipped")
"""Statuses without a traceback."""
Key = tuple[str, ...]


def details(cells: list[Cell], tasks: pd.DataFrame, tracebacks: dict[Key, str], run: Run) -> list[dict[str, Any]]:
    """One dictionary per cell, in the order of `cells`; `tasks` are the rows of `cell_tasks`."""
    return [_detail(cell, tasks, tracebacks, run) for cell in cells]


def cell_tasks(results: pd.DataFrame) -> pd.DataFrame:
    """The first task of each cell, with the number of its instances and the time when the first one started."""
    tasks = results.drop_duplicates(TASK)
    groups = tasks.groupby(CELL, sort=False)
    first = groups.first()
    first["asked"] = groups["instance"].max() + 1
    if "started_at" in tasks:
        first["started_at"] = groups["started_at"].min()
    return first


def floors95(run: Run) -> pd.DataFrame:
    """The floor of each cell (index CELL) for the stored metrics that the leaderboard has no floor of."""
    valid = run.results[run.results["status"] == "ok"].drop_duplicates(TASK)
    floors = Floors(run.floors)
    names = [str(name) for name in run.floors["metric"].unique() if name not in FLOORED]
    return pd.DataFrame({name: floors.of_cells(valid, name) for name in names})


def read_tracebacks(run: Run) -> dict[Key, str]:
    """The first traceback of each cell that has one; files that cannot be read have none."""
    if run.results["status"].isin(UNTRACED).all():
        return {}
    found: dict[Key, str] = {}
    for task in _task_files(run):
        try:
            key, text = tuple(str(task[name]) for name in CELL), str(task["traceback"])
        except KeyError:
            continue
        if text:
            found.setdefault(key, f"instance {task.get('instance', '?')}\n\n{text}")
    return found


def _task_files(run: Run) -> Iterator[dict[str, Any]]:
    for path in sorted((run.directory / "tasks").glob("*.json")):
        try:
            content = path.read_text(encoding="utf-8")
            task = {} if '"traceback": ""' in content else json.loads(content)  # most tasks have none: not parsed
        except (OSError, ValueError):
            continue
        if isinstance(task, dict):
            yield task


def _detail(cell: Cell, tasks: pd.DataFrame, tracebacks: dict[Key, str], run: Run) -> dict[str, Any]:
    key = tuple(cell[name] for name in CELL)
    task: Any = tasks.loc[key].to_dict() if key in tasks.index else {}
    hyper, versions = _object(task.get("hyper")), _object(task.get("versions"))
    detail = {
        "hyper": hyper,
        "command": command(cell, hyper, int(task.get("asked", cell["instances"])), run.info),
        "started_at": str(task.get("started_at", "")),
        "traceback": tracebacks.get(tuple(map(str, key)), ""),
    }
    return detail | ({"versions": versions} if versions and versions != run.info.get("versions") else {})


def _object(text: Any) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (TypeError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
