"""Coverage and z-std of every method on one problem, beside those of the exact sampler."""

from __future__ import annotations

import math

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, NullLocator

from reports import layout
from reports.ranking import Cell, named
from reports.rows import method_rows
from reports.style import GUIDANCE, INK, QUIET, SMALL, TINY, Look, kinds

PANELS = (("coverage90", "error of 90 % intervals"), ("coverage50", "error of 50 % intervals"), ("z_std", "z-std"))
NOMINAL = {"coverage90": 0.9, "coverage50": 0.5}
Z_RANGE = 0.15, 25.0
"""Of the axis of z-std; the values of samplers without spread are infinite."""
PARTS = (("_range", "full", -0.17), ("_null", "none", 0.17), ("", "full", 0.0))
"""Suffix of the metric, filling of its marker, and its place within the line of a method."""
CAPTION = (
    "Coverage of central intervals minus nominal (below 0: overconfident) and standard deviation of the standardised "
    "error; bars: ± 1 standard error over instances.\nBands: the exact sampler on the same instances, ± 2 standard "
    "errors. Arrows: beyond the axis. Italic: reference rows, † given the exact posterior's score."
)
FOREIGN = " The truths are not drawn from the prior, so there is no target but the exact sampler."


def draw(rows: pd.DataFrame, *, foreign_truths: bool) -> Figure:
    """One line per method of a problem, three panels; no target where the truths are not drawn from the prior."""
    methods = method_rows(rows)
    names = [named(row) for row in methods]
    left, top = layout.text_width(names, SMALL) + 2 * layout.EDGE, 0.32
    gap = 0.12
    size = (layout.PAGE - left - 2 * layout.EDGE) / len(PANELS) - gap, 0.145 * len(methods) + 0.05
    text, entries = layout.caption(CAPTION + FOREIGN * foreign_truths, layout.PAGE), _entries(foreign_truths)
    foot = layout.legend_height(entries, layout.PAGE) + layout.caption_height(text) + 3 * layout.EDGE
    figure = layout.new_figure(layout.PAGE, top + size[1] + 0.2 + foot)
    for place, (metric, title) in enumerate(PANELS):
        panel = layout.axes_at(figure, left + place * (size[0] + gap), top, *size)
        present = [part for part in PARTS if metric + part[0] in rows and rows[metric + part[0]].notna().any()]
        panel.set(ylim=(len(methods) - 0.4, -0.6), title=title)
        if metric in NOMINAL:
            lowest = min((rows[metric + part[0]].min() for part in present), default=0.0)
            _linear_axis(panel, lowest, 1 - NOMINAL[metric])
        else:
            _log_axis(panel)
        for suffix, fill, shift in present:
            _band(panel, methods, metric + suffix)
            _dots(panel, methods, metric + suffix, fill, shift if len(present) > 1 else 0.0)
        if not foreign_truths:
            panel.axvline(0.0 if metric in NOMINAL else 1.0, color=INK, linewidth=0.6, zorder=1)
        panel.hlines(
            range(len(methods)), 0, 1, "#eeeeee", linewidth=0.5, zorder=0, transform=panel.get_yaxis_transform()
        )
        panel.set_yticks(range(len(methods)), names)
        panel.tick_params(axis="y", length=0, labelleft=place == 0)
        if place == 0:
            _words(panel, methods)
    figure.text(
        0.5, 1 - layout.EDGE / figure.get_size_inches()[1], methods[0]["problem"], ha="center", va="top", fontsize=7.0
    )
    layout.add_legend(figure, entries, layout.caption_height(text) + 2 * layout.EDGE)
    layout.add_caption(figure, text)
    return figure


def _words(panel: Axes, methods: list[Cell]) -> None:
    """References in italics; what became of methods without a value."""
    for line, (tick, cell) in enumerate(zip(panel.get_yticklabels(), methods, strict=True)):
        tick.set_fontstyle("italic" if cell["reference"] else "normal")
        if not cell["tasks_ok"]:
            word, middle = cell["status"].replace("_", " "), panel.get_yaxis_transform()
            panel.text(0.5, line, word, transform=middle, ha="center", va="center", color=QUIET, fontsize=TINY)


def _dots(panel: Axes, methods: list[Cell], name: str, fill: str, shift: float) -> None:
    """Values with their error bars; a value beyond the axis is an arrow at its end."""
    low, high = panel.get_xlim()
    for line, cell in enumerate(methods):
        value, error = cell[name], cell.get(f"{name}_stderr", math.nan)
        color = GUIDANCE[kinds(cell["method"])[0]]
        edge = INK if color == GUIDANCE["other"] else color
        y = line + shift
        if low <= value <= high:
            if math.isfinite(error):
                panel.plot(
                    [max(value - error, low), min(value + error, high)], [y, y], color=edge, linewidth=0.7, zorder=2
                )
            panel.plot(value, y, **Look(color, "o" if fill == "full" else "s", fill).options(2.8), zorder=3)
        elif not math.isnan(value):
            end, marker = (high, ">") if value > high else (low, "<")
            panel.plot(end, y, **Look(color, marker, fill).options(3.2), zorder=3, clip_on=False)


def _band(panel: Axes, methods: list[Cell], name: str) -> None:
    """Where the exact sampler lies: what a perfect method shows with these instances and this many samples."""
    for cell in methods:
        value, error = cell[name], cell.get(f"{name}_stderr", math.nan)
        if cell["label"] == "exact" and math.isfinite(value) and math.isfinite(error):
            panel.axvspan(value - 2 * error, value + 2 * error, color=QUIET, alpha=0.2, linewidth=0, zorder=0)


def _linear_axis(panel: Axes, lowest: float, highest: float) -> None:
    """Coverage minus nominal, from the lowest value to the highest possible one."""
    panel.set_xlim(min(lowest, -0.1) - 0.03, highest + 0.03)
    panel.xaxis.set_major_locator(MaxNLocator(5))


def _log_axis(panel: Axes) -> None:
    """z-std on a logarithmic axis around 1."""
    panel.set(xscale="log", xlim=Z_RANGE)
    ticks = [0.2, 0.5, 1, 2, 5, 10, 20]
    panel.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    panel.xaxis.set_minor_locator(NullLocator())


def _entries(foreign_truths: bool) -> list[Line2D]:
    entries = [
        Line2D([], [], label="range(Aᵀ); z-std: all of x", **Look(INK, "o", "full").options(2.8)),
        Line2D([], [], label="null(A)", **Look(INK, "s", "none").options(2.8)),
    ]
    return entries if foreign_truths else [*entries, Line2D([], [], label="target", color=INK, linewidth=0.6)]
