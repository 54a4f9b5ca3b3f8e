"""The leaderboard: cells labelled, put in order and ranked within their problem, and their summary per method."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd

from reports.cells import cells
from reports.run import Run

PROBLEM_ORDER = ("seed2d", "linear-gaussian", "gmm25", "gaussian-field", "digits")
Cell = dict[str, Any]
"""A row of the leaderboard: column -> value."""

REFERENCES = ("exact", "oracle-ode", "oracle-pc", "oracle-em", "prior")
FIRST = [
    *("problem", "rank", "label", "method", "config", "framework", "oracle", "reference", "status"),
    *("tasks_ok", "tasks_failed", "tasks_skipped", "tasks_total", "failures", "reason"),
    *("at_floor", "sw1_over_floor95", "sw1_over_floor95_stderr", "sw1_over_floor95_valid"),
]


def ranked(run: Run) -> pd.DataFrame:
    """The leaderboard of a run, one row per cell; see `reports.cells.cells` for the other columns.

    `rank` orders the methods of a problem: cells at floor share rank 1, the others follow by `sw1_over_floor95`, cells
    without any sample (or with failures that no prior's row can value) come last together. Reference rows (the prior
    and all that see the posterior), skipped cells and cells on fewer instances than others, whose mean is of other
    numbers, have no rank; they are in no competition.
    """
    table = cells(run)
    table["reference"] = table["oracle"] | (table["method"] == "prior")
    table["label"] = _labels(table)
    table["rank"] = _ranks(table)
    places = [_position(cell) for cell in records(table)]
    table = table.iloc[sorted(range(len(places)), key=places.__getitem__)].reset_index(drop=True)
    return table[[*FIRST, *(name for name in table.columns if name not in FIRST)]]


def records(board: pd.DataFrame) -> list[Cell]:
    """The rows of a table as plain dictionaries."""
    return [{str(name): value for name, value in row.items()} for row in board.to_dict("records")]


def problem_key(problem: str) -> tuple[Any, ...]:
    """Sorts problems: the known families in their order, then others, numbers in names as numbers."""
    family = next((i for i, name in enumerate(PROBLEM_ORDER) if problem.startswith(name)), len(PROBLEM_ORDER))
    return family, [(part.isdigit(), int(part) if part.isdigit() else part) for part in re.split(r"(\d+)", problem)]


def reference_key(method: str, config: str) -> tuple[int, str, bool, str]:
    """Sorts reference rows: exact, the oracles, other rows that see the posterior, the prior."""
    place = REFERENCES.index(method) if method in REFERENCES else len(REFERENCES) - 1.5
    return int(2 * place), method, config != method, config


def summary(board: pd.DataFrame) -> pd.DataFrame:
    """One row per method over all problems: reference rows first, then by median rank and geometric mean.

    Columns: label, method, config, oracle, reference, problems (tried, i.e. not skipped), problems_at_floor,
    median_rank (nan for references), geometric_mean (of `sw1_over_floor95`; nan if one of its problems has no value),
    tasks_failed, tasks_skipped, tasks_total.
    """
    rows = []
    for label, group in board.groupby("label", sort=False):
        tried = group[group["tasks_ok"] + group["tasks_failed"] > 0]
        first = records(group)[0]
        ratio = tried["sw1_over_floor95"].to_numpy(float)
        rows.append(
            {
                "label": label,
                "method": first["method"],
                "config": first["config"],
                "oracle": bool(first["oracle"]),
                "reference": bool(first["reference"]),
                "problems": len(tried),
                "problems_at_floor": int(tried["at_floor"].sum()),
                "median_rank": float(tried["rank"].median()) if len(tried) else float("nan"),
                "geometric_mean": float(np.exp(np.mean(np.log(ratio)))) if len(ratio) else float("nan"),
                "tasks_failed": int(group["tasks_failed"].sum()),
                "tasks_skipped": int(group["tasks_skipped"].sum()),
                "tasks_total": int(group["tasks_total"].sum()),
            }
        )
    rows.sort(key=_summary_position)
    return pd.DataFrame(rows)


def _labels(table: pd.DataFrame) -> pd.Series:
    """The configuration, `dps` or `dps[paper]`; the framework is told where one configuration ran in several."""
    several = table.groupby("config")["framework"].transform("nunique") > 1
    return table["config"].where(~several, table["config"] + " (" + table["framework"] + ")")


def _ranks(table: pd.DataFrame) -> pd.Series:
    tried = ~table["reference"] & (table["tasks_ok"] + table["tasks_failed"] > 0)
    most = table["instances"].where(tried).groupby(table["problem"]).transform("max")
    competes = tried & (table["instances"] == most)
    cells = [cell if inside else None for cell, inside in zip(records(table), competes, strict=True)]
    rivals: dict[str, list[tuple[int, float]]] = {}
    for cell in cells:
        if cell:
            rivals.setdefault(cell["problem"], []).append(_merit(cell))
    ranks = [1 + sum(other < _merit(cell) for other in rivals[cell["problem"]]) if cell else np.nan for cell in cells]
    return pd.Series(ranks, index=table.index, dtype=float)


def _merit(cell: Cell) -> tuple[int, float]:
    """The order of cells within a problem, smaller is better; equal keys share a rank."""
    if cell["at_floor"]:
        return 0, 0.0
    if cell["tasks_ok"] and np.isfinite(cell["sw1_over_floor95"]):
        return 1, cell["sw1_over_floor95"]
    if cell["tasks_ok"] and not cell["tasks_failed"]:  # no floor was stored: SW1 itself still orders the cells
        return 2, cell["sw1"]
    return 3, 0.0


def _position(cell: Cell) -> tuple[Any, ...]:
    tried = cell["tasks_ok"] + cell["tasks_failed"] > 0
    block = 0 if cell["reference"] else 1 if not np.isnan(cell["rank"]) else 2 if tried else 3
    within = reference_key(cell["method"], cell["config"]) if block == 0 else _merit(cell)
    return problem_key(cell["problem"]), block, within, cell["label"]


def _summary_position(row: Cell) -> tuple[Any, ...]:
    if row["reference"]:
        return 0, *reference_key(row["method"], row["config"]), row["label"]
    rank, mean = (value if np.isfinite(value) else np.inf for value in (row["median_rank"], row["geometric_mean"]))
    return 1, rank, mean, "", "", row["label"]
