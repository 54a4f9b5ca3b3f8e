"""What is written for the page: numbers, commands, pictures, findings; and what happens when files are missing."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pandas as pd
import pytest

import reports
from reports.page import write_page
from reports.page.encode import plain, table
from reports.page.findings import aggregates, findings, headline
from reports.page.pictures import copy_pictures
from reports.page.repeat import command, parts
from reports.page.verdicts import calibrated, passing
from reports.run import read_run
from tests.reports.conftest import FakeRun

NOTHING: frozenset[str] = frozenset()


def read(text: str) -> Any:
    return json.loads(text)


def test_tables_keep_five_digits_and_say_what_is_missing() -> None:
    frame = pd.DataFrame({"a": [1.2345678, np.nan, -np.inf], "b": [12345678, 2, 3], "c": ["x", None, "x"]})
    frame = frame.assign(d=[True, False, True], e=[123456.7, 1.5e-7, 0.0])
    told = read(table(frame))
    assert told["a"] == [1.2346, None, -np.inf]
    assert told["b"] == [12345678, 2, 3]
    assert told["c"] == {"words": ["x", ""], "at": [0, 1, 0]}
    assert told["d"] == [1, 0, 1]
    assert told["e"] == [123460.0, 1.5e-7, 0.0]


def test_numbers_at_the_ends_of_their_range_are_kept() -> None:
    told = read(
        table(pd.DataFrame({"whole": [1e30, -(2.0**60)], "small": [1e-310, 1.234567], "even": [2.0**53 - 1, 0]}))
    )
    assert told == {"whole": [1e30, -(2.0**60)], "small": [1e-310, 1.2346], "even": [2**53 - 1, 0]}


def test_values_of_numpy_are_those_of_python() -> None:
    told = read(plain({"no": np.bool_(False), "yes": np.bool_(True), "three": np.int64(3), "half": np.float32(0.5)}))
    assert told == {"no": False, "yes": True, "three": 3, "half": 0.5}
    assert [type(one) for one in told.values()] == [bool, bool, int, float]


def test_words_in_texts_are_no_numbers() -> None:
    text = plain({"NaN": [float("nan"), 'NaN "Infinity" \\', float("inf")]})
    assert read(text) == {"NaN": [None, 'NaN "Infinity" \\', np.inf]}
    assert "Infinity," not in text


@pytest.mark.parametrize(
    ("method", "config", "row", "overrides"),
    [
        ("dps", "dps", "dps", []),
        ("dps", "dps[paper]", "dps[paper]", []),
        ("dps", "dps[steps=9]", "dps", ["steps"]),
        ("oracle-em", "oracle-em[N(0,I)]", "oracle-em[N(0,I)]", []),
        ("oracle-pc", "oracle-pc[N(0,I),snr=0.1,steps=9]", "oracle-pc[N(0,I)]", ["snr", "steps"]),
    ],
)
def test_a_configuration_is_a_row_and_overrides(method: str, config: str, row: str, overrides: list[str]) -> None:
    assert parts(method, config) == (row, overrides)


def test_the_command_repeats_the_cell() -> None:
    cell = {"problem": "seed2d", "method": "dps", "config": "dps[paper,weight=likelihood,steps=9]", "n": 50}
    cell |= {"framework": "torch", "device": "cpu"}
    typed = ["x", "run", "--suite", "my suite.toml", "--plugin", "a.py", "--plugin=b.py"]
    told = command(
        cell, {"steps": 9, "weight": "likelihood", "scale": 2.0}, 3, {"suite": "my suite", "seed": 4, "command": typed}
    )
    assert told == (
        "posterior-bench run --suite 'my suite.toml' --plugin a.py --plugin b.py --problems seed2d"
        " --methods 'dps[paper]' --set 'dps.weight=\"likelihood\"' --set dps.steps=9"
        " --n 50 --instances 3 --framework torch --device cpu --seed 4 --out runs/again"
    )
    assert "--suite full --problems" in command(cell, {}, 3, {"suite": "full", "command": "typed by hand"})
    typed = ["x", "run", "--problems", "seed2d,folder:/my/cats", "--prior", "a.pt", "--precision=bfloat16"]
    own = command(cell | {"problem": "folder-cats-0a1b2c-denoise"}, {}, 3, {"command": typed})
    assert "--problems folder:/my/cats --methods 'dps[paper]' --prior a.pt --precision bfloat16 " in own


def test_pictures_go_to_the_problem_whose_whole_name_they_end_with(fake_run: FakeRun) -> None:
    fake_run.task("p", 0, "some", {"sw1": 1.0})
    folder = fake_run.write() / "figures"
    folder.mkdir()
    names = ("heatmap", "sheet-gmm25-8-1", "calibration-8-1", "ranks-gmm25-8-1--dps-paper")
    for name in names:
        matplotlib.image.imsave(folder / f"{name}.png", np.zeros((3, 5)))
    (folder / "torn-gmm25-8-1.png").write_bytes(b"\x89PNG")
    page = folder.parent / "page"
    page.mkdir()
    told = {one["file"]: one for one in copy_pictures(read_run(folder.parent), page, ["8-1", "gmm25-8-1"])}
    assert {name: one["problem"] for name, one in told.items()} == {
        "heatmap.png": "",
        "sheet-gmm25-8-1.png": "gmm25-8-1",
        "calibration-8-1.png": "8-1",
        "ranks-gmm25-8-1--dps-paper.png": "gmm25-8-1",
    }
    assert (told["heatmap.png"]["width"], told["heatmap.png"]["height"]) == (5, 3)
    assert {path.name for path in (page / "figures").iterdir()} == set(told)


def board_of(fake_run: FakeRun) -> pd.DataFrame:
    return reports.leaderboard(fake_run.write())


def simple(fake_run: FakeRun, ratios: dict[str, dict[str, float]], **more: float) -> pd.DataFrame:
    """A leaderboard with these ratios to the floor, label -> problem -> ratio."""
    for label, by_problem in ratios.items():
        for problem, ratio in by_problem.items():
            for instance in (0, 1):
                fake_run.task(problem, instance, label, {"sw1": ratio * 0.5, **more})
                fake_run.floor(problem, instance, "sw1", [0.5, 0.5])
    return board_of(fake_run)


def test_aggregates_are_geometric_means_over_the_problems_that_count(fake_run: FakeRun) -> None:
    board = simple(fake_run, {"a": {"p": 2.0, "q": 8.0, "r": 100.0}, "b": {"p": 0.9}}, coverage90_range=-0.2, z_std=2.0)
    totals = aggregates(board, frozenset({"q"}), frozenset({"r"})).set_index("label")
    assert totals.loc["a", "mean"] == pytest.approx(4.0)
    assert totals.loc["b", "mean"] == pytest.approx(0.9)
    assert list(totals.index) == ["a", "b"]  # tried on more problems first
    assert (totals.loc["a", "lowest"], totals.loc["a", "highest"]) == pytest.approx((2.0, 100.0))
    assert list(totals["at_floor"]) == [0, 1]
    assert totals.loc["a", "coverage90"] == pytest.approx(-0.2)
    assert totals.loc["a", "z_std"] == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("ratios", "words"),
    [
        ({"a": {"p": 2.0, "q": 3.0}}, "None of 1 sampler reaches the exact posterior on any of 2 problems."),
        ({"a": {"p": 0.9, "q": 0.8}}, "a is at the floor on every problem."),
        ({"a": {"p": 0.9, "q": 3.0}, "b": {"p": 3.0, "q": 3.0}}, "a comes closest, on 1 of 2 problems."),
        ({"exact": {"p": 0.9}}, "there is no sampler to judge"),
    ],
)
def test_the_headline_says_who_is_at_the_floor(fake_run: FakeRun, ratios: Any, words: str) -> None:
    board = simple(fake_run, ratios)
    assert words in headline(aggregates(board, NOTHING, NOTHING), board["problem"].nunique())


def test_findings_count_what_the_leaderboard_has(fake_run: FakeRun) -> None:
    ratios = {
        "a": {"p": 0.9, "q": 4.0},
        "b": {"p": 9.0, "q": 16.0},
        "exact": {"p": 0.8, "q": 0.8},
        "prior": {"p": 30.0, "q": 30.0},
    }
    for label, error in (("a", 0.0), ("b", -0.4), ("exact", 0.0)):
        for problem in ("p", "q"):
            for instance in (0, 1):
                value = {"coverage90_range": error + 0.1 * (instance - 0.5), "mode_tv": 0.25}
                fake_run.task(problem, instance, label, {"sw1": 0.5 * ratios[label][problem], **value})
                fake_run.floor(problem, instance, "sw1", [0.5, 0.5])
    board = simple(fake_run, {"prior": ratios["prior"]})
    told = {one.heading: one for one in findings(board, aggregates(board, NOTHING, NOTHING), NOTHING, NOTHING)}
    assert told["At the floor"].figure == "1 of 4 cells"
    assert (
        "are not above the 95\u00a0% quantile of what exact samples score: a (1). Exact sampling itself: 2 of 2"
        in told["At the floor"].sentence
    )
    assert told["Above it"].figure.startswith("1.9 ")
    assert "ignores the data, at 30" in told["Above it"].sentence
    assert told["Why it matters: error bars"].figure == "50\u00a0%"
    assert "Exact samples: 0\u00a0%" in told["Why it matters: error bars"].sentence
    assert told["Why it matters: hypotheses"].figure == "25\u00a0%"
    doubted = frozenset({"q"})
    greyed = board.assign(at_floor=board["at_floor"] & (board["problem"] != "q"))
    told = {one.heading: one for one in findings(greyed, aggregates(greyed, NOTHING, doubted), NOTHING, doubted)}
    assert "itself: 1 of 1 where SW1 is believed (1 are left out)" in told["At the floor"].sentence


def verdicts_of(*rows: tuple[str, str, str]) -> pd.DataFrame:
    """Rows of calibration.parquet: (problem, config, verdict)."""
    table = pd.DataFrame(rows, columns=["problem", "config", "verdict"])
    return table.assign(method=table["config"], oracle=table["config"] == "exact", status="ok", reason="")


def test_calibrated_is_who_passes_on_every_problem_that_has_verdicts() -> None:
    rows = [(problem, config, "pass") for problem in ("p", "q", "r") for config in ("a", "exact", "prior")]
    rows += [("p", "late", "pass"), ("q", "late", "none"), ("r", "late", "none")]
    rows += [(problem, "b", "pass") for problem in ("p", "q", "r", "q")] + [("q", "b", "fail")]
    rows += [("photo", "a", "none"), ("photo", "b", "none"), ("p", "never", "none")]
    told = calibrated(verdicts_of(*rows), frozenset({"photo"}))
    assert told is not None
    assert told.figure == "1 of 3 samplers"
    assert told.sentence == (
        "pass every calibration test on all 3 problems with truths drawn from the prior; 2 of 3 have a verdict on each."
        " They are: a. No failure, but verdicts on fewer problems: late (1 of 3)."
    )
    assert passing(verdicts_of(*rows)) == {"p": (3, 3), "q": (1, 2), "r": (2, 2)}
    fewer = calibrated(verdicts_of(*rows), NOTHING)
    assert fewer is not None
    assert fewer.figure == "0 of 3 samplers"
    assert calibrated(verdicts_of(("p", "a", "none")), NOTHING) is None


def test_the_page_claims_no_more_than_was_tested() -> None:
    folder = Path(reports.__file__).parent / "page"
    text = "".join(path.read_text(encoding="utf-8") for path in folder.rglob("*.*") if path.suffix != ".pyc")
    assert "95 % quantile of what exact samples" in text
    assert re.findall(r"(?i)(?:not|cannot) be\s+(?:told|taken)\s+\w+\s+exact", text) == []
    assert not re.search(r"(?i)taken for exact", text)


def test_a_run_without_cards_gates_or_pictures_still_has_a_page(fake_run: FakeRun) -> None:
    board = simple(fake_run, {"a": {"p": 2.0}})
    shutil.rmtree(fake_run.path / "tasks")
    (fake_run.path / "gates.parquet").write_bytes(b"torn")
    index = write_page(board, read_run(fake_run.path))
    names = {path.relative_to(index.parent).as_posix() for path in index.parent.rglob("*") if path.is_file()}
    assert {"index.html", "data/board.js", "data/problem-0.js", "static/plotly.min.js", "static/page.css"} <= names
    assert "None of 1 sampler" in index.read_text()


def test_writing_again_leaves_nothing_of_the_page_before(fake_run: FakeRun) -> None:
    board = simple(fake_run, {"a": {"p": 2.0}})
    run = read_run(fake_run.path)
    stale = write_page(board, run).parent / "data" / "problem-7.js"
    stale.write_text("old")
    write_page(board, run)
    assert not stale.exists()


def test_nothing_is_loaded_from_elsewhere_or_read_as_html() -> None:
    folder = Path(reports.__file__).parent / "page"
    text = "".join(p.read_text(encoding="utf-8") for part in ("static", "templates") for p in (folder / part).iterdir())
    found = set(re.findall(r"https?://[^\s\"'`]+", text))
    assert found == {"http://www.w3.org/2000/svg", "https://arxiv.org/abs/${match[1]}"}
    assert re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\|\s*safe", text) == []


@pytest.mark.parametrize(
    ("unknown", "body", "kicker", "title"),
    [
        (("p", "q"), '<body class="no-posterior">', "2 problems (0 with a", "Errors and calibration of 2 methods on 2"),
        (("q",), "<body>", "2 problems (1 with a posterior that is known", "a is at the floor on every problem."),
        ((), "<body>", "2 problems whose posteriors are known", "comes closest, on 1 of 2 problems."),
    ],
)
def test_problems_whose_posterior_is_not_known_count_in_nothing_of_the_floor(
    fake_run: FakeRun, unknown: tuple[str, ...], body: str, kicker: str, title: str
) -> None:
    fake_run.unknown = unknown
    for problem, ratio in {"p": 0.9, "q": 4.0}.items():
        for label, factor in (("a", 1.0), ("b", 5.0)):
            for instance in (0, 1):
                sw1 = {} if problem in unknown else {"sw1": 0.5 * ratio * factor}
                fake_run.task(problem, instance, label, {"psnr_mean_db": 20.0, "coverage90_range": -0.1, **sw1})
        for instance in (0, 1):
            fake_run.floor(problem, instance, "sw1", [0.5, 0.5])
    board = board_of(fake_run)
    html = write_page(board, read_run(fake_run.path)).read_text()
    assert body in html
    assert kicker in " ".join(html.replace("<b>", "").replace("</b>", "").split())
    assert title in html
    totals = aggregates(board, NOTHING, NOTHING).set_index("label")
    assert set(totals["problems"]) == {2 - len(unknown)}
    if len(unknown) < 2:
        assert totals.loc["a", "mean"] == pytest.approx(0.9 if unknown else (0.9 * 4.0) ** 0.5)
    assert totals.loc["a", "coverage90"] == pytest.approx(-0.1)


def test_a_sampler_that_ran_only_where_nothing_is_known_is_no_missing_sampler(fake_run: FakeRun) -> None:
    fake_run.unknown = ("q",)
    fake_run.task("q", 0, "a", {"psnr_mean_db": 20.0})
    board = simple(fake_run, {"exact": {"p": 0.9}})
    told = headline(aggregates(board, NOTHING, NOTHING), 1, 1)
    assert told == "No sampler ran on a problem whose posterior is known."
