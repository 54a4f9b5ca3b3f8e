"""Tables cut at equal cost: only the cells within a budget, ranked among themselves."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from reports.run import RunError


@dataclass(frozen=True)
class Budget:
    """What a sampler may cost.

    Attributes:
        max_work: denoiser evaluations + backward passes per sample; None: any number.
        max_seconds: seconds per 1000 samples, with the training that precedes them; None: any number.

    Raises:
        RunError: if a limit is negative or not finite.
    """

    max_work: float | None = None
    max_seconds: float | None = None

    def __post_init__(self) -> None:
        for limit, what in ((self.max_work, "--max-work"), (self.max_seconds, "--max-seconds")):
            if limit is not None and not (math.isfinite(limit) and limit >= 0):
                raise RunError(f"{what} takes a finite number that is not negative, got {limit:g}")

    @property
    def slug(self) -> str:
        """For names of files: work-1000-seconds-5."""
        limits = (("work", self.max_work), ("seconds", self.max_seconds))
        return "-".join(f"{name}-{limit:g}" for name, limit in limits if limit is not None)

    @property
    def words(self) -> str:
        """The limits in words."""
        limits = (
            (self.max_work, "denoiser evaluations + backward passes per sample (nfe + vjp)"),
            (self.max_seconds, "seconds per 1000 samples (with training)"),
        )
        return " and ".join(f"at most {limit:g} {what}" for limit, what in limits if limit is not None)

    def within(self, table: pd.DataFrame) -> pd.DataFrame:
        """The cells within the budget and those without a task that is ok, which may be within it for all one knows.

        New columns: `left_out`, the labels of their problem's other cells in words, and `all_failed`, `all_skipped`,
        `all_total`, numbers of tasks of the label on all problems, so that a cut hides no failure.

        Raises:
            RunError: if no cell has a known cost within the budget.
        """
        seconds = table["seconds_per_1000"] + table["seconds_train"].fillna(0)
        fits, known = pd.Series(True, index=table.index), pd.Series(True, index=table.index)
        for cost, limit in ((table["work"], self.max_work), (seconds, self.max_seconds)):
            if limit is not None:
                fits &= cost <= limit
                known &= cost.notna()
        if not fits.any():
            raise RunError(f"no cell costs {self.words}")
        fits |= table["tasks_ok"] == 0
        told = {}
        for problem, group in table[~fits].groupby("problem"):
            beyond, unknown = (list(group.loc[known[group.index] == kind, "label"]) for kind in (True, False))
            parts = ((beyond, "Beyond the budget"), (unknown, "Of unknown cost (not counted)"))
            told[problem] = " ".join(f"{what}: {', '.join(labels)}." for labels, what in parts if labels)
        tasks = table.groupby("label")[["tasks_failed", "tasks_skipped", "tasks_total"]].transform("sum")
        kept = table.join(tasks.rename(columns=lambda name: name.replace("tasks", "all")))[fits].reset_index(drop=True)
        return kept.assign(left_out=[told.get(problem, "") for problem in kept["problem"]])
