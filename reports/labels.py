"""Labels beside points that cover neither each other nor the points."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from reports.style import INK, QUIET, TINY

ANGLES = np.deg2rad([40, -40, 140, -140, 15, 165, -15, -165, 70, -70, 110, -110])
RADII = (5.0, 9.0, 14.0, 20.0, 28.0, 38.0, 50.0, 64.0)
"""Distances tried between a point and its label, in typographic points, nearest first."""


def place(
    axes: Axes, points: np.ndarray, texts: Sequence[str], others: np.ndarray, lines: Sequence[np.ndarray]
) -> list[str]:
    """Writes each text near its point, with a thin line to it, at the nearest free place.

    Args:
        axes: axes whose limits are final.
        points: (k, 2) data coordinates of the labelled points; texts: their labels.
        others: (l, 2) data coordinates of all points that must stay visible.
        lines: (m, 2) each, data coordinates of the corners of lines that no label may cross.

    Returns:
        The texts for which no place was free.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    renderer = canvas.get_renderer()
    scale = figure.dpi / 72
    inside = axes.get_window_extent(renderer)
    centres = axes.transData.transform(others)
    taken = [Bbox.from_extents(x - 3 * scale, y - 3 * scale, x + 3 * scale, y + 3 * scale) for x, y in centres]
    taken += [box for line in lines for box in _along(axes.transData.transform(line), 2 * scale)]
    taken += [text.get_window_extent(renderer) for text in axes.texts if text.get_visible()]
    unplaced = []
    for point, text in zip(points, texts, strict=True):
        for offset in ((r * np.cos(a), r * np.sin(a)) for r in RADII for a in ANGLES):
            note = axes.annotate(
                text,
                point,
                offset,
                textcoords="offset points",
                fontsize=TINY,
                color=INK,
                ha="left" if offset[0] > 0 else "right",
                va="center",
                arrowprops={"arrowstyle": "-", "color": QUIET, "linewidth": 0.4, "shrinkA": 0, "shrinkB": 2},
            )
            note.update_positions(renderer)
            box = Text.get_window_extent(note, renderer).padded(scale)  # of the text, without its line
            free = box.count_overlaps(taken) == 0
            if free and inside.x0 <= box.x0 and box.x1 <= inside.x1 and inside.y0 <= box.y0 and box.y1 <= inside.y1:
                taken.append(box)
                break
            note.remove()
        else:
            unplaced.append(text)
    return unplaced


def _along(corners: np.ndarray, width: float) -> list[Bbox]:
    """Small boxes that cover a line, in pixels."""
    boxes = []
    for start, end in pairwise(corners):
        steps = max(1, int(np.hypot(*(end - start)) / width))
        boxes += [
            Bbox.from_bounds(x - width / 2, y - width / 2, width, width)
            for x, y in start + np.linspace(0, 1, steps + 1)[:, None] * (end - start)
        ]
    return boxes
