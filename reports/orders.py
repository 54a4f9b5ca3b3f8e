"""What three scores make of the same methods: the order by PSNR, by the distance to the posterior, by calibration."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from reports import layout
from reports.cells import HEADLINE
from reports.ranking import named, records
from reports.style import GUIDANCE, INK, SMALL, TINY, kinds

PSNR = "psnr_mean_db"
COVERAGE = ("coverage90_range", "coverage90_null")
ROW, GAP = 0.115, 1.25
"""Inches from one method to the next, and from one order to the next."""
FEWEST = 4
CAPTION = (
    "{problem}: methods in the order of PSNR of their mean, of the sliced Wasserstein distance to the exact posterior, "
    "and of the largest error of 90 % intervals in range(Aᵀ) and, if there is one, null(A); the best are above. Orders "
    "of means, without tests. Kendall's tau of PSNR with the distance {tau[0]:.2f}, with calibration {tau[1]:.2f}; 1 "
    "would be the same order, 0 no relation. Colours: guidance."
)

FOREIGN = " The truths are not drawn from the prior: an exact sampler need not be calibrated here."


def draw(rows: pd.DataFrame, *, foreign_truths: bool = False) -> Figure | None:
    """One line per method through three columns; None with less than FEWEST methods that all three order.

    Nor is there an order by a metric that is not believed.

    Args:
        rows: one problem's rows of the leaderboard. foreign_truths: whether truths are not drawn from the prior, so
            that calibration has no target, which the caption then says.
    """
    present = [name for name in COVERAGE if _believed(rows, name)]
    if not present or not (_believed(rows, PSNR) and _believed(rows, HEADLINE)) or not rows["posterior_known"].all():
        return None
    table = rows.assign(miss=rows[present].abs().max(axis=1))
    table = table[~table["reference"] & table[[PSNR, HEADLINE, "miss"]].apply(np.isfinite).all(axis=1)]
    if len(table) < FEWEST:
        return None
    scores = {
        "PSNR of the mean": -table[PSNR],
        "distance to the posterior": table[HEADLINE],
        "calibration": table["miss"],
    }
    places = {title: score.rank(method="first").astype(int).to_numpy() - 1 for title, score in scores.items()}
    first, *others = (score.to_numpy() for score in scores.values())
    tau = [_tau(first, other) for other in others]
    methods = records(table)
    names = [named(cell) for cell in methods]
    side, top = layout.text_width(names, SMALL) + 2 * layout.EDGE, 0.2
    width, height = 2 * side + GAP * (len(places) - 1), ROW * len(methods)
    told = CAPTION.format(problem=rows["problem"].iloc[0], tau=tau) + FOREIGN * foreign_truths
    text = layout.caption(told, width)
    figure = layout.new_figure(width, top + height + layout.caption_height(text) + 3 * layout.EDGE)
    panel = layout.axes_at(figure, side, top, width - 2 * side, height)
    panel.set(xlim=(0, len(places) - 1), ylim=(len(methods) - 0.5, -0.5))
    panel.axis("off")
    for line, cell in enumerate(methods):
        color = GUIDANCE[kinds(cell["method"])[0]]
        color = INK if color == GUIDANCE["other"] else color
        heights = [place[line] for place in places.values()]
        panel.plot(range(len(heights)), heights, color=color, linewidth=0.8, marker="o", markersize=1.8, clip_on=False)
        for x, place, align in ((-0.04, heights[0], "right"), (len(heights) - 0.96, heights[-1], "left")):
            panel.text(x, place, names[line], ha=align, va="center", fontsize=SMALL, color=color)
    for column, title in enumerate(places):
        panel.text(column, -0.9, title, ha="center", va="bottom", fontsize=TINY, color=INK)
    layout.add_caption(figure, text)
    return figure


def _believed(rows: pd.DataFrame, name: str) -> bool:
    return name in rows and (f"{name}_doubt" not in rows or bool((rows[f"{name}_doubt"] == "").all()))


def _tau(first: np.ndarray, second: np.ndarray) -> float:
    from scipy.stats import kendalltau

    return float(kendalltau(first, second).statistic)
