"""What the tables show: columns with their units, and how numbers are written."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from reports.ranking import Cell, records


@dataclass(frozen=True)
class Column:
    """A column of the printed tables.

    Attributes:
        key: column of the leaderboard; `key_stderr`, where it exists, is written behind ±.
        header: name and unit, in lines.
        signed: write the + of positive values.
        beside: a second column written behind the value, by the pattern `joint`.
        narrow: the order in which a terminal gives columns room, the first with its error; 0 for the files only.
        paper: shown in the LaTeX table.
    """

    key: str
    header: str
    signed: bool = False
    beside: str = ""
    joint: str = ""
    narrow: int = 0
    paper: bool = True

    @property
    def metric(self) -> str:
        """The metric whose gates decide whether the column is believed."""
        return "sw1" if self.key == "sw1_over_floor95" else self.key


COLUMNS = (
    Column("sw1_over_floor95", "SW1 /\nfloor95", narrow=1),
    Column("w1", "W1", narrow=5),
    Column("mode_tv", "mode\nTV", narrow=4),
    Column("missing_modes", "missing\nmodes", paper=False),
    Column("coverage90_range", "90 % cov.\nerr., range", signed=True, narrow=6),
    Column("coverage90_null", "90 % cov.\nerr., null", signed=True, narrow=9),
    Column("z_std", "z-std", narrow=7),
    Column("psnr_mean_db", "PSNR of\nmean [dB]", narrow=11),
    Column("psnr_aligned_db", "PSNR of mean,\naligned [dB]", paper=False),
    Column("psnr_gain_db", "PSNR gain\n(expected) [dB]", beside="psnr_gain_expected_db", joint=" ({})"),
    Column("mmse_gap_db", "gap to\nMMSE [dB]", narrow=10, paper=False),
    Column("chi2_per_m", "chi2 / m", narrow=8),
    Column("log_evidence_error", "log p(y)\nerr. [nats]", signed=True, paper=False),
    Column("nfe", "nfe +\nvjp", beside="vjp", joint=" + {}", narrow=3),
    Column("seconds_sample", "sampling\n[s]", narrow=2),
    Column("seconds_train", "training\n[s]"),
    Column("peak_mib", "peak mem.\n[MiB]"),
)

NOTHING = "—"
HUGE = 1e6
"""From here on numbers are written with an exponent."""


def number(value: float, *, signed: bool = False, decimals: int | None = None) -> str:
    """Three significant digits, or `decimals` behind the point; '—' for nan."""
    if math.isnan(value):
        return NOTHING
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    places = decimals_of(value) if decimals is None else decimals
    text = f"{value:+.{places}f}" if signed else f"{value:.{places}f}"
    return text if abs(value) < HUGE else f"{value:.2e}"


def decimals_of(value: float) -> int:
    """The decimals that show three significant digits, at most three."""
    if value == 0 or not math.isfinite(value):
        return 0
    return min(3, max(0, 2 - math.floor(math.log10(abs(value)))))


def with_error(value: float, error: float, *, signed: bool = False) -> tuple[str, str]:
    """A value and its standard error in the same number of decimals; the error is '' where there is none."""
    if math.isnan(value) or math.isnan(error):
        return number(value, signed=signed), ""
    if abs(value) >= HUGE:
        return number(value, signed=signed), f"{error:.0e}"
    places = max(decimals_of(value), decimals_of(error) - 1)
    return number(value, signed=signed, decimals=places), number(error, decimals=places)


def written(cell: Cell, column: Column, *, error: bool = True) -> str:
    """The text of one entry of a table: value ± standard error (if wanted), and what belongs beside it."""
    stderr = cell.get(f"{column.key}_stderr", math.nan) if error else math.nan
    value, uncertainty = with_error(cell[column.key], stderr, signed=column.signed)
    text = f"{value} ± {uncertainty}" if uncertainty else value
    if column.beside and value != NOTHING:
        text += column.joint.format(number(cell.get(column.beside, math.nan)))
    return text


def shown(board: pd.DataFrame) -> list[Column]:
    """The columns that hold a number in these rows; training only where some method trains."""
    filled = [column for column in COLUMNS if column.key in board and board[column.key].notna().any()]
    return [column for column in filled if column.key != "seconds_train" or (board[column.key] > 0).any()]


def rank_text(cell: Cell) -> str:
    """The rank with its interval, '2–5', or 'ref' for a reference row, or '—' where there is none."""
    return "ref" if cell["reference"] else interval_text(cell["rank"], cell["rank_high"])


def interval_text(low: float, high: float, decimals: int = 0) -> str:
    """'2–5', or '2' if both ends read alike."""
    ends = number(low, decimals=decimals), number(high, decimals=decimals)
    return ends[0] if ends[0] == ends[1] else "–".join(ends)


def mean_text(row: Cell) -> str:
    """The geometric mean of a row of the summary with its interval, '3.04 (2.55–3.63)'."""
    text = number(row["geometric_mean"])
    low, high = row["geometric_mean_low"], row["geometric_mean_high"]
    return text if math.isnan(low) else f"{text} ({number(low)}–{number(high)})"


def problems_text(row: Cell) -> str:
    """On how many problems a row of the summary was tried: '3', or '2 of 3' if not on all of the table."""
    tried, total = row["problems"], row["problems_total"]
    return str(tried) if tried == total else f"{tried} of {total}"


def mean_rank_text(row: Cell, problems: int) -> str:
    """The mean rank of a row of the summary, '1.7–6.0', and on how many problems unless it is ranked on all."""
    if row["reference"]:
        return "ref"
    text = interval_text(row["mean_rank"], row["mean_rank_high"], decimals=1)
    return text if row["problems_ranked"] in (0, problems) else f"{text} (on {row['problems_ranked']})"


def doubted(cell: Cell, column: Column) -> bool:
    """Whether the gates of the run do not believe this column on the problem of this cell."""
    return bool(cell.get(f"{column.metric}_doubt"))


def notes(group: pd.DataFrame, columns: Sequence[Column]) -> list[str]:
    """What is to be said below the table of one problem: why no ranks, what is not believed, what was cut."""
    cell = records(group)[0]
    said = []
    if cell["no_order"]:
        said.append(f"No ranks: {cell['no_order']}. Rows are in the order of their means, which is no verdict.")
    doubts = [(" ".join(c.header.split()), cell[f"{c.metric}_doubt"]) for c in columns if doubted(cell, c)]
    if doubts:
        said.append(f"Not believed here (in parentheses): {'; '.join(f'{what}: {why}' for what, why in doubts)}.")
    if cell.get("left_out"):
        said.append(cell["left_out"])
    return said


def tasks_text(cell: Cell) -> str:
    """Tasks that are ok of all, with the words for the rest."""
    text = f"{cell['tasks_ok']}/{cell['tasks_total']}"
    return f"{text}: {cell['failures']}" if cell["failures"] else text
