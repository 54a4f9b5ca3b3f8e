"""leaderboard.csv, leaderboard.md and leaderboard.tex."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from reports.columns import (
    NOTHING,
    Column,
    doubted,
    mean_rank_text,
    mean_text,
    notes,
    problems_text,
    rank_text,
    shown,
    tasks_text,
    written,
)
from reports.equal_work import Budget
from reports.intervals import ABOUT as ABOUT_INTERVALS
from reports.ranking import Cell, records, summary
from reports.run import Run, foreign_truths

LEGEND = (
    "SW1 / floor95: sliced Wasserstein-1 distance to the exact posterior, over the 95 % quantile of what fresh exact "
    "samples of the same number score (the floor). A cell at or below 1 without a failed task is at floor (bold) and "
    "shares rank 1: it is not above that quantile, which is no proof of exact sampling.",
    "Reference rows (italic) have no rank: `exact`, the `prior` (ignores the data) and rows marked † (oracle: given "
    "the exact posterior's score). Rows marked ‡ estimate one signal: their distance is shown, they have no rank, and "
    "neither spread nor calibration is asked of them. A failed task counts as the prior's value in SW1 / floor95, so "
    "that failing can rank ahead of a method that is worse than the prior; other columns average the tasks that are "
    "ok.",
    "Values are means over instances ± standard error over instances (none with one instance); coverage errors are "
    "signed, coverage minus nominal, in range(Aᵀ) and null(A); — means not defined there.",
    "Rank 2–5: one method is better, so the place is the second at best, and the fifth at worst; methods that none is "
    "better than share rank 1. Better is significantly better, by a sign-flip test (exact up to 16 instances, with "
    "65,535 random sign vectors beyond) of the paired differences of SW1 / floor95 per instance, with Holm's "
    "correction over all pairs of a problem: a table of equally good methods shows any order with a chance of at most "
    "5 %. Untested, by rule: methods without a value are behind all that have one. The order of rows is that of the "
    "means and claims nothing. Methods compete on the instances that most of them share, and have no rank if they lack "
    "one; fewer than 13 (the quick suite has 3; `--instances 16` runs more) give no ranks.",
)
ABOUT_SUMMARY = (
    "Mean rank: means over problems of both ends of the rank intervals. Geometric mean of SW1 / floor95 over problems, "
    f"with an interval for other instances of the same problems ({ABOUT_INTERVALS}). Both count a failed task as the "
    "prior's value; read them beside the failures. Means over different problems do not compare: methods on more "
    "problems stand first."
)
SUMMARY_HEADERS = (
    *("method", "problems", "at floor", "mean\nrank", "geometric mean of\nSW1 / floor95 (interval)", "failed\ntasks"),
    "skipped",
)
ESCAPES = {
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"[": "{[}", "]": "{]}", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"},
    **{"±": r"$\pm$", "†": r"\dag{}", "‡": r"\ddag{}", "—": "---", "–": "{--}", "≤": r"$\leq$", "ᵀ": r"$^\top$"},
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
    doubt: str

    def method(self, row: Cell) -> str:
        """The label of a row with its mark; references in italics."""
        label = self.name.replace("@", self.escape(row["label"]))
        label = self.italic.replace("@", label) if row["reference"] else label
        return f"{label} {self.escape(row['mark'])}" if row["mark"] else label


MARKDOWN = Dialect(lambda text: text.replace("|", "\\|"), "`@`", "**@**", "*@*", "(@)")
LATEX = Dialect(lambda text: _numbers(escaped(text)), "@", r"\textbf{@}", r"\textit{@}", r"\doubted{@}")


def write_tables(board: pd.DataFrame, run: Run, budget: Budget | None = None) -> list[Path]:
    """Writes the three files; the .csv holds every column, the others what a reader looks at.

    With a budget the files are leaderboard-<budget>.*, beside those of all cells.
    """
    name = f"leaderboard-{budget.slug}" if budget else "leaderboard"
    paths = [run.directory / f"{name}.{kind}" for kind in ("csv", "md", "tex")]
    whole = {name: board[name].astype("Int64") for name in ("rank", "rank_high")}
    board.assign(**whole, beaten_by=board["beaten_by"].map("; ".join)).to_csv(paths[0], index=False)
    paths[1].write_text(markdown(board, run.info, budget), encoding="utf-8")
    paths[2].write_text(latex(board, run.info, budget), encoding="utf-8")
    return paths


def markdown(board: pd.DataFrame, info: dict[str, Any], budget: Budget | None = None) -> str:
    """The legend, the summary and a table for each problem."""
    lines = [f"# Leaderboard: suite {info.get('suite', '?')}", ""]
    lines += [f"{i}. {line}" for i, line in enumerate(LEGEND, 1)]
    lines += ["", *([_cut(budget), ""] if budget else [])]
    if board["posterior_known"].any():
        lines += ["## All problems", "", ABOUT_SUMMARY, ""]
        lines += _markdown_table(SUMMARY_HEADERS, _summary_rows(board, MARKDOWN))
    for problem, group in board.groupby("problem", sort=False):
        columns = shown(group)
        table = _markdown_table(_headers(columns), _rows(group, columns, MARKDOWN))
        lines += ["", f"## {problem}", "", _sizes(group) + _truths(str(problem), info), "", *table]
        lines += [f"\n{note}" for note in notes(group, columns)]
    return "\n".join(lines) + "\n"


def latex(board: pd.DataFrame, info: dict[str, Any], budget: Budget | None = None) -> str:
    r"""The same tables, for \input into a document that loads booktabs."""
    lines = [
        r"% Made for \input, with \usepackage{booktabs}. With graphicx too, tables shrink to the width of the text.",
        r"% The tables are no floats, so that any number of them fits.",
        r"\providecommand{\resizebox}[3]{#3}",
        r"% Values that are not believed: in parentheses, and grey with xcolor.",
        r"\ifdefined\textcolor\providecommand{\doubted}[1]{\textcolor[gray]{0.5}{(#1)}}"
        r"\else\providecommand{\doubted}[1]{(#1)}\fi",
        r"\begingroup\scriptsize\setlength{\tabcolsep}{2.5pt}",
        rf"\paragraph{{Leaderboard, suite {escaped(str(info.get('suite', '?')))}.}}",
        *(escaped(line.replace("`", "")) for line in LEGEND),
        *([escaped(_cut(budget))] if budget else []),
    ]
    if board["posterior_known"].any():
        lines += _latex_table("All problems", SUMMARY_HEADERS, _summary_rows(board, LATEX), [ABOUT_SUMMARY])
    for problem, group in board.groupby("problem", sort=False):
        columns = [column for column in shown(group) if column.paper]
        title = f"{problem} ({_sizes(group)}{_truths(str(problem), info)})"
        lines += _latex_table(title, _headers(columns), _rows(group, columns, LATEX), notes(group, columns))
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
        texts = [
            dialect.doubt.replace("@", text) if doubted(cell, column) and text != dialect.escape(NOTHING) else text
            for column, text in zip(columns, texts, strict=True)
        ]
        ends = dialect.escape(rank_text(cell)), dialect.escape(tasks_text(cell))
        rows.append((bool(cell["reference"]), [ends[0], dialect.method(cell), *texts, ends[1]]))
    return rows


def _summary_rows(board: pd.DataFrame, dialect: Dialect) -> list[Row]:
    rows = []
    for row in records(summary(board)):
        rank, mean = mean_rank_text(row, row["problems"]), mean_text(row)
        counts = f"{row['tasks_failed']}/{row['tasks_total']}", str(row["tasks_skipped"])
        texts = [problems_text(row), str(row["problems_at_floor"]), *map(dialect.escape, (rank, mean)), *counts]
        rows.append((bool(row["reference"]), [dialect.method(row), *texts]))
    return rows


def _cut(budget: Budget) -> str:
    """What a cut table says of itself."""
    return (
        f"Cut at equal cost: only cells of {budget.words}, ranked among themselves, and cells without an ok task, "
        "whose cost is unknown; problems without either are not shown. The summary counts the tasks of all cells."
    )


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


def _latex_table(title: str, headers: Sequence[str], rows: Sequence[Row], below: Sequence[str]) -> list[str]:
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
        *(rf"\par {escaped(note)}" for note in below),
        r"\end{center}",
    ]
