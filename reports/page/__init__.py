"""The page: one static folder with the leaderboard, its pictures and its explanations, opened without a server."""

from __future__ import annotations

import shutil
from importlib import resources
from pathlib import Path
from typing import Any

import pandas as pd

from reports.cells import CELL, HEADLINE
from reports.columns import COLUMNS
from reports.page.details import cell_tasks, details, floors95, read_tracebacks
from reports.page.encode import plain, script, table
from reports.page.findings import Finding, aggregates, findings, headline, many
from reports.page.pictures import copy_pictures
from reports.page.verdicts import calibrated, passing, tested_cells
from reports.ranking import records
from reports.run import Run, RunError, posterior_known
from reports.style import GUIDANCE, INTEGRATOR, kinds

STATIC = ("page.css", "core.js", "tips.js", "field.js", "table.js", "lists.js", "charts.js", "dialogs.js", "main.js")
FIRST = (
    *("problem", "label", "mark", "method", "config", "framework", "reference", "status", "tasks_ok", "tasks_failed"),
    *("tasks_skipped", "tasks_total", "failures", "reason", "at_floor", "instances", "repeats", "n", "device"),
    *(
        "threads",
        "rank",
        "rank_low",
        "rank_high",
        "beaten_by",
        "no_order",
        "sw1_over_floor95",
        "sw1_over_floor95_stderr",
    ),
    *("sw1_over_floor95_low", "sw1_over_floor95_high", "sw1_over_floor95_valid", "sw1", "sw1_stderr"),
    *("nfe", "vjp", "work", "seconds_sample", "seconds_per_1000", "seconds_train", "seconds_compile", "peak_mib"),
)
"""Columns that the page loads at once, beside those of the printed tables and all floors; the rest comes by problem."""


def write_page(board: pd.DataFrame | None, run: Run) -> Path:
    """Writes the folder page/ of a run directory anew, and returns the path of its index.html.

    Args:
        board: the leaderboard, with any columns beside those that `reports.leaderboard` documents; None for a run
            that tested calibration alone.
        run: the run; its figures/ are copied.

    Raises:
        reports.run.RunError: for None if there are no verdicts of calibration either.
        OSError: if a file cannot be written.
    """
    gates, verdicts = _beside(run, "gates"), _beside(run, "calibration")
    measured = board is not None
    if board is None:
        if verdicts is None:
            raise RunError(f"{run.directory} holds neither results nor verdicts of calibration")
        board = tested_cells(verdicts)
    known = [posterior_known(run.info, str(name)) for name in board["problem"]]
    board = board.assign(posterior_known=known).reset_index(drop=True)
    if "beaten_by" in board:
        board["beaten_by"] = board["beaten_by"].map("; ".join)
    page = run.directory / "page"
    shutil.rmtree(page, ignore_errors=True)
    (page / "data").mkdir(parents=True)
    problems = [str(name) for name in board["problem"].unique()]
    foreign = frozenset(run.info.get("foreign_truths", ()))
    disbelieved = _disbelieved(gates)
    doubted = frozenset(problem for problem, metrics in disbelieved.items() if HEADLINE in metrics)
    totals = aggregates(board, foreign, doubted)
    shared = {
        "info": _info(run, board),
        "cards": {name: run.info.get(name, {}) for name in ("methods", "problems")},
        "metrics": _metrics(run, board),
        "columns": [
            {"key": c.key, "title": " ".join(c.header.split()), "signed": c.signed, "beside": c.beside} for c in COLUMNS
        ],
        "foreign": sorted(foreign),
        "pictures": copy_pictures(run, page, problems),
        "looks": {str(name): kinds(str(name)) for name in board["method"].unique()},
        "colors": GUIDANCE,
        "symbols": INTEGRATOR,
        "disbelieved": disbelieved,
        "problems": problems,
        "has_verdicts": verdicts is not None,
        "calibrated": {} if verdicts is None else passing(verdicts),
        "has_gates": gates is not None,
    }
    _write(page / "data" / "run.js", script("run", plain(shared)))
    at_once = [name for name in board if name in FIRST or _printed(str(name))]
    _write(page / "data" / "board.js", script("board", table(board[at_once])))
    _write(page / "data" / "totals.js", script("totals", table(totals)))
    rest = board.drop(columns=at_once)
    tasks, floors, tracebacks = cell_tasks(run.results), floors95(run), read_tracebacks(run)
    for index, (problem, rows) in enumerate(board.groupby("problem", sort=False)):
        later = rest.loc[rows.index]
        told = {
            "details": details(records(rows[[*CELL, "n", "device", "instances"]]), tasks, tracebacks, run),
            "gates": _of_problem(gates, str(problem)),
            "verdicts": _of_problem(verdicts, str(problem)),
        }
        of_cells = floors.reindex(pd.MultiIndex.from_frame(rows[CELL])).add_suffix("_floor95").reset_index(drop=True)
        columns = later.reset_index(drop=True).join(of_cells[[c for c in of_cells if c not in board]])
        text = f'{{"rows":{plain(rows.index.tolist())},"columns":{table(columns)},"told":{plain(told)}}}'
        _write(page / "data" / f"problem-{index}.js", script(f"problem-{index}", text))
    found = findings(board, totals, foreign, doubted)
    if verdicts is not None and (verdict := calibrated(verdicts, foreign)):
        found.append(verdict)
    compared = board.loc[board["posterior_known"], "problem"].nunique()
    title = headline(totals, compared, len(problems) - compared)
    _write_index(page, run, board, title, found, tested=verdicts is not None, measured=measured)
    return page / "index.html"


def _write_index(
    page: Path, run: Run, board: pd.DataFrame, title: str, found: list[Finding], *, tested: bool, measured: bool
) -> None:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    here = resources.files("reports.page")
    (page / "static").mkdir()
    for name in STATIC:
        _write(page / "static" / name, (here / "static" / name).read_text(encoding="utf-8"))
    plotly = resources.files("plotly") / "package_data" / "plotly.min.js"
    (page / "static" / "plotly.min.js").write_bytes(plotly.read_bytes())
    environment = Environment(
        loader=PackageLoader("reports.page"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    html = environment.get_template("index.html").render(
        info=_info(run, board),
        scripts=[name for name in STATIC if name.endswith(".js")],
        headline=title,
        findings=found,
        tested=tested,
        measured=measured,
        compared=measured and bool(board["posterior_known"].any()),
    )
    _write(page / "index.html", html)


def _info(run: Run, board: pd.DataFrame) -> dict[str, Any]:
    """What was run, when and where."""
    info = run.info
    devices = info.get("devices", {})
    return {
        "suite": str(info.get("suite", "?")),
        "seed": info.get("seed", "?"),
        "created_at": str(info.get("created_at", "")),
        "devices": [str(name) for name in devices.values()] if isinstance(devices, dict) else [],
        "threads": info.get("threads", "?"),
        "precision": info.get("precision", "float32"),
        "versions": {str(name): str(value) for name, value in info.get("versions", {}).items()},
        "problems": many(int(board["problem"].nunique()), "problem"),
        "known": _known(board),
        "methods": int(board["label"].nunique()),
        "cells": len(board),
        "tasks": int(board["tasks_total"].sum()),
        "failed": int(board["tasks_failed"].sum()),
        "skipped": int(board["tasks_skipped"].sum()),
    }


def _known(board: pd.DataFrame) -> str:
    """What is said of the posteriors after the number of problems."""
    known = board.drop_duplicates("problem")["posterior_known"]
    if known.all():
        return "whose posteriors are known exactly"
    return f"({int(known.sum())} with a posterior that is known exactly)"


def _metrics(run: Run, board: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """What each metric of the leaderboard is: its card, or what the results say of it."""
    cards = run.info.get("metrics", {})
    told = run.results[run.results["metric"] != ""].drop_duplicates("metric").set_index("metric")
    found = {}
    for name in (str(column) for column in board if f"{column}_stderr" in board and column != "sw1_over_floor95"):
        row: Any = told.loc[name] if name in told.index else {}
        own = {"summary": "", "unit": str(row.get("unit", "")), "better": _better(row.get("better", ""))}
        found[name] = own | cards.get(name, {})
    return found


def _better(text: Any) -> Any:
    """'lower', 'higher' or the value that an exact sampler has."""
    try:
        return float(text)
    except ValueError:
        return str(text)


def _printed(name: str) -> bool:
    keys = {key for column in COLUMNS for key in (column.key, column.beside) if key}
    return name in keys or name.removesuffix("_stderr") in keys or name.endswith("_floor95")


def _beside(run: Run, name: str) -> pd.DataFrame | None:
    """gates.parquet or calibration.parquet, where the run has it and it can be read."""
    path = run.directory / f"{name}.parquet"
    try:
        return pd.read_parquet(path) if path.is_file() else None
    except (OSError, ValueError):
        return None


def _of_problem(rows: pd.DataFrame | None, problem: str) -> list[dict[str, Any]]:
    return [] if rows is None else records(rows[rows["problem"] == problem].drop(columns="problem"))


def _disbelieved(gates: pd.DataFrame | None) -> dict[str, dict[str, str]]:
    """problem -> metric -> why it is not believed there."""
    found: dict[str, dict[str, str]] = {}
    for row in [] if gates is None else records(gates[~gates["believed"].astype(bool)]):
        found.setdefault(str(row["problem"]), {})[str(row["metric"])] = str(row["reason"])
    return found


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", errors="replace")  # a plugin's texts may hold lone surrogates
