"""Where nobody knows the posterior: which samplers draw the same law as which, pair by pair."""

from __future__ import annotations

from itertools import combinations_with_replacement

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from reports import layout
from reports.heatmap import compact
from reports.ranking import named
from reports.rows import tried_rows
from reports.run import Run
from reports.style import INK, SEQUENTIAL, SMALL, TINY

MOST_ROWS, MOST_INSTANCES = 24, 4
PROJECTIONS = 200
LIMIT = 30.0
"""Colours end here."""
CELL = 0.19
FEWEST = 4
"""Samples of a method on an instance, of which each half is a sample of its own."""
CAPTION = (
    "{problem}: sliced Wasserstein distance between the samples of two methods, relative to that between two halves of "
    "the samples of one (the mean of both methods'), over instances {instances}. One law has 1 on average, and with "
    "few samples up to about 1.5. Where the posterior is not known, two samplers that should both be exact support "
    "each other by agreeing, and one whose chains are longer its shorter twin. Colours end at {limit:g}."
)


def draw(rows: pd.DataFrame, run: Run) -> Figure | None:
    """A square of methods by methods; None with less than two methods whose samples are stored.

    Args:
        rows: one problem's rows of the leaderboard.
    """
    problem = str(rows["problem"].iloc[0])
    methods, others = tried_rows(rows, MOST_ROWS)
    instances = sorted(run.results.loc[run.results["problem"] == problem, "instance"].unique().tolist())
    drawn: dict[int, list[np.ndarray | None]] = {}
    for instance in instances:
        found = [run.samples(problem, instance, cell["method"], cell["config"], cell["framework"]) for cell in methods]
        usable = [x if x is not None and len(x) >= FEWEST and np.all(np.isfinite(x)) else None for x in found]
        if any(x is not None for x in usable) and len(drawn) < MOST_INSTANCES:
            drawn[instance] = usable
    kept = [i for i in range(len(methods)) if any(samples[i] is not None for samples in drawn.values())]
    if len(kept) < 2:
        return None
    ratios = np.nanmean([_ratios([samples[i] for i in kept]) for samples in drawn.values()], axis=0)
    names = [named(methods[i]) for i in kept]
    left = layout.text_width(names, SMALL) + 3 * layout.EDGE
    size = CELL * len(kept)
    width = max(left + size + layout.EDGE, 3.4)
    told = CAPTION.format(problem=problem, instances=", ".join(map(str, drawn)), limit=LIMIT)
    text = layout.caption(told + others, width)
    figure = layout.new_figure(width, left + size + layout.caption_height(text) + 3 * layout.EDGE)
    panel = layout.axes_at(figure, left, left, size, size)
    _fill(panel, ratios)
    panel.set_xticks(np.arange(len(kept)) + 0.5, names, rotation=90)
    panel.set_yticks(np.arange(len(kept)) + 0.5, names)
    panel.tick_params(length=0, top=False, labeltop=True, labelbottom=False)
    layout.add_caption(figure, text)
    return figure


def _ratios(samples: list[np.ndarray | None]) -> np.ndarray:
    """Distances between halves of two methods' samples over those within one, (k, k); nan where there are none."""
    k = len(samples)
    rng = np.random.default_rng(0)
    sorted_halves: list[tuple[np.ndarray, np.ndarray] | None] = []
    dim = next(x[0].size for x in samples if x is not None)
    directions = rng.standard_normal((dim, PROJECTIONS))
    directions /= np.linalg.norm(directions, axis=0)
    for x in samples:
        if x is None:
            sorted_halves.append(None)
            continue
        along = x.reshape(len(x), -1).astype(np.float64) @ directions
        half = len(x) // 2
        sorted_halves.append((np.sort(along[:half], axis=0), np.sort(along[half : 2 * half], axis=0)))
    distances = np.full((k, k), np.nan)
    for i, j in combinations_with_replacement(range(k), 2):
        one, other = sorted_halves[i], sorted_halves[j]
        if one is not None and other is not None and one[0].shape == other[0].shape:
            # Never the same half of both: two methods may have been given the same random numbers.
            pairs = (one[0], other[1]), (one[1], other[0])
            distances[i, j] = distances[j, i] = np.mean([np.abs(a - b).mean() for a, b in pairs])
    own = np.diag(distances)
    with np.errstate(divide="ignore", invalid="ignore"):  # samples that coincide have no distance within
        return distances / (0.5 * (own[:, None] + own[None, :]))


def _fill(panel: Axes, ratios: np.ndarray) -> None:
    colors, norm = mpl.colormaps[SEQUENTIAL + "_r"], LogNorm(1.0, LIMIT)
    shades = colors(norm(np.clip(np.nan_to_num(ratios, nan=1.0, posinf=LIMIT), 1.0, LIMIT)))
    shades[np.isnan(ratios)] = 1.0
    panel.imshow(shades, extent=(0, len(ratios), len(ratios), 0), aspect="auto", interpolation="nearest")
    for (row, column), ratio in np.ndenumerate(ratios):
        if row != column and np.isfinite(ratio):
            dark = float(np.dot(shades[row, column, :3], [0.299, 0.587, 0.114])) < 0.5
            panel.text(
                column + 0.5,
                row + 0.5,
                compact(ratio),
                ha="center",
                va="center_baseline",
                fontsize=TINY,
                color="white" if dark else INK,
            )
    panel.spines[:].set_visible(False)
