"""The verdicts of calibration tests: in a sentence, and as cells where a run has nothing else."""

from __future__ import annotations

import numpy as np
import pandas as pd

from reports.cells import CELL
from reports.page.findings import Finding
from reports.ranking import ORACLE

NUMBERS = (
    *("rank", "sw1_over_floor95", "sw1_over_floor95_stderr", "sw1_over_floor95_valid", "nfe", "vjp"),
    *("seconds_sample", "seconds_per_1000", "seconds_train", "seconds_compile", "peak_mib"),
)


def tested_cells(verdicts: pd.DataFrame) -> pd.DataFrame:
    """The columns of a leaderboard for the cells of calibration.parquet, without any value of a metric."""
    cells = verdicts.drop_duplicates(CELL).reset_index(drop=True)
    ok = cells["status"] == "ok"
    board = cells[["problem", "method", "config", "framework", "oracle", "status", "instances", "n"]].assign(
        label=cells["config"],
        mark=np.where(cells["oracle"].astype(bool), ORACLE, ""),
        reference=cells["oracle"].astype(bool) | (cells["method"] == "prior"),
        tasks_ok=ok.astype(int),
        tasks_skipped=(cells["status"] == "skipped").astype(int),
        tasks_total=1,
        failures="",
        reason=cells["reason"].fillna(""),
        at_floor=False,
        repeats=1,
        device=cells.get("device", pd.Series("cpu", index=cells.index)),
        threads=cells.get("threads", pd.Series(np.nan, index=cells.index)),
    )
    board["tasks_failed"] = 1 - board["tasks_ok"] - board["tasks_skipped"]
    for name in NUMBERS:
        board[name] = cells[name].astype(float) if name in cells else np.nan
    return board.assign(work=board["nfe"] + board["vjp"])


def calibrated(verdicts: pd.DataFrame, foreign: frozenset[str]) -> Finding | None:
    """How many samplers have a verdict on every problem and fail no test; those judged nowhere do not count.

    Problems whose truths are not drawn from the prior (`foreign`) have no verdicts and are left out.
    """
    told = verdicts[~verdicts["problem"].isin(foreign)]
    judged = _judged(told)
    if judged.empty:
        return None
    problems = told["problem"].nunique()
    samplers = judged.groupby("config", sort=False)
    sound = ~(judged["verdict"] == "fail").groupby(judged["config"], sort=False).any()
    verdicts_on = samplers["problem"].nunique()
    everywhere = verdicts_on == problems
    passing = list(sound.index[sound & everywhere])
    partly = [f"{name} ({verdicts_on[name]} of {problems})" for name in sound.index[sound & ~everywhere]]
    where = f"all {problems} problems" if problems > 1 else "the problem"
    sentences = [
        f"pass every calibration test on {where} with truths drawn from the prior; {int(everywhere.sum())} of "
        f"{len(sound)} have a verdict on {'each' if problems > 1 else 'it'}.",
        f"They are: {_few(passing)}." if passing else "None does.",
        f"No failure, but verdicts on fewer problems: {_few(partly)}." if partly else "",
    ]
    return Finding("Calibrated", f"{len(passing)} of {len(sound)} samplers", " ".join(filter(None, sentences)))


def passing(verdicts: pd.DataFrame) -> dict[str, tuple[int, int]]:
    """problem -> how many samplers fail none of its tests, of how many that have a verdict there."""
    judged = _judged(verdicts)
    failing = (judged["verdict"] == "fail").groupby([judged["problem"], judged["config"]]).any()
    sound = (~failing).groupby("problem")
    return {str(name): (int(rows.sum()), len(rows)) for name, rows in sound}


def _judged(verdicts: pd.DataFrame) -> pd.DataFrame:
    """The tests with a verdict, of samplers that are no reference."""
    rivals = verdicts[~verdicts["oracle"].astype(bool) & (verdicts["method"] != "prior")]
    return rivals[rivals["verdict"].isin(["pass", "fail"])]


def _few(names: list[str]) -> str:
    """The first three, and how many more."""
    more = len(names) - 3
    return ", ".join(names[:3]) + (f" and {more} more" if more > 0 else "")
