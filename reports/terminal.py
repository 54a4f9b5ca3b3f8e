"""The leaderboard in a terminal, with as many columns as it is wide."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from reports.columns import (
    COLUMNS,
    NOTHING,
    Column,
    doubted,
    mean_rank_text,
    mean_text,
    notes,
    number,
    problems_text,
    rank_text,
    shown,
    tasks_text,
    written,
)
from reports.equal_work import Budget
from reports.intervals import ABOUT as ABOUT_INTERVALS
from reports.ranking import Cell, named, records, summary

READING = (
    "SW1/floor95: distance to the exact posterior over the 95 % quantile of what exact samples score; not above it "
    "without a failed task is [bold green]at floor[/] and shares rank 1.\nRank 2–5: one method is better, and it is "
    "the fifth at worst (paired sign-flip tests of SW1/floor95 over the instances, Holm, 5 %; by rule, untested: "
    "methods without a value are last).\nRows are in the order of their means, which claims nothing by "
    "itself.\nDim rows are references without a rank: exact, prior, and † oracles, which are given "
    "the exact posterior's score.\nA failed task counts as the prior's value there, so that failing can rank ahead of "
    "being worse than the prior; ± is the standard error over instances; coverage errors are signed.\nIntervals of "
    f"geometric means: {ABOUT_INTERVALS}."
)


def print_tables(board: pd.DataFrame, console: Console, budget: Budget | None = None) -> None:
    """One table per problem, then the summary, so that a terminal ends with what matters most.

    Where no posterior is known there are no ranks to sum up or to explain.
    """
    for problem, group in board.groupby("problem", sort=False):
        console.print(_fitting(str(problem), group, console))
    if not board["posterior_known"].any():
        return
    cut = f"only cells of {budget.words}, ranked among themselves" if budget else None
    console.print(_summary_table(board, console, cut))
    console.print(READING)


def _fitting(problem: str, group: pd.DataFrame, console: Console) -> Table:
    """The table with the widest choice of columns that fits, taken in the order of `Column.narrow`."""
    cells = records(group)
    all_columns = shown(group)
    texts = {c.key: [_entry(cell, c) for cell in cells] for c in all_columns}
    names, tasks = [named(cell) for cell in cells], [tasks_text(cell) for cell in cells]
    ranks = [rank_text(cell) for cell in cells]
    fixed = (["rank", *ranks], ["method", *names], ["tasks ok", *tasks])
    room = console.width - sum(_width(column) for column in fixed) - 2
    chosen: list[Column] = []
    for column in sorted((c for c in all_columns if c.narrow), key=lambda c: c.narrow):
        room -= _width([*column.header.split("\n"), *texts[column.key]])
        if room < 0 and chosen:
            break
        chosen.append(column)
    columns = [column for column in COLUMNS if column in chosen]
    hidden = len(all_columns) - len(columns)
    below = [f"{hidden} more columns in leaderboard.csv"] if hidden else []
    table = _table(problem, "\n".join(escape(note) for note in [*below, *notes(group, columns)]) or None)
    table.add_column("rank", justify="right", no_wrap=True)
    table.add_column("method", no_wrap=True)
    for column in columns:
        table.add_column(escape(column.header), justify="right", no_wrap=True)
    table.add_column("tasks ok", overflow="fold")
    for row, cell in enumerate(cells):
        values = [texts[column.key][row] for column in columns]
        if cell["at_floor"]:
            values[0] = f"[bold green]{values[0]}[/]"
        values = [
            f"[dim]{value}[/]" if doubted(cell, column) else value
            for column, value in zip(columns, values, strict=True)
        ]
        style = "dim italic" if cell["reference"] else "red" if not cell["tasks_ok"] and cell["tasks_failed"] else ""
        last = cell["reference"] and row + 1 < len(cells) and not cells[row + 1]["reference"]
        table.add_row(ranks[row], escape(names[row]), *values, tasks[row], style=style, end_section=last)
    return table


def _entry(cell: Cell, column: Column) -> str:
    """The text of one entry; in parentheses if the column is not believed here."""
    text = written(cell, column, error=column.narrow == 1)
    return f"({text})" if doubted(cell, column) and text != NOTHING else text


def _width(texts: Sequence[str]) -> int:
    """The width of a column of these texts with its padding."""
    return max(cell_len(text) for text in texts) + 2


def _table(title: str, caption: str | None = None) -> Table:
    table = Table(title=escape(title), caption=caption, box=box.SIMPLE_HEAD, collapse_padding=True)
    table.title_justify = table.caption_justify = "left"
    return table


def _summary_table(board: pd.DataFrame, console: Console, caption: str | None) -> Table:
    """The summary; the intervals of the geometric means only where there is room."""
    rows = records(summary(board))
    headers = ["method", "problems", "at\nfloor", "mean\nrank", "geo. mean\nSW1/floor\n(interval)", "failed\ntasks"]
    texts = [
        [
            named(row),
            problems_text(row),
            str(row["problems_at_floor"]),
            mean_rank_text(row, row["problems"]),
            mean_text(row),
            f"{row['tasks_failed']}/{row['tasks_total']}",
        ]
        for row in rows
    ]
    columns = zip(headers, *texts, strict=True)
    if sum(_width([*header.split("\n"), *column]) for header, *column in columns) + 2 > console.width:
        headers[4] = "geo. mean\nSW1/floor"
        texts = [[*line[:4], number(row["geometric_mean"]), line[5]] for line, row in zip(texts, rows, strict=True)]
    table = _table("All problems", caption)
    for place, header in enumerate(headers):
        table.add_column(header, justify="right" if place else "left", no_wrap=True)
    references = sum(row["reference"] for row in rows)
    for place, (row, line) in enumerate(zip(rows, texts, strict=True), 1):
        style = "dim italic" if row["reference"] else ""
        table.add_row(*map(escape, line), style=style, end_section=place == references)
    return table
