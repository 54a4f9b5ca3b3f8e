"""What people look at: tables and pictures made from the files of a run directory, and from nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

__all__ = ["leaderboard", "print_leaderboard", "write_report"]


def leaderboard(run_dir: Path) -> pd.DataFrame:
    """One row per (problem, method, configuration), ranked within its problem.

    Raises:
        reports.run.RunError: if `run_dir` holds no results that this version reads.
    """
    from reports.ranking import ranked
    from reports.run import read_run

    return ranked(read_run(Path(run_dir)))


def print_leaderboard(run_dir: Path, console: Console) -> None:
    """Prints the summary and the table of each problem, with as many columns as the console is wide.

    Raises:
        reports.run.RunError: if `run_dir` holds no results that this version reads.
    """
    from reports.terminal import print_tables

    print_tables(leaderboard(run_dir), console)


def write_report(run_dir: Path) -> list[Path]:
    """Writes leaderboard.csv, .md and .tex and figures/*.png and *.pdf into the run directory.

    Returns:
        The paths written, tables first.

    Raises:
        reports.run.RunError: if `run_dir` holds no results that this version reads.
        OSError: if a file cannot be written.
    """
    from reports.documents import write_tables
    from reports.figures import write_figures
    from reports.ranking import ranked
    from reports.run import read_run

    run = read_run(Path(run_dir))
    board = ranked(run)
    return [*write_tables(board, run), *write_figures(board, run)]
