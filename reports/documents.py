"""leaderboard.csv, leaderboard.md and leaderboard.tex."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from reports.columns import Column, number, rank_text, shown, tasks_text, written
from reports.ranking import Cell, records, summary
from reports.run import Run, foreign_truths

LEGEND = (
    "SW1 / floor95: sliced Wasserstein-1 distance to the exact posterior, over the 95 % quantile of what fresh exact "
    "samples of the same number score (the floor); at or below 1 a cell is at floor (bold), cannot be told from exact "
    "sampling, and shares rank 1.",
    "Reference rows (italic) have no rank: `exact`, the `prior` (ignores the data) and rows marked † (oracle: given "
    "the exact posterior's score); nor have rows on fewer instances than others of their problem. A failed task counts "
    "as the prior's value in SW1 / floor95; other columns average the tasks that are ok.",
    "Values are means over instances ± standard error over instances (none with one instance); coverage errors are "
    "signed, coverage minus nominal, in range(Aᵀ) and null(A); — means not defined there. Ranks order the means: "
    "neighbours within their standard errors are not told apart.",
)
SUMMARY_HEADERS = (
    *("method", "problems", "at floor", "median\nrank", "geometric mean\nof SW1 / floor95", "failed\ntasks", "skipped"),
)
ESCAPES = {
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"[": "{[}", "]": "{]}", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"},
    **{"±": r"$\pm$", "†": r"\dag{}", "—": "---", "≤": r"$\leq$", "ᵀ": r"$^\top$"},
}


Row = tuple[bool, list[str]]
"""Whether it is a reference row, and its texts."""


@dataclass(frozen=True)
class Dialect:
    """How a document marks text up; every text is escaped before it is marked."""

    escape: Callable[[str], str]
    name: str
    bold: str
    italic: str

    def method(self, row: Cell) -> str:
        """The label of a row; references in italics, oracles with a dagger."""
        label = self.name.replace("@", self.escape(row["label"]))
        label = self.italic.replace("@", label) if row["reference"] else label
        return f"{label} {self.escape('†')}" if row["oracle"] else label


MARKDOWN = Dialect(lambda text: text.replace("|", "\\|"), "`@`", "**@**", "*@*")
LATEX = Dialect(lambda text: _numbers(escaped(text)), "@", r"\textbf{@}", r"\textit{@}")


def write_tables(board: pd.DataFrame, run: Run) -> list[Path]:
    """Writes the three files; the .csv holds every column, the others what a reader looks at."""
    paths = [run.directory / f"leaderboard.{kind}" for kind in ("csv", "md", "tex")]
    board.assign(rank=board["rank"].astype("Int64")).to_csv(paths[0], index=False)
    paths[1].write_text(markdown(board, run.info), encoding="utf-8")
    paths[2].write_text(latex(board, run.info), encoding="utf-8")
    return paths


def markdown(board: pd.DataFrame, info: dict[str, Any]) -> str:
    """The legend, the summary and a table for each problem."""
    lines = [f"# Leaderboard: suite {info.get('suite', '?')}", ""]
    lines += [f"{i}. {line}" for i, line in enumerate(LEGEND, 1)]
    lines += ["", "## All problems", "", *_markdown_table(SUMMARY_HEADERS, _summary_rows(board, MARKDOWN))]
    for problem, group in board.groupby("problem", sort=False):
        columns = shown(group)
        table = _markdown_table(_headers(columns), _rows(group, columns, MARKDOWN))
        lines += ["", f"## {problem}", "", _sizes(group) + _truths(str(problem), info), "", *table]
    return "\n".join(lines) + "\n"


def latex(board: pd.DataFrame, info: dict[str, Any]) -> str:
    r"""The same tables, for \input into a document that loads booktabs."""
    lines = [
        r"% Made for \input, with \usepackage{booktabs}. With graphicx too, tables shrink to the width of the text.",
        r"% The tables are no floats, so that any number of them fits.",
        r"\providecommand{\resizebox}[3]{#3}",
        r"\begingroup\scriptsize\setlength{\tabcolsep}{2.5pt}",
        rf"\paragraph{{Leaderboard, suite {escaped(str(info.get('suite', '?')))}.}}",
        *(escaped(line.replace("`", "")) for line in LEGEND),
        *_latex_table("All problems", SUMMARY_HEADERS, _summary_rows(board, LATEX)),
    ]
    for problem, group in board.groupby("problem", sort=False):
        columns = [column for column in shown(group) if column.paper]
        title = f"{problem} ({_sizes(group)}{_truths(str(problem), info)})"
        lines += _latex_table(title, _headers(columns), _rows(group, columns, LATEX))
    return "\n".join([*lines, r"\endgroup", ""])


def escaped(text: str) -> str:
    """LaTeX's special characters as text; brackets in braces, so that none is taken for an optional argument."""
    return "".join(ESCAPES.get(sign, sign) for sign in text)


def _numbers(text: str) -> str:
    """Minus signs for hyphens, and small standard errors."""
    text = re.sub(r"(?<!\w)-(?=\d)", "$-$", text)
    return re.sub(r" \$\\pm\$ (\S+)", r"{\\tiny$\\pm$\1}", text)


def _headers(columns: Sequence[Column]) -> list[str]:
    return ["rank", "method", *(column.header for column in columns), "tasks ok"]


def _rows(group: pd.DataFrame, columns: Sequence[Column], dialect: Dialect) -> list[Row]:
    rows = []
    for cell in records(group):
        texts = [dialect.escape(written(cell, column)) for column in columns]
        if cell["at_floor"]:
            texts[0] = dialect.bold.replace("@", texts[0])
        ends = dialect.escape(rank_text(cell)), dialect.escape(tasks_text(cell))
        rows.append((bool(cell["reference"]), [ends[0], dialect.method(cell), *texts, ends[1]]))
    return rows


def _summary_rows(board: pd.DataFrame, dialect: Dialect) -> list[Row]:
    rows = []
    for row in records(summary(board)):
        rank = "ref" if row["reference"] else number(row["median_rank"], decimals=1)
        counts = f"{row['tasks_failed']}/{row['tasks_total']}", str(row["tasks_skipped"])
        mean = dialect.escape(number(row["geometric_mean"]))
        texts = [str(row["problems"]), str(row["problems_at_floor"]), dialect.escape(rank), mean, *counts]
        rows.append((bool(row["reference"]), [dialect.method(row), *texts]))
    return rows


def _sizes(group: pd.DataFrame) -> str:
    """'16 instances, 1000 samples each', as ranges where the rows differ."""
    done = group[group["tasks_ok"] > 0]
    if done.empty:
        return "no task is ok"
    limits = {key: sorted({int(done[key].min()), int(done[key].max())}) for key in ("instances", "n")}
    instances, samples = (" to ".join(str(limit) for limit in limits[key]) for key in ("instances", "n"))
    return f"{instances} instances, {samples} samples each"


def _truths(problem: str, info: dict[str, Any]) -> str:
    """A warning where calibration has no target."""
    if not foreign_truths(info, problem):
        return ""
    return "; the truths are not drawn from the prior: coverage, z-std and PSNR gain have no target but the exact row"


def _markdown_table(headers: Sequence[str], rows: Sequence[Row]) -> list[str]:
    names = [" ".join(header.split()) for header in headers]
    rule = [":---" if header == "method" else "---:" for header in headers]
    return ["| " + " | ".join(texts) + " |" for texts in (names, rule, *(texts for _, texts in rows))]


def _latex_table(title: str, headers: Sequence[str], rows: Sequence[Row]) -> list[str]:
    """A centred tabular, no wider than the text, with a rule between the reference rows and the others."""
    stacked = [r"\shortstack{" + r"\\".join(escaped(line) for line in header.split("\n")) + "}" for header in headers]
    lines = [" & ".join(texts) + r" \\" for _, texts in rows]
    references = sum(reference for reference, _ in rows)
    if 0 < references < len(rows):
        lines.insert(references, r"\midrule")
    return [
        r"\begin{center}",
        rf"\textbf{{{escaped(title)}}}\\*[2pt]",
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{{''.join('l' if header == 'method' else 'r' for header in headers)}}}",
        r"\toprule",
        " & ".join(stacked) + r" \\",
        r"\midrule",
        *lines,
        r"\bottomrule",
        r"\end{tabular}}",
        r"\end{center}",
    ]
