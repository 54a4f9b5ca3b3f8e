"""Figures laid out in inches: every place is known before anything is drawn, so nothing has to be drawn twice."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Sequence

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D

from reports.style import INK, RC, SMALL, TINY

PAGE = 7.0
"""Width of a figure over both columns of a paper; text is set for this width."""
EDGE = 0.04
"""Margin around a figure."""
LINE = 0.087
"""Height of a line of size TINY."""
ROW = 0.122
"""Height of a row of a legend."""
_TINY_PER_INCH = 25  # signs of size TINY that fit into an inch, on average
_MARK = 0.34
"""Width of the mark and the gap of an entry of a legend."""


def new_figure(width: float, height: float) -> Figure:
    """A figure with the Agg canvas: nothing is registered that would have to be closed."""
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure


def axes_at(figure: Figure, left: float, top: float, width: float, height: float, share: Axes | None = None) -> Axes:
    """Axes of this size whose upper left corner lies `left` from the left and `top` from the top of the figure."""
    across, down = figure.get_size_inches()
    place = (left / across, 1 - (top + height) / down, width / across, height / down)
    return figure.add_axes(place, sharex=share, sharey=share)


def text_width(texts: Iterable[str], size: float) -> float:
    """The width of the widest of these texts."""
    renderer = RendererAgg(1, 1, 72)  # a pixel is a point
    font = FontProperties(family=RC["font.family"], size=size)
    return max((renderer.get_text_width_height_descent(text, font, False)[0] / 72 for text in texts), default=0.0)


def caption(text: str, width: float) -> str:
    """Paragraphs broken into lines that fit a figure of this width."""
    return "\n".join(textwrap.fill(part, int(_TINY_PER_INCH * (width - 2 * EDGE))) for part in text.split("\n"))


def caption_height(text: str) -> float:
    """The height of a broken caption."""
    return LINE * (text.count("\n") + 1) if text else 0.0


def add_caption(figure: Figure, text: str, bottom: float = EDGE) -> None:
    """Writes a broken caption, centred, its last line `bottom` above the lower end of the figure."""
    down = figure.get_size_inches()[1]
    figure.text(0.5, bottom / down, text, ha="center", va="bottom", fontsize=TINY, color=INK)


def legend_height(entries: Sequence[Line2D], width: float) -> float:
    """The height of the legend of a figure of this width."""
    return ROW * math.ceil(len(entries) / _legend_columns(entries, width))


def add_legend(figure: Figure, entries: Sequence[Line2D], bottom: float) -> None:
    """A legend over the width of the figure, `bottom` above its lower end."""
    across, down = figure.get_size_inches()
    figure.legend(
        handles=list(entries),
        ncols=_legend_columns(entries, across),
        loc="lower center",
        bbox_to_anchor=(0.5, bottom / down),
        borderaxespad=0,
        borderpad=0,
        frameon=False,
        handletextpad=0.4,
        handlelength=1.4,
        columnspacing=1.0,
        labelspacing=0.25,
    )


def _legend_columns(entries: Sequence[Line2D], width: float) -> int:
    widest = text_width((str(entry.get_label()) for entry in entries), SMALL)
    return max(1, min(len(entries), int((width - 2 * EDGE) / (widest + _MARK))))
