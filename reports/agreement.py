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
    "the samples of one (the mean of both methods'), over instances {instances}. One law has 1 on average; white: at "
    "most {null:.2f}, as 95 of 100 pairs of one law, found by random halves of each method's samples. Where the "
    "posterior is not known, two samplers that should both be exact support each other by agreeing, and one whose "
    "chains are longer its shorter twin. Colours end at {limit:g}."
)
PARTICLE = "§"
PARTICLES = f" {PARTICLE}: its samples see each other, so that its halves differ by less or more than two runs of it."
RESPLITS = 40
"""Random halves of a method's samples on each instance, that the ratio of one law is learned from."""


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
    ratios = _mean([_ratios([samples[i] for i in kept]) for samples in drawn.values()])
    null = _of_one_law([[samples[i] for samples in drawn.values()] for i in kept])
    cards = run.info.get("methods", {})
    particles = [bool(cards.get(str(methods[i]["method"]), {}).get("particle")) for i in kept]
    names = [named(methods[i]) + f" {PARTICLE}" * mark for i, mark in zip(kept, particles, strict=True)]
    left = layout.text_width(names, SMALL) + 3 * layout.EDGE
    size = CELL * len(kept)
    width = max(left + size + layout.EDGE, 3.4)
    told = CAPTION.format(problem=problem, instances=", ".join(map(str, drawn)), null=null, limit=LIMIT)
    text = layout.caption(told + PARTICLES * any(particles) + others, width)
    figure = layout.new_figure(width, left + size + layout.caption_height(text) + 3 * layout.EDGE)
    panel = layout.axes_at(figure, left, left, size, size)
    _fill(panel, ratios, null)
    panel.set_xticks(np.arange(len(kept)) + 0.5, names, rotation=90)
    panel.set_yticks(np.arange(len(kept)) + 0.5, names)
    panel.tick_params(length=0, top=False, labeltop=True, labelbottom=False)
    layout.add_caption(figure, text)
    return figure


def _ratios(samples: list[np.ndarray | None]) -> np.ndarray:
    """Distances between halves of two methods' samples over those within one, (k, k); nan where there are none."""
    k = len(samples)
    sorted_halves = [None if x is None else _halves(_along(x)) for x in samples]
    distances = np.full((k, k), np.nan)
    for i, j in combinations_with_replacement(range(k), 2):
        one, other = sorted_halves[i], sorted_halves[j]
        if one is not None and other is not None and one[0].shape == other[0].shape:
            # Never the same half of both: two methods may have been given the same random numbers.
            pairs = (one[0], other[1]), (one[1], other[0])
            distances[i, j] = distances[j, i] = np.mean([_distance(*pair) for pair in pairs])
    own = np.diag(distances)
    with np.errstate(divide="ignore", invalid="ignore"):  # samples that coincide have no distance within
        return distances / (0.5 * (own[:, None] + own[None, :]))


def _mean(ratios: list[np.ndarray]) -> np.ndarray:
    """Over instances, of those that have one; nan where none has."""
    table = np.stack(ratios)
    count = np.sum(~np.isnan(table), axis=0)
    return np.where(count, np.nansum(table, axis=0) / np.maximum(count, 1), np.nan)


def _of_one_law(samples: list[list[np.ndarray | None]]) -> float:
    """What 95 of 100 such ratios stay below where both methods draw one law.

    Two distances between halves of one method over two others, and the mean over instances, are what a pair would have.

    Args:
        samples: of each method on each instance, (n, *shape).
    """
    rng = np.random.default_rng(1)
    found = []
    for instances in samples:
        splits = [_resplit(_along(x), rng) for x in instances if x is not None]
        distances = np.stack(splits).reshape(len(splits), 2, 2, -1).mean(axis=2)
        with np.errstate(divide="ignore", invalid="ignore"):  # samples that coincide
            found += list(np.mean(distances[:, 0] / distances[:, 1], axis=0))
    usable = [ratio for ratio in found if np.isfinite(ratio)]
    return float(np.quantile(usable, 0.95)) if usable else 1.0


def _resplit(along: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Distances between random halves, (RESPLITS,)."""
    return np.array([_distance(*_halves(rng.permutation(along))) for _ in range(RESPLITS)])


def _along(x: np.ndarray) -> np.ndarray:
    """Samples along random directions, the same for all of this dimension, (n, PROJECTIONS)."""
    flat = x.reshape(len(x), -1).astype(np.float64)
    directions = np.random.default_rng(0).standard_normal((flat.shape[1], PROJECTIONS))
    return flat @ (directions / np.linalg.norm(directions, axis=0))


def _halves(along: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first and the second half of the rows, each sorted along every direction."""
    half = len(along) // 2
    return np.sort(along[:half], axis=0), np.sort(along[half : 2 * half], axis=0)


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a - b).mean())


def _fill(panel: Axes, ratios: np.ndarray, null: float) -> None:
    colors, norm = mpl.colormaps[SEQUENTIAL + "_r"], LogNorm(1.0, LIMIT)
    shades = colors(norm(np.clip(np.nan_to_num(ratios, nan=1.0, posinf=LIMIT), 1.0, LIMIT)))
    shades[np.isnan(ratios) | (ratios <= null)] = 1.0
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
