"""The leaderboard: cells labelled, put in order and ranked within their problem, and their summary per method."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import numpy as np
import pandas as pd

from reports.believed import read_gates, with_verdicts
from reports.cells import CELL, HEADLINE, RATIO, Floors, cells
from reports.equal_work import Budget
from reports.paired import LEAST_INSTANCES, better, can_order, rank_intervals
from reports.run import TASK, Run

PROBLEM_ORDER = ("seed2d", "linear-gaussian", "gmm25", "gaussian-field", "digits", "atoms", "photos")
Cell = dict[str, Any]
"""A row of the leaderboard: column -> value."""

REFERENCES = ("exact", "oracle-ode", "oracle-pc", "oracle-em", "prior")
FIRST = [
    *("problem", "rank", "rank_high", "label", "mark", "method", "config", "framework", "reference", "status"),
    *("tasks_ok", "tasks_failed", "tasks_skipped", "tasks_total", "failures", "reason"),
    *("at_floor", "sw1_over_floor95", "sw1_over_floor95_stderr", "sw1_over_floor95_low", "sw1_over_floor95_high"),
    *("sw1_over_floor95_valid", "beaten_by", "no_order"),
]
ORACLE, POINT = "†", "‡"
Z95 = 1.96


def ranked(run: Run, budget: Budget | None = None) -> pd.DataFrame:
    """The leaderboard of a run, one row per cell; see `reports.cells.cells` for the other columns.

    Rows stand in the order of their means: cells at floor, then by `sw1_over_floor95`, then those without a sample;
    where the posterior is not known, by the PSNR of their means. The
    order of two rows claims nothing; that is what ranks are for.

    `rank` is 1 + the number of better methods of the problem, `rank_high` the number of methods that are not worse,
    itself included, so that methods that none is better than share rank 1. Better is significantly better (see
    `reports.paired`: paired sign-flip tests on the instances, Holm's correction over all pairs, 5 %); `beaten_by` names
    those. Cells at floor share rank 1 and are not compared with each other. Cells without a value (a failed task and no
    prior's row to count instead) are behind all others by rule, which is no finding and not in `beaten_by`.
    Where no ranks are printed for a problem, `no_order` says why: too few instances, or SW1 is not believed there.

    The competition is on the set of instances that most methods of the problem share (the larger one of two); a method
    on more of them competes on these. Reference rows (the prior and all that see the posterior), skipped cells and
    cells that lack one of the instances have no rank; they are in no competition. With a `budget` only the cells within
    it, and those without an ok task, are left, and compete.

    Raises:
        reports.run.RunError: if no cell is within the budget.
    """
    table, values = cells(run)
    table["reference"] = table["oracle"] | (table["method"] == "prior")
    table["label"] = _labels(table)
    table["mark"] = _marks(table, run.info)
    table = with_verdicts(table, read_gates(run.directory))
    if budget is not None:
        table = budget.within(table)
    if f"{HEADLINE}_doubt" in table:  # a blind metric puts everything at floor
        table["at_floor"] &= table[f"{HEADLINE}_doubt"] == ""
    common, competes = _competition(table, values)
    table = table.join(_ranks(table, _on(common, values, run), common, competes))
    places = [_position(cell, inside) for cell, inside in zip(records(table), competes, strict=True)]
    table = table.iloc[sorted(range(len(places)), key=places.__getitem__)].reset_index(drop=True)
    return table[[*FIRST, *(name for name in table.columns if name not in FIRST)]]


def named(row: Cell) -> str:
    """The label of a row with its mark: † for what is given the posterior's score, ‡ for what estimates one signal."""
    return f"{row['label']} {row['mark']}" if row["mark"] else str(row["label"])


def records(board: pd.DataFrame) -> list[Cell]:
    """The rows of a table as plain dictionaries."""
    return [{str(name): value for name, value in row.items()} for row in board.to_dict("records")]


def problem_key(problem: str) -> tuple[Any, ...]:
    """Sorts problems: the known families in their order, then others, numbers in names as numbers."""
    family = next((i for i, name in enumerate(PROBLEM_ORDER) if problem.startswith(name)), len(PROBLEM_ORDER))
    return family, [(part.isdigit(), int(part) if part.isdigit() else part) for part in re.split(r"(\d+)", problem)]


def reference_key(method: str, config: str) -> tuple[int, str, bool, str]:
    """Sorts reference rows: exact, the oracles, other rows that see the posterior, the prior."""
    place = REFERENCES.index(method) if method in REFERENCES else len(REFERENCES) - 1.5
    return int(2 * place), method, config != method, config


def summary(board: pd.DataFrame) -> pd.DataFrame:
    """One row per method over all problems: reference rows first, then by problems covered, mean rank, geometric mean.

    Means over fewer problems are of other numbers: those methods stand behind, and `problems_total` tells them.

    The problems are the ones that were chosen, no sample of others: intervals say what other instances would give.
    Those on which SW1 is not believed count in neither mean, those whose posterior is not known in nothing but tasks.

    Columns: label, mark, method, config, reference, problems (tried, i.e. not skipped), problems_total (of the table;
    both of a known posterior), problems_at_floor, problems_ranked, mean_rank and mean_rank_high (means of both ends of
    the rank intervals; nan without ranks), geometric_mean (of `sw1_over_floor95`; nan if one of its problems has no
    value) with geometric_mean_low and _high (1.96 bootstrapped standard errors of the logarithms, independent between
    problems; nan if one is unknown), geometric_mean_valid (failed tasks left out), tasks_failed, tasks_skipped,
    tasks_total (of a cut table too those of all the method's tasks).
    """
    rows = []
    for label, group in board.groupby("label", sort=False):
        tried = group[(group["tasks_ok"] + group["tasks_failed"] > 0) & group["posterior_known"]]
        first = records(group)[0]
        counted = tried[tried[f"{HEADLINE}_doubt"] == ""] if f"{HEADLINE}_doubt" in tried else tried
        logs, valid = (np.log(counted[name].to_numpy(float)) for name in (RATIO, f"{RATIO}_valid"))
        errors = counted[f"{RATIO}_log_stderr"].to_numpy(float)
        tasks = {f"tasks_{kind}": _tasks(group, kind) for kind in ("failed", "skipped", "total")}
        nothing = float("nan")
        mean = float(np.mean(logs)) if len(logs) else nothing
        error = float(np.sqrt(np.sum(errors**2)) / len(errors)) if len(logs) else nothing
        rows.append(
            {
                "label": label,
                "mark": first["mark"],
                "method": first["method"],
                "config": first["config"],
                "reference": bool(first["reference"]),
                "problems": len(tried),
                "problems_total": board.loc[board["posterior_known"], "problem"].nunique(),
                "problems_at_floor": int(tried["at_floor"].sum()),
                "problems_ranked": int(group["rank"].notna().sum()),
                "mean_rank": float(group["rank"].mean()),
                "mean_rank_high": float(group["rank_high"].mean()),
                "geometric_mean": float(np.exp(mean)),
                "geometric_mean_low": float(np.exp(mean - Z95 * error)),
                "geometric_mean_high": float(np.exp(mean + Z95 * error)),
                "geometric_mean_valid": float(np.exp(np.mean(valid))) if len(valid) else nothing,
                **tasks,
            }
        )
    rows.sort(key=_summary_position)
    return pd.DataFrame(rows)


def _tasks(group: pd.DataFrame, kind: str) -> int:
    """The number of tasks of one label, also of those on cells that a budget left out."""
    return int(group[f"all_{kind}"].iloc[0] if f"all_{kind}" in group else group[f"tasks_{kind}"].sum())


def _labels(table: pd.DataFrame) -> pd.Series:
    """The configuration, `dps` or `dps[paper]`; the framework is told where one configuration ran in several."""
    several = table.groupby("config")["framework"].transform("nunique") > 1
    return table["config"].where(~several, table["config"] + " (" + table["framework"] + ")")


def _marks(table: pd.DataFrame, info: dict[str, Any]) -> pd.Series:
    cards = info.get("methods", {})
    point = table["method"].map(lambda name: bool(cards.get(name, {}).get("point")))
    return pd.Series(np.where(table["oracle"], ORACLE, np.where(point, POINT, "")), index=table.index, dtype=object)


def _competition(table: pd.DataFrame, values: pd.DataFrame) -> tuple[dict[Any, frozenset[int]], pd.Series]:
    """The instances of each problem's competition, and whether each cell is in it.

    It is if it has them all, and is neither a reference nor an estimate of one signal.
    """
    tried = ~table["reference"] & (table["mark"] != POINT) & (table["tasks_ok"] + table["tasks_failed"] > 0)
    on = values.groupby(CELL)["instance"].agg(frozenset).to_dict()
    sets = pd.Series([on.get(key, frozenset()) for key in table[CELL].itertuples(index=False)], index=table.index)
    common: dict[Any, frozenset[int]] = {}
    for problem, group in sets[tried].groupby(table["problem"]):
        counts = Counter(group)
        common[problem] = max(counts, key=lambda some: (counts[some], len(some), sorted(some)))
    has = [common.get(problem, some) <= some for problem, some in zip(table["problem"], sets, strict=True)]
    return common, tried & np.array(has, dtype=bool)


def _on(common: dict[Any, frozenset[int]], values: pd.DataFrame, run: Run) -> pd.DataFrame:
    """The values on the instances of the competitions, over the floor of these instances, which stands beside them."""

    def among(rows: pd.DataFrame) -> pd.DataFrame:
        inside = [
            instance in common.get(problem, ())
            for problem, instance in zip(rows["problem"], rows["instance"], strict=True)
        ]
        return rows[np.array(inside, dtype=bool)]

    tasks = run.results.drop_duplicates(TASK)
    floor = Floors(run.floors).of_cells(among(tasks[tasks["status"] != "skipped"]), HEADLINE)
    kept = among(values).join(floor.rename("floor"), on=CELL)
    return kept.assign(**{RATIO: kept[HEADLINE] / kept["floor"]})


def _ranks(
    table: pd.DataFrame, values: pd.DataFrame, common: dict[Any, frozenset[int]], competes: pd.Series
) -> pd.DataFrame:
    """Columns `rank`, `rank_high`, `beaten_by` (labels) and `no_order` (words, '' where ranks are given).

    `values` are those on the instances of the competitions, see `_on`.
    """
    found = pd.DataFrame({"rank": np.nan, "rank_high": np.nan, "no_order": ""}, index=table.index)
    beaten_by: dict[Any, tuple[str, ...]] = {}
    wide = values.pivot(index=CELL, columns="instance", values=[HEADLINE, RATIO, "floor"])  # noqa: PD010
    for problem, rows in table.groupby("problem"):
        rivals = rows[competes[rows.index]]
        if rivals.empty:
            continue
        found.loc[rows.index, "no_order"] = why = _no_order(rivals, len(common[problem]))
        if why:
            continue
        own, on = wide.loc[pd.MultiIndex.from_frame(rivals[CELL])], sorted(common[problem])
        # What the table shows the means of; where a floor is missing, SW1 itself still tells methods apart.
        name = RATIO if own["floor"][on].notna().to_numpy().all() else HEADLINE
        means = own[HEADLINE][on].to_numpy(float).mean(axis=1) / own["floor"][on[0]].to_numpy(float)
        at_floor = (means <= 1) & (rivals["tasks_failed"] == 0).to_numpy()
        tested, by_rule = _beats(own[name][on].to_numpy(float), at_floor)
        low, high = rank_intervals(tested | by_rule)
        found.loc[rivals.index, "rank"], found.loc[rivals.index, "rank_high"] = low, high
        labels = rivals["label"].to_numpy()
        beaten_by |= {index: tuple(labels[column]) for index, column in zip(rivals.index, tested.T, strict=True)}
    column: list[object] = [beaten_by.get(index, ()) for index in table.index]
    return found.assign(beaten_by=pd.Series(column, index=table.index, dtype=object))


def _no_order(rivals: pd.DataFrame, m: int) -> str:
    """Why these cells, on m instances of a problem, get no ranks, or ''."""
    first, k = records(rivals)[0], len(rivals)
    if not first["posterior_known"]:
        return "the posterior is not known here, so there is no distance to it"
    if first.get(f"{HEADLINE}_doubt"):
        return f"SW1 is not believed here: {first[f'{HEADLINE}_doubt']}"
    if k == 1:
        return "one method alone is in no competition"
    if m < LEAST_INSTANCES:
        return f"{m} instance{'s' * (m > 1)}, and fewer than {LEAST_INSTANCES} give no order"
    return "" if can_order(k, m) else f"{m} instances cannot tell {k} methods apart, however clear the differences"


def _beats(values: np.ndarray, at_floor: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which of k methods beats which, (k, k), by tests of their values on the instances (k, m), and which by rule."""
    valued = np.isfinite(values).all(axis=1)
    tested = np.zeros((len(values), len(values)), dtype=bool)
    tested[np.ix_(valued, valued)] = better(values[valued])
    tested[:, at_floor] = False
    return tested, valued[:, None] & ~valued


def _merit(cell: Cell) -> tuple[int, float]:
    """The order of cells within a problem, smaller is better."""
    if cell["at_floor"]:
        return 0, 0.0
    if cell["tasks_ok"] and np.isfinite(cell["sw1_over_floor95"]):
        return 1, cell["sw1_over_floor95"]
    if cell["tasks_ok"] and not cell["posterior_known"]:
        return 2, -np.nan_to_num(cell.get("psnr_mean_db", np.nan), nan=-np.inf)
    if cell["tasks_ok"] and not cell["tasks_failed"]:  # no floor was stored: SW1 itself still orders the cells
        return 2, cell["sw1"]
    return 3, 0.0


def _position(cell: Cell, competes: bool) -> tuple[Any, ...]:
    tried = cell["tasks_ok"] + cell["tasks_failed"] > 0
    block = 0 if cell["reference"] else 1 if competes else 2 if tried else 3
    within = reference_key(cell["method"], cell["config"]) if block == 0 else _merit(cell)
    return problem_key(cell["problem"]), block, within, cell["label"]


def _summary_position(row: Cell) -> tuple[Any, ...]:
    if row["reference"]:
        return 0, *reference_key(row["method"], row["config"]), row["label"]
    rank, mean = (value if np.isfinite(value) else np.inf for value in (row["mean_rank"], row["geometric_mean"]))
    return 1, -row["problems"], rank, mean, "", row["label"]
