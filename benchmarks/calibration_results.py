"""calibration.parquet of a run directory, and the ranks behind it for the pictures."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

from benchmarks.records import Record
from benchmarks.store import RunDirectory, packed
from scores import Finding

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    *("problem", "method", "config", "framework", "repeat", "oracle", "instances", "n"),
    *("test", "quantity", "level", "value", "stderr", "p_value", "threshold", "verdict", "words", "status", "reason"),
    *("nfe", "vjp", "operator_calls", "seconds_compile", "seconds_train", "seconds_sample", "device", "threads"),
    *("ranks_file", "hyper", "started_at", "code"),
)
"""The columns of calibration.parquet, in this order."""

_UNTESTED = Finding("", "", float("nan"), float("nan"), float("nan"), float("nan"), float("nan"), "none", "")


def collect_calibration(run: RunDirectory) -> None:
    """Writes calibration.parquet and calibration/*.npz from the batched tasks; nothing if there are none.

    One row per (problem, configuration, test, quantity, level); a task that was not tested has one row with test ''.
    """
    import pandas as pd

    batches = [record for record in run.records.values() if record.task.instances > 1]
    if not batches:
        return
    rows: list[dict[str, Any]] = []
    taken: set[str] = set()
    (run.path / "calibration").mkdir(exist_ok=True)
    for record in sorted(batches, key=lambda record: record.task.slot):
        ranks = run.samples(record.task) if record.calibration else None
        name = ""
        if ranks is not None:
            name = _file(record, taken)
            taken.add(name)
            run.write(name, packed(ranks))
        rows += _rows(record, name)
    for path in (run.path / "calibration").glob("*.npz"):
        if f"calibration/{path.name}" not in taken:
            path.unlink()
    run.write("calibration.parquet", parquet(pd.DataFrame(rows, columns=list(COLUMNS))))


def parquet(table: pd.DataFrame) -> bytes:
    """The content of a .parquet file."""
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    return buffer.getvalue()


def _file(record: Record, taken: set[str]) -> str:
    """calibration/PROBLEM--CONFIG.npz, '_' for what a file name should not have; told apart where names collide."""
    task = record.task
    stem = f"calibration/{task.problem}--{re.sub(r'[^A-Za-z0-9.=-]+', '_', task.config).strip('_')}"
    return f"{stem}--{task.id}.npz" if f"{stem}.npz" in taken else f"{stem}.npz"


def _rows(record: Record, ranks_file: str) -> list[dict[str, Any]]:
    shared = record.row() | {"instances": record.task.instances, "ranks_file": ranks_file}
    return [shared | finding for finding in record.calibration or [vars(_UNTESTED)]]
