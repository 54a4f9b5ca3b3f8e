"""The page's verdicts of calibration, beside a leaderboard and alone."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from reports.page import write_page
from reports.run import FLOOR_COLUMNS, NEEDED, Run
from tests.reports.page.chromium import Browser


def test_verdicts_of_calibration_are_told_with_a_sign(page: Browser) -> None:
    page.js("const s = document.getElementById('k-problem'); s.value = 'seed2d'; s.dispatchEvent(new Event('change'))")
    page.wait("return document.querySelectorAll('.verdict').length === 2")
    assert page.all(".verdict button", "node.textContent") == ["✓", "✕"]
    assert "too narrow" in page.js("return document.querySelector('.verdict.fail button').dataset.tip")


def test_a_run_of_calibration_alone_shows_its_verdicts(browser: Browser, run_dir: Path, tmp_path: Path) -> None:
    table = pd.read_parquet(run_dir / "calibration.parquet")
    levels = [table.assign(test="coverage", quantity="range", level=level) for level in (0.5, 0.9)]
    levels[0]["verdict"], levels[1] = "pass", levels[1].iloc[:1]  # dps passes at 50 % and fails at 90 %
    pd.concat([table, *levels]).to_parquet(tmp_path / "calibration.parquet")
    nothing = pd.DataFrame(columns=[*NEEDED, "unit", "better"]), pd.DataFrame(columns=FLOOR_COLUMNS)
    browser.width(1280)
    browser.open(write_page(None, Run(tmp_path, {"schema": 1, "suite": "calibration"}, *nothing)))
    assert "calibration of 2 methods on 1 problem" in browser.js("return document.querySelector('h1').textContent")
    assert browser.all(".finding .figure", "node.textContent") == ["0 of 1 samplers"]
    browser.js("document.getElementById('calibration').scrollIntoView({behavior: 'instant'})")
    browser.wait("return document.querySelectorAll('.verdict').length === 4")
    assert not browser.js("return document.getElementById('leaderboard').checkVisibility()")
    rows = "[...node.cells].map((cell) => cell.textContent)"
    assert browser.all(".verdicts tbody tr", rows) == [["exact †", "0/2", "✓", "✓"], ["dps", "2/3", "✕", "✕"]]
    assert browser.all(".verdicts thead th", "node.textContent")[2:] == ["SBC log likelihood", "coverage range(Aᵀ)"]
    tip = browser.js("return document.querySelectorAll('.verdict.fail button')[1].dataset.tip")
    assert tip.startswith("90 %: too narrow")
    assert "50 %" not in tip
    assert browser.all("#method-list thead th", "node.textContent") == ["method", "what it is", "failed"]
    assert browser.all("#problem-list .card .dim", "node.textContent") == [
        "0 of 1 samplers with a verdict pass every calibration test"
    ]
    assert browser.js("return document.querySelector('.skip').hash") == "#calibration"
    shown = browser.all("#reading h3, #reading dt, #calibration .note", "node.checkVisibility() && node.textContent")
    assert {"SBC", "TARP", "Coverage"} <= set(shown)
    assert not {"SW1", "Rank", "Metrics", "Pictures of all problems together"} & set(shown)
    assert not any("z-std" in text for text in shown if text)
    assert browser.go("#cell/seed2d/dps/jax") == "dps"
    told = browser.all("#dialog .plain tbody tr", rows)
    assert [row[:2] for row in told] == [
        ["SBC log likelihood", "✕ fail"],
        ["coverage range(Aᵀ)", "✓ pass"],
        ["coverage range(Aᵀ)", "✕ fail"],
    ]
    assert "p 0.00010" in told[0][2]
    assert browser.go("#problem/seed2d") == "seed2d"
    assert not browser.all("#dialog a[href^='#leaderboard']", "node.href")
    assert browser.errors() == []
