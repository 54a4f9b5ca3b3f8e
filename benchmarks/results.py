"""The long table of a run directory, and the floors beside it; the calibration of batches has a table of its own."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.calibration_results import collect_calibration, parquet
from benchmarks.records import Record
from benchmarks.store import RunDirectory, floor_file
from scores import METRICS

COLUMNS = (
    *("problem", "instance", "method", "config", "framework", "repeat", "metric", "value", "stderr", "floor95"),
    *("unit", "better", "status", "reason", "n", "nfe", "vjp", "operator_calls"),
    *(
        "seconds_compile",
        "seconds_train",
        "seconds_sample",
        "peak_bytes",
        "device",
        "threads",
        "precision",
        "oracle",
        "hyper",
    ),
    *("versions", "started_at", "code"),
)
"""The columns of results.parquet, in this order; results.csv has them without versions, which each row would repeat."""

FLOOR_COLUMNS = ("problem", "instance", "n", "metric", "draw", "value")
FLOOR_QUANTILE = 0.95
_NAN = float("nan")
_DERIVED = {"seconds": ("s", "lower"), "samples_per_second": ("1/s", "higher")}


def collect(run: RunDirectory) -> None:
    """Writes results.parquet, results.csv, floors.parquet and, of batches, calibration.parquet of a run directory."""
    import pandas as pd

    collect_calibration(run)
    alone = (record for record in run.records.values() if record.task.instances == 1)
    records = sorted(alone, key=lambda record: record.task.slot)
    floors = {floor_file(record.task): record.task for record in records}
    draws = {name: kept for name in floors if (kept := run.kept_arrays(name)) is not None}
    rows = [row for record in records for row in _rows(record, draws.get(floor_file(record.task), {}))]
    results = pd.DataFrame(rows, columns=list(COLUMNS))
    floor_rows = [
        (floors[name].problem, floors[name].instance, floors[name].n, metric, draw, float(value))
        for name, kept in draws.items()
        for metric, values in kept.items()
        for draw, value in enumerate(values)
    ]
    run.write("results.parquet", parquet(results))
    run.write("results.csv", results.drop(columns="versions").to_csv(index=False).encode())
    run.write("floors.parquet", parquet(pd.DataFrame(floor_rows, columns=list(FLOOR_COLUMNS))))


def _rows(record: Record, draws: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    """One row per metric; a task without metrics has one row with metric '' and value nan."""
    shared = record.row()
    if not record.metrics:
        return [shared | _measured("", _NAN, _NAN, _NAN, "", "")]
    measured = []
    for name, (value, error) in record.metrics.items():
        metric = METRICS.get(name)  # None: a metric that this version no longer has
        unit, better = (metric.unit, metric.better) if metric else ("", "")
        floor95 = float(np.quantile(draws[name], FLOOR_QUANTILE)) if name in draws else _NAN
        measured.append(_measured(name, value, error, floor95, unit, str(better)))
    seconds = record.seconds_sample
    for name, value in (("seconds", seconds), ("samples_per_second", record.task.n / seconds if seconds > 0 else _NAN)):
        measured.append(_measured(name, value, _NAN, _NAN, *_DERIVED[name]))
    return [shared | one for one in measured]


def _measured(name: str, value: float, error: float, floor95: float, unit: str, better: str) -> dict[str, Any]:
    return {"metric": name, "value": value, "stderr": error, "floor95": floor95, "unit": unit, "better": better}
