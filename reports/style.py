"""How the pictures look: palette, markers, fonts, sizes, and one order of methods for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.lines import Line2D

from reports.ranking import named
from reports.rows import FAMILIES, method_rows

SMALL, TINY = 6.0, 5.0
"""Font sizes in points, of the text and of captions and notes."""
INK, QUIET = "#222222", "#8a8a8a"
SEQUENTIAL = "cividis"
DIVERGING = "RdBu_r"

RC: Any = {
    "font.family": "DejaVu Sans",
    "font.size": SMALL,
    "axes.titlesize": 7.0,
    "axes.labelsize": SMALL,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL,
    "axes.linewidth": 0.5,
    "axes.edgecolor": INK,
    "xtick.major.width": 0.5,
    "ytick.major.width": 0.5,
    "xtick.major.size": 2.0,
    "ytick.major.size": 2.0,
    "xtick.major.pad": 2.0,
    "ytick.major.pad": 2.0,
    "axes.labelpad": 2.0,
    "axes.titlepad": 3.0,
    "lines.linewidth": 0.8,
    "hatch.linewidth": 0.4,
    "pdf.fonttype": 42,
    "savefig.dpi": 220,
    "axes.spines.top": False,
    "axes.spines.right": False,
}

# One colour per way in which the measurement enters: Okabe and Ito's eight, which colour-blind readers tell apart, then
# Tol's and two more, whose methods have markers of their own.
GUIDANCE = {
    "none": "#8a8a8a",
    "jalal": "#E69F00",
    "dps": "#D55E00",
    "pigdm": "#0072B2",
    "tmpd": "#66CCAA",
    "mmps": "#009E73",
    "projection": "#CC79A7",
    "split": "#882255",
    "surrogate": "#999933",
    "particles": "#332288",
    "dpi": "#56B4E9",
    "classical": "#8C510A",
    "reference": "#222222",
    "other": "#F0E442",
}
# One marker per way in which a sample moves, or per place in a family of published algorithms.
INTEGRATOR = {
    "em": "o",
    "reverse-diffusion": "<",
    "ancestral": "^",
    "ddim": ">",
    "pc": "s",
    "ode": "D",
    "pf-ode": "d",
    "first": "h",
    "second": "v",
    "third": "P",
    "fourth": "p",
    "fifth": "H",
    "sixth": "8",
    "seventh": "$+$",
    "exact": "*",
    "prior": "X",
    "other": "$?$",
}
PLACES = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh")
NAMED = {  # methods whose name is not integrator-guidance: (guidance, integrator)
    "exact": ("reference", "exact"),
    "prior": ("reference", "prior"),
    "oracle-em": ("reference", "em"),
    "oracle-pc": ("reference", "pc"),
    "oracle-ode": ("reference", "ode"),
    **{name: (family, PLACES[place]) for family, names in FAMILIES.items() for place, name in enumerate(names)},
}
FILLS = ("full", "none", "left", "bottom", "right", "top")


@dataclass(frozen=True)
class Look:
    """The marker of one row of the table; a configuration other than the first is told by its filling."""

    color: str
    marker: str
    fill: str

    def options(self, size: float = 4.0) -> dict[str, Any]:
        """Arguments of `Axes.plot` for the marker alone."""
        back = "white" if self.fill == "none" else self.color
        return {
            "marker": self.marker,
            "markersize": size,
            "fillstyle": "full" if self.fill == "none" else self.fill,
            "markerfacecolor": back,
            "markerfacecoloralt": "white",
            "markeredgecolor": self.color if self.color != GUIDANCE["other"] else INK,
            "markeredgewidth": 0.6,
            "linestyle": "none",
        }


def kinds(method: str) -> tuple[str, str]:
    """(guidance, integrator) of a method, by its name; ('other', 'other') for names unknown here."""
    if method in NAMED:
        return NAMED[method]
    integrator, _, guidance = method.rpartition("-")
    return (guidance, integrator) if guidance in GUIDANCE and integrator in INTEGRATOR else ("other", "other")


def looks(board: pd.DataFrame) -> dict[str, Look]:
    """label -> Look."""
    found: dict[str, Look] = {}
    seen: dict[str, int] = {}
    for row in method_rows(board):
        method = row["method"]
        guidance, integrator = kinds(method)
        kind = method if integrator != "other" else "other"  # plugins share a colour and a marker
        fill = FILLS[seen.get(kind, 0) % len(FILLS)]
        seen[kind] = seen.get(kind, 0) + 1
        found[row["label"]] = Look(GUIDANCE[guidance], INTEGRATOR[integrator], fill)
    return found


def handles(board: pd.DataFrame, labels: list[str]) -> list[Line2D]:
    """Legend entries of these rows, in the pictures' order; with their marks."""
    look = looks(board)
    return [
        Line2D([], [], label=named(row), **look[row["label"]].options(3.6))
        for row in method_rows(board)
        if row["label"] in labels
    ]


@contextmanager
def styled() -> Iterator[None]:
    """Within it, figures are made and saved in this style."""
    with mpl.rc_context(RC):
        yield
