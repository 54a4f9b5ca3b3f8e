"""The summands of an error add up, know their oracle, and are drawn with their sign."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba
from matplotlib.patches import Rectangle

import reports
from reports import error_budget, mode_errors
from reports.cells import cells
from reports.error_budget import COLORS, parts
from reports.ranking import records
from reports.run import read_run
from reports.style import styled

SCORES = {
    "exact": (1.0, 1.2),
    "oracle-em": (1.5, 1.1),
    "oracle-em[steps=9]": (5.0, 6.0),
    "oracle-em[N(0,I)]": (2.0, 2.2),
    "oracle-pc": (0.8, 1.0),
    "em-dps": (4.0, 6.0),
    "ancestral-mmps": (1.0, 1.6),
    "pc-mmps": (3.0, 3.0),
    "dps": (7.0, 9.0),
    "prior": (8.0, 12.0),
}
STEPS = {"oracle-em[steps=9]": 9.0}


@pytest.fixture(autouse=True)
def in_style() -> Iterator[None]:
    with styled():
        yield


@pytest.fixture
def small(fake_run: Any) -> Any:
    for instance in (0, 1):
        fake_run.floor("p", instance, "sw1", [2.0])
        for label, values in SCORES.items():
            fake_run.task("p", instance, label, {"sw1": values[instance]}, nfe=STEPS.get(label, 1000.0))
    return fake_run


def read(run: Any) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    path = run.write()
    opened = read_run(path)
    return reports.leaderboard(path), cells(opened)[1], opened.results


def changes(run: Any) -> dict[str, dict[str, float]]:
    board, values, _ = read(run)
    found = parts(board, values)
    for label, row in found.items():
        assert row[-1].end == pytest.approx(np.mean(SCORES[label]) / 2)
        assert all(a.end == b.start for a, b in pairwise(row))
    return {label: {part.name: pytest.approx(part.end - part.start) for part in row} for label, row in found.items()}


def test_every_row_is_the_sum_of_its_parts(small: Any) -> None:
    """In units of the floor, 2: exact .55, oracle-em .65, started from N(0, I) 1.05, oracle-pc .45."""
    found = changes(small)
    assert found["exact"] == {"floor": 0.55}
    assert found["oracle-em"] == {"floor": 0.55, "discretisation": 0.1}
    assert found["oracle-em[steps=9]"] == {"floor": 0.55, "discretisation": 2.2}
    assert found["oracle-em[N(0,I)]"] == {"floor": 0.55, "discretisation": 0.1, "start": 0.4}
    assert found["em-dps"] == {"floor": 0.55, "discretisation": 0.1, "start": 0.4, "guidance": 1.45}
    assert found["ancestral-mmps"] == {"floor": 0.55, "discretisation": 0.1, "start": 0.4, "guidance": -0.4}
    assert found["pc-mmps"] == {"floor": 0.55, "discretisation": -0.1, "guidance": 1.05}
    assert found["dps"] == {"floor": 0.55, "not split": 3.45}
    assert found["prior"] == {"floor": 0.55, "not split": 4.45}


def test_the_oracle_of_as_many_steps_is_taken(small: Any) -> None:
    for instance in (0, 1):
        small.task("p", instance, "em-mmps", {"sw1": 7.0}, nfe=11.0)
    board, values, _ = read(small)
    row = {part.name: part.end for part in parts(board, values)["em-mmps"]}
    assert row["discretisation"] == pytest.approx(2.75)


def test_the_last_part_is_what_the_score_costs(small: Any) -> None:
    """On p-net the same methods are worse; exact samples and oracles do not see the score. Without p it is guidance."""
    for instance in (0, 1):
        small.floor("p-net", instance, "sw1", [2.0])
        for label, values in SCORES.items():
            worse = 0.0 if "oracle" in label or label in ("exact", "prior") else 2.0 + instance
            small.task("p-net", instance, label, {"sw1": values[instance] + worse}, nfe=STEPS.get(label, 1000.0))
    board, values, _ = read(small)
    found = parts(board[board["problem"] == "p-net"], values)
    row = {part.name: (pytest.approx(part.end - part.start), part.stderr) for part in found["pc-mmps"]}
    assert list(row) == ["floor", "discretisation", "guidance", "score"]
    assert (row["guidance"][0], row["score"][0]) == (1.05, 1.25)
    assert row["score"][1] == pytest.approx(0.25)
    assert [part.name for part in found["dps"]] == ["floor", "not split", "score"]
    assert "score" not in {part.name for part in found["oracle-em"]}
    alone = parts(board[board["problem"] == "p-net"], values[values["problem"] == "p-net"])
    assert alone["pc-mmps"][-1].name == "guidance"
    assert alone["pc-mmps"][-1].end == found["pc-mmps"][-1].end
    assert "score" not in {part.name for row in parts(board[board["problem"] == "p"], values).values() for part in row}


def test_errors_are_those_of_paired_differences(small: Any) -> None:
    board, values, _ = read(small)
    row = {part.name: part.stderr for part in parts(board, values)["pc-mmps"]}
    assert np.isnan(row["floor"])
    assert row["discretisation"] == pytest.approx(0.0)  # .8 - 1 and 1 - 1.2, halved
    assert row["guidance"] == pytest.approx(abs((3 - 0.8) - (3 - 1.0)) / 2 / 2)  # half the distance, over the floor


def test_a_negative_part_is_hatched_and_takes_the_bar_back(small: Any) -> None:
    figure = error_budget.draw(*read(small))
    assert figure is not None
    panel = figure.axes[0]
    line = [tick.get_text() for tick in panel.get_yticklabels()].index("ancestral-mmps")
    bars = [bar for bar in panel.patches if isinstance(bar, Rectangle) and round(bar.get_y() + 0.31) == line]
    assert len(bars) == 4
    (negative,) = (bar for bar in bars if bar.get_hatch())
    assert negative.get_edgecolor() == to_rgba(COLORS["guidance"])
    assert (negative.get_x(), negative.get_width()) == (pytest.approx(0.65), pytest.approx(0.4))
    assert any("0.550 + 0.10" in text.get_text() and "- 0.40" in text.get_text() for text in panel.texts)


def test_without_an_oracle_or_the_exact_row_there_is_no_budget(fake_run: Any) -> None:
    for label in ("exact", "em-dps", "prior"):
        fake_run.task("p", 0, label, {"sw1": 1.0})
        fake_run.floor("p", 0, "sw1", [1.0])
    fake_run.task("q", 0, "oracle-em", {"sw1": 1.0})
    board, values, results = read(fake_run)
    for problem in ("p", "q"):
        assert (
            error_budget.draw(board[board["problem"] == problem], values[values["problem"] == problem], results) is None
        )


def test_the_errors_of_modes_are_means_of_squares(small: Any) -> None:
    for instance, value in ((0, 3.0), (1, 4.0)):
        small.task("p", instance, "em-mmps", {"sw1": 5.0, "mode_weights_w2": value, "mode_means_w2": 2.0})
        small.task("p", instance, "em-pigdm", {"sw1": 5.0, "mode_weights_w2": value + 97 * instance}, status="diverged")
    board, values, results = read(small)
    found = mode_errors.of(results, records(board))
    assert found["mode_weights_w2"] == {"em-mmps": pytest.approx((12.5**0.5, 9**0.5, 16**0.5))}
    assert found["mode_means_w2"] == {"em-mmps": (2.0, 2.0, 2.0)}
    figure = error_budget.draw(board, values, results)
    assert figure is not None
    assert [panel.get_title() for panel in figure.axes] == ["SW1 / floor95", "errors of modes [unit of x]"]
    line = [tick.get_text() for tick in figure.axes[0].get_yticklabels()].index("em-mmps")
    dots = {
        round(dot.get_ydata()[0] - line, 1): dot.get_xdata()[0]
        for dot in figure.axes[1].lines
        if len(dot.get_xdata()) == 1
    }
    assert dots == {-0.2: pytest.approx(12.5**0.5), 0.0: 2.0}
    assert len(error_budget.draw(*read_without(board, values, results)).axes) == 1  # type: ignore[union-attr]


def test_the_errors_of_modes_tell_what_they_leave_out(small: Any) -> None:
    """Left a failed task counts as the prior, right only what survived is averaged: the line is hatched there."""
    small.task("p", 0, "em-mmps", {"sw1": 5.0, "mode_weights_w2": 3.0})
    small.task("p", 1, "em-mmps", status="failed")
    for instance in (0, 1):
        small.task("p", instance, "em-pigdm", {"sw1": 5.0, "mode_weights_w2": 2.0 + instance})
    board, values, results = read(small)
    value, low, high = mode_errors.of(results, records(board))["mode_weights_w2"]["em-mmps"]
    assert (value, np.isnan(low), np.isnan(high)) == (3.0, True, True)  # one instance has no standard error
    figure = error_budget.draw(board, values, results)
    assert figure is not None
    left, right = figure.axes
    names = [tick.get_text() for tick in left.get_yticklabels()]
    bars = [line.get_ydata()[0] for line in right.lines if len(line.get_xdata()) == 2]
    assert bars == [pytest.approx(names.index("em-pigdm") - 0.2)]
    (band,) = (patch for patch in right.patches if patch.get_hatch())
    assert band.get_y() + band.get_height() / 2 == pytest.approx(names.index("em-mmps"))
    told = " ".join(figure.texts[-1].get_text().split())
    assert "over instances whose tasks are ok" in told
    assert "Hatched line: some tasks failed" in told


def test_the_axis_holds_every_preset_and_the_prior_by_its_method(small: Any) -> None:
    """The worst preset comes first, and would be forgotten if presets of a method were taken for one."""
    for instance in (0, 1):
        small.task("p", instance, "dps[a]", {"sw1": 20.0})
        small.task("p", instance, "dps[b]", {"sw1": 3.0})
    board, values, _ = read(small)
    methods = records(board)
    summands = parts(board, values)
    assert error_budget._limit(methods, summands) == pytest.approx(1.15 * 1.05 * 5)
    without = [cell for cell in methods if cell["method"] != "prior"]
    for some in (without, without[::-1]):
        assert error_budget._limit(some, summands) == pytest.approx(1.05 * 10)


def read_without(board: pd.DataFrame, values: pd.DataFrame, results: pd.DataFrame) -> tuple[pd.DataFrame, ...]:
    """The same without the metrics of modes, as of a run that has none."""
    return board, values, results[~results["metric"].str.startswith("mode_")]
