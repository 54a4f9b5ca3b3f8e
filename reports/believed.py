"""Which metrics are not believed on which problems, as the gates of a run found."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from reports.run import read_table

COLUMNS = ["problem", "metric", "believed", "reason"]


def read_gates(directory: Path) -> pd.DataFrame:
    """One row per (problem, metric): `believed` and, where it is not, the `reason` in words.

    Empty if the run has no gates.parquet.

    Raises:
        reports.run.RunError: if the file is torn or lacks a column.
    """
    path = directory / "gates.parquet"
    if not path.is_file():
        return pd.DataFrame(columns=COLUMNS)
    gates = read_table(path, COLUMNS)[COLUMNS]
    gates["believed"] = gates["believed"].astype(bool)
    # One doubt is enough, should the rows of a metric not agree.
    return gates.sort_values("believed", kind="stable").drop_duplicates(["problem", "metric"])


def with_verdicts(table: pd.DataFrame, gates: pd.DataFrame) -> pd.DataFrame:
    """A table with a column `problem`, and for each metric of the gates `<metric>_believed` and `<metric>_doubt`.

    `_believed` is True, False, or None where no gate was run; `_doubt` holds the reason, '' if there is none, and
    stands only beside metrics that are doubted on some problem.
    """
    columns: dict[str, list[object]] = {}
    for metric, group in gates.groupby("metric"):
        verdicts = group.set_index("problem")
        believed = {problem: bool(verdict) for problem, verdict in verdicts["believed"].items()}
        columns[f"{metric}_believed"] = [believed.get(problem) for problem in table["problem"]]
        if not all(believed.values()):
            doubts = verdicts.loc[~verdicts["believed"], "reason"].map(lambda text: text or "it fails its gates")
            columns[f"{metric}_doubt"] = [doubts.get(problem, "") for problem in table["problem"]]
    return table.join(pd.DataFrame(columns, index=table.index, dtype=object))
