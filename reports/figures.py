"""All pictures of a run, written as .png and .pdf."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from reports import agreement, calibration, error_budget, heatmap, orders, pareto, posterior2d, sheet
from reports.calibration_ecdf import calibration_figures
from reports.cells import cells
from reports.run import Run, foreign_truths
from reports.style import styled

PDF_METADATA = {"CreationDate": None}
"""No date, so that equal results give equal files."""


def figures(board: pd.DataFrame, run: Run) -> Iterator[tuple[str, Figure]]:
    """(name, figure) for every picture that the stored results allow; to be used within `styled()`."""
    pictures = run.pictures()
    problems = list(board["problem"].unique())
    _, values = cells(run)
    if board["posterior_known"].any():
        known = board[board["posterior_known"]]
        yield "heatmap", heatmap.draw(known)
        for cost in pareto.COSTS:
            yield f"pareto-{cost.name}", pareto.draw_problems(known, cost)
        yield "pareto", pareto.draw_overall(known)
    for problem in problems:
        rows = board[board["problem"] == problem]
        if (rows["tasks_ok"] > 0).any():
            foreign = foreign_truths(run.info, problem)
            yield f"calibration-{problem}", calibration.draw(rows, foreign_truths=foreign)
            budget = error_budget.draw(rows, values, run.results)
            if budget is not None:
                yield f"budget-{problem}", budget
            if not rows["posterior_known"].all() and (square := agreement.draw(rows, run)) is not None:
                yield f"agreement-{problem}", square
            if problem in pictures and pictures[problem][1].keys() >= sheet.NEEDS:
                lines = orders.draw(rows, foreign_truths=foreign)
                if lines is not None:
                    yield f"orders-{problem}", lines
        if problem in pictures:
            instance, picture = pictures[problem]
            if picture.keys() >= posterior2d.NEEDS:
                yield f"posterior2d-{problem}", posterior2d.draw(rows, run, instance, picture)
            elif sheet.drawable(picture):
                yield f"sheet-{problem}", sheet.draw(rows, run, instance, picture)


def write_figures(board: pd.DataFrame, run: Run) -> list[Path]:
    """Writes every picture of a leaderboard into figures/."""
    with styled():
        return _written(figures(board, run), run.directory / "figures")


def write_calibration_figures(table: pd.DataFrame, directory: Path) -> list[Path]:
    """Writes the pictures of calibration into figures/."""
    with styled():
        return _written(calibration_figures(table, directory), directory / "figures")


def _written(drawn: Iterator[tuple[str, Figure]], folder: Path) -> list[Path]:
    folder.mkdir(exist_ok=True)
    paths = []
    for name, figure in drawn:
        figure.savefig(folder / f"{name}.png")
        figure.savefig(folder / f"{name}.pdf", metadata=PDF_METADATA)
        paths += [folder / f"{name}.png", folder / f"{name}.pdf"]
    return paths
