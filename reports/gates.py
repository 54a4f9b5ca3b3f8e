"""Which metrics may be believed on which problem, and the smallest fault that each of them finds there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from reports.columns import NOTHING
from reports.ranking import problem_key
from reports.run import RunError, read_table

FILE = "gates.parquet"
NEEDED = (
    *("problem", "n", "instances", "metric", "fault", "size", "size_unit", "nominal", "claimed", "found", "smallest"),
    *("null_rate", "null_cells", "believed", "reason"),
)
LEGEND = (
    "Metrics tried on exact samples and on exact samples with a planted fault. Under a fault: the smallest size that "
    "the metric finds in at least 90 % of cells (means over the instances), or missed. In the heads: the size at which "
    "a metric must find a fault that it claims to see. Cells are put together from two runs of each size on every "
    "instance, so the smallest size is known to about one step up or down.",
    "In parentheses: faults that the metric need not find, as it does not claim to see them, or measures in x and they "
    "are small there, or they can be planted on fewer than half of the instances only. — : the fault cannot be planted "
    "on this problem. Null: how many of the exact cells are flagged; 5 % is stated.",
    "A metric that misses what it claims, or flags exact samples too often on a problem or on all together, is not "
    "believed there.",
)


@dataclass(frozen=True)
class Line:
    """A metric on a problem.

    Attributes:
        null: the share of exact cells that are flagged, in per cent.
        entries: (text, whether it is what the metric is not believed for), one for every fault.
    """

    problem: str
    metric: str
    null: str
    entries: list[tuple[str, bool]]
    reason: str


def read_gates(directory: Path) -> pd.DataFrame | None:
    """The table of the gates; None if they were not run.

    Raises:
        RunError: if the file is torn or lacks a column.
    """
    path = directory / FILE
    if not path.is_file():
        return None
    return read_table(path, list(NEEDED))


def write_gates(directory: Path) -> list[Path]:
    """Writes gates.md into a run directory whose gates were run, and returns its path in a list.

    Raises:
        RunError: if the table of the gates is torn.
        OSError: if the file cannot be written.
    """
    table = read_gates(directory)
    if table is None:
        return []
    path = directory / "gates.md"
    path.write_text(markdown(table), encoding="utf-8")
    return [path]


def print_gates(directory: Path, console: Console, problems: Sequence[str] | None = None) -> None:
    """Prints the table of the gates, then the metrics that are not believed with the reasons.

    Args:
        problems: only these; all if not given.

    Raises:
        RunError: if the gates were not run here, or their table is torn.
    """
    table = read_gates(directory)
    if table is None:
        raise RunError(f"the gates were not run in {directory}: it has no {FILE}")
    lines = _lines(table if problems is None else table[table["problem"].isin(problems)])
    shown = Table(box=box.SIMPLE_HEAD, collapse_padding=True)
    shown.add_column("problem", no_wrap=True)
    shown.add_column("metric", no_wrap=True)
    for header in ("null\n[%]", *_headers(table)):
        shown.add_column(escape(header), justify="right", no_wrap=True)
    for line, following in zip(lines, [*lines[1:], None], strict=True):
        entries = [f"[red]{escape(text)}[/]" if fault else escape(text) for text, fault in line.entries]
        shown.add_row(
            escape(line.problem),
            escape(line.metric),
            line.null,
            *entries,
            style="dim" if line.reason else "",
            end_section=following is None or following.problem != line.problem,
        )
    console.print(shown)
    for sentence in (*LEGEND, pooled_rates(table), *_not_believed(lines)):
        console.print(sentence, markup=False, highlight=False, soft_wrap=True)


def markdown(table: pd.DataFrame) -> str:
    """The metrics that are not believed with their reasons, then a table for every problem."""
    lines = _lines(table)
    headers = [" ".join(header.split()) for header in ("metric", "null [%]", *_headers(table))]
    text = ["# May the metrics be believed?", "", *(f"{i}. {line}" for i, line in enumerate(LEGEND, 1)), ""]
    text += [pooled_rates(table), "", *(f"- {sentence}" for sentence in _not_believed(lines)), ""]
    for problem in dict.fromkeys(line.problem for line in lines):
        sizes = table[table["problem"] == problem].iloc[0]
        text += [f"## {problem}", "", f"{sizes['instances']} instances, {sizes['n']} samples each", ""]
        text += ["| " + " | ".join(headers) + " |", "| :--- |" + " ---: |" * (len(headers) - 1)]
        for line in lines:
            if line.problem == problem:
                name = f"*{_cell(line.metric)}*" if line.reason else _cell(line.metric)
                entries = [f"**{entry}**" if fault else entry for entry, fault in line.entries]
                text.append("| " + " | ".join([name, line.null, *entries]) + " |")
        text.append("")
    return "\n".join(text)


def pooled_rates(table: pd.DataFrame) -> str:
    """How many of the exact cells of all problems together each metric flags, the most first."""
    once = table[table["null_rate"].notna()].drop_duplicates(["problem", "metric"])
    counted = once.assign(flagged=once["null_rate"] * once["null_cells"]).groupby("metric", sort=False)
    sums = counted[["flagged", "null_cells"]].sum().astype(float)
    sums["rate"] = 100 * sums["flagged"] / sums["null_cells"]
    sums = sums.sort_values("rate", ascending=False, kind="stable")
    told = [f"{row.Index} {row.rate:.1f} % of {row.null_cells:.0f}" for row in sums.itertuples()]
    return f"exact cells flagged over all problems: {', '.join(told) or 'none were judged'}"


def _lines(table: pd.DataFrame) -> list[Line]:
    """Problems in the order of the leaderboard, metrics in that of the file."""
    faults = list(dict.fromkeys(table["fault"]))
    found = []
    for (problem, metric), group in table.groupby(["problem", "metric"], sort=False):
        by_fault = {str(name): rows for name, rows in group.groupby("fault")}
        entries = [_entry(by_fault[name]) if name in by_fault else (NOTHING, False) for name in faults]
        rate = float(group["null_rate"].iloc[0])
        null = NOTHING if math.isnan(rate) else f"{100 * rate:.0f}"
        found.append(Line(str(problem), str(metric), null, entries, str(group["reason"].iloc[0])))
    return sorted(found, key=lambda line: problem_key(line.problem))


def _entry(rows: pd.DataFrame) -> tuple[str, bool]:
    """The smallest size of a fault that is found, and whether a metric fails that claims to find it."""
    smallest = rows.loc[rows["smallest"], "size"]
    text = f"{smallest.iloc[0]:g}" if len(smallest) else "missed"
    if not rows["claimed"].iloc[0]:
        return f"({text})", False
    return text, not rows.loc[rows["nominal"], "found"].all()


def _headers(table: pd.DataFrame) -> list[str]:
    """'tilt\nweights\n0.1' for every fault: its name and the size at which it must be found."""
    nominal = table[table["nominal"]].drop_duplicates("fault").set_index("fault")["size"]
    return [f"{name}_{nominal[name]:g}".replace("_", "\n") for name in dict.fromkeys(table["fault"])]


def _not_believed(lines: list[Line]) -> list[str]:
    told = [f"not believed: {line.metric} on {line.problem}: it {line.reason}" for line in lines if line.reason]
    return told or ["every metric is believed on every problem"]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
