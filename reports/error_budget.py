"""Where the error of each method comes from, on one problem: floor, discretisation, start, guidance, score."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from reports import layout, mode_errors
from reports.cells import CELL, RATIO
from reports.columns import number
from reports.intervals import ABOUT as ABOUT_INTERVALS
from reports.ranking import Cell, named
from reports.rows import method_rows
from reports.style import INK, SMALL, TINY

ORACLES = {
    "em": "oracle-em",
    "ancestral": "oracle-em",
    "reverse-diffusion": "oracle-em",
    "pc": "oracle-pc",
    "ode": "oracle-ode",
    "pf-ode": "oracle-ode",
}
"""Integrator -> the oracle that runs it on the exact score. Ancestral sampling and reverse diffusion, of the same SDE
and the same order as Euler-Maruyama, have none of their own; nor has the adaptive ODE, whose error is as small as
Heun's. DDIM, an integrator of first order of that ODE, has none at all."""
NORMAL_START = "N(0,I)"
"""Marks the oracles that start as methods do, not from the exact p_T(x | y)."""
OTHER_SCHEDULES = {"ve", "subvp", "schedule=ve", "schedule=subvp"}
"""Marks the rows whose path from noise to data is not that of the oracles."""
IMPERFECT = re.compile(r"-(net|perturbed-\d+)$")
"""The end of the name of a problem that gives samplers another score than the exact one of the problem without it."""
COLORS = {
    "floor": "#b9d4c6",
    "discretisation": "#0072B2",
    "start": "#56B4E9",
    "guidance": "#D55E00",
    "score": "#CC79A7",
    "not split": "#c4c4c4",
}
WORDS = {
    "floor": "exact samples",
    "discretisation": "discretisation: oracle minus exact",
    "start": "start: N(0, I) minus exact start",
    "guidance": "guidance: method minus oracle",
    "score": "score: minus the same with the exact score",
    "not split": "method minus exact, no oracle of its kind",
}
BEYOND = 1.15
"""The axis ends here, in values of the prior's row, if some method is worse."""
LINE = 0.15
CAPTION = (
    "SW1 / floor95 as a sum: what exact samples score, plus differences of distances between rows of the table (not "
    "distances of parts). Hatched: a negative difference, which takes the bar back. Line at the end: interval of the "
    f"whole over instances ({ABOUT_INTERVALS}). Numbers: the parts, with the standard errors of paired differences. "
    "The oracle runs the same integrator on the exact posterior's score; for ancestral-* and reverse-diffusion-* it is "
    "oracle-em, for pf-ode-* oracle-ode. Italic: "
    "reference rows, † given the exact posterior's score. A failed task counts as the prior."
)


SCORE_CAPTION = (
    " Score: minus the same row with the exact score, on the same truths, measurements, random numbers and floors."
)


@dataclass(frozen=True)
class Part:
    """One summand of the error of a row: its name, the sums before and after it, and its standard error."""

    name: str
    start: float
    end: float
    stderr: float


def parts(rows: pd.DataFrame, values: pd.DataFrame) -> dict[str, list[Part]]:
    """label -> the summands of its SW1 / floor95, in their order.

    Where samplers are given another score than the exact one, the last part is what they lose from the problem with the
    exact score, if that was run as well, on the same instances.

    Args:
        rows: the rows of one problem of the leaderboard.
        values: the values of each cell of all problems on each instance, see `reports.cells.cells`.

    Returns:
        Rows without a value are absent; all are, if the exact row has none.
    """
    by_cell = {key: group.set_index("instance")[RATIO] for key, group in values.groupby(CELL)}
    cells = {cell["label"]: cell for cell in method_rows(rows)}
    known = {label: by_cell.get(tuple(cell[name] for name in CELL)) for label, cell in cells.items()}
    measured = {label: series for label, series in known.items() if series is not None and series.notna().all()}
    exact = next((label for label in measured if cells[label]["method"] == "exact"), None)
    found: dict[str, list[Part]] = {}
    for label in measured if exact is not None else ():
        chain = [("floor", exact), *_oracles(cells[label], [cells[name] for name in measured])]
        stages = [(name, measured[str(stage)]) for name, stage in chain]
        if label != chain[-1][1]:
            split = "guidance" if len(chain) > 1 else "not split"
            perfect = _with_exact_score(cells[label], by_cell)
            stages.append((split, measured[label] if perfect is None else perfect))
            if perfect is not None:
                stages.append(("score", measured[label]))
        found[label] = _summands(stages)
    return found


def _with_exact_score(cell: Cell, by_cell: dict[Any, pd.Series]) -> pd.Series | None:
    """The values of the same row on the problem with the exact score, on the same instances; None without them."""
    problem = str(cell["problem"])
    base = IMPERFECT.sub("", problem)
    there = by_cell.get((base, *(cell[name] for name in CELL[1:])))
    here = by_cell[tuple(cell[name] for name in CELL)]
    if base == problem or cell["oracle"] or there is None or not set(here.index) <= set(there.index):
        return None
    same = there.loc[here.index]
    return same if same.notna().all() else None


def _oracles(cell: Cell, cells: Sequence[Cell]) -> list[tuple[str, str]]:
    """The oracles that lead from exact samples to this cell, as (what their difference is, label)."""
    integrator, inside = cell["method"].rpartition("-")[0], re.split(r"[\[\],]", cell["config"])
    wanted = cell["method"] if cell["method"].startswith("oracle-") else ORACLES.get(integrator)
    if set(inside) & OTHER_SCHEDULES:
        return []
    steps = []
    for name, normal in (("discretisation", False), ("start", True)):
        rivals = [
            other
            for other in cells
            if other["method"] == wanted
            and (NORMAL_START in other["config"]) == normal
            and ("euler" in other["config"]) == ("euler" in cell["config"])
        ]
        if cell["oracle"] and (NORMAL_START in cell["config"]) == normal:
            rivals = [cell] if cell["method"] == wanted else []
        if rivals and not (normal and cell["oracle"] and NORMAL_START not in cell["config"]):
            nearest = min(rivals, key=lambda other: _steps_apart(cell, other))
            steps.append((name, str(nearest["label"])))
    return steps if steps and steps[0][0] == "discretisation" else []


def _steps_apart(cell: Cell, other: Cell) -> float:
    """How far apart the numbers of denoiser evaluations are; 0 if one is unknown."""
    ratio = math.log((other["nfe"] + 1) / (cell["nfe"] + 1))
    return 0.0 if math.isnan(ratio) else abs(ratio)


def _summands(stages: list[tuple[str, pd.Series]]) -> list[Part]:
    found = [Part(stages[0][0], 0.0, float(stages[0][1].mean()), math.nan)]
    for (_, before), (name, after) in pairwise(stages):
        same = before.index.sort_values().equals(after.index.sort_values())
        error = float(np.std(after - before, ddof=1)) / len(after) ** 0.5 if same and len(after) > 1 else math.nan
        found.append(Part(name, found[-1].end, float(after.mean()), error))
    return found


def draw(rows: pd.DataFrame, values: pd.DataFrame, results: pd.DataFrame) -> Figure | None:
    """One bar per method of a problem; beside it, for mixtures, the errors of modes. None without a single oracle.

    Args:
        rows, values: as for `parts`.
        results: the long table of the run.
    """
    summands = parts(rows, values)
    if not any(part.name == "discretisation" for row in summands.values() for part in row):
        return None
    methods = [cell for cell in method_rows(rows) if cell["label"] in summands]
    modes = mode_errors.of(results, [cell for cell in methods if cell["tasks_ok"]])
    names, texts = (
        [named(cell) for cell in methods],
        [_numbers(cell, summands[cell["label"]]) for cell in methods],
    )
    used = [name for name in COLORS if any(part.name == name for row in summands.values() for part in row)]
    entries = [Line2D([], [], color=COLORS[name], marker="s", linestyle="none", label=WORDS[name]) for name in used]
    entries += mode_errors.entries() if modes else []
    left, top = layout.text_width(names, SMALL) + 2 * layout.EDGE, 0.32
    middle = layout.text_width(texts, TINY) + 4 * layout.EDGE
    wide = layout.PAGE - left - middle - 3 * layout.EDGE
    sizes = (0.58 * wide, 0.42 * wide) if modes else (wide, 0.0)
    height = LINE * len(methods) + 0.05
    told = CAPTION + SCORE_CAPTION * ("score" in used) + mode_errors.CAPTION * bool(modes)
    text = layout.caption(told, layout.PAGE)
    foot = layout.legend_height(entries, layout.PAGE) + layout.caption_height(text) + 3 * layout.EDGE
    figure = layout.new_figure(layout.PAGE, top + height + 0.22 + foot)
    panel = layout.axes_at(figure, left, top, sizes[0], height)
    _bars(panel, methods, summands, texts)
    panel.set_yticks(range(len(methods)), names)
    for tick, cell in zip(panel.get_yticklabels(), methods, strict=True):
        tick.set_fontstyle("italic" if cell["reference"] else "normal")
    if modes:
        mode_errors.draw(layout.axes_at(figure, left + sizes[0] + middle, top, sizes[1], height), methods, modes)
    figure.text(
        0.5, 1 - layout.EDGE / figure.get_size_inches()[1], methods[0]["problem"], ha="center", va="top", fontsize=7.0
    )
    layout.add_legend(figure, entries, layout.caption_height(text) + 2 * layout.EDGE)
    layout.add_caption(figure, text)
    return figure


def _bars(panel: Axes, methods: list[Cell], summands: dict[str, list[Part]], texts: list[str]) -> None:
    panel.set(ylim=(len(methods) - 0.45, -0.55), xlim=(0, _limit(methods, summands)), title="SW1 / floor95")
    panel.tick_params(axis="y", length=0)
    panel.axvline(1.0, color=COLORS["floor"], linewidth=0.7, zorder=0)
    for line, (cell, text) in enumerate(zip(methods, texts, strict=True)):
        _bar(panel, line, cell, summands[cell["label"]])
        note = panel.annotate(
            text, (1, line), (4, 0), xycoords=panel.get_yaxis_transform(), textcoords="offset points", va="center"
        )
        note.set_fontsize(TINY)


def _bar(panel: Axes, line: int, cell: Cell, row: list[Part]) -> None:
    """The parts one after the other; a negative one hatched over what it takes back."""
    limit = panel.get_xlim()[1]
    for place, part in enumerate(row):
        low, high = sorted((part.start, part.end))
        negative = part.end < part.start
        size, color = (min(high, limit) - low, 0.62), COLORS[part.name]
        bar = Rectangle((low, line - 0.31), *size, linewidth=0, facecolor="none" if negative else color)
        bar.set(edgecolor=color, hatch="////////" if negative else "")
        bar.set_zorder(2.0 if negative else 1.5 - 0.1 * place)  # what begins further left goes on behind the one before
        panel.add_patch(bar)
    end = row[-1].end
    low, high = cell[f"{RATIO}_low"], cell[f"{RATIO}_high"]
    if end > limit:
        panel.plot(limit, line, marker=">", color=INK, markersize=3, clip_on=False, zorder=3)
    elif math.isfinite(low):
        panel.plot([low, min(high, limit)], [line, line], color=INK, linewidth=0.6, zorder=3)


def _limit(methods: list[Cell], summands: dict[str, list[Part]]) -> float:
    """The end of the axis: all bars, unless some are far above the sampler that ignores the data."""
    ends = {
        cell["label"]: 1.05 * float(np.nanmax([summands[cell["label"]][-1].end, cell[f"{RATIO}_high"]]))
        for cell in methods
    }
    highest, prior = max(ends.values()), [ends[cell["label"]] for cell in methods if cell["method"] == "prior"]
    return min(highest, max(BEYOND * max(prior), 2.0)) if prior else highest


def _numbers(cell: Cell, row: list[Part]) -> str:
    """'0.83 + 0.05 ± 0.07 + 0.40 ± 0.10', and failures."""
    text = number(row[0].end)
    for part in row[1:]:
        change = part.end - part.start
        error = "" if math.isnan(part.stderr) else f" ± {number(part.stderr, decimals=_places(part.stderr))}"
        text += f" {'-' if change < 0 else '+'} {number(abs(change), decimals=_places(part.stderr))}{error}"
    return text + f"; {cell['tasks_failed']}/{cell['tasks_total']} failed" * bool(cell["tasks_failed"])


def _places(error: float) -> int:
    """The decimals of a difference with this standard error."""
    return 2 if math.isnan(error) or error < 0.995 else 1 if error < 9.95 else 0
