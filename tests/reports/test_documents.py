"""The table files: what is written can be read back, and says what the numbers say."""

from __future__ import annotations

import io
import math
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

import reports
from reports import paired
from reports.columns import COLUMNS, number, with_error, written
from reports.documents import LEGEND, escaped, latex, markdown, write_tables
from reports.ranking import records
from reports.run import read_run
from reports.terminal import print_tables


@pytest.fixture(scope="module")
def board(invented: Path) -> pd.DataFrame:
    return reports.leaderboard(invented)


def markdown_tables(text: str) -> dict[str, pd.DataFrame]:
    """Every table of a Markdown text under its heading."""
    tables = {}
    for part in text.split("\n## ")[1:]:
        lines = [re.split(r"(?<!\\)\|", line)[1:-1] for line in part.split("\n") if line.startswith("|")]
        cells = [[cell.strip() for cell in line] for line in lines]
        assert all(len(line) == len(cells[0]) for line in cells)
        tables[part.split("\n")[0]] = pd.DataFrame(cells[2:], columns=cells[0])
    return tables


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1234.5, "1234"),
        (123.4, "123"),
        (12.34, "12.3"),
        (1.234, "1.23"),
        (0.1234, "0.123"),
        (0.01234, "0.012"),
        (-0.0412, "-0.041"),
        (0.0, "0"),
        (math.nan, "—"),
        (math.inf, "inf"),
        (1.5e7, "1.50e+07"),
    ],
)
def test_numbers_have_three_significant_digits_and_at_most_three_decimals(value: float, text: str) -> None:
    assert number(value) == text


def test_signed_numbers_and_errors() -> None:
    assert number(0.0412, signed=True) == "+0.041"
    assert with_error(1.2345, 0.0456) == ("1.23", "0.05")
    assert with_error(12.345, 1.23) == ("12.3", "1.2")
    assert with_error(-0.05, 0.02, signed=True) == ("-0.050", "0.020")
    assert with_error(0.05, 0.02, signed=True) == ("+0.050", "0.020")
    assert with_error(2.5, math.nan) == ("2.50", "")
    assert with_error(1.114e6, 503549.0) == ("1.11e+06", "5e+05")
    assert with_error(math.inf, math.nan) == ("inf", "")
    assert with_error(math.nan, 0.1) == ("—", "")


def test_an_entry_shows_what_belongs_beside_it() -> None:
    columns = {column.key: column for column in COLUMNS}
    cell = {"psnr_gain_db": 2.5, "psnr_gain_db_stderr": 0.25, "psnr_gain_expected_db": 2.99, "nfe": 1000.0, "vjp": 20.0}
    assert written(cell, columns["psnr_gain_db"]) == "2.50 ± 0.25 (2.99)"
    assert written(cell, columns["psnr_gain_db"], error=False) == "2.50 (2.99)"
    assert written(cell, columns["nfe"]) == "1000 + 20.0"
    assert written({"nfe": math.nan, "vjp": 1.0}, columns["nfe"]) == "—"


def test_csv_round_trip(invented: Path, board: pd.DataFrame, tmp_path: Path) -> None:
    run = read_run(invented)
    paths = write_tables(board, type(run)(tmp_path, run.info, run.results, run.floors))
    assert [path.name for path in paths] == ["leaderboard.csv", "leaderboard.md", "leaderboard.tex"]
    again = pd.read_csv(paths[0], keep_default_na=True)
    assert list(again.columns) == list(board.columns)
    assert list(again["label"]) == list(board["label"])
    for name in ("rank", "sw1_over_floor95", "sw1_over_floor95_stderr", "w1", "coverage90_range", "z_std", "peak_mib"):
        assert again[name].to_numpy() == pytest.approx(board[name].to_numpy(), nan_ok=True)
    assert "1.0," not in paths[0].read_text().split("\n")[7][:12]  # ranks are whole numbers


def test_markdown_shows_every_row_under_its_problem(board: pd.DataFrame) -> None:
    text = markdown(board, {"suite": "quick"})
    tables = markdown_tables(text)
    assert list(tables) == ["All problems", *board["problem"].unique()]
    for problem, group in board.groupby("problem", sort=False):
        table = tables[str(problem)]
        labels = [re.sub(r"[*†` ]", "", name) for name in table["method"]]
        assert labels == list(group["label"])
        bold = table["SW1 / floor95"].str.startswith("**")
        assert list(bold) == list(group["at_floor"])
        values = table["SW1 / floor95"].str.strip("*").str.split(" ± ").str[0]
        for shown, value in zip(values, group["sw1_over_floor95"], strict=True):
            assert shown == "—" if math.isnan(value) else float(shown) == pytest.approx(value, rel=5e-3)


def test_every_column_shows_its_own_numbers(fake_run: Any) -> None:
    """Each metric and cost has a value of its own here, so that no column can show another."""
    names = ("sw1", "w1", "mode_tv", "missing_modes", "coverage90_range", "coverage50_range", "coverage90_null")
    names += ("coverage50_null", "z_std", "psnr_mean_db", "psnr_sample_db", "psnr_gain_expected_db", "chi2_per_m")
    metrics = {name: 1.5 + i for i, name in enumerate(names)}
    metrics |= {"psnr_sample_db": 8.25, "psnr_gain_db": 2.25, "mmse_gap_db": 30.5}
    costs = {"nfe": 21.0, "vjp": 22.0, "seconds_compile": 23.0, "seconds_train": 24.5, "seconds_sample": 25.5}
    fake_run.floor("p", 0, "sw1", [0.1])
    fake_run.task("p", 0, "some", metrics, **costs, peak_bytes=26.5 * 2**20)
    table = markdown_tables(markdown(reports.leaderboard(fake_run.write()), {}))["p"]
    shown = {"SW1 / floor95": 15.0, "W1": 2.5, "mode TV": 3.5, "missing modes": 4.5, "90 % cov. err., range": 5.5}
    shown |= {"90 % cov. err., null": 7.5, "z-std": 9.5, "PSNR of mean [dB]": 10.5, "gap to MMSE [dB]": 30.5}
    shown |= {"chi2 / m": 13.5, "sampling [s]": 25.5, "training [s]": 24.5, "peak mem. [MiB]": 26.5}
    assert {name: float(table[name].iloc[0]) for name in shown} == pytest.approx(shown)
    assert table["PSNR gain (expected) [dB]"].iloc[0] == "2.25 (12.5)"
    assert table["nfe + vjp"].iloc[0] == "21.0 + 22.0"


def test_truths_that_are_not_drawn_from_the_prior_are_told(board: pd.DataFrame) -> None:
    for text in (markdown(board, {"foreign_truths": ["digits-inpaint"]}), latex(board, {"foreign_truths": ["seed2d"]})):
        assert text.count("the truths are not drawn from the prior") == 1
    assert "the truths are not" not in markdown(board, {})


def test_markdown_marks_references_and_oracles_and_names_failures(board: pd.DataFrame) -> None:
    table = markdown_tables(markdown(board, {}))["gmm25-80-2"].set_index("method")
    assert table.loc["*`exact`* †", "rank"] == "ref"
    assert table.loc["*`prior`*", "rank"] == "ref"
    assert table.loc["`pc-dps`", "tasks ok"] == "0/3: 3 diverged"
    assert table.loc["`dpi-mixture`", "tasks ok"] == "0/3: 3 skipped"
    assert table.loc["`dpi-mixture`", "rank"] == "—"
    assert "W1" not in table.columns
    assert "W1" in markdown_tables(markdown(board, {}))["seed2d"].columns
    assert "training [s]" not in table.columns
    assert "training [s]" in markdown_tables(markdown(board, {}))["seed2d"].columns


def test_markdown_begins_with_the_legend(board: pd.DataFrame) -> None:
    lines = [line for line in markdown(board, {"suite": "quick"}).split("\n") if line]
    assert lines[0] == "# Leaderboard: suite quick"
    assert lines[1:5] == [f"{i}. {line}" for i, line in enumerate(LEGEND, 1)]
    assert lines[5] == "## All problems"


def test_the_words_claim_no_more_than_is_tested(board: pd.DataFrame) -> None:
    out = io.StringIO()
    print_tables(board, Console(file=out, width=400))
    for text in (markdown(board, {}), latex(board, {}), out.getvalue()):
        assert "cannot be told from exact" not in text
        assert re.search(r"without a failed task is .*at floor.* and shares rank 1", text)
        assert re.search(r"not above (it|that quantile)", text)
        assert re.search(r"differences of SW1 / floor95 per instance|tests of SW1/floor95 over the instances", text)
        assert re.search(r"(Untested, by rule|by rule, untested): methods without a value", text)
        assert re.search(r"about 90 \\?% at 16 instances; none below 8", text)
        assert "(95 %)" not in text
    assert "exact up to 16 instances, with 65,535 random" in markdown(board, {})
    assert (paired.EXACT_INSTANCES, paired.DRAWS) == (16, 65_535)


def test_a_bar_in_a_label_does_not_break_the_markdown_table(fake_run: Any) -> None:
    fake_run.task("p", 0, "my|own", {"sw1": 1.0})
    tables = markdown_tables(markdown(reports.leaderboard(fake_run.write()), {}))
    assert list(tables["p"]["method"]) == [r"`my\|own`"]


def test_latex_escapes_and_balances(board: pd.DataFrame) -> None:
    assert escaped(r"a_b[c]&50%#{}~^\<>|$") == (
        r"a\_b{[}c{]}\&50\%\#\{\}\textasciitilde{}\textasciicircum{}\textbackslash{}\textless{}\textgreater{}"
        r"\textbar{}\$"
    )
    text = latex(board, {"suite": "a_[b]&"})
    assert r"suite a\_{[}b{]}\&" in text
    assert r"dps{[}calibrated,steps=500{]}" in text
    assert r"my\_own" in text
    assert r"\textit{oracle-ode{[}N(0,I){]}} \dag{}" in text
    assert text.isascii()
    bare = re.sub(r"\\[\\{}&%$#_]", "", text)
    assert bare.count("{") == bare.count("}")
    assert bare.count("$") % 2 == 0
    for environment in ("center", "tabular"):
        begun, ended = (text.count(rf"\{end}{{{environment}}}") for end in ("begin", "end"))
        assert begun == ended == 1 + board["problem"].nunique()


def test_latex_rows_have_as_many_entries_as_columns(board: pd.DataFrame) -> None:
    for body in re.findall(r"\\begin{tabular}{([lr]+)}\n(.*?)\\end{tabular}", latex(board, {}), flags=re.DOTALL):
        alignment, lines = body[0], [line for line in body[1].split("\n") if line.endswith(r"\\")]
        assert len(lines) > 20
        assert {len(re.split(r"(?<!\\)&", line)) for line in lines} == {len(alignment)}
        assert body[1].count(r"\midrule") == 2  # below the header, and between references and methods


def test_latex_numbers(board: pd.DataFrame) -> None:
    cell = next(c for c in records(board) if c["label"] == "projection" and c["problem"] == "seed2d")
    line = next(line for line in latex(board, {}).split("\n") if "& projection &" in line)
    value, error = with_error(cell["sw1_over_floor95"], cell["sw1_over_floor95_stderr"])
    assert rf"& {value}{{\tiny$\pm${error}}} &" in line
    assert rf"& $-${number(-cell['coverage90_range'])}" in line


@pytest.mark.parametrize("width", [80, 120, 200])
def test_terminal_cuts_no_number(board: pd.DataFrame, width: int) -> None:
    out = io.StringIO()
    print_tables(board, Console(file=out, width=width))
    text = out.getvalue()
    assert "…" not in text
    assert max(len(line) for line in text.split("\n")) <= width
    for label in board["label"].unique():
        assert text.count(f" {label} ") >= 4 or f" {label} †" in text  # three problems and the summary
    assert "[s]" in text or width == 80
    assert "3 diverged" in text


def test_a_wider_terminal_shows_more_columns(board: pd.DataFrame) -> None:
    hidden = []
    for width in (80, 120, 200):
        out = io.StringIO()
        print_tables(board, Console(file=out, width=width))
        hidden.append(int(re.findall(r"(\d+) more columns", out.getvalue())[0]))
    assert hidden[0] > hidden[1] > hidden[2]


def test_terminal_without_a_single_value(fake_run: Any) -> None:
    fake_run.task("p", 0, "dps", status="failed", reason="it broke")
    fake_run.task("p", 1, "dps", status="skipped")
    out = io.StringIO()
    reports.print_leaderboard(fake_run.write(), Console(file=out, width=80))
    assert "1 failed" in out.getvalue()
