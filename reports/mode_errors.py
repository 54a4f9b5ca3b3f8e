"""The errors of a sampler of a mixture, mode by mode: weights, means within modes, covariances within modes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter

from reports.cells import CELL
from reports.ranking import Cell
from reports.style import Look

METRICS = {
    "mode_weights_w2": ("weights of modes", Look("#CC79A7", "o", "full"), -0.2),
    "mode_means_w2": ("means within modes", Look("#E69F00", "D", "full"), 0.0),
    "mode_covs_w2": ("covariances within modes", Look("#009E73", "s", "none"), 0.2),
}
"""Metric -> its words, its marker, and its place within the line of a method."""
Errors = dict[str, dict[str, tuple[float, float, float]]]
"""metric -> label -> (root mean square, its lower and its upper end; nan with one instance)."""
CAPTION = (
    " Right: the Wasserstein-2 errors of the weights, means and covariances of the modes, in the unit of x: roots of "
    "mean squares over instances whose tasks are ok, ± 1 standard error; vertical lines: what exact samples score. "
    "Hatched line: some tasks failed, which is left out here and counts as the prior at the left."
)


def of(results: pd.DataFrame, cells: Sequence[Cell]) -> Errors:
    """The errors of these cells of one problem, from the tasks that are ok; {} if the run has not measured them."""
    keys = {tuple(cell[name] for name in CELL): str(cell["label"]) for cell in cells}
    rows = results[results["metric"].isin(METRICS) & (results["status"] == "ok")]
    rows = rows[np.array([key in keys for key in rows[CELL].itertuples(index=False, name=None)], dtype=bool)]
    squares = rows.assign(square=rows["value"] ** 2).groupby(["metric", *CELL, "instance"])["square"].mean()
    found: Errors = {}
    for key, values in squares.groupby(["metric", *CELL]):
        squared = values.to_numpy(float)
        mean, error = squared.mean(), squared.std(ddof=1) / len(squared) ** 0.5 if len(squared) > 1 else np.nan
        if np.isfinite(mean):
            ends = np.sqrt([mean, np.maximum(mean - error, 0.0), mean + error])
            found.setdefault(str(key[0]), {})[keys[tuple(key[1:])]] = (float(ends[0]), float(ends[1]), float(ends[2]))
    return found


def draw(panel: Axes, methods: Sequence[Cell], errors: Errors) -> None:
    """Three markers per method on a logarithmic axis; the lines of methods with failures are hatched."""
    ends = [end for row in errors.values() for three in row.values() for end in three if end > 0]
    panel.set(xscale="log", ylim=(len(methods) - 0.45, -0.55), title="errors of modes [unit of x]")
    panel.set_xlim(min(ends) / 1.3, max(ends) * 1.3)
    panel.xaxis.set_major_locator(LogLocator(numticks=5))
    panel.xaxis.set_minor_formatter(NullFormatter())
    panel.set_yticks([])
    lines = range(len(methods))
    panel.hlines(lines, 0, 1, "#eeeeee", linewidth=0.5, zorder=0, transform=panel.get_yaxis_transform())
    for line, cell in enumerate(methods):
        if cell["tasks_failed"]:
            band = panel.axhspan(
                line - 0.45, line + 0.45, facecolor="none", edgecolor="#cccccc", hatch="////", zorder=0
            )
            band.set_linewidth(0)
    for metric, row in errors.items():
        _, look, shift = METRICS[metric]
        for line, cell in enumerate(methods):
            if cell["label"] not in row:
                continue
            value, low, high = row[cell["label"]]
            if np.isfinite(low):
                start = max(low, panel.get_xlim()[0])
                panel.plot([start, high], [line + shift] * 2, color=look.color, linewidth=0.6)
            panel.plot(value, line + shift, **look.options(2.2))
            if cell["method"] == "exact":
                panel.axvline(value, color=look.color, linewidth=0.5, linestyle=":", zorder=0)


def entries() -> list[Line2D]:
    """Of the legend."""
    return [Line2D([], [], label=words, **look.options(2.6)) for words, look, _ in METRICS.values()]
