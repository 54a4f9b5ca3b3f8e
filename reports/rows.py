"""Which rows pictures show, under which names, and in which order: the same one in all of them."""

from __future__ import annotations

from typing import Any

import pandas as pd

from reports.ranking import Cell, records, reference_key

INTEGRATORS = ("em", "reverse-diffusion", "ancestral", "ddim", "pc", "ode", "pf-ode")
GUIDANCES = ("none", "jalal", "dps", "pigdm", "tmpd", "mmps")
FAMILIES = {
    "dps": ("dps", "lgd-mc", "mcg"),
    "jalal": ("annealed-langevin", "annealed-ula", "annealed-mala", "annealed-hmc"),
    "projection": ("projection", "langevin-projection", "ddrm", "snips", "ddnm", "ddnm-plus", "pigdm-ddim"),
    "split": ("diffpir", "daps", "daps-exact-inner", "daps-covariance", "pnp-dm", "dpnp", "red-diff"),
    "surrogate": ("dcps", "mgdm"),
    "particles": ("tds", "mcgdiff", "fps", "smc", "sir"),
    "dpi": ("dpi-ode", "dpi-elbo", "dpi-mixture"),
    "classical": ("nuts", "laplace", "map", "tikhonov", "tv", "conditional-gaussian", "perturb-and-optimise"),
}
"""Published algorithms by how the measurement enters."""
NAMED = tuple(method for family in FAMILIES.values() for method in family)


def method_rows(board: pd.DataFrame) -> list[Cell]:
    """One cell (the first) of every label of the leaderboard, in the pictures' order.

    References first (exact, oracles, prior), then integrators with their guidances, published algorithms, plugins.
    """
    return sorted(records(board.drop_duplicates("label")), key=_position)


def tried_rows(rows: pd.DataFrame, limit: int) -> tuple[list[Cell], str]:
    """The rows of one problem that get a picture of their own, and a sentence that names the others.

    Skipped rows have nothing to show. Where more than `limit` are left, references and the first rows of the
    leaderboard, whose order that of `rows` is, stay.
    """
    skipped = rows[rows["tasks_ok"] + rows["tasks_failed"] == 0]
    tried = rows.drop(index=skipped.index)
    best = tried.sort_values("reference", ascending=False, kind="stable")
    kept, cut = tried[tried["label"].isin(best["label"].head(limit))], best.iloc[limit:]
    told = [
        f" {why}: {', '.join(row['label'] for row in method_rows(some))}."
        for why, some in (("Skipped", skipped), ("Not shown for want of room (last rows)", cut))
        if len(some)
    ]
    return method_rows(kept), "".join(told)


def _position(row: Cell) -> tuple[Any, ...]:
    """References, then integrator-guidance, then the published algorithms, then names unknown here."""
    method = row["method"]
    end = method, row["config"] != method, row["label"]
    if row["reference"]:
        return 0, *reference_key(method, row["config"]), row["label"]
    integrator, _, guidance = method.rpartition("-")
    if integrator in INTEGRATORS and guidance in GUIDANCES:
        return 1, INTEGRATORS.index(integrator), GUIDANCES.index(guidance), *end
    return (2, NAMED.index(method), 0, *end) if method in NAMED else (3, 0, 0, *end)
