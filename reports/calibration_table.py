"""calibration.md, calibration.csv and the table in the terminal: who is calibrated, and what is wrong with others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from reports.ranking import ORACLE, Cell, named, problem_key
from reports.rows import method_rows
from reports.run import RunError, read_table

FILE = "calibration.parquet"
NEEDED = [
    *("problem", "method", "config", "framework", "oracle", "instances", "n", "test", "quantity", "level", "value"),
    *("stderr", "p_value", "threshold", "verdict", "words", "status", "reason", "ranks_file"),
]
RANKED = {
    "coordinates": "coordinates",
    "log_likelihood": "log-lik.",
    "log_prior": "log-prior",
    "hpd": "HPD",
    "tarp": "TARP",
}
SPACES = {"range": "range(Aᵀ)", "null": "null(A)", "low": "low freq.", "mid": "mid freq.", "high": "high freq."}
SHOWN_LEVEL = 0.9
LEVEL = 0.01
"""The family-wise false-alarm rate of a row, that of the tests (`scores.simulation_based.LEVEL`)."""
NO_VERDICT = "misfit, no verdict, as the truths are not drawn from the prior: "
"""The start of the words of such tests, which a table says once."""
MARKS = {"pass": "✓", "fail": "✗", "none": "○"}
LEGEND = (
    "An exact sampler passes: given y, the truth is one more of its samples. ✓ passes, ✗ fails at a family-wise "
    f"{100 * LEVEL:g} % over all tests of a row (Holm); after it the p-value, of coordinates corrected for their "
    "number.",
    "Ranks of the truth among the samples (SBC): of coordinates, of the log-likelihood, of the log-prior, of the "
    "posterior density (HPD); and of the distance to random points (TARP). Simultaneous test of their distribution "
    "function.",
    f"Coverage of central {100 * SHOWN_LEVEL:g} % intervals minus nominal ± standard error over instances, in percent; "
    "✗ where it fails at any of 50, 68, 90 and 95 %. Below 0: too narrow or off centre.",
    "`prior` ignores y. It is calibrated on average over y, so it passes coordinates, TARP and coverage; only ranks of "
    "what depends on y, such as the log-likelihood, can fail it. † is given the exact posterior's score.",
)


def read_calibration(directory: Path) -> pd.DataFrame | None:
    """The table of a run's tests with a column `label`; None if the run holds none.

    Raises:
        RunError: if it cannot be read.
    """
    if not (directory / FILE).is_file():
        return None
    table = read_table(directory / FILE, NEEDED)
    if table.empty:
        raise RunError(f"{directory / FILE} has no rows")
    several = table.groupby(["problem", "config"])["framework"].transform("nunique") > 1
    label = table["config"].where(~several, table["config"] + " (" + table["framework"] + ")")
    mark = np.where(table["oracle"], ORACLE, "")
    return table.assign(label=label, mark=mark, reference=table["oracle"] | (table["method"] == "prior"))


def problems_of(table: pd.DataFrame) -> Iterator[tuple[str, list[tuple[Cell, pd.DataFrame]]]]:
    """Each problem with its rows, in the order of the leaderboard: (what identifies a row, its tests)."""
    for problem in sorted(table["problem"].unique(), key=problem_key):
        rows = table[table["problem"] == problem]
        yield problem, [(cell, rows[rows["label"] == cell["label"]]) for cell in method_rows(rows)]


def verdict_of(tests: pd.DataFrame) -> str:
    """'pass', 'fail', 'no verdict', or the status of a row that was not tested."""
    if not (tests["test"] != "").any():
        return str(tests["status"].iloc[0]).replace("_", " ")
    if (tests["verdict"] == "none").all():
        return "no verdict"
    return "fail" if (tests["verdict"] == "fail").any() else "pass"


def sentence(tests: pd.DataFrame) -> str:
    """What is wrong with a row: its most telling rank test and its most telling coverage."""
    if not (tests["test"] != "").any():
        return str(tests["reason"].iloc[0])
    wrong = tests[tests["p_value"] <= tests["threshold"]]
    if wrong.empty:
        return f"all {len(tests)} tests as from an exact sampler"
    order = ["log_likelihood", "hpd", "log_prior", "tarp", "coordinates"]
    ranked = wrong[wrong["test"] != "coverage"]
    ranked = ranked.assign(order=ranked["quantity"].map(order.index)).sort_values("order")
    covered = wrong[(wrong["test"] == "coverage") & wrong["quantity"].isin(["range", "null"])]
    covered = covered.assign(size=covered["value"].abs()).sort_values("size", ascending=False)
    chosen = [*ranked["words"].head(1), *covered["words"].head(1)] or [wrong["words"].iloc[0]]
    return "; ".join(str(words).removeprefix(NO_VERDICT) for words in chosen)


def texts(tests: pd.DataFrame) -> dict[str, str]:
    """Column -> what a table shows of one row; columns that its problem lacks are absent."""
    found: dict[str, str] = {}
    for quantity in RANKED:
        rows = tests[tests["quantity"] == quantity]
        if len(rows):
            found[quantity] = f"{_mark(rows)} {_chance(float(rows['p_value'].iloc[0]))}"
    for space in SPACES:
        rows = tests[(tests["test"] == "coverage") & (tests["quantity"] == space)]
        shown = rows[np.isclose(rows["level"], SHOWN_LEVEL)]
        if len(shown):
            error, spread = 100 * float(shown["value"].iloc[0]), 100 * float(shown["stderr"].iloc[0])
            found[space] = f"{_mark(rows)} {error:+.1f} ± {spread:.1f}"
    return found


def write_calibration(table: pd.DataFrame, directory: Path) -> list[Path]:
    """Writes calibration.csv, every test, and calibration.md, a table for each problem."""
    paths = [directory / "calibration.csv", directory / "calibration.md"]
    table.drop(columns=["reference"]).to_csv(paths[0], index=False)
    paths[1].write_text(markdown(table), encoding="utf-8")
    return paths


def expected_failures(table: pd.DataFrame) -> str:
    """How many rows are to be expected to fail by chance alone, at a family-wise LEVEL in each."""
    verdicts = table[table["verdict"].isin(["pass", "fail"])]
    rows = verdicts.drop_duplicates(["problem", "config", "framework"])
    exact = int((rows["method"] == "exact").sum())
    return (
        f"Each row has a level of its own: were all {len(rows)} rows with a verdict of exact samplers, "
        f"{LEVEL * len(rows):.2g} would fail by chance on average; of the {exact} rows of `exact`, "
        f"{LEVEL * exact:.2g}, and at least one with a probability of {100 * (1 - (1 - LEVEL) ** exact):.2g} %."
    )


def markdown(table: pd.DataFrame) -> str:
    """The legend and a table for each problem."""
    lines = ["# Calibration", "", *(f"{i}. {line}" for i, line in enumerate((*LEGEND, expected_failures(table)), 1))]
    for problem, rows in problems_of(table):
        found = [texts(tests) for _, tests in rows]
        columns = {key: name for key, name in {**RANKED, **SPACES}.items() if any(key in one for one in found)}
        lines += ["", f"## {problem}", "", sizes(rows), ""]
        lines.append("| " + " | ".join(["method", "verdict", *columns.values(), "in words"]) + " |")
        lines.append("| " + " | ".join([":---"] * (len(columns) + 3)) + " |")
        for (cell, tests), one in zip(rows, found, strict=True):
            name = f"`{cell['label']}` {cell['mark']}".rstrip()
            values = [name, verdict_of(tests), *(one.get(key, "") for key in columns), sentence(tests)]
            lines.append("| " + " | ".join(value.replace("|", "\\|") for value in values) + " |")
    return "\n".join(lines) + "\n"


def print_calibration(table: pd.DataFrame, console: Console) -> None:
    """One table per problem: a verdict, a mark for each kind of test, coverage, and the start of the sentence."""
    for problem, rows in problems_of(table):
        shown = Table(title=escape(f"{problem}: {sizes(rows)}"), box=box.SIMPLE_HEAD, title_justify="left")
        shown.add_column("method", no_wrap=True)
        shown.add_column("verdict", no_wrap=True)
        for name in RANKED.values():
            shown.add_column(name, justify="center", no_wrap=True)
        for space in ("range", "null"):
            shown.add_column(f"90 % in\n{SPACES[space]}", justify="right", no_wrap=True)
        shown.add_column("in words", overflow="fold", min_width=30)
        for cell, tests in rows:
            one, verdict = texts(tests), verdict_of(tests)
            marks = [one.get(key, "")[:1] for key in RANKED]
            coverage = [one.get(space, "").partition(" ±")[0] for space in ("range", "null")]
            style = "dim italic" if cell["reference"] else ""
            color = {"pass": "[green]pass[/]", "fail": "[red]fail[/]"}.get(verdict, verdict)
            name = escape(named(cell))
            words = escape(sentence(tests).partition("; ")[0])
            shown.add_row(name, color, *marks, *coverage, words, style=style)
        console.print(shown)
    console.print("\n".join(LEGEND).replace("`", ""), markup=False, highlight=False)


def sizes(rows: list[tuple[Cell, pd.DataFrame]]) -> str:
    """'256 instances, 63 samples each', as ranges where the rows differ, and whether there can be a verdict."""
    words = []
    for key in ("instances", "n"):
        numbers = sorted({int(cell[key]) for cell, _ in rows})
        words.append(" to ".join(str(number) for number in sorted({numbers[0], numbers[-1]})))
    foreign = any((tests["verdict"] == "none").all() and (tests["test"] != "").any() for _, tests in rows)
    end = "; the truths are not drawn from the prior: misfit is shown, without a verdict" if foreign else ""
    return f"{words[0]} instances, {words[1]} samples each{end}"


def _mark(rows: pd.DataFrame) -> str:
    verdicts = set(rows["verdict"])
    return MARKS["fail"] if "fail" in verdicts else MARKS["none"] if "none" in verdicts else MARKS["pass"]


def _chance(p_value: float) -> str:
    if p_value < 1e-4:
        return "< .0001"
    return f"{p_value:.2g}" if p_value < 0.01 else f"{p_value:.2f}"
