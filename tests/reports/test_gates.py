"""The table of the gates, on paper and in a terminal: what is shown is what the file says."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

import reports
from reports.gates import LEGEND, pooled_rates, print_gates, read_gates, write_gates
from reports.run import RunError
from tests.reports.conftest import FakeRun

FAULTS = {"drop_mode": [0.25, 1.0], "tilt_weights": [0.05, 0.1, 0.2], "shift_range": [0.1, 0.2]}
NOMINAL = {"drop_mode": 1.0, "tilt_weights": 0.1, "shift_range": 0.2}


def rows(
    problem: str,
    metric: str,
    found: dict[str, dict[float, bool]],
    smallest: dict[str, float],
    claims: tuple[str, ...],
    reason: str = "",
    null_rate: float = 0.05,
    null_cells: int = 20,
) -> list[dict[str, Any]]:
    return [
        {
            "problem": problem,
            "n": 500,
            "instances": 8,
            "metric": metric,
            "fault": fault,
            "size": size,
            "size_unit": "1",
            "nominal": size == NOMINAL[fault],
            "claimed": fault in claims,
            "planted": 8,
            "share_found": float(seen),
            "found": seen,
            "smallest": smallest.get(fault) == size,
            "null_rate": null_rate,
            "null_cells": null_cells,
            "null_ok": True,
            "believed": not reason,
            "reason": reason,
        }
        for fault, sizes in found.items()
        for size, seen in sizes.items()
    ]


ALL, NONE = ({fault: dict.fromkeys(sizes, seen) for fault, sizes in FAULTS.items()} for seen in (True, False))
PARTLY = {"drop_mode": {0.25: False, 1.0: True}, "tilt_weights": {0.05: False, 0.1: False, 0.2: True}}
TABLE = pd.DataFrame(
    [
        *rows("gmm25-80-2", "sw|1", PARTLY, {"drop_mode": 1.0, "tilt_weights": 0.2}, tuple(FAULTS), "misses a tilt"),
        *rows(
            "gmm25-8-2", "mode_tv", ALL, {"drop_mode": 0.25, "tilt_weights": 0.05, "shift_range": 0.1}, ("drop_mode",)
        ),
        *rows("gmm25-8-2", "blind", NONE, {}, ("drop_mode", "shift_range"), "misses [all]", null_rate=0.126),
        *rows("gmm25-8-2", "empty", NONE, {}, (), "has no finite value", null_rate=float("nan")),
    ]
)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    TABLE.to_parquet(tmp_path / "gates.parquet", index=False)
    return tmp_path


def printed(directory: Path, problems: list[str] | None = None) -> str:
    file = io.StringIO()
    print_gates(directory, Console(file=file, width=200), problems)
    return file.getvalue()


def test_markdown(directory: Path) -> None:
    (path,) = write_gates(directory)
    assert path.name == "gates.md"
    lines = path.read_text().splitlines()
    assert all(f"{i}. {sentence}" in lines for i, sentence in enumerate(LEGEND, 1))
    assert [line for line in lines if line.startswith(("- ", "## ", "| "))] == [
        "- not believed: blind on gmm25-8-2: it misses [all]",
        "- not believed: empty on gmm25-8-2: it has no finite value",
        "- not believed: sw|1 on gmm25-80-2: it misses a tilt",
        "## gmm25-8-2",
        "| metric | null [%] | drop mode 1 | tilt weights 0.1 | shift range 0.2 |",
        "| :--- | ---: | ---: | ---: | ---: |",
        "| mode_tv | 5 | 0.25 | (0.05) | (0.1) |",
        "| *blind* | 13 | **missed** | (missed) | **missed** |",
        "| *empty* | — | (missed) | (missed) | (missed) |",
        "## gmm25-80-2",
        "| metric | null [%] | drop mode 1 | tilt weights 0.1 | shift range 0.2 |",
        "| :--- | ---: | ---: | ---: | ---: |",
        r"| *sw\|1* | 5 | 1 | **0.2** | — |",
    ]
    assert lines.count("8 instances, 500 samples each") == 2


def test_terminal(directory: Path) -> None:
    text = printed(directory)
    for words in (
        ["gmm25-8-2", "mode_tv", "5", "0.25", "(0.05)", "(0.1)"],
        ["gmm25-8-2", "blind", "13", "missed", "(missed)", "missed"],
        ["gmm25-80-2", "sw|1", "5", "1", "0.2", "—"],
    ):
        assert words in [line.split() for line in text.splitlines()]
    assert "not believed: blind on gmm25-8-2: it misses [all]" in text
    assert text.index("mode_tv") < text.index("sw|1")
    only = printed(directory, ["gmm25-80-2"])
    assert "gmm25-8-2" not in only
    assert "sw|1" in only


def test_exact_cells_of_all_problems_are_counted_together() -> None:
    table = pd.DataFrame(
        [
            *rows("p", "sw1", ALL, {}, (), null_rate=0.1, null_cells=10),
            *rows("q", "sw1", ALL, {}, (), null_rate=0.05, null_cells=40),
            *rows("p", "wolf", ALL, {}, (), null_rate=0.2, null_cells=10),
            *rows("q", "wolf", ALL, {}, (), null_rate=float("nan"), null_cells=0),
        ]
    )
    assert pooled_rates(table) == "exact cells flagged over all problems: wolf 20.0 % of 10, sw1 6.0 % of 50"
    assert pooled_rates(table[:0]).endswith("none were judged")


def test_the_rate_over_all_problems_is_shown_whichever_are_asked_for(directory: Path) -> None:
    said = "exact cells flagged over all problems: blind 12.6 % of 20, sw|1 5.0 % of 20, mode_tv 5.0 % of 20"
    assert said in printed(directory)
    assert said in printed(directory, ["gmm25-80-2"])
    assert said in write_gates(directory)[0].read_text().splitlines()


def test_where_all_are_believed_it_says_so(directory: Path) -> None:
    TABLE[TABLE["metric"] == "mode_tv"].to_parquet(directory / "gates.parquet", index=False)
    assert "every metric is believed on every problem" in printed(directory)


def test_a_report_has_the_gates_where_they_were_run(fake_run: FakeRun) -> None:
    fake_run.task("seed2d", 0, "exact", {"sw1": 0.1})
    fake_run.floor("seed2d", 0, "sw1", [0.1, 0.2])
    directory = fake_run.write()
    assert write_gates(directory) == []
    TABLE.to_parquet(directory / "gates.parquet", index=False)
    assert directory / "gates.md" in reports.write_report(directory)


def test_files_that_cannot_be_read(directory: Path, tmp_path: Path) -> None:
    absent = tmp_path / "absent"
    assert read_gates(absent) is None
    with pytest.raises(RunError, match=r"the gates were not run in .*absent: it has no gates\.parquet"):
        printed(absent)
    TABLE.drop(columns=["null_rate", "reason"]).to_parquet(directory / "gates.parquet", index=False)
    with pytest.raises(RunError, match=r"gates\.parquet lacks the columns null_rate, reason"):
        write_gates(directory)
    (directory / "gates.parquet").write_bytes(b"torn")
    with pytest.raises(RunError, match=r"gates\.parquet cannot be read as a table"):
        printed(directory)
