"""What a run says in a minute: who is at the floor, who is not, and what that costs a user of the samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from reports.ranking import POINT

COVERAGES = ("coverage90_range", "coverage90_null")


@dataclass(frozen=True)
class Finding:
    """A heading, one figure in large type, and a sentence that explains it."""

    heading: str
    figure: str
    sentence: str


def aggregates(board: pd.DataFrame, foreign: frozenset[str], doubted: frozenset[str]) -> pd.DataFrame:
    """One row per label over the problems it was tried on: the bias seen and the cost.

    Problems where SW1 is not believed (`doubted`) or whose posterior is not known count in no mean of it; those whose
    truths are not drawn from the prior (`foreign`) in none of coverage and z-std.

    Columns: label, mark, method, config, reference, problems (whose posterior is known), at_floor, mean (geometric, of
    `sw1_over_floor95`), lowest, highest (of the same), coverage90 (mean signed error, range and null alike) and z_std
    (geometric mean), mode_tv (mean), work, seconds_per_1000, seconds_train (medians), failed, skipped, total (tasks).
    """
    tried = board[board["tasks_ok"] + board["tasks_failed"] > 0]
    calibrated = tried[~tried["problem"].isin(foreign)]
    compared = tried[tried["posterior_known"]]
    believed = compared[~compared["problem"].isin(doubted)]
    groups = compared.groupby("label", sort=False)
    with np.errstate(divide="ignore"):
        ratios = np.log(believed["sw1_over_floor95"]).groupby(believed["label"])
        spread = np.log(_column(calibrated, "z_std")).groupby(calibrated["label"])
    present = [name for name in COVERAGES if name in board]
    errors = calibrated[present].mean(axis=1) if present else _column(calibrated, "")
    everything = board.groupby("label", sort=False)
    rows = everything[["mark", "method", "config", "reference"]].first()
    rows["problems"] = groups.size()
    rows["at_floor"] = groups["at_floor"].sum()
    rows["mean"] = np.exp(ratios.mean()).where(ratios.count() == ratios.size())
    rows["lowest"], rows["highest"] = groups["sw1_over_floor95"].min(), groups["sw1_over_floor95"].max()
    rows["coverage90"] = errors.groupby(calibrated["label"]).mean()
    rows["z_std"] = np.exp(spread.mean())
    rows["mode_tv"] = _column(tried, "mode_tv").groupby(tried["label"]).mean()
    for name in ("work", "seconds_per_1000", "seconds_train"):
        rows[name] = _column(tried, name).groupby(tried["label"]).median()
    for name in ("failed", "skipped", "total"):
        rows[name] = everything[f"tasks_{name}"].sum()
    rows[["problems", "at_floor"]] = rows[["problems", "at_floor"]].fillna(0).astype(int)
    order = rows.assign(few=-rows["problems"]).sort_values(["reference", "few", "mean"], ascending=[False, True, True])
    return order.drop(columns="few").reset_index()


def headline(totals: pd.DataFrame, problems: int, others: int = 0) -> str:
    """The answer to the first question: does any sampler reach the exact posterior?

    Args:
        totals: see `aggregates`. problems, others: how many whose posterior is known, and whose is not.
    """
    if totals["mean"].isna().all() and not totals["at_floor"].any():
        what = "The calibration" if problems else "Errors and calibration"
        where = many(problems or others, "problem") + ("" if problems else " whose posterior is not known")
        return f"{what} of {many(len(totals), 'method')} on {where}."
    samplers = totals[_sampler(totals)]
    if samplers.empty:
        return "Only reference rows were run: there is no sampler to judge."
    rivals = samplers[samplers["problems"] > 0]
    if rivals.empty:
        return "No sampler ran on a problem whose posterior is known."
    most = int(rivals["at_floor"].max())
    best = rivals[rivals["at_floor"] == most]["label"]
    names = best.iloc[0] if len(best) == 1 else f"{best.iloc[0]} and {len(best) - 1} more"
    if most == 0:
        return f"None of {many(len(rivals), 'sampler')} reaches the exact posterior on any of {problems} problems."
    if most == problems:
        return f"{names} {'is' if len(best) == 1 else 'are'} at the floor on every problem."
    return (
        f"No sampler reaches the exact posterior everywhere: {names} comes closest, on {most} of {problems} problems."
    )


def findings(
    board: pd.DataFrame, totals: pd.DataFrame, foreign: frozenset[str], doubted: frozenset[str]
) -> list[Finding]:
    """At most four findings, each with its own figure; those without data are left out."""
    tried = board[(board["tasks_ok"] + board["tasks_failed"] > 0) & _sampler(board)]
    parts = [
        _at_floor(tried[tried["posterior_known"]], totals, len(doubted)),
        _above(totals),
        _intervals(tried, board, foreign),
        _weights(tried, board),
    ]
    return [finding for finding in parts if finding]


def _at_floor(tried: pd.DataFrame, totals: pd.DataFrame, blind: int) -> Finding | None:
    if tried["sw1_over_floor95"].isna().all():
        return None
    count = int(tried["at_floor"].sum())
    leaders = totals[_sampler(totals) & (totals["at_floor"] > 0)].sort_values("at_floor", ascending=False)
    names = ", ".join(f"{row.label} ({row.at_floor})" for row in leaders.head(3).itertuples())
    scale = ""
    exact = totals[totals["label"] == "exact"]
    if not exact.empty:
        reached, problems = exact["at_floor"].iloc[0], exact["problems"].iloc[0] - blind
        left_out = f" where SW1 is believed ({blind} are left out)" if blind else ""
        scale = f" Exact sampling itself: {reached} of {problems}{left_out}; one in 20 misses by chance."
    quantile = "not above the 95\u00a0% quantile of what exact samples score"
    who = f"are {quantile}: {names}." if names else f"None is {quantile}."
    return Finding("At the floor", f"{count} of {many(len(tried), 'cell')}", who + scale)


def _above(totals: pd.DataFrame) -> Finding | None:
    rivals = totals[_sampler(totals) & totals["mean"].notna()]
    everywhere = rivals[rivals["problems"] == rivals["problems"].max()].sort_values("mean")
    if everywhere.empty:
        return None
    best, middle = everywhere.iloc[0], everywhere["mean"].median()
    prior = totals[totals["label"] == "prior"]["mean"]
    last = f"; the prior, which ignores the data, at {prior.iloc[0]:.3g}" if prior.notna().any() else ""
    where = f"{best['label']} is nearest on average over all problems; half of the samplers are at {middle:.3g} or more"
    return Finding("Above it", f"{best['mean']:.3g} \u00d7 floor", f"{where}{last}.")


def _intervals(tried: pd.DataFrame, board: pd.DataFrame, foreign: frozenset[str]) -> Finding | None:
    narrow = _too_narrow(tried[~tried["problem"].isin(foreign)])
    if narrow.empty:
        return None
    own = _too_narrow(board[(board["label"] == "exact") & ~board["problem"].isin(foreign)])
    scale = f" Exact samples: {100 * own.mean():.0f}\u00a0%." if len(own) else ""
    sentence = f"of the cells have 90\u00a0% intervals that are too narrow by more than two standard errors.{scale}"
    return Finding("Why it matters: error bars", f"{100 * narrow.mean():.0f}\u00a0%", sentence)


def _too_narrow(cells: pd.DataFrame) -> pd.Series:
    """Whether coverage is two standard errors below 90 %, in range or null; of the cells that have a coverage."""
    present = [name for name in COVERAGES if name in cells and f"{name}_stderr" in cells]
    if not present:
        return pd.Series(dtype=float)
    highest = pd.concat([cells[name] + 2 * cells[f"{name}_stderr"] for name in present], axis=1)
    return highest.min(axis=1).dropna() < 0


def _weights(tried: pd.DataFrame, board: pd.DataFrame) -> Finding | None:
    values = _column(tried, "mode_tv").dropna()
    if values.empty:
        return None
    exact = _column(board[board["label"] == "exact"], "mode_tv").median()
    scale = f" Exact samples: {100 * exact:.1f}\u00a0%." if np.isfinite(exact) else ""
    sentence = f"of the probability sits in the wrong mode, in the median cell with several modes.{scale}"
    return Finding("Why it matters: hypotheses", f"{100 * float(values.median()):.0f}\u00a0%", sentence)


def _sampler(rows: pd.DataFrame) -> pd.Series:
    """Neither a reference nor an estimate of one signal, which is no sampler."""
    return ~rows["reference"] & (rows["mark"] != POINT)


def _column(frame: pd.DataFrame, name: str) -> pd.Series:
    """A column, or nan where the run has no such metric."""
    return frame[name].astype(float) if name in frame else pd.Series(np.nan, index=frame.index)


def many(count: int, word: str) -> str:
    """'1 cell', '2 cells'."""
    return f"{count} {word}{'s' if count != 1 else ''}"
