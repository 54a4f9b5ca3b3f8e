"""The leaderboard in a terminal, with as many columns as it is wide."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from reports.columns import COLUMNS, Column, number, rank_text, shown, tasks_text, written
from reports.ranking import Cell, records, summary

READING = (
    "SW1/floor95: distance to the exact posterior over what exact samples score; at or below 1 is [bold green]at "
    "floor[/] and shares rank 1.\nDim rows are references without a rank: exact, prior, and † oracles, which are given "
    "the exact posterior's score.\nA failed task counts as the prior's value there; ± is the standard error over "
    "instances; coverage errors are signed."
)


def print_tables(board: pd.DataFrame, console: Console) -> None:
    """One table per problem, then the summary, so that a terminal ends with what matters most."""
    for problem, group in board.groupby("problem", sort=False):
        console.print(_fitting(str(problem), group, console))
    console.print(_summary_table(board))
    console.print(READING)


def _fitting(problem: str, group: pd.DataFrame, console: Console) -> Table:
    """The table with the widest choice of columns that fits, taken in the order of `Column.narrow`."""
    cells = records(group)
    all_columns = shown(group)
    texts = {c.key: [written(cell, c, error=c.narrow == 1) for cell in cells] for c in all_columns}
    names, tasks = [_name(cell) for cell in cells], [tasks_text(cell) for cell in cells]
    room = console.width - sum(_width(column) for column in (["rank"], ["method", *names], ["tasks ok", *tasks])) - 2
    chosen: list[Column] = []
    for column in sorted((c for c in all_columns if c.narrow), key=lambda c: c.narrow):
        room -= _width([*column.header.split("\n"), *texts[column.key]])
        if room < 0 and chosen:
            break
        chosen.append(column)
    columns = [column for column in COLUMNS if column in chosen]
    hidden = len(all_columns) - len(columns)
    table = _table(problem, f"{hidden} more columns in leaderboard.csv" if hidden else None)
    table.add_column("rank", justify="right", no_wrap=True)
    table.add_column("method", no_wrap=True)
    for column in columns:
        table.add_column(escape(column.header), justify="right", no_wrap=True)
    table.add_column("tasks ok", overflow="fold")
    for row, cell in enumerate(cells):
        values = [texts[column.key][row] for column in columns]
        if cell["at_floor"]:
            values[0] = f"[bold green]{values[0]}[/]"
        style = "dim italic" if cell["reference"] else "red" if not cell["tasks_ok"] and cell["tasks_failed"] else ""
        last = cell["reference"] and row + 1 < len(cells) and not cells[row + 1]["reference"]
        table.add_row(rank_text(cell), escape(names[row]), *values, tasks[row], style=style, end_section=last)
    return table


def _width(texts: Sequence[str]) -> int:
    """The width of a column of these texts with its padding."""
    return max(cell_len(text) for text in texts) + 2


def _table(title: str, caption: str | None = None) -> Table:
    table = Table(title=escape(title), caption=caption, box=box.SIMPLE_HEAD, collapse_padding=True)
    table.title_justify = table.caption_justify = "left"
    return table


def _summary_table(board: pd.DataFrame) -> Table:
    table = _table("All problems")
    table.add_column("method", no_wrap=True)
    for header in ("problems", "at\nfloor", "median\nrank", "geo. mean\nSW1/floor", "failed\ntasks"):
        table.add_column(header, justify="right", no_wrap=True)
    rows = summary(board)
    references = int(rows["reference"].sum())
    for place, row in enumerate(records(rows), 1):
        table.add_row(
            escape(_name(row)),
            str(row["problems"]),
            str(row["problems_at_floor"]),
            "ref" if row["reference"] else number(row["median_rank"], decimals=1),
            number(row["geometric_mean"]),
            f"{row['tasks_failed']}/{row['tasks_total']}",
            style="dim italic" if row["reference"] else "",
            end_section=place == references,
        )
    return table


def _name(row: Cell) -> str:
    return row["label"] + (" †" if row["oracle"] else "")
