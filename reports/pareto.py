"""Accuracy against what it costs, with the Pareto front of the methods."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from reports import labels, layout
from reports.intervals import ABOUT as ABOUT_INTERVALS
from reports.ranking import POINT, Z95, records
from reports.style import GUIDANCE, INK, QUIET, Look, handles, looks

PANELS = 4
LEFT, GAP = 0.38, 0.1
"""Inches at the left for numbers, and between panels."""
REACH = 10.0
"""The axis of accuracy ends at most this many times above the highest prior's row; what lies beyond is drawn at its
edge, with an arrow."""
DASHES = (0, (2.0, 1.5))
TICKS = 4
"""Of one axis, at most."""
BARS = f"Bars: intervals over instances ({ABOUT_INTERVALS})."
TO_ZERO = 4.0
"""On the logarithmic axis of cost, zero is drawn this many times left of the smallest positive cost."""


@dataclass(frozen=True)
class Cost:
    """A cost to compare by: its name, its column in the leaderboard, and the label of its axis."""

    name: str
    column: str
    axis: str


COSTS = (
    Cost("work", "work", "denoiser evaluations + backward passes, per sample (nfe + vjp)"),
    Cost("seconds", "seconds_per_1000", "seconds per 1000 samples (thin line: with training)"),
)


def draw_problems(board: pd.DataFrame, cost: Cost) -> Figure:
    """One panel per problem; all panels have the same axes."""
    problems = list(board["problem"].unique())
    columns = max(2, min(PANELS, len(problems)))
    lines = math.ceil(len(problems) / columns)
    width = layout.PAGE * columns / PANELS
    points, scale, look = _points(board, cost), Scale.of(_points(board, cost)), looks(board)
    entries = _entries(board, list(points["label"]))
    absent = len(board) - len(points)
    note = f"{absent} cells without a value or a cost (skipped, or no task ok) are not shown." if absent else ""
    text = layout.caption(f"Horizontal axis: {cost.axis}. {BARS} {_claim(board)}\n{note}".strip(), width)
    foot = layout.legend_height(entries, width) + layout.caption_height(text) + 4 * layout.EDGE
    size = (width - LEFT - layout.EDGE) / columns - GAP, 1.15
    step = size[0] + GAP, size[1] + 0.36
    figure = layout.new_figure(width, step[1] * lines + foot)
    for index, problem in enumerate(problems):
        row, column = divmod(index, columns)
        panel = layout.axes_at(figure, LEFT + step[0] * column, step[1] * row + 0.17, *size)
        _panel(panel, points[points["problem"] == problem], scale, look)
        panel.set_title(problem)
        panel.tick_params(labelbottom=index + columns >= len(problems), labelleft=column == 0)
        if column == 0:
            panel.set_ylabel("SW1 / floor95")
    layout.add_legend(figure, entries, layout.caption_height(text) + 2 * layout.EDGE)
    layout.add_caption(figure, text)
    return figure


def draw_overall(board: pd.DataFrame) -> Figure:
    """Geometric means over the problems, against work and against seconds; the methods of the front are named."""
    shared, absent = _shared(board)
    problems = shared["problem"].nunique()
    entries = _entries(board, list(shared["label"]))
    many = f"{problems} problem{'s' if problems != 1 else ''}"
    note = f"Not shown, for want of a value on all of them: {', '.join(absent)}." if absent else ""
    claim = (
        "The front is dashed where a method has no such interval that is below that of the last one on the solid line."
    )
    text = layout.caption(f"Geometric means over {many}. {BARS} {claim} {note}".strip(), layout.PAGE)
    foot = layout.legend_height(entries, layout.PAGE) + layout.caption_height(text) + 4 * layout.EDGE
    size = (layout.PAGE - LEFT - layout.EDGE) / 2 - GAP, 2.4
    figure = layout.new_figure(layout.PAGE, size[1] + 0.1 + 0.28 + foot)
    drawn = [_geometric_means(_points(shared, cost)) for cost in COSTS]
    scales = [Scale.of(points) for points in drawn]
    ends = min(scale.bottom for scale in scales), max(scale.top for scale in scales)
    for place, (cost, points) in enumerate(zip(COSTS, drawn, strict=True)):
        scale = replace(scales[place], bottom=ends[0], top=ends[1])  # both panels read off the same numbers
        panel = layout.axes_at(figure, LEFT + place * (size[0] + GAP), 0.1, *size)
        _panel(panel, points, scale, looks(board))
        panel.set_xlabel(cost.axis)
        panel.tick_params(labelleft=place == 0)
        if place == 0:
            panel.set_ylabel("SW1 / floor95")
        front = _front(points)
        levels = [np.array([(scale.left, y), (scale.right, y)]) for y in _prior(points)]
        lines = [*(step for step, _ in _steps(points, scale)), *levels]
        labels.place(panel, scale.positions(front), list(front["label"]), scale.positions(points), lines)
    layout.add_legend(figure, entries, layout.caption_height(text) + 2 * layout.EDGE)
    layout.add_caption(figure, text)
    return figure


def _points(rows: pd.DataFrame, cost: Cost) -> pd.DataFrame:
    """The cells that have both coordinates: cost x, cost with training (shared by 1000 samples), accuracy y."""
    training = rows["seconds_train"].fillna(0) if cost.name == "seconds" else 0.0
    points = rows[["problem", "label", "reference", "beaten_by"]].assign(
        reference=rows["reference"] | (rows["mark"] == POINT),  # neither is a rival
        x=rows[cost.column],
        x_low=rows[f"{cost.column}_low"],
        x_high=rows[f"{cost.column}_high"],
        y=rows["sw1_over_floor95"],
        y_low=rows["sw1_over_floor95_low"],
        y_high=rows["sw1_over_floor95_high"],
        y_log_stderr=rows["sw1_over_floor95_log_stderr"],
        trained=rows[cost.column] + training,
    )
    return points[np.isfinite(points["x"]) & np.isfinite(points["y"]) & (points["y"] > 0)]


def _geometric_means(points: pd.DataFrame) -> pd.DataFrame:
    """Over problems; with the intervals of `reports.ranking.summary`, and `beaten_by` where intervals do not meet.

    The ends of the interval of the cost are geometric means too, as if a machine were slow on all problems at once.
    """
    names = ["x", "x_low", "x_high", "y", "trained"]
    with np.errstate(divide="ignore"):  # a cost of zero stays zero
        logs = points.assign(**{name: np.log(points[name]) for name in names}, variance=points["y_log_stderr"] ** 2)
        groups = logs.groupby(["label", "reference"])
        means = groups[names].mean().apply(np.exp)
        error = np.sqrt(groups["variance"].sum(min_count=1)) / groups.size()
    unknown = groups["variance"].count() < groups.size()
    spread = np.exp(Z95 * error.mask(unknown))
    means = means.assign(y_low=means["y"] / spread, y_high=means["y"] * spread).reset_index()
    beaten_by = [tuple(means.loc[means["y_high"] < low, "label"]) for low in means["y_low"]]
    return means.assign(beaten_by=pd.Series(beaten_by, index=means.index, dtype=object))


def _shared(board: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The rows of the labels that have a value on all the problems that most labels have, and the other labels."""
    valued = board[np.isfinite(board["sw1_over_floor95"]) & (board["tasks_ok"] > 0)]
    sets = valued.groupby("label")["problem"].agg(frozenset)
    if sets.empty:
        return valued, list(board["label"].unique())
    counts = sets.value_counts()
    common = max(counts.index, key=lambda problems: (counts[problems], len(problems)))
    kept = [label for label, problems in sets.items() if problems >= common]
    absent = [label for label in board["label"].unique() if label not in kept]
    return valued[valued["label"].isin(kept) & valued["problem"].isin(common)], absent


def _front(points: pd.DataFrame) -> pd.DataFrame:
    """The methods that no cheaper method beats, by rising cost; below the floor all accuracies are equal."""
    methods = points[~points["reference"]].sort_values(["x", "y"])
    accuracy = methods["y"].clip(lower=1.0)
    return methods[accuracy < accuracy.cummin().shift(fill_value=np.inf)]


@dataclass(frozen=True)
class Scale:
    """The range of both logarithmic axes; a cost of zero has a place of its own at the left."""

    left: float
    right: float
    zero: float | None
    bottom: float
    top: float

    @classmethod
    def of(cls, points: pd.DataFrame) -> Scale:
        """The range that holds these points."""
        positive = points.loc[points["x"] > 0, "x"]
        smallest, largest = (positive.min(), points["trained"].max()) if len(positive) else (1.0, 1.0)
        zero = smallest / TO_ZERO if (points["x"] == 0).any() else None
        prior = points.loc[points["label"] == "prior", "y"].max()
        highest = points["y"].max() if len(points) else 1.0
        top = min(highest, REACH * prior) if np.isfinite(prior) else highest
        lowest = points["y"].min() if len(points) else 1.0
        return cls((zero or smallest) / 2, largest * 2, zero, min(lowest, 0.6) / 1.3, 2.0 * max(top, 2.0))

    def positions(self, points: pd.DataFrame) -> np.ndarray:
        """Where points are drawn, (k, 2)."""
        x = points["x"].where(points["x"] > 0, self.zero)
        return np.column_stack([x, points["y"].clip(upper=self.top / 1.6)])

    def apply(self, panel: Axes) -> None:
        """Sets the axes; the place of zero is cut off by a dotted line."""
        panel.set(xscale="log", yscale="log", xlim=(self.left, self.right), ylim=(self.bottom, self.top))
        ticks = _ticks(self.left if self.zero is None else self.zero * TO_ZERO, self.right, TICKS)
        names = [_short(tick) for tick in ticks]
        if self.zero is not None:
            panel.axvline(self.zero * TO_ZERO**0.5, color=QUIET, linestyle=":", linewidth=0.5)
            ticks, names = [self.zero, *ticks], ["0", *names]
        panel.set_xticks(ticks, names)
        heights = _ticks(self.bottom, self.top, TICKS)
        panel.set_yticks(heights, [_short(height) for height in heights])
        for axis in (panel.xaxis, panel.yaxis):
            axis.set_minor_locator(NullLocator())


def _ticks(low: float, high: float, most: int) -> list[float]:
    """At most this many powers of ten (or every k-th) well inside the limits, with 2 and 5, or 3, if they fit."""
    margin = (high / low) ** 0.07  # a number at the very end would meet that of the next panel
    low, high = low * margin, high / margin
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks: list[float] = []
    for marks, every in (((1, 2, 5), 1), ((1, 3), 1), *(((1,), every) for every in range(1, 100))):
        ticks = [mark * 10.0**power for power in powers if power % every == 0 for mark in marks]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) <= most:
            break
    return ticks


def _short(value: float) -> str:
    return f"{value:g}" if 0.0005 < value < 20_000 else f"$10^{{{round(math.log10(value))}}}$"


def _panel(panel: Axes, points: pd.DataFrame, scale: Scale, look: dict[str, Look]) -> None:
    scale.apply(panel)
    panel.axhspan(scale.bottom, 1.0, color="#e8f1ec", linewidth=0, zorder=0)
    panel.axhline(1.0, color=GUIDANCE["mmps"], linewidth=0.7, zorder=1)
    for value in _prior(points):
        panel.axhline(value, color=QUIET, linewidth=0.6, linestyle="--", zorder=1)
    for step, certain in _steps(points, scale):
        panel.plot(*step.T, color=INK, linewidth=0.7, linestyle="solid" if certain else DASHES, zorder=2)
    for (x, y), row in zip(scale.positions(points), records(points), strict=True):
        color = look[row["label"]].color
        for low, high, across in (("x_low", "x_high", True), ("y_low", "y_high", False)):
            if (row[low] > 0 if across else y == row["y"]) and row[high] > row[low]:
                ends = [row[low], row[high]]
                panel.plot(*((ends, [y, y]) if across else ([x, x], ends)), color=color, linewidth=0.5, zorder=2)
        if row["trained"] > row["x"]:
            panel.plot([x, row["trained"]], [y, y], color=color, linewidth=0.6, zorder=2)
        panel.plot(x, y, **look[row["label"]].options(3.6), zorder=3, clip_on=False)
        if row["y"] > y:
            panel.plot(x, scale.top / 1.1, marker=r"$\uparrow$", color=INK, markersize=3.5, mew=0, clip_on=False)


def _prior(points: pd.DataFrame) -> list[float]:
    """The accuracy of the sampler that ignores the data: one value, or none."""
    return [float(value) for value in points.loc[points["label"] == "prior", "y"]]


def _steps(points: pd.DataFrame, scale: Scale) -> list[tuple[np.ndarray, bool]]:
    """The line of the front, what can be had at each cost: per method the corners down to it and on, (2 or 3, 2).

    And whether it is certain: the cheapest, then each that is significantly better than the last certain one.
    """
    front = _front(points)
    places = scale.positions(front)
    ends = [*places[1:, 0], scale.right]
    steps: list[tuple[np.ndarray, bool]] = []
    last = None
    for place, row in enumerate(records(front)):
        certain = last is None or row["label"] in last["beaten_by"]
        last = row if certain else last
        (x, y), above = places[place], [(places[place, 0], places[place - 1, 1])] if place else []
        steps.append((np.array([*above, (x, y), (ends[place], y)]), certain))
    return steps


def _claim(board: pd.DataFrame) -> str:
    """How the front's dashes are to be read."""
    if (board["no_order"] != "").all():
        return "No differences are tested here, so all of the front but its cheapest method is uncertain."
    return "The front is dashed where a method is not significantly better than the last one on the solid line."


def _entries(board: pd.DataFrame, shown: list[str]) -> list[Line2D]:
    lines = [
        Line2D([], [], color=INK, linewidth=0.7, label="Pareto front"),
        Line2D([], [], color=INK, linewidth=0.7, linestyle=DASHES, label="its uncertain part"),
        Line2D([], [], color=GUIDANCE["mmps"], linewidth=0.7, label="floor"),
        Line2D([], [], color=QUIET, linewidth=0.6, linestyle="--", label="level of the prior"),
    ]
    return [*lines, *handles(board, shown)]
