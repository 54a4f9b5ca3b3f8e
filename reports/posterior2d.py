"""The samples of every method over the contours of an exact two-dimensional posterior, one small panel each."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from reports import layout
from reports.columns import number
from reports.ranking import Cell, named
from reports.rows import tried_rows
from reports.run import Arrays, Run
from reports.style import INK, QUIET, TINY, looks

COLUMNS = 6
MAX_PANELS = 48
TICKS, GAP = 0.28, 0.07
"""Inches at the left for numbers, and between panels."""
POINTS = 500
MASSES = (0.99, 0.9, 0.5)
NEEDS = {"x_true", "grid_x", "grid_y", "density"}
CAPTION = (
    "{problem}, instance {instance}. Contours: {masses} % of the exact posterior's mass; + truth; at most {points} "
    "samples each. Floors: SW1 / floor95 over all instances. Italic and dashed: reference rows, † given the exact "
    "posterior's score."
)


def draw(rows: pd.DataFrame, run: Run, instance: int, picture: Arrays) -> Figure:
    """The sheet of one problem.

    Args:
        rows: the problem's rows of the leaderboard.
        run: gives the stored samples, (n, 2).
        instance: the instance that the picture shows.
        picture: x_true (2,), grid_x (g,), grid_y (g,), density (g, g), its value at
            (grid_x[j], grid_y[i]).
    """
    methods, others = tried_rows(rows, MAX_PANELS - 1)
    panels = len(methods) + 1
    columns = max(3, min(COLUMNS, panels))
    lines = math.ceil(panels / columns)
    width = layout.PAGE * columns / COLUMNS
    side = (width - TICKS - layout.EDGE) / columns - GAP
    titles = [_title(cell, side) for cell in methods]
    head = layout.LINE * max(title.count("\n") + 1 for title in ["\n", *titles]) + 0.06
    masses = ", ".join(f"{100 * mass:g}" for mass in MASSES[::-1])
    told = CAPTION.format(problem=rows["problem"].iloc[0], instance=instance, masses=masses, points=POINTS)
    text = layout.caption(told + others, width)
    figure = layout.new_figure(width, lines * (head + side) + 0.2 + layout.caption_height(text) + layout.EDGE)
    levels, view, look = _levels(picture["density"]), _view(picture), looks(rows)
    for place in range(panels):
        left, top = TICKS + (side + GAP) * (place % columns), (head + side) * (place // columns) + head
        panel = layout.axes_at(figure, left, top, side, side)
        _contours(panel, picture, levels, view)
        panel.set_xticks(_ticks(*view[0]) if place + columns >= panels else [])
        panel.set_yticks(_ticks(*view[1]) if place % columns == 0 else [])
        if place == 0:
            _exact(panel, picture)
            continue
        cell = methods[place - 1]
        panel.set_title(titles[place - 1], fontsize=TINY, fontstyle="italic" if cell["reference"] else "normal")
        samples = run.samples(cell["problem"], instance, cell["method"], cell["config"], cell["framework"])
        _panel(panel, cell, samples, look[cell["label"]].color)
    layout.add_caption(figure, text)
    return figure


def _title(cell: Cell, width: float) -> str:
    """Label and SW1 / floor95; a label too long for the panel is broken before its configuration."""
    label, ratio = named(cell), cell["sw1_over_floor95"]
    if layout.text_width([label], TINY) > width:
        label = label.replace("[", "\n[", 1)
    return f"{label}\n{number(ratio)} floors" if np.isfinite(ratio) and cell["tasks_ok"] else f"{label}\n "


def _levels(density: np.ndarray) -> list[float]:
    """The densities whose super-level sets hold MASSES of the mass on the grid, rising."""
    values = np.sort(density, axis=None)[::-1]
    mass = np.cumsum(values) / values.sum()
    return [float(values[np.searchsorted(mass, share)]) for share in MASSES]


def _view(picture: Arrays) -> tuple[tuple[float, float], tuple[float, float]]:
    """The square around the outermost contour and the truth, 1.35 times as wide: limits of x and of y."""
    inside = picture["density"] >= _levels(picture["density"])[0]
    truth = picture["x_true"].ravel()
    x = [*picture["grid_x"][inside.any(axis=0)], truth[0]]
    y = [*picture["grid_y"][inside.any(axis=1)], truth[1]]
    half = 1.35 * max(max(x) - min(x), max(y) - min(y)) / 2
    middle = (min(x) + max(x)) / 2, (min(y) + max(y)) / 2
    return (middle[0] - half, middle[0] + half), (middle[1] - half, middle[1] + half)


def _ticks(low: float, high: float) -> list[float]:
    """At most three round numbers well inside the limits."""
    margin = 0.1 * (high - low)
    ticks = [float(tick) for tick in MaxNLocator(4).tick_values(low, high) if low + margin < tick < high - margin]
    return ticks[:: math.ceil(len(ticks) / 3)]


def _contours(panel: Axes, picture: Arrays, levels: list[float], view: tuple[tuple[float, float], ...]) -> None:
    x, y = picture["grid_x"], picture["grid_y"]
    panel.contour(x, y, picture["density"], levels=levels, colors=QUIET, linewidths=0.5, zorder=1)
    panel.plot(*picture["x_true"].ravel(), marker="+", color=INK, markersize=4, markeredgewidth=0.7, zorder=4)
    panel.set(xlim=view[0], ylim=view[1])
    panel.spines[["top", "right"]].set_visible(True)
    panel.tick_params(labelsize=TINY)


def _exact(panel: Axes, picture: Arrays) -> None:
    x, y, density = picture["grid_x"], picture["grid_y"], picture["density"]
    panel.pcolormesh(
        x, y, density, cmap="Greys", vmax=1.4 * density.max(), shading="gouraud", zorder=0, rasterized=True
    )
    panel.set_title("exact posterior\n ", fontsize=TINY, fontweight="bold")


def _panel(panel: Axes, cell: Cell, samples: np.ndarray | None, color: str) -> None:
    if cell["reference"]:
        for spine in panel.spines.values():
            spine.set(linestyle=(0, (4, 2)), linewidth=0.7)
    if samples is None:
        words = cell["status"].replace("_", " ") if cell["status"] not in ("ok", "partial") else "no samples kept"
        panel.text(0.5, 0.5, words, transform=panel.transAxes, ha="center", va="center", color=INK, fontsize=TINY)
        panel.set_facecolor("#eeeeee")
        return
    points = samples.reshape(len(samples), -1)
    panel.plot(
        *points[:POINTS].T, marker="o", markersize=1.1, linestyle="none", color=color, alpha=0.6, mew=0, zorder=2
    )
    (left, right), (low, high) = panel.get_xlim(), panel.get_ylim()
    finite = np.isfinite(points).all(axis=1)
    seen = (points > [left, low]).all(axis=1) & (points < [right, high]).all(axis=1)
    shares = {"outside": np.mean(finite & ~seen), "not finite": np.mean(~finite)}
    notes = [f"{share:.0%} {word}" for word, share in shares.items() if share >= 0.005]
    if notes:
        panel.text(
            0.97, 0.03, "\n".join(notes), transform=panel.transAxes, ha="right", va="bottom", fontsize=TINY, color=INK
        )
