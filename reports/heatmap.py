"""Every method on every problem: SW1 / floor95 as colour and number."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import NullLocator

from reports import layout
from reports.cells import HEADLINE
from reports.ranking import Cell, named, records
from reports.rows import method_rows
from reports.style import INK, SEQUENTIAL, SMALL, TINY

LIMIT = 100.0
"""Colours end here at the latest; the number in the cell goes on."""
CELL = 0.4, 0.16
"""Inches of one cell, at most."""
BAR = 0.32
"""Inches from the cells to the caption: the colour bar and its numbers."""
DOUBTED = "#d9d9d9"
WORDS = {"out_of_memory": "memory", "skipped": "skip"}
CAPTION = (
    "SW1 / floor95 (mean over instances). Framed and bold: at floor (≤ 1). Italic: reference rows, † given the exact "
    "posterior's score. Hatched: some tasks failed and count as the prior; with a word: no value. Empty: not run. "
    "Colours end at 100."
)
ABOUT_DOUBTED = " Grey, dotted, in parentheses: SW1 is not believed on this problem."


def draw(board: pd.DataFrame) -> Figure:
    """Rows are the methods, columns the problems."""
    methods = method_rows(board)
    problems = list(board["problem"].unique())
    names = [named(row) for row in methods]
    left, top = layout.text_width(names, SMALL) + 3 * layout.EDGE, layout.text_width(problems, SMALL) + 3 * layout.EDGE
    # The last number of the colour bar is centred on its end.
    right = layout.EDGE + layout.text_width([f"{LIMIT:g}"], SMALL) / 2
    cell_width = min(CELL[0], (layout.PAGE - left - right) / len(problems))
    size = cell_width * len(problems), CELL[1] * len(methods)
    width = max(3.4, left + size[0] + right)
    doubts = board.get(f"{HEADLINE}_doubt", pd.Series("", index=board.index)) != ""
    text = layout.caption(CAPTION + ABOUT_DOUBTED * bool(doubts.any()), width)
    height = top + size[1] + BAR + layout.caption_height(text) + 2 * layout.EDGE
    figure = layout.new_figure(width, height)
    left += (width - right - left - size[0]) / 2
    panel = layout.axes_at(figure, left, top, *size)
    highest = board.loc[(board["tasks_ok"] > 0) & ~doubts, "sw1_over_floor95"].max()
    limit = min(LIMIT, max(highest, 2.0)) if np.isfinite(highest) else LIMIT
    norm = LogNorm(1.0, limit)
    cells = {(cell["problem"], cell["label"]): cell for cell in records(board)}
    for line, row in enumerate(methods):
        for column, problem in enumerate(problems):
            if (problem, row["label"]) in cells:
                _cell(panel, column, line, cells[problem, row["label"]], norm)
    panel.set(xlim=(0, len(problems)), ylim=(len(methods), 0))
    panel.set_xticks(np.arange(len(problems)) + 0.5, problems, rotation=90)
    panel.set_yticks(np.arange(len(methods)) + 0.5, names)
    panel.tick_params(length=0, top=False, labeltop=True, labelbottom=False)
    for tick, row in zip(panel.get_yticklabels(), methods, strict=True):
        tick.set_fontstyle("italic" if row["reference"] else "normal")
    references = sum(row["reference"] for row in methods)
    if 0 < references < len(methods):
        panel.axhline(references, color=INK, linewidth=0.8)
    panel.spines[:].set_visible(False)
    _bar(figure, layout.axes_at(figure, left, top + size[1] + 0.07, size[0], 0.07), norm, limit)
    layout.add_caption(figure, text)
    return figure


def _bar(figure: Figure, axes: Axes, norm: LogNorm, limit: float) -> None:
    bar = figure.colorbar(ScalarMappable(norm, SEQUENTIAL + "_r"), cax=axes, orientation="horizontal")
    ticks = [tick for tick in (1, 2, 5, 10, 20, 50, 100) if tick <= limit]
    bar.set_ticks(ticks, labels=[f"{tick}" for tick in ticks])
    bar.ax.xaxis.set_minor_locator(NullLocator())
    bar.outline.set_linewidth(0.4)


def _cell(panel: Axes, column: int, line: int, cell: Cell, norm: LogNorm) -> None:
    ratio = cell["sw1_over_floor95"]
    valued = bool(cell["tasks_ok"]) and not np.isnan(ratio)
    doubted = valued and bool(cell.get(f"{HEADLINE}_doubt"))
    colored = valued and not doubted
    color: Any = DOUBTED if doubted else "#f0f0f0"
    if colored:
        color = mpl.colormaps[SEQUENTIAL + "_r"](norm(min(ratio, norm.vmax)))
    dark = colored and float(np.dot(color[:3], [0.299, 0.587, 0.114])) < 0.5
    ink = "white" if dark else INK
    hatch = "...." * doubted + "//////" * (not valued or cell["tasks_failed"] > 0)
    place = (column + 0.03, line + 0.04)
    panel.add_patch(
        Rectangle(place, 0.94, 0.92, facecolor=color, edgecolor=(*to_rgb(ink), 0.5), linewidth=0, hatch=hatch)
    )
    if cell["at_floor"]:
        panel.add_patch(Rectangle((column + 0.06, line + 0.1), 0.88, 0.8, fill=False, edgecolor=INK, linewidth=0.9))
    word = "no floor" if cell["status"] == "ok" else str(WORDS.get(cell["status"], cell["status"]))
    text = f"({compact(ratio)})" if doubted else compact(ratio) if valued else word
    box = {"facecolor": color, "edgecolor": "none", "pad": 0.4} if hatch else None
    panel.text(
        column + 0.5,
        line + 0.5,
        text,
        ha="center",
        va="center_baseline",
        color=ink,
        fontsize=TINY,
        fontweight="bold" if cell["at_floor"] else "normal",
        bbox=box,
    )


def compact(ratio: float) -> str:
    """At most four signs: 0.93, 4.2, 37, 980, 12k, 1e6."""
    if ratio < 9.95:
        return f"{ratio:.2f}" if ratio < 1.995 else f"{ratio:.1f}"
    if ratio < 999.5:
        return f"{ratio:.0f}"
    return f"{ratio / 1000:.0f}k" if ratio < 99_500 else f"{ratio:.0e}".replace("e+0", "e").replace("e+", "e")
