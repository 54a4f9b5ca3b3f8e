"""From tasks to cells: (problem, method, configuration), a mean over instances and repeats, beside its floor."""

from __future__ import annotations

import functools
from collections import Counter
from typing import Any

import numpy as np
import pandas as pd

from reports.intervals import of_means
from reports.run import TASK, Run, posterior_known

CELL = ["problem", "method", "config", "framework"]
HEADLINE = "sw1"
RATIO = "sw1_over_floor95"
FLOORED = ("sw1", "w1", "mode_tv")
PSNRS = ("psnr_mean_db", "psnr_sample_db", "psnr_aligned_db")
DECIBEL = 10 / np.log(10)
RATIOS = {"psnr_gain_db": ("psnr_sample_db", "psnr_mean_db"), "mmse_gap_db": ("psnr_mean_db", "mmse_gap_db")}
"""Differences of decibels, by the columns whose mean squared errors they are the ratio of."""
COMBINATIONS = 10_000
"""Combinations of one floor draw per instance: all of them up to this number, beyond it as many random ones."""


def cells(run: Run) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One row per cell, and one per (cell, instance).

    Columns of a metric `m`: `m`, the mean over instances (each the mean of its repeats) of the tasks that are ok (for
    z-std the root of the mean square, for decibels those of the mean squared errors), and `m_stderr`, its standard
    error over instances (nan with one instance); for the metrics of FLOORED also
    `m_floor95`, the 95 % quantile of such means of fresh exact samples (see `quantile95_of_means`).
    `sw1_over_floor95` counts a failed task at the prior's value on the same instance; `sw1_over_floor95_valid` leaves
    failed tasks out. Skipped tasks enter neither. Work and seconds are means over the ok tasks, `seconds_compile` and
    `peak_mib` their maximum. `_low` and `_high` are the ends of intervals over instances (`reports.intervals`; the
    floor counts as known), `sw1_over_floor95_log_stderr` is the standard error of its logarithm. `posterior_known` is
    false where there is no exact posterior to compare with.

    Returns:
        The cells, and the values whose means are compared: CELL, instance, `sw1`, `sw1_over_floor95`.
    """
    tasks = _tasks(run)
    metrics = [name for name in run.results["metric"].unique() if name]
    valid = tasks[tasks["outcome"] == "ok"]
    by_instance = _strict_mean(_averaged_as(valid, metrics), [*CELL, "instance"], metrics).reset_index()
    table = _counts(tasks)
    table = table.join(_read_as(by_instance, metrics))
    table = table.join(_strict_mean(valid, CELL, ["nfe", "vjp", "seconds_train", "seconds_sample", "per_1000"]))
    table = table.join(valid.groupby(CELL)[["seconds_compile", "peak_bytes"]].max())
    table = table.rename(columns={"per_1000": "seconds_per_1000"})
    table["peak_mib"] = table.pop("peak_bytes") / 2**20
    table["work"] = table["nfe"] + table["vjp"]
    floors = Floors(run.floors)
    for metric in FLOORED:
        table[f"{metric}_floor95"] = floors.of_cells(valid, metric).reindex(table.index)
    table["sw1_over_floor95_valid"] = table.get(HEADLINE, np.nan) / table["sw1_floor95"]
    counted = _counted(tasks)
    floor = floors.of_cells(tasks[tasks["outcome"] != "skipped"], HEADLINE).reindex(table.index)
    counted = counted.join(floor.rename("floor"), on=CELL)
    counted[RATIO] = counted[HEADLINE] / counted.pop("floor")
    table[RATIO] = _strict_mean(counted, CELL, [HEADLINE])[HEADLINE] / floor
    table[f"{RATIO}_stderr"] = _stderr(counted, [HEADLINE])[HEADLINE] / floor
    costs = valid.assign(work=valid["nfe"] + valid["vjp"])
    table = table.join(_intervals(counted, RATIO, RATIO))
    for column, name in (("work", "work"), ("per_1000", "seconds_per_1000")):
        table = table.join(_intervals(costs, column, name).drop(columns=f"{name}_log_stderr"))
    table["at_floor"] = (table[RATIO] <= 1) & (table["tasks_failed"] == 0)
    known = {name: posterior_known(run.info, name) for name in tasks["problem"].unique()}
    table["posterior_known"] = table.index.get_level_values("problem").map(known)
    return table.reset_index(), counted


def _intervals(rows: pd.DataFrame, column: str, name: str) -> pd.DataFrame:
    """`name_low`, `name_high` and `name_log_stderr` of each cell's mean of a column over instances."""
    by_instance = _strict_mean(rows, [*CELL, "instance"], [column])[column]
    values = {key: group.to_numpy(float) for key, group in by_instance.groupby(CELL)}
    ends: dict[Any, Any] = {}
    for m in {len(value) for value in values.values()}:
        alike = [key for key, value in values.items() if len(value) == m]  # resampled in one call
        ends |= zip(alike, np.transpose(of_means(np.stack([values[key] for key in alike]))), strict=True)
    names = [f"{name}_low", f"{name}_high", f"{name}_log_stderr"]
    return pd.DataFrame(list(ends.values()), index=_cell_index(list(ends)), columns=names, dtype=float)


def _tasks(run: Run) -> pd.DataFrame:
    """One row per task with its metrics as columns.

    `outcome` is its status, or 'no value' if it is ok and has no SW1 though the posterior is known.
    """
    results = run.results
    tasks = results.drop_duplicates(TASK).set_index(TASK).drop(columns=["metric", "value"])
    measured = results[results["metric"] != ""]
    values = measured.pivot(index=TASK, columns="metric", values="value")  # noqa: PD010  (pivot_table drops nan columns)
    tasks = tasks.join(values)
    if HEADLINE not in tasks:
        tasks[HEADLINE] = np.nan
    unknown = np.array([not posterior_known(run.info, key[0]) for key in tasks.index])
    tasks["outcome"] = tasks["status"].where((tasks["status"] != "ok") | tasks[HEADLINE].notna() | unknown, "no value")
    tasks["per_1000"] = 1000 * tasks["seconds_sample"] / tasks["n"]
    return tasks.reset_index()


def _averaged_as(tasks: pd.DataFrame, metrics: list[str]) -> pd.DataFrame:
    """The metrics in the scale in which they are averaged: z^2 for z-std, the mean squared error for a PSNR.

    In place of the gap to the MMSE stands the error of the exact mean. Only there has an exact sampler the stated
    expectation: the mean over instances of a root, or of decibels, is neither 1 nor 3 dB apart, and a sampler that
    bets on one of several modes beats the exact mean in the mean of decibels.
    """
    scaled = tasks.copy()
    if "z_std" in metrics:
        scaled["z_std"] = tasks["z_std"] ** 2
    for name in set(PSNRS) & set(metrics):
        scaled[name] = 10 ** (-tasks[name] / 10)
    if {"psnr_mean_db", "mmse_gap_db"} <= set(metrics):
        scaled["mmse_gap_db"] = 10 ** (-(tasks["psnr_mean_db"] + tasks["mmse_gap_db"]) / 10)
    return scaled


def _read_as(by_instance: pd.DataFrame, metrics: list[str]) -> pd.DataFrame:
    """Means over instances and their standard errors, back in the units that are shown (by the delta method)."""
    mean, error = _strict_mean(by_instance, CELL, metrics), _stderr(by_instance, metrics)
    ratios = {name: pair for name, pair in RATIOS.items() if {name, *pair} <= set(metrics)}
    relative = by_instance[[*CELL, *metrics]].copy()
    relative[metrics] /= by_instance.groupby(CELL)[metrics].transform("mean")
    for name, (above, below) in ratios.items():
        mean[name] = mean[above] / mean[below]
        error[name] = DECIBEL * _stderr(relative.assign(ratio=relative[above] - relative[below]), ["ratio"])["ratio"]
    if "z_std" in mean:
        mean["z_std"] = mean["z_std"] ** 0.5
        error["z_std"] = error["z_std"] / (2 * mean["z_std"])
    for name in set(PSNRS) & set(mean.columns):
        error[name] = DECIBEL * error[name] / mean[name]
        mean[name] = 1 / mean[name]
    for name in {*PSNRS, *ratios} & set(mean.columns):
        with np.errstate(divide="ignore"):  # no error at all is inf dB
            mean[name] = 10 * np.log10(mean[name])
    return mean.join(error.add_suffix("_stderr"))


def _strict_mean(table: pd.DataFrame, by: list[str], columns: list[str]) -> pd.DataFrame:
    """The mean of each group, nan as soon as one of its values is nan: nothing is left out in silence."""
    groups = table.groupby(by)[columns]
    return groups.mean().where(groups.count().eq(groups.size(), axis=0))


def _stderr(table: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """The standard error over the rows (instances) of each cell, nan with one row or a nan among them."""
    groups = table.groupby(CELL)[columns]
    error = groups.std().div(np.sqrt(groups.size()), axis=0)
    return error.where(groups.count().eq(groups.size(), axis=0))


def _counted(tasks: pd.DataFrame) -> pd.DataFrame:
    """SW1 per (cell, instance), failed tasks at the prior's value on that instance; skipped tasks left out."""
    tried = tasks[tasks["outcome"] != "skipped"].copy()
    ignorant = tried[(tried["method"] == "prior") & (tried["outcome"] == "ok")]
    value_of_prior = ignorant.groupby(["problem", "instance"])[HEADLINE].mean().rename("prior")
    tried = tried.join(value_of_prior, on=["problem", "instance"])
    tried[HEADLINE] = tried[HEADLINE].where(tried["outcome"] == "ok", tried["prior"])
    return _strict_mean(tried, [*CELL, "instance"], [HEADLINE]).reset_index()


def _counts(tasks: pd.DataFrame) -> pd.DataFrame:
    """What became of the tasks of each cell, in numbers and words."""
    names = [*CELL, "instance", "repeat", "outcome", "reason", "oracle", "n", "device", "threads"]
    groups: dict[tuple[Any, ...], list[Any]] = {}
    for task in tasks[names].itertuples(index=False):
        groups.setdefault(tuple(task[: len(CELL)]), []).append(task)
    rows = []
    for key, group in groups.items():
        outcomes = Counter(str(task.outcome) for task in group)
        ok, skipped = outcomes.pop("ok", 0), outcomes.get("skipped", 0)
        failed = len(group) - ok - skipped
        # why a cell has no value: failures say more than skips
        told = Counter({word: count for word, count in outcomes.items() if word != "skipped" or not failed})
        reasons = Counter(str(task.reason) for task in group if task.outcome in told and task.reason)
        rows.append(
            {
                **dict(zip(CELL, key, strict=True)),
                "oracle": any(bool(task.oracle) for task in group),
                "status": "ok" if ok == len(group) else "partial" if ok else told.most_common(1)[0][0],
                "tasks_ok": ok,
                "tasks_failed": failed,
                "tasks_skipped": skipped,
                "tasks_total": len(group),
                "failures": ", ".join(f"{count} {word.replace('_', ' ')}" for word, count in outcomes.most_common()),
                "reason": reasons.most_common(1)[0][0] if reasons else "",
                "instances": len({task.instance for task in group if task.outcome != "skipped"}),
                "repeats": len({task.repeat for task in group}),
                "n": group[0].n,
                "device": group[0].device,
                "threads": group[0].threads,
            }
        )
    return pd.DataFrame(rows).set_index(CELL)


def _cell_index(keys: list[Any]) -> pd.MultiIndex:
    """The index of these cells, of four levels even without a single one."""
    return pd.MultiIndex.from_tuples(keys, names=CELL) if keys else pd.MultiIndex.from_arrays([[]] * 4, names=CELL)


class Floors:
    """The floor of a cell: the 95 % quantile of the mean over its instances and repeats of floor draws, stretched."""

    def __init__(self, table: pd.DataFrame):
        groups = table.groupby(["problem", "metric", "instance", "n"])["value"]
        self._draws = {key: draws.to_numpy(float) for key, draws in groups}
        self._known: dict[tuple[object, ...], float] = {}

    def of_cells(self, tasks: pd.DataFrame, metric: str) -> pd.Series:
        """The floor of each cell of `tasks`, over the instances (and their n) of its rows; nan where unknown."""
        floor = {
            key: self._floor(str(key[0]), metric, tuple(sorted(group.groupby(["instance", "n"]).size().items())))
            for key, group in tasks.groupby(CELL)
        }
        return pd.Series(list(floor.values()), index=_cell_index(list(floor)), dtype=float)

    def _floor(self, problem: str, metric: str, instances: tuple[Any, ...]) -> float:
        """The floor over ((instance, n), repeats) entries."""
        key = (problem, metric, instances)
        if key not in self._known:
            draws = [self._draws.get((problem, metric, *which)) for which, _ in instances]
            known = [values for values in draws if values is not None]
            repeats = [count for _, count in instances]
            self._known[key] = quantile95_of_means(known, repeats) if len(known) == len(draws) else float("nan")
        return self._known[key]


def quantile95_of_means(draws: list[np.ndarray], repeats: list[int]) -> float:
    """The 95 % quantile of the mean over arrays of the mean of `repeats` draws of each, over COMBINATIONS of them.

    Means combined from k draws of each array scatter by (k - 1) / k too little about a centre that is itself off by a
    share 1 / k of their variance: they are stretched about it by the root of (k + 1) / (k - 1), k the smallest number
    of draws, else exact samples exceed the quantile of 20 draws in 6 % of cells and not in 5. One draw is no yardstick
    to stretch. It is the rule by which metrics are judged (`scores.decision.flagged`, less is better), kept equal by a
    test.
    """
    if set(repeats) == {1} and np.prod([float(len(values)) for values in draws]) <= COMBINATIONS:
        means = functools.reduce(np.add.outer, draws) / len(draws)
    else:
        generator = np.random.default_rng(95)
        sizes = [(COMBINATIONS, count) for count in repeats]
        drawn = [generator.choice(values, size).mean(axis=1) for values, size in zip(draws, sizes, strict=True)]
        means = np.mean(drawn, axis=0)
    center, fewest = np.mean([values.mean() for values in draws]), min(len(values) for values in draws)
    stretch = np.sqrt((fewest + 1) / (fewest - 1)) if fewest > 1 else 1.0
    return float(center + stretch * (np.quantile(means, 0.95) - center))
