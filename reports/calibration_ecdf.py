"""Pictures of calibration: the distribution functions of ranks within their band, and coverage of balls (TARP)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from reports import layout
from reports.calibration_table import problems_of, verdict_of
from reports.ranking import Cell, named
from reports.run import Arrays, read_arrays
from reports.style import INK, QUIET, TINY

LINES = {
    "coordinates": ("coordinates", "#56B4E9"),
    "log_prior": ("log-prior", "#009E73"),
    "hpd": ("HPD", "#CC79A7"),
    "log_likelihood": ("log-likelihood", "#D55E00"),
    "tarp": ("TARP", "#222222"),
}
NEEDED = {"coordinates", "log_likelihood", "tarp", "n", "band_low", "band_high"}
"""A prior without a density has no more."""
COLUMNS = 5
BAND = "#dddddd"
VERDICT = {"pass": "#00795a", "fail": "#c03030"}
GAP_X, GAP_Y, LEFT, TOP = 0.1, 0.24, 0.36, 0.34
ECDF = (
    "Share of truths whose rank among their samples lies below a level, minus the level; 0 for an exact sampler. Above "
    "0 the truth ranks too low, below 0 too high; up then down: samples too narrow; down then up: too wide. Of "
    "coordinates every direction is drawn; HPD: of the posterior density. Band: where one line stays with 99 %; "
    "verdicts are corrected for all tests of a row, coverage included, so that a row may fail inside its bands and one "
    "of many coordinates may leave them."
)
TARP = (
    "Share of truths inside the ball around a random point that holds the given share of the samples. On the diagonal "
    "for an exact sampler; band: 99 %, simultaneous. Verdicts are of this test alone."
)
FOREIGN = " The truths are not drawn from the prior: misfit of the model is shown, without a verdict."

Panel = tuple[Cell, pd.DataFrame, Arrays]


def calibration_figures(table: pd.DataFrame, directory: Path) -> Iterator[tuple[str, Figure]]:
    """('ranks-PROBLEM', figure) and ('tarp-PROBLEM', figure); to be used within `styled()`."""
    for problem, rows in problems_of(table):
        panels: list[Panel] = []
        for cell, tests in rows:
            stored = read_arrays(directory / cell["ranks_file"]) if cell["ranks_file"] else None
            if stored is not None and stored.keys() >= NEEDED:
                panels.append((cell, tests, stored))
        if panels:
            shown = {cell["label"] for cell, _, _ in panels}
            missing = [named(cell) for cell, _ in rows if cell["label"] not in shown]
            yield f"ranks-{problem}", draw_ranks(problem, panels, missing)
            yield f"tarp-{problem}", draw_tarp(problem, panels, missing)


def draw_ranks(problem: str, panels: list[Panel], missing: list[str]) -> Figure:
    """ECDF differences with their band, a panel for each method, a line for each quantity."""
    curves = [{name: _curves(stored, name) for name in LINES if name in stored} for _, _, stored in panels]
    levels = [_levels(stored) for _, _, stored in panels]
    bands = [(_share(stored["band_low"]), _share(stored["band_high"])) for _, _, stored in panels]
    highest = max(
        float(np.abs(lines - level).max())
        for found, level in zip(curves, levels, strict=True)
        for lines in found.values()
    )
    widest = max(float(np.abs(high - x).max()) for (_, high), x in zip(bands, levels, strict=True))
    limit = min(1.0, 1.05 * max(highest, 1.6 * widest))
    drawn = {name: look for name, look in LINES.items() if any(name in found for found in curves)}
    entries = [Line2D([], [], color=color, linewidth=1.1, label=words) for words, color in drawn.values()]
    figure, axes = _grid(f"{problem}: ranks", panels, missing, ECDF, [*entries, _band_entry()], 0.78)
    for panel, (_, tests, _), found, x, (low, high) in zip(axes, panels, curves, levels, bands, strict=True):
        panel.fill_between(x, low - x, high - x, color=BAND, linewidth=0, zorder=0)
        panel.axhline(0, color=QUIET, linewidth=0.5, zorder=1)
        for place, (name, (_, color)) in enumerate(drawn.items()):
            faint: dict[str, Any] = {"linewidth": 0.4, "alpha": 0.55} if name == "coordinates" else {"linewidth": 0.9}
            for line in found.get(name, ()):
                panel.plot(x, line - x, color=color, zorder=2 + place, **faint)
        panel.set(xlim=(0, 1), ylim=(-limit, limit))
        panel.set_xticks([0, 0.5, 1], ["0", ".5", "1"])
        _verdict(panel, verdict_of(tests))
    return figure


def draw_tarp(problem: str, panels: list[Panel], missing: list[str]) -> Figure:
    """Expected coverage against credibility, a panel for each method."""
    entries = [Line2D([], [], color=INK, linewidth=1.1, label="TARP"), _band_entry()]
    figure, axes = _grid(f"{problem}: TARP", panels, missing, TARP, entries, 1.0)
    for panel, (_, tests, stored) in zip(axes, panels, strict=True):
        x = _levels(stored)
        panel.fill_between(x, _share(stored["band_low"]), _share(stored["band_high"]), color=BAND, linewidth=0)
        panel.plot([0, 1], [0, 1], color=QUIET, linewidth=0.5)
        panel.plot(x, _curves(stored, "tarp")[0], color=INK, linewidth=1.0)
        panel.set(xlim=(0, 1), ylim=(0, 1))
        panel.set_xticks([0, 0.5, 1], ["0", ".5", "1"])
        panel.set_yticks([0, 0.5, 1], ["0", ".5", "1"])
        _verdict(panel, verdict_of(tests[tests["test"] == "tarp"]))
    return figure


def _grid(
    title: str, panels: list[Panel], missing: list[str], told: str, entries: list[Line2D], height: float
) -> tuple[Figure, list[Axes]]:
    """Panels in lines of COLUMNS, each under its method's name, over a legend and a caption."""
    foreign = any((tests["verdict"] == "none").all() for _, tests, _ in panels)
    absent = f" Not tested: {', '.join(missing)}." if missing else ""
    text = layout.caption(told + FOREIGN * foreign + absent, layout.PAGE)
    lines = math.ceil(len(panels) / COLUMNS)
    width = (layout.PAGE - LEFT - 2 * layout.EDGE) / COLUMNS - GAP_X
    foot = layout.legend_height(entries, layout.PAGE) + layout.caption_height(text) + 3 * layout.EDGE
    figure = layout.new_figure(layout.PAGE, TOP + lines * (height + GAP_Y) + foot)
    axes: list[Axes] = []
    for place, (cell, _, _) in enumerate(panels):
        line, column = divmod(place, COLUMNS)
        left, top = LEFT + column * (width + GAP_X), TOP + line * (height + GAP_Y)
        panel = layout.axes_at(figure, left, top, width, height)
        style = "italic" if cell["reference"] else "normal"
        panel.set_title(named(cell), loc="left", fontsize=TINY, fontstyle=style)
        below = place + COLUMNS >= len(panels)
        panel.tick_params(labelleft=column == 0, labelbottom=below)
        axes.append(panel)
    down = figure.get_size_inches()[1]
    figure.text(0.5, 1 - layout.EDGE / down, title, ha="center", va="top", fontsize=7.0)
    layout.add_legend(figure, entries, layout.caption_height(text) + 2 * layout.EDGE)
    layout.add_caption(figure, text)
    return figure, axes


def _verdict(panel: Axes, verdict: str) -> None:
    color = VERDICT.get(verdict, QUIET)
    panel.set_title("" if verdict == "no verdict" else verdict, loc="right", fontsize=TINY, color=color)


def _band_entry() -> Line2D:
    return Line2D([], [], color=BAND, linewidth=5, solid_capstyle="butt", label="99 % band")


def _levels(stored: Arrays) -> np.ndarray:
    """0, 1 / (n + 1), ..., 1."""
    return np.linspace(0, 1, int(stored["n"]) + 2)


def _share(inner: np.ndarray) -> np.ndarray:
    """With its ends, 0 and 1."""
    return np.concatenate([[0.0], inner, [1.0]])


def _curves(stored: Arrays, quantity: str) -> np.ndarray:
    """The share of ranks below 0, 1, ..., n + 1, a row for each coordinate or one."""
    n, ranks = int(stored["n"]), stored[quantity]
    columns = ranks.reshape(len(ranks), -1).T.astype(int)
    counts = np.stack([np.bincount(column, minlength=n + 1) for column in columns])
    return np.concatenate([np.zeros((len(columns), 1)), np.cumsum(counts, axis=1) / len(ranks)], axis=1)
