"""What people look at: tables, pictures and a page made from the files of a run directory, and from nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from reports.equal_work import Budget

__all__ = ["leaderboard", "print_gates", "print_leaderboard", "write_report"]


def leaderboard(run_dir: Path, budget: Budget | None = None) -> pd.DataFrame:
    """One row per (problem, method, configuration), ranked within its problem; with a budget, of those within it.

    Raises:
        reports.run.RunError: if `run_dir` holds no results that this version reads, or no cell is within the budget.
    """
    from reports.ranking import ranked
    from reports.run import read_run

    return ranked(read_run(Path(run_dir)), budget)


def print_leaderboard(run_dir: Path, console: Console, budget: Budget | None = None) -> None:
    """Prints the summary and the table of each problem, as wide as the console; and verdicts on calibration.

    Raises:
        reports.run.RunError: if `run_dir` holds no results that this version reads, or no cell is within the budget.
    """
    from reports.calibration_table import print_calibration, read_calibration
    from reports.ranking import ranked
    from reports.run import read_run
    from reports.terminal import print_tables

    run, calibration = read_run(Path(run_dir)), read_calibration(Path(run_dir))
    if calibration is None or not run.results.empty:
        print_tables(ranked(run, budget), console, budget)
    if calibration is not None:
        print_calibration(calibration, console)


def print_gates(run_dir: Path, console: Console, problems: list[str]) -> None:
    """Prints the smallest fault that each metric finds on these problems, and which metrics are not believed.

    Raises:
        reports.run.RunError: if the gates were not run in `run_dir`, or their table is torn.
    """
    from reports import gates

    gates.print_gates(Path(run_dir), console, problems)


def write_report(run_dir: Path, budget: Budget | None = None) -> list[Path]:
    """Writes leaderboard.csv, .md and .tex, gates.md (if the gates were run), figures/*.png and *.pdf, and the page.

    Of a run that tested calibration also calibration.csv and .md; if it did nothing else, these without the
    leaderboard. With a budget, the tables of the cells within it alone, as leaderboard-work-1000.csv and so on; what
    was written of all cells stays.

    Returns:
        The paths written: tables first, page/index.html last.

    Raises:
        reports.run.RunError: if `run_dir` holds no results that this version reads, or no cell is within the budget.
        OSError: if a file cannot be written.
    """
    from reports.calibration_table import read_calibration, write_calibration
    from reports.documents import write_tables
    from reports.figures import write_calibration_figures, write_figures
    from reports.gates import write_gates
    from reports.page import write_page
    from reports.ranking import ranked
    from reports.run import read_run

    run, calibration = read_run(Path(run_dir)), read_calibration(Path(run_dir))
    board = None if calibration is not None and run.results.empty else ranked(run, budget)
    if budget is not None and board is not None:
        return write_tables(board, run, budget)
    tables: list[Path] = []
    figures: list[Path] = []
    if board is not None:
        tables += [*write_tables(board, run), *write_gates(run.directory)]
        figures += write_figures(board, run)
    if calibration is not None:
        tables += write_calibration(calibration, run.directory)
        figures += write_calibration_figures(calibration, run.directory)
    return [*tables, *figures, write_page(board, run)]
