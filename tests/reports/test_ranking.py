"""Ranks of crafted tables, what takes part in them, budgets, and metrics that are not believed."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

import reports
from reports.documents import latex, markdown
from reports.equal_work import Budget
from reports.ranking import summary
from reports.run import RunError
from reports.terminal import print_tables

M = 16
DIFFICULTY = np.random.default_rng(11).lognormal(0, 0.7, M)
WOBBLE = np.where(np.arange(M) % 2, 1.2, 0.8)
"""Makes a method that is better on half of the instances and worse on the others."""


def add(run: Any, label: str, values: np.ndarray, problem: str = "p", **told: Any) -> None:
    for instance, value in enumerate(values):
        run.task(problem, instance, label, {"sw1": float(value)}, **told)


@pytest.fixture
def crafted(fake_run: Any) -> Any:
    """Floor 1, and methods of all kinds on 16 instances."""
    for instance in range(M):
        fake_run.floor("p", instance, "sw1", [1.0, 1.0])
    add(fake_run, "exact", 0.8 * np.ones(M), nfe=0.0)
    add(fake_run, "prior", 40 * DIFFICULTY, nfe=0.0)
    add(fake_run, "floor-a", 0.5 * np.ones(M), nfe=100.0)
    add(fake_run, "floor-b", 0.9 * np.ones(M), nfe=900.0)
    add(fake_run, "good", 4 + DIFFICULTY, nfe=200.0)
    add(fake_run, "like-good", 4 + DIFFICULTY * WOBBLE, nfe=400.0, vjp=300.0)
    add(fake_run, "bad", 9 + DIFFICULTY, nfe=50.0)
    return fake_run


def board_of(run: Any, budget: Budget | None = None) -> pd.DataFrame:
    return reports.leaderboard(run.write(), budget)


def ranks(board: pd.DataFrame) -> dict[str, tuple[float, float]]:
    some = board[board["rank"].notna()]
    return dict(zip(some["label"], zip(some["rank"], some["rank_high"], strict=True), strict=True))


def test_methods_that_cannot_be_told_apart_share_a_rank(crafted: Any) -> None:
    board = board_of(crafted)
    assert ranks(board) == {"floor-a": (1, 2), "floor-b": (1, 2), "good": (3, 4), "like-good": (3, 4), "bad": (5, 5)}
    beaten_by = dict(zip(board["label"], board["beaten_by"], strict=True))
    assert set(beaten_by["bad"]) == {"floor-a", "floor-b", "good", "like-good"}
    assert set(beaten_by["good"]) == {"floor-a", "floor-b"}
    assert beaten_by["floor-b"] == beaten_by["exact"] == ()  # .5 and .9 differ on all instances, both at floor
    assert set(board["no_order"]) == {""}


def test_repeats_are_averaged_before_methods_are_compared(crafted: Any) -> None:
    """Two repeats of opposite extremes are one value per instance, 8 as in the first repeat of nobody."""
    for sign, repeat in ((1, 0), (-1, 1)):
        add(crafted, "twice", 8 + 7.5 * sign * np.sign(WOBBLE - 1) + DIFFICULTY, repeat=repeat)
    assert ranks(board_of(crafted))["twice"] == (5, 5)
    assert ranks(board_of(crafted))["bad"] == (6, 6)


def test_a_failed_task_counts_as_the_prior_in_ranks(crafted: Any) -> None:
    """Better than 'good' by far where it works, on two instances; on all others it is the prior."""
    for instance in range(M):
        told = {"status": "ok"} if instance < 2 else {"status": "failed", "reason": "it broke"}
        crafted.task("p", instance, "fragile", {"sw1": 0.1} if instance < 2 else None, **told)
    board = board_of(crafted)
    row = board[board["label"] == "fragile"].iloc[0]
    assert row["rank"] > 3
    assert row["sw1_over_floor95_valid"] == pytest.approx(0.1)
    assert (row["tasks_ok"], row["tasks_failed"]) == (2, 14)
    assert ranks(board)["good"] == (3, 4)
    top = summary(board).set_index("label").loc["fragile"]
    assert top["tasks_failed"] == 14
    assert top["geometric_mean"] > 10 > top["geometric_mean_valid"]


def test_methods_without_any_value_are_behind_all_others(fake_run: Any) -> None:
    for label, value in (("good", 3.0), ("bad", 9.0)):
        add(fake_run, label, value + DIFFICULTY)
    for instance in range(M):
        for label in ("lost", "gone"):
            fake_run.task("p", instance, label, status="failed")
    board = board_of(fake_run)
    assert ranks(board) == {"good": (1, 1), "bad": (2, 2), "lost": (3, 4), "gone": (3, 4)}
    beaten_by = dict(zip(board["label"], board["beaten_by"], strict=True))
    assert beaten_by == {"good": (), "bad": ("good",), "lost": (), "gone": ()}  # by rule is by no test


def test_failing_everywhere_can_rank_ahead_of_being_worse_than_the_prior(crafted: Any) -> None:
    add(crafted, "awful", 400 * DIFFICULTY)
    for instance in range(M):
        crafted.task("p", instance, "lost", status="failed")
    board = board_of(crafted)
    assert (ranks(board)["lost"], ranks(board)["awful"]) == ((6, 6), (7, 7))
    assert "lost" in board.set_index("label").loc["awful", "beaten_by"]
    out = io.StringIO()
    print_tables(board, Console(file=out, width=150))
    for text in (" ".join(out.getvalue().split()), markdown(board, {})):
        assert re.search(r"failing can rank ahead of (being|a method that is) worse than the prior", text)
        assert "0/16: 16 failed" in text


def test_a_failure_below_the_floor_is_no_rank_one(fake_run: Any) -> None:
    """Where the prior itself is below the floor, a failure counted as it can be beaten all the same."""
    for instance in range(M):
        fake_run.floor("p", instance, "sw1", [1.0])
        fake_run.task("p", instance, "lost", status="failed")
    add(fake_run, "prior", 0.95 * np.ones(M))
    add(fake_run, "good", 0.2 * np.ones(M))
    add(fake_run, "fair", 0.9 * np.ones(M))
    assert ranks(board_of(fake_run)) == {"good": (1, 2), "fair": (1, 2), "lost": (3, 3)}


def test_without_floors_sw1_itself_is_compared(fake_run: Any) -> None:
    add(fake_run, "good", 3 + DIFFICULTY)
    add(fake_run, "bad", 9 + DIFFICULTY)
    assert ranks(board_of(fake_run)) == {"good": (1, 1), "bad": (2, 2)}


def test_what_the_table_shows_is_compared(fake_run: Any) -> None:
    """Two numbers of samples have two floors: the method of the lower SW1 is the worse one in units of its floor."""
    for instance in range(M):
        fake_run.floor("p", instance, "sw1", [1.0], n=100)
        fake_run.floor("p", instance, "sw1", [0.1], n=900)
    add(fake_run, "few", 4 + DIFFICULTY, n=100)
    add(fake_run, "many", 2 + DIFFICULTY, n=900)
    assert ranks(board_of(fake_run)) == {"few": (1, 1), "many": (2, 2)}


def test_one_cell_on_more_instances_competes_on_the_common_ones(crafted: Any) -> None:
    """Its mean over 17 instances is at floor, because of the last; on the 16 of the others it is the worst."""
    crafted.floor("p", M, "sw1", [1e4])
    add(crafted, "long", np.append(20 + DIFFICULTY, 0.1))
    board = board_of(crafted)
    others = {"floor-a": (1, 2), "floor-b": (1, 2), "good": (3, 4), "like-good": (3, 4), "bad": (5, 5)}
    assert ranks(board) == others | {"long": (6, 6)}
    assert set(board["no_order"]) == {""}


@pytest.mark.parametrize(
    ("sizes", "found"), [((16, 16, 14, 14), "ab"), ((16, 14, 14), "abc"), ((16, 16, 14), "ab"), ((17, 14, 16), "ab")]
)
def test_the_set_of_instances_that_most_methods_share_counts(fake_run: Any, sizes: tuple[int, ...], found: str) -> None:
    """The larger one of two: of (17, 14, 16) that of 17, on which one is alone."""
    for label, m in zip("abcd", sizes, strict=False):
        add(fake_run, label, ord(label) * np.ones(m))
    assert set(ranks(board_of(fake_run))) == (set(found) if len(set(sizes)) < len(sizes) else set())


def test_one_method_alone_has_no_rank(fake_run: Any) -> None:
    add(fake_run, "prior", 9 * DIFFICULTY)
    add(fake_run, "only", DIFFICULTY)
    add(fake_run, "short", DIFFICULTY[:14])
    fake_run.task("p", 0, "skipping", status="skipped")
    board = board_of(fake_run)
    assert not ranks(board)
    assert "No ranks: one method alone is in no competition." in markdown(board, {})


def test_cells_on_other_instances_have_no_rank(crafted: Any) -> None:
    add(crafted, "short", 0.1 * DIFFICULTY[:14])
    for instance in range(1, M + 1):
        crafted.floor("p", M, "sw1", [1.0])
        crafted.task("p", instance, "moved", {"sw1": 0.2})
    crafted.task("p", 0, "skipping", status="skipped")
    found = ranks(board_of(crafted))
    assert set(found) == {"floor-a", "floor-b", "good", "like-good", "bad"}
    assert found["bad"] == (5, 5)


@pytest.mark.parametrize(("m", "words"), [(12, "12 instances, and fewer than 13 give no order"), (13, "")])
def test_fewer_than_thirteen_instances_give_no_order(fake_run: Any, m: int, words: str) -> None:
    add(fake_run, "good", np.ones(m))
    add(fake_run, "bad", 2 * np.ones(m))
    board = board_of(fake_run)
    assert set(board["no_order"]) == {words}
    assert list(board["label"]) == ["good", "bad"]
    assert len(ranks(board)) == (0 if words else 2)
    text = markdown(board, {})
    assert (f"No ranks: {words}. Rows are in the order of their means, which is no verdict." in text) == bool(words)
    assert ("| — | `good` |" in text) == bool(words)


def test_instances_that_cannot_order_so_many_methods_are_told(fake_run: Any) -> None:
    for place in range(22):
        add(fake_run, f"method-{place}", (1.0 + place) * np.ones(13))
    board = board_of(fake_run)
    assert set(board["no_order"]) == {"13 instances cannot tell 22 methods apart, however clear the differences"}
    assert not ranks(board)


def test_a_single_problem_has_the_mean_of_its_ranks(crafted: Any) -> None:
    for instance in range(M):
        crafted.floor("q", instance, "sw1", [1.0])
    add(crafted, "good", 7 + DIFFICULTY, "q")
    add(crafted, "bad", 3 + DIFFICULTY, "q")
    for instance in range(8):
        crafted.floor("r", instance, "sw1", [1.0])
        crafted.task("r", instance, "good", {"sw1": 2.0})
    board = board_of(crafted)
    rows = summary(board).set_index("label")
    assert rows.loc["good", ["mean_rank", "mean_rank_high", "problems_ranked"]].tolist() == [2.5, 3.0, 2]
    assert rows.loc["bad", ["mean_rank", "mean_rank_high"]].tolist() == [3.0, 3.0]
    logs = [np.log((4 + DIFFICULTY).mean()), np.log((7 + DIFFICULTY).mean()), np.log(2.0)]
    assert rows.loc["good", "geometric_mean"] == pytest.approx(np.exp(np.mean(logs)))
    relative = [DIFFICULTY.std() / 4 / (base + DIFFICULTY.mean()) for base in (4, 7)]
    spread = np.exp(1.96 * np.hypot(*relative) / 3)  # over three problems; the third does not vary
    assert rows.loc["good", "geometric_mean_high"] / rows.loc["good", "geometric_mean"] == pytest.approx(
        spread, rel=0.01
    )
    assert rows.loc["good", "geometric_mean"] / rows.loc["good", "geometric_mean_low"] == pytest.approx(
        spread, rel=0.01
    )
    text = markdown(board, {})
    assert "| `good` | 3 | 0 | 2.5–3.0 (on 2) |" in text
    assert "`floor-a` | 1 of 3 | 1 | 1.0–2.0 |" in text


def test_intervals_stand_around_the_value(crafted: Any) -> None:
    row = board_of(crafted).set_index("label").loc["good"]
    error = DIFFICULTY.std() / 4
    assert row["sw1_over_floor95_low"] == pytest.approx(row["sw1_over_floor95"] - 1.7 * error, abs=0.4 * error)
    assert row["sw1_over_floor95_high"] == pytest.approx(row["sw1_over_floor95"] + 2.2 * error, abs=0.4 * error)
    assert (row["work_low"], row["work_high"]) == (200.0, 200.0)


def test_a_budget_ranks_what_is_within_it(crafted: Any) -> None:
    crafted.task("p", 0, "lost", status="failed", nfe=np.nan, vjp=np.nan)
    crafted.task("p", 0, "untold", {"sw1": 3.0}, nfe=np.nan, vjp=np.nan)
    board = board_of(crafted, Budget(max_work=400))
    assert list(board["label"]) == ["exact", "prior", "floor-a", "good", "bad", "lost"]  # like-good costs 400 + 300
    assert ranks(board) == {"floor-a": (1, 1), "good": (2, 2), "bad": (3, 3)}
    assert set(board["left_out"]) == {"Beyond the budget: floor-b, like-good. Of unknown cost (not counted): untold."}
    assert list(board_of(crafted, Budget(max_work=200))["label"])[-3:-1] == ["good", "bad"]  # the limit is within


def test_a_budget_hides_no_failure(crafted: Any) -> None:
    """Fails all tasks of q, some of r that it leaves for its cost: on p alone it would look better than 'good'."""
    for problem in ("q", "r"):
        for instance in range(M):
            crafted.floor(problem, instance, "sw1", [1.0])
        add(crafted, "prior", 40 * DIFFICULTY, problem, nfe=0.0)
        add(crafted, "good", 4 + DIFFICULTY, problem, nfe=200.0)
    add(crafted, "frail", 2 + DIFFICULTY, nfe=200.0)
    for instance in range(M):
        crafted.task("q", instance, "frail", status="failed", nfe=np.nan, vjp=np.nan)
        crafted.task("q", instance, "bad", status="skipped", nfe=np.nan, vjp=np.nan)
    add(crafted, "frail", 2 + DIFFICULTY[:13], "r", nfe=900.0)
    for instance in range(13, M):
        crafted.task("r", instance, "frail", status="failed", nfe=np.nan, vjp=np.nan)
    board = board_of(crafted, Budget(max_work=400))
    assert ranks(board[board["problem"] == "q"]) == {"good": (1, 1), "frail": (2, 2)}
    rows = summary(board)
    assert list(rows["label"])[-4:] == ["good", "frail", "floor-a", "bad"]  # by problems, then by rank
    rows = rows.set_index("label")
    assert rows.loc["frail", ["problems", "tasks_failed", "tasks_skipped", "tasks_total"]].tolist() == [2, 19, 0, 48]
    assert rows.loc["bad", ["problems", "tasks_failed", "tasks_skipped", "tasks_total"]].tolist() == [1, 0, 16, 32]
    prior, own = 40 * DIFFICULTY.mean(), 2 + DIFFICULTY.mean()
    assert rows.loc["frail", "geometric_mean"] == pytest.approx((prior * own) ** 0.5)
    text, out = markdown(board, {}, Budget(max_work=400)), io.StringIO()
    print_tables(board, Console(file=out, width=150))
    for words in ("| `good` | 3 | 0 |", "| `frail` | 2 of 3 | 0 |", "| 19/48 |", "cells without an ok task, whose"):
        assert words in text
    assert re.search(r"frail +2 of 3 .* 19/48", out.getvalue())


def test_a_budget_of_seconds_counts_training(fake_run: Any) -> None:
    add(fake_run, "quick", np.ones(2), seconds_sample=0.2)  # of 100 samples: 2 s per 1000
    add(fake_run, "trained", np.ones(2), seconds_sample=0.1, seconds_train=1.5)
    add(fake_run, "slow", np.ones(2), seconds_sample=0.3, nfe=1.0)
    assert set(board_of(fake_run, Budget(max_seconds=2.4))["label"]) == {"quick"}
    assert set(board_of(fake_run, Budget(max_seconds=2.6))["label"]) == {"quick", "trained"}
    assert set(board_of(fake_run, Budget(max_work=1, max_seconds=3.1))["label"]) == {"slow"}


def test_cut_tables_are_files_of_their_own(crafted: Any) -> None:
    path = crafted.write()
    written = reports.write_report(path, Budget(400.0, 1e4))
    assert [file.name for file in written] == [
        f"leaderboard-work-400-seconds-10000.{kind}" for kind in ("csv", "md", "tex")
    ]
    assert not (path / "leaderboard.csv").exists()
    assert set(pd.read_csv(written[0])["label"]) == {"exact", "prior", "floor-a", "good", "bad"}
    words = (
        "at most 400 denoiser evaluations + backward passes per sample (nfe + vjp) and at most 10000 seconds per 1000"
    )
    for file in written[1:]:
        assert words in file.read_text()
        assert "Beyond the budget: floor-b, like-good." in file.read_text()
    out = io.StringIO()
    reports.print_leaderboard(path, Console(file=out, width=150), Budget(400.0))
    assert "only cells of at most 400 denoiser" in " ".join(out.getvalue().split())
    assert "like-good " not in out.getvalue()


@pytest.mark.parametrize("limits", [(-1.0, None), (float("nan"), None), (None, float("inf")), (None, -0.5)])
def test_budgets_that_are_none_are_refused(limits: tuple[float | None, float | None]) -> None:
    with pytest.raises(RunError, match=r"takes a finite number that is not negative, got") as caught:
        Budget(*limits)
    assert ("--max-work" in str(caught.value)) == (limits[0] is not None)


def test_a_budget_without_a_cell_is_refused(crafted: Any) -> None:
    with pytest.raises(RunError, match="no cell costs at most 1e-06 seconds per 1000"):
        board_of(crafted, Budget(max_seconds=1e-6))


def gates(run: Any, *rows: tuple[str, str, bool, str]) -> None:
    table = pd.DataFrame(rows, columns=["problem", "metric", "believed", "reason"])
    table.assign(fault="tilt", size=0.1).to_parquet(Path(run.path) / "gates.parquet")


def test_values_that_are_not_believed_are_marked_with_the_reason(crafted: Any) -> None:
    for instance in range(M):
        crafted.task("q", instance, "good", {"sw1": 2.0, "z_std": 1.5, "w1": 0.25})
        crafted.task("p", instance, "other", {"sw1": 50.0, "z_std": 1.25, "w1": 0.75})
    doubt = "it does not find a std that is halved"
    gates(crafted, ("p", "z_std", False, doubt), ("q", "z_std", True, ""), ("q", "w1", True, ""))
    board = board_of(crafted)
    rows = board.set_index(["problem", "label"])
    assert list(rows["z_std_believed"].loc["q"]) == [True]
    assert set(rows["z_std_believed"].loc["p"]) == {False}
    assert rows["w1_believed"].loc["p", "other"] is None
    assert rows["z_std_doubt"].loc["p", "other"] == doubt
    assert "w1_doubt" not in board
    text, paper, out = markdown(board, {}), latex(board, {}), io.StringIO()
    reports.print_leaderboard(crafted.path, Console(file=out, width=150, force_terminal=True))
    assert "| (1.25 ± 0.00) |" in text
    assert "| 1.50 ± 0.00 |" in text
    assert f"Not believed here (in parentheses): z-std: {doubt}." in text
    assert r"\doubted{1.25" in paper
    assert r"\doubted{1.5" not in paper
    assert r"\doubted{---}" not in paper
    assert f"Not believed here (in parentheses): z-std: {doubt}." in paper
    assert "\x1b[2m(1.25)\x1b[0m" in out.getvalue()
    assert ranks(board[board["problem"] == "p"])["good"] == (3, 4)  # SW1 is believed


def test_no_ranks_and_no_floor_where_sw1_is_not_believed(crafted: Any) -> None:
    for instance in range(M):
        crafted.task("q", instance, "good", {"sw1": 2.0})
        crafted.task("q", instance, "poor", {"sw1": 3.0})
        crafted.floor("q", instance, "sw1", [1.0])
    gates(crafted, ("p", "sw1", True, ""), ("p", "sw1", False, "too few samples"), ("q", "sw1", True, ""))
    board = board_of(crafted)
    assert ranks(board) == {"good": (1, 1), "poor": (2, 2)}
    assert set(board.loc[board["problem"] == "p", "no_order"]) == {"SW1 is not believed here: too few samples"}
    assert not board["at_floor"].any()
    rows = summary(board).set_index("label")
    assert rows.loc["good", "geometric_mean"] == pytest.approx(2.0)
    assert np.isnan(rows.loc["bad", "geometric_mean"])
    assert "SW1 / floor95: too few samples" in markdown(board, {})


def test_torn_gates_are_told(crafted: Any) -> None:
    path = crafted.write()
    (path / "gates.parquet").write_bytes(b"torn")
    with pytest.raises(RunError, match=r"gates\.parquet cannot be read"):
        reports.leaderboard(path)


def test_what_a_row_is_stands_behind_its_label(crafted: Any) -> None:
    """A dagger for what is given the posterior, a double one for what estimates one signal, in every table."""
    directory = crafted.write()
    info = json.loads((directory / "run.json").read_text())
    (directory / "run.json").write_text(json.dumps(info | {"methods": {"bad": {"point": True}, "good": {}}}))
    board = reports.leaderboard(directory)
    marks = dict(zip(board["label"], board["mark"], strict=True))
    assert {label: mark for label, mark in marks.items() if mark} == {"exact": "†", "bad": "‡"}
    assert {label for label, rank in zip(board["label"], board["rank"], strict=True) if np.isnan(rank)} >= {"bad"}
    assert not {label for label, rank in zip(board["label"], board["rank"], strict=True) if rank > 0} & {"bad", "exact"}
    assert "`bad` ‡ |" in markdown(board, {})
    assert r"bad \ddag{} &" in latex(board, {})
    out = io.StringIO()
    print_tables(board, Console(file=out, width=200))
    assert "bad ‡" in out.getvalue()
    assert "good ‡" not in out.getvalue()
