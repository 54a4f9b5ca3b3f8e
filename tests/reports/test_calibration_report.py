"""The report of a run that tested calibration: tables, words, pictures, alone and beside a leaderboard."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

import reports
import scores.simulation_based
from reports.calibration_ecdf import calibration_figures
from reports.calibration_table import (
    LEGEND,
    LEVEL,
    NO_VERDICT,
    expected_failures,
    problems_of,
    read_calibration,
    sentence,
    texts,
    verdict_of,
)
from reports.run import RunError
from reports.style import styled

N = 31
RANKED = ("coordinates", "log_likelihood", "log_prior", "hpd", "tarp")


def rows_of(problem: str, config: str, p_values: dict[str, float], verdicts: bool = True, **told: object) -> list:
    """The rows of one method: tests of ranks and coverage in range and null at two levels."""
    shared = {
        **{"problem": problem, "method": config.partition("[")[0], "config": config, "framework": "jax"},
        **{"oracle": config == "exact", "instances": 40, "n": N, "threshold": 0.001, "status": "ok", "reason": ""},
        **{"ranks_file": f"calibration/{problem}--{config}.npz", "stderr": 0.02, **told},
    }
    rows = []
    for quantity in (*RANKED, "range", "null"):
        for level in (0.5, 0.9) if quantity in ("range", "null") else (np.nan,):
            p_value = p_values.get(quantity, 0.3)
            wrong = p_value <= 0.001
            test = "coverage" if level > 0 else "tarp" if quantity == "tarp" else "sbc"
            rows.append(
                {
                    **shared,
                    **{"test": test, "quantity": quantity, "level": level, "value": -0.0712, "p_value": p_value},
                    "verdict": ("fail" if wrong else "pass") if verdicts else "none",
                    "words": (NO_VERDICT * (not verdicts) + f"{quantity} is wrong")
                    if wrong
                    else "as from an exact sampler",
                }
            )
    return rows


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run that holds calibration alone."""
    rng = np.random.default_rng(0)
    untested = {"test": "", "quantity": "", "p_value": np.nan, "verdict": "none", "words": "", "ranks_file": ""}
    rows = [
        *rows_of("seed2d", "exact", {}),
        *rows_of("seed2d", "prior", {"log_likelihood": 1e-5}),
        *rows_of("seed2d", "dps", {"tarp": 5e-4, "range": 1e-7}),
        {**rows_of("seed2d", "dps[code]", {})[0], **untested, "status": "timeout", "reason": "stopped after 3 s"},
        *rows_of("digits-inpaint", "exact", {"hpd": 1e-5, "null": 1e-5}, verdicts=False),
    ]
    table = pd.DataFrame(rows)
    (tmp_path / "calibration").mkdir()
    for name in {name for name in table["ranks_file"] if name}:
        ranks = {key: rng.integers(0, N + 1, 40).astype(np.uint8) for key in RANKED}
        ranks["coordinates"] = rng.integers(0, N + 1, (40, 3)).astype(np.uint8)
        x = np.arange(1, N + 1) / (N + 1)
        np.savez(tmp_path / name, **ranks, n=N, band_low=np.maximum(x - 0.2, 0), band_high=np.minimum(x + 0.2, 1))
    table.to_parquet(tmp_path / "calibration.parquet")
    (tmp_path / "run.json").write_text('{"schema": 1, "suite": "calibration"}')
    from tests.reports.conftest import COLUMNS

    pd.DataFrame(columns=list(COLUMNS)).to_parquet(tmp_path / "results.parquet")
    return tmp_path


def printed(run: Path, width: int = 160) -> str:
    console = Console(file=io.StringIO(), width=width)
    reports.print_leaderboard(run, console)
    return console.file.getvalue()  # type: ignore[attr-defined]


def by_label(run: Path) -> dict[tuple[str, str], pd.DataFrame]:
    table = read_calibration(run)
    assert table is not None
    return {(problem, cell["label"]): tests for problem, rows in problems_of(table) for cell, tests in rows}


def test_a_run_of_calibration_alone_gives_its_own_tables_and_pictures(run: Path) -> None:
    paths = {path.relative_to(run).as_posix() for path in reports.write_report(run)}
    problems = ("seed2d", "digits-inpaint")
    pictures = {
        f"figures/{kind}-{name}.{end}" for kind in ("ranks", "tarp") for name in problems for end in ("png", "pdf")
    }
    assert paths == {"calibration.csv", "calibration.md", "page/index.html", *pictures}
    assert all((run / path).stat().st_size > 0 for path in paths)


def test_beside_a_leaderboard_both_are_written(run: Path, invented: Path) -> None:
    for name in ("results.parquet", "floors.parquet"):
        table = pd.read_parquet(invented / name)
        table[table["problem"] == "seed2d"].to_parquet(run / name)
    names = {path.name for path in reports.write_report(run)}
    assert names >= {"leaderboard.md", "heatmap.png", "calibration.md", "tarp-seed2d.png"}
    text = printed(run)
    assert "SW1/floor95" in text
    assert "log-prior" in text


def test_without_calibration_nothing_is_said_of_it(invented: Path, tmp_path: Path) -> None:
    shutil.copytree(invented, tmp_path / "copy")
    assert read_calibration(tmp_path / "copy") is None
    assert "log-prior" not in printed(tmp_path / "copy")


@pytest.mark.parametrize(
    ("row", "verdict", "words"),
    [
        (("seed2d", "exact"), "pass", "all 9 tests as from an exact sampler"),
        (("seed2d", "prior"), "fail", "log_likelihood is wrong"),
        (("seed2d", "dps"), "fail", "tarp is wrong; range is wrong"),
        (("seed2d", "dps[code]"), "timeout", "stopped after 3 s"),
        (("digits-inpaint", "exact"), "no verdict", "hpd is wrong; null is wrong"),
    ],
)
def test_the_verdict_and_its_sentence(run: Path, row: tuple[str, str], verdict: str, words: str) -> None:
    tests = by_label(run)[row]
    assert (verdict_of(tests), sentence(tests)) == (verdict, words)


def test_the_texts_of_a_row(run: Path) -> None:
    """A coverage that fails at any level is marked, with the error at 90 %; p-values are shown."""
    found = texts(by_label(run)["seed2d", "dps"])
    assert found == {
        **{"coordinates": "✓ 0.30", "log_likelihood": "✓ 0.30", "log_prior": "✓ 0.30", "hpd": "✓ 0.30"},
        **{"tarp": "✗ 0.0005", "range": "✗ -7.1 ± 2.0", "null": "✓ -7.1 ± 2.0"},
    }
    assert texts(by_label(run)["seed2d", "dps[code]"]) == {}
    assert texts(by_label(run)["digits-inpaint", "exact"])["hpd"] == "○ < .0001"


def test_the_markdown_has_a_table_per_problem_in_the_order_of_the_leaderboard(run: Path) -> None:
    reports.write_report(run)
    text = (run / "calibration.md").read_text()
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| `")]
    assert [row[0] for row in rows] == ["| `exact` †", "| `prior`", "| `dps`", "| `dps[code]`", "| `exact` †"]
    assert text.index("## seed2d") < text.index("## digits-inpaint")
    assert "40 instances, 31 samples each; the truths are not drawn from the prior" in text
    assert text.count("misfit is shown") == 1
    assert len({len(row) for row in rows}) == 1
    assert len(pd.read_csv(run / "calibration.csv")) == 4 * 9 + 1


def test_the_terminal_is_compact(run: Path) -> None:
    """One line for each row where the words are short; a narrow terminal folds words, and drops none."""
    text = printed(run)
    line = next(line for line in text.splitlines() if line.lstrip().startswith("dps "))
    assert line.split() == ["dps", "fail", "✓", "✓", "✓", "✓", "✗", "✗", "-7.1", "✓", "-7.1", "tarp", "is", "wrong"]
    assert "dps[code]" in printed(run, width=120)


def test_two_frameworks_of_a_configuration_are_two_rows(run: Path) -> None:
    table = pd.read_parquet(run / "calibration.parquet")
    torch = table[table["config"] == "dps"].assign(framework="torch")
    pd.concat([table, torch]).to_parquet(run / "calibration.parquet")
    assert {label for _, label in by_label(run)} == {"exact", "prior", "dps (jax)", "dps (torch)", "dps[code]"}
    assert len(by_label(run)["seed2d", "dps (torch)"]) == 9


@pytest.mark.parametrize(("spoil", "said"), [(b"torn", "cannot be read"), (None, "lacks the columns verdict, words")])
def test_a_table_that_cannot_be_read_is_named(run: Path, spoil: bytes | None, said: str) -> None:
    path = run / "calibration.parquet"
    if spoil is None:
        pd.read_parquet(path).drop(columns=["words", "verdict"]).to_parquet(path)
    else:
        path.write_bytes(spoil)
    with pytest.raises(RunError, match=rf"calibration\.parquet {said}"):
        reports.write_report(run)


def test_the_curves_are_the_stored_ranks(run: Path) -> None:
    """The panel of `prior`: the share of ranks below each level, minus the level, and the stored band."""
    table = read_calibration(run)
    assert table is not None
    with styled():
        figures = dict(calibration_figures(table, run))
    assert set(figures) == {f"{kind}-{name}" for kind in ("ranks", "tarp") for name in ("seed2d", "digits-inpaint")}
    panel = figures["ranks-seed2d"].axes[1]
    assert panel.get_title(loc="left") == "prior"
    assert panel.get_title(loc="right") == "fail"
    with np.load(run / "calibration" / "seed2d--prior.npz") as stored:
        ranks = stored["log_likelihood"]
    x = np.arange(N + 2) / (N + 1)
    expected = np.array([np.mean(ranks < k) for k in range(N + 2)]) - x
    drawn = [line.get_ydata() for line in panel.get_lines() if line.get_color() == "#D55E00"]
    np.testing.assert_allclose(drawn, [expected], atol=1e-12)
    low, high = panel.get_ylim()
    assert low <= expected.min()
    assert expected.max() <= high
    assert sum(line.get_color() == "#56B4E9" for line in panel.get_lines()) == 3
    tarp = figures["tarp-seed2d"].axes
    assert [axes.get_title(loc="right") for axes in tarp] == ["pass", "pass", "fail"]
    assert figures["tarp-digits-inpaint"].axes[0].get_title(loc="right") == ""
    caption = " ".join(text.get_text() for text in figures["ranks-seed2d"].texts).replace("\n", " ")
    assert "Not tested: dps[code]." in caption


def test_a_prior_without_a_density_has_fewer_lines(run: Path) -> None:
    path = run / "calibration" / "digits-inpaint--exact.npz"
    with np.load(path) as stored:
        kept = {name: stored[name] for name in stored.files if name not in ("log_prior", "hpd")}
    np.savez(path, **kept)
    table = read_calibration(run)
    assert table is not None
    with styled():
        figures = dict(calibration_figures(table, run))
    legend = [text.get_text() for text in figures["ranks-digits-inpaint"].legends[0].get_texts()]
    assert {"coordinates", "log-likelihood", "TARP"} <= set(legend)
    assert not {"log-prior", "HPD"} & set(legend)
    assert "tarp-digits-inpaint" in figures


def test_torn_ranks_leave_their_panel_out(run: Path) -> None:
    (run / "calibration" / "seed2d--dps.npz").write_bytes(b"torn")
    table = read_calibration(run)
    assert table is not None
    with styled():
        figures = dict(calibration_figures(table, run))
    assert [axes.get_title(loc="left") for axes in figures["tarp-seed2d"].axes] == ["exact †", "prior"]


def test_it_says_how_many_rows_fail_by_chance(run: Path) -> None:
    """Of the rows with a verdict, three on seed2d; one of them exact, as that of the digits has no verdict."""
    table = read_calibration(run)
    assert table is not None
    assert expected_failures(table) == (
        "Each row has a level of its own: were all 3 rows with a verdict of exact samplers, 0.03 would fail by chance "
        "on average; of the 1 rows of `exact`, 0.01, and at least one with a probability of 1 %."
    )
    many = pd.concat([table.assign(problem=f"p{i}") for i in range(30)])
    assert "of the 30 rows of `exact`, 0.3, and at least one with a probability of 26 %" in expected_failures(many)
    assert LEVEL == scores.simulation_based.LEVEL
    reports.write_report(run)
    assert f"{len(LEGEND) + 1}. {expected_failures(table)}" in (run / "calibration.md").read_text()
