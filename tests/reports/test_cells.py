"""Means, standard errors, floors and ranks of a table small enough to compute by hand."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

import reports
from reports.cells import COMBINATIONS, quantile95_of_means
from reports.ranking import problem_key, ranked, summary
from reports.run import RunError, read_run

# Floor draws of two instances; their 15 means, sorted, end in 3.5, 4.0, 4.5.
DRAWS = [1.0, 2.0, 4.0], [1.0, 2.0, 3.0, 4.0, 5.0]
CENTER = (7 / 3 + 3) / 2


def stretched(quantile: float, center: float = CENTER, draws: int = 3) -> float:
    return center + ((draws + 1) / (draws - 1)) ** 0.5 * (quantile - center)


FLOOR = stretched(4.15)  # 0.95 * 14 = 13.3: 4 + .3 * .5
FLOOR_OF_TWO_REPEATS = stretched(3.75)  # of the means of two draws


@pytest.fixture
def board(fake_run: Any) -> pd.DataFrame:
    """One problem, two instances: exact, prior, and methods at floor, above it, failing in part, and failing."""
    for instance, draws in enumerate(DRAWS):
        fake_run.floor("p", instance, "sw1", draws)
    fake_run.task("p", 0, "exact", {"sw1": 2.0})
    fake_run.task("p", 1, "exact", {"sw1": 3.0})
    fake_run.task("p", 0, "prior", {"sw1": 30.0})
    fake_run.task("p", 1, "prior", {"sw1": 50.0})
    for repeat, values in enumerate([(1.0, 5.0), (3.0, 5.5)]):  # instance means 2 and 5.25
        for instance, value in enumerate(values):
            work = {"nfe": 10.0 + 4 * repeat, "vjp": 3.0, "seconds_sample": 1.0 + 2 * instance + 4 * repeat}
            told = {"peak_bytes": (1 + instance) * 2**20, "repeat": repeat, **work}
            metrics = {"sw1": value, "z_std": value + 0.5, "coverage90_range": -0.1 * value}
            fake_run.task("p", instance, "good", metrics, seconds_compile=3.0 - instance, **told)
    fake_run.task("p", 0, "good[two]", {"sw1": 4.0})
    fake_run.task("p", 1, "good[two]", {"sw1": 4.2})
    fake_run.task("p", 0, "bad", {"sw1": 9.0})
    fake_run.task("p", 1, "bad", {"sw1": 7.0})
    fake_run.task("p", 0, "half", {"sw1": 1.0})
    fake_run.task("p", 1, "half", status="timeout", reason="took 9 s")
    fake_run.task("p", 0, "lost", status="failed", reason="ValueError")
    fake_run.task("p", 1, "lost", status="out_of_memory", reason="")
    fake_run.task("p", 0, "lost2", {"sw1": np.nan, "nonfinite": 0.5}, status="diverged", reason="nan")
    fake_run.task("p", 1, "lost2", {"sw1": np.nan, "nonfinite": 0.5}, reason="")
    fake_run.task("p", 0, "absent", status="skipped", reason="needs svd")
    fake_run.task("p", 1, "absent", status="skipped", reason="needs svd")
    return reports.leaderboard(fake_run.write())


def cell(board: pd.DataFrame, label: str) -> pd.Series:
    rows = board[board["label"] == label]
    assert len(rows) == 1
    return rows.iloc[0]


def test_the_floor_of_a_cell_is_the_quantile_of_the_means_over_its_instances(board: pd.DataFrame) -> None:
    assert np.quantile([(a + b) / 2 for a in DRAWS[0] for b in DRAWS[1]], 0.95) == pytest.approx(4.15)
    assert cell(board, "good[two]")["sw1_floor95"] == pytest.approx(FLOOR)
    assert cell(board, "good")["sw1_floor95"] == pytest.approx(FLOOR_OF_TWO_REPEATS)
    pairs = [[(a + b) / 2 for a in draws for b in draws] for draws in DRAWS]
    assert np.quantile([(a + b) / 2 for a in pairs[0] for b in pairs[1]], 0.95) == 3.75


def test_means_over_repeats_then_instances(board: pd.DataFrame) -> None:
    good = cell(board, "good")
    assert good["sw1"] == pytest.approx((2.0 + 5.25) / 2)
    assert good["sw1_stderr"] == pytest.approx((5.25 - 2.0) / 2)  # the std of two values over the root of two
    assert good["sw1_over_floor95"] == pytest.approx(3.625 / FLOOR_OF_TWO_REPEATS)
    assert good["sw1_over_floor95_stderr"] == pytest.approx(1.625 / FLOOR_OF_TWO_REPEATS)
    assert good["sw1_over_floor95_valid"] == good["sw1_over_floor95"]
    z_squared = np.array([(1.5**2 + 3.5**2) / 2, (5.5**2 + 6.0**2) / 2])  # of the two instances
    assert good["z_std"] == pytest.approx(z_squared.mean() ** 0.5)
    assert good["z_std_stderr"] == pytest.approx((z_squared[1] - z_squared[0]) / 2 / (2 * z_squared.mean() ** 0.5))
    assert good["coverage90_range"] == pytest.approx(-0.3625)
    assert (good["nfe"], good["vjp"], good["work"]) == (12.0, 3.0, 15.0)
    assert good["seconds_sample"] == pytest.approx(4.0)
    assert good["seconds_per_1000"] == pytest.approx(40.0)  # n is 100
    assert (good["seconds_compile"], good["peak_mib"]) == (3.0, 2.0)
    assert (good["instances"], good["repeats"], good["tasks_ok"], good["tasks_total"]) == (2, 2, 4, 4)


def test_instances_count_alike_however_often_they_were_repeated(fake_run: Any) -> None:
    for repeat in range(3):
        fake_run.task("p", 0, "some", {"sw1": 1.0}, repeat=repeat)
    fake_run.task("p", 1, "some", {"sw1": 5.0})
    assert cell(reports.leaderboard(fake_run.write()), "some")["sw1"] == 3.0


def test_rows_stand_in_the_order_of_their_means(board: pd.DataFrame) -> None:
    """3.625 and 4.1 are both at floor; half has (1 + 50) / 2, the prior's value for the instance that failed."""
    labels = ["exact", "prior", "good", "good[two]", "bad", "half", "lost", "lost2", "absent"]
    assert list(board["label"]) == labels


def test_failures_count_as_the_prior_and_never_vanish(board: pd.DataFrame) -> None:
    half, lost = cell(board, "half"), cell(board, "lost")
    assert half["sw1_over_floor95"] == pytest.approx((1.0 + 50.0) / 2 / FLOOR)
    assert half["sw1_over_floor95_valid"] == pytest.approx(1.0 / stretched(np.quantile(DRAWS[0], 0.95), 7 / 3))
    assert not half["at_floor"]
    assert (half["status"], half["failures"], half["reason"]) == ("partial", "1 timeout", "took 9 s")
    assert (half["tasks_ok"], half["tasks_failed"]) == (1, 1)
    assert np.isnan(half["sw1_stderr"])
    assert lost["sw1_over_floor95"] == cell(board, "prior")["sw1_over_floor95"] == pytest.approx(40.0 / FLOOR)
    assert (lost["tasks_ok"], lost["tasks_failed"], lost["reason"]) == (0, 2, "ValueError")
    assert lost["failures"] == "1 failed, 1 out of memory"
    assert np.isnan(lost["sw1"])
    assert np.isnan(lost["nfe"])


def test_an_ok_task_without_a_value_is_a_failure(board: pd.DataFrame) -> None:
    lost = cell(board, "lost2")
    assert (lost["tasks_ok"], lost["tasks_failed"], lost["failures"]) == (0, 2, "1 diverged, 1 no value")


def test_skips_are_no_failures(board: pd.DataFrame) -> None:
    absent = cell(board, "absent")
    assert (absent["status"], absent["tasks_failed"], absent["tasks_skipped"]) == ("skipped", 0, 2)
    assert absent["reason"] == "needs svd"
    assert np.isnan(absent["sw1_over_floor95"])


def test_exactly_at_the_floor_is_at_floor(fake_run: Any) -> None:
    fake_run.floor("p", 0, "sw1", [0.5] * 20)
    fake_run.task("p", 0, "on", {"sw1": 0.5})
    fake_run.task("p", 0, "above", {"sw1": 0.5001})
    board = reports.leaderboard(fake_run.write())
    assert [cell(board, label)["at_floor"] for label in ("on", "above")] == [True, False]
    assert np.isnan(cell(board, "on")["sw1_stderr"])  # one instance


def test_floors_belong_to_the_instances_and_the_n_of_the_cell(fake_run: Any) -> None:
    fake_run.floor("p", 0, "sw1", [1.0, 2.0])
    fake_run.floor("p", 1, "sw1", [5.0, 6.0])
    fake_run.floor("p", 1, "sw1", [50.0, 60.0], n=7)
    fake_run.floor("q", 1, "sw1", [0.1, 0.2])
    fake_run.task("p", 0, "both", {"sw1": 1.0})
    fake_run.task("p", 1, "both", {"sw1": 1.0})
    fake_run.task("p", 1, "one", {"sw1": 1.0})
    fake_run.task("p", 1, "few", {"sw1": 1.0}, n=7)
    fake_run.task("p", 1, "none", {"sw1": 1.0}, n=8)
    board = reports.leaderboard(fake_run.write())
    found = [cell(board, label)["sw1_floor95"] for label in ("both", "one", "few", "none")]
    both = np.quantile([3.0, 3.5, 3.5, 4.0], 0.95)
    expected = [*(stretched(*pair, draws=2) for pair in ((both, 3.5), (5.95, 5.5), (59.5, 55.0))), np.nan]
    assert found == pytest.approx(expected, nan_ok=True)


def test_without_floors_sw1_itself_gives_the_order(fake_run: Any) -> None:
    for label, value in (("worse", 3.0), ("better", 2.0), ("as-good", 2.0)):
        fake_run.task("p", 0, label, {"sw1": value})
    fake_run.task("p", 0, "lost", status="failed")
    board = reports.leaderboard(fake_run.write())
    assert list(board["label"]) == ["as-good", "better", "worse", "lost"]
    assert not board["at_floor"].any()


def test_a_partial_failure_that_no_prior_can_value_stands_last(fake_run: Any) -> None:
    for instance in (0, 1):
        fake_run.floor("p", instance, "sw1", [1.0, 2.0])
        fake_run.task("p", instance, "bad", {"sw1": 99.0})
    fake_run.task("p", 0, "half", {"sw1": 0.1})
    fake_run.task("p", 1, "half", status="failed")
    assert list(reports.leaderboard(fake_run.write())["label"]) == ["bad", "half"]


def test_a_metric_that_is_nan_in_one_task_is_nan_in_its_cell(fake_run: Any) -> None:
    fake_run.task("p", 0, "some", {"sw1": 1.0, "z_std": 2.0})
    fake_run.task("p", 1, "some", {"sw1": 1.0, "z_std": np.nan})
    assert np.isnan(cell(reports.leaderboard(fake_run.write()), "some")["z_std"])


def test_work_that_was_not_counted_once_is_not_averaged_without_it(fake_run: Any) -> None:
    fake_run.task("p", 0, "some", {"sw1": 1.0}, nfe=10.0)
    fake_run.task("p", 1, "some", {"sw1": 1.0}, nfe=np.nan)
    assert np.isnan(cell(reports.leaderboard(fake_run.write()), "some")["nfe"])


def test_a_failure_is_never_at_floor(fake_run: Any) -> None:
    """Even where the prior, whose value it counts as, is."""
    for instance in (0, 1):
        fake_run.floor("p", instance, "sw1", [1.0, 2.0])
        fake_run.task("p", instance, "prior", {"sw1": 0.5})
        fake_run.task("p", instance, "good", {"sw1": 0.5})
    fake_run.task("p", 0, "half", {"sw1": 0.5})
    fake_run.task("p", 1, "half", status="failed")
    board = reports.leaderboard(fake_run.write())
    half = cell(board, "half")
    assert half["sw1_over_floor95"] < 1
    assert (half["at_floor"], cell(board, "good")["at_floor"]) == (False, True)


def test_every_distance_has_a_floor_of_its_own(fake_run: Any) -> None:
    """Over the tasks that are ok, while that of the headline is over all that were tried."""
    for instance in (0, 1):
        for metric, draw in {"sw1": 1.0, "w1": 20.0, "mode_tv": 0.3}.items():
            fake_run.floor("p", instance, metric, [draw + instance])
    fake_run.task("p", 0, "some", {"sw1": 1.0, "w1": 2.0, "mode_tv": 0.1})
    fake_run.task("p", 1, "some", status="failed")
    row = cell(reports.leaderboard(fake_run.write()), "some")
    assert (row["sw1_floor95"], row["w1_floor95"], row["mode_tv_floor95"]) == (1.0, 20.0, 0.3)


def test_cells_without_one_of_the_common_instances_stand_below_the_others(fake_run: Any) -> None:
    for instance in (0, 1):
        fake_run.floor("p", instance, "sw1", [1.0, 2.0])
        fake_run.task("p", instance, "exact", {"sw1": 1.0})
        fake_run.task("p", instance, "many", {"sw1": 5.0})
        fake_run.task("p", instance, "more", {"sw1": 9.0})
        fake_run.task("p", instance, "most", {"sw1": 7.0})
    fake_run.task("p", 0, "better", {"sw1": 2.5})
    fake_run.task("p", 0, "best", {"sw1": 0.1})
    fake_run.task("p", 0, "absent", status="skipped", reason="needs svd")
    board = reports.leaderboard(fake_run.write())
    assert list(board["label"]) == ["exact", "many", "most", "more", "best", "better", "absent"]
    assert list(board["instances"]) == [2, 2, 2, 2, 1, 1, 0]


def test_two_frameworks_are_two_rows(fake_run: Any) -> None:
    fake_run.task("p", 0, "dps", {"sw1": 1.0}, framework="jax")
    fake_run.task("p", 0, "dps", {"sw1": 2.0}, framework="torch")
    fake_run.task("p", 0, "dps[paper]", {"sw1": 2.0}, framework="torch")
    assert set(reports.leaderboard(fake_run.write())["label"]) == {"dps (jax)", "dps (torch)", "dps[paper]"}


def test_many_combinations_are_sampled_and_few_are_all_taken() -> None:
    few = [np.array([0.0, 1.0]), np.array([0.0, 10.0])]
    assert quantile95_of_means(few, [1, 1]) == pytest.approx(
        stretched(np.quantile([0.0, 0.5, 5.0, 5.5], 0.95), 2.75, 2)
    )
    rng = np.random.default_rng(3)
    many = [rng.normal(2.0, 1.0, 20) for _ in range(9)]
    assert COMBINATIONS < 20.0**9
    spread = (21 / 19) ** 0.5 * np.sqrt(sum(values.var() for values in many)) / 9
    expected = np.mean(many) + 1.645 * spread  # nine means are nearly normal
    assert quantile95_of_means(many, [1] * 9) == pytest.approx(expected, abs=0.1 * spread)
    assert quantile95_of_means(many, [1] * 9) == quantile95_of_means(many, [1] * 9)
    of_four = np.mean(many) + 1.645 * spread / 2
    assert quantile95_of_means(many, [4] * 9) == pytest.approx(of_four, abs=0.1 * spread)


def test_summary(fake_run: Any) -> None:
    ratios = {"a": (2.0, 8.0), "b": (1.5, 32.0), "prior": (10.0, 40.0)}
    for problem, (name, scale) in enumerate((("p", 1.0), ("q", 0.5))):
        fake_run.floor(name, 0, "sw1", [scale] * 20)
        for label, values in ratios.items():
            fake_run.task(name, 0, label, {"sw1": scale * values[problem]})
    fake_run.task("p", 0, "c", {"sw1": 1.0})
    fake_run.task("q", 0, "c", status="skipped")
    fake_run.task("p", 0, "d", {"sw1": 0.5})
    fake_run.task("q", 0, "d", status="failed")
    table = summary(reports.leaderboard(fake_run.write())).set_index("label")
    assert list(table.index) == ["prior", "a", "d", "b", "c"]  # by problems covered, then by geometric mean
    assert table.loc["a", "geometric_mean"] == pytest.approx(4.0)
    assert table.loc["b", "geometric_mean"] == pytest.approx(np.sqrt(1.5 * 32))
    assert table.loc["d", "geometric_mean"] == pytest.approx(np.sqrt(0.5 * 40))  # the failure as the prior
    assert np.isnan(table.loc["d", "geometric_mean_valid"])  # no value on one of its problems
    assert table["mean_rank"].isna().all()
    assert table["geometric_mean_low"].isna().all()  # one instance each
    assert list(table["problems"]) == [2, 2, 2, 2, 1]
    assert list(table["problems_at_floor"]) == [0, 0, 1, 0, 1]
    assert list(table["tasks_failed"]) == [0, 0, 1, 0, 0]
    assert list(table["tasks_skipped"]) == [0, 0, 0, 0, 1]


def test_problems_are_sorted_by_family_and_number() -> None:
    names = ["zebra", "digits-blur", "gmm25-80-1", "gmm25-8-2", "seed2d", "gmm25-8-10", "linear-gaussian-16", "an-own"]
    expected = [
        "seed2d",
        "linear-gaussian-16",
        "gmm25-8-2",
        "gmm25-8-10",
        "gmm25-80-1",
        "digits-blur",
        "an-own",
        "zebra",
    ]
    assert sorted(names, key=problem_key) == expected


def test_every_invented_cell_is_in_the_leaderboard(invented: Any) -> None:
    run = read_run(invented)
    board = ranked(run)
    assert len(board) == len(run.results.drop_duplicates(["problem", "config"])) == 3 * 32
    assert list(board["problem"].unique()) == ["seed2d", "gmm25-80-2", "digits-inpaint"]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("run.json", None, "no run.json"),
        ("results.parquet", None, "no results.parquet"),
        ("run.json", b"{", "torn"),
        ("run.json", b"[]", "torn"),
        ("run.json", json.dumps({"schema": 2}).encode(), "schema 2; this version reads schema 1"),
        ("results.parquet", b"PAR1 torn", "cannot be read"),
        ("floors.parquet", b"torn", "cannot be read"),
    ],
)
def test_directories_that_cannot_be_read_are_refused_in_one_sentence(
    fake_run: Any, name: str, content: bytes | None, words: str
) -> None:
    fake_run.task("p", 0, "some", {"sw1": 1.0})
    path = fake_run.write()
    (path / name).unlink()
    if content is not None:
        (path / name).write_bytes(content)
    with pytest.raises(RunError, match=words) as caught:
        reports.leaderboard(path)
    assert "\n" not in str(caught.value)


def test_a_table_with_other_columns_is_refused(fake_run: Any) -> None:
    fake_run.task("p", 0, "some", {"sw1": 1.0})
    path = fake_run.write()
    pd.read_parquet(path / "results.parquet").drop(columns=["status", "nfe"]).to_parquet(path / "results.parquet")
    with pytest.raises(RunError, match="lacks the columns status, nfe"):
        reports.leaderboard(path)


def test_missing_floors_are_no_error(fake_run: Any) -> None:
    fake_run.task("p", 0, "some", {"sw1": 1.0})
    path = fake_run.write()
    (path / "floors.parquet").unlink()
    assert np.isnan(cell(reports.leaderboard(path), "some")["sw1_over_floor95"])


def test_decibels_are_those_of_the_mean_squared_error(fake_run: Any) -> None:
    """A sampler that gains 3 dB on the exact mean once and loses 1.8 dB has the larger error on average."""
    errors, exact = np.array([0.01, 0.09]), np.array([0.02, 0.06])
    one_sample = 1.5 * errors + 0.01
    for instance in (0, 1):
        decibels = {
            "psnr_mean_db": -10 * np.log10(errors[instance]),
            "psnr_sample_db": -10 * np.log10(one_sample[instance]),
            "psnr_gain_db": 10 * np.log10(one_sample[instance] / errors[instance]),
            "mmse_gap_db": 10 * np.log10(errors[instance] / exact[instance]),
        }
        fake_run.task("p", instance, "some", {"sw1": 1.0, **decibels})
    row = cell(reports.leaderboard(fake_run.write()), "some")
    decibel = 10 / np.log(10)
    assert row["psnr_mean_db"] == pytest.approx(-10 * np.log10(0.05))
    assert row["psnr_mean_db_stderr"] == pytest.approx(decibel * 0.04 / 0.05)
    assert row["psnr_gain_db"] == pytest.approx(10 * np.log10(0.085 / 0.05))
    assert row["psnr_gain_db_stderr"] == pytest.approx(decibel * (0.025 / 0.085 - 0.01 / 0.05))  # and minus that
    assert row["mmse_gap_db"] == pytest.approx(10 * np.log10(0.05 / 0.04))
    assert row["mmse_gap_db_stderr"] == pytest.approx(decibel * (0.02 / 0.04 - 0.01 / 0.05))
