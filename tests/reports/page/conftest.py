"""A run with everything a page can show, its page, and a browser."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import matplotlib.image
import numpy as np
import pandas as pd
import pytest

import reports
from reports.page import write_page
from reports.run import read_run
from tests.reports.page.chromium import UNAVAILABLE, Browser, chromium

DISBELIEVED = "it misses a dropped mode at n = 100"


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if UNAVAILABLE:
        pytest.skip(UNAVAILABLE)
    with chromium(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="session")
def run_dir(invented: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The invented run with cards, pictures, gates, verdicts and a traceback."""
    run = tmp_path_factory.mktemp("page") / "run"
    shutil.copytree(invented, run, ignore=shutil.ignore_patterns("figures", "page"))
    info = json.loads((run / "run.json").read_text())
    problem = {
        "summary": "one line",
        "stresses": "Scales.",
        "kind": "vector",
        "shape": [2],
        "dim": 2,
        "data_range": 1.0,
    }
    problems = {name: problem | {"provides": ["linear", "posterior"]} for name in ("seed2d", "gmm25-80-2")}
    problems["digits-inpaint"] = problem | {"kind": "image", "shape": [8, 8], "provides": ["posterior"]}
    method = {"summary": "A sampler.", "frameworks": ["jax"], "requires": ["linear"], "hyper": {"steps": 7}}
    method |= {"presets": {"default": {}}, "oracle": False, "particle": False, "plugin": ""}
    methods = {"dps": method | {"doc": "A sampler.\n\nChung et al. 2023, arXiv 2209.14687, https://example.org/a."}}
    info |= {"problems": problems, "methods": methods, "command": ["x", "run", "--suite", "quick"]}
    (run / "run.json").write_text(json.dumps(info))
    for path in sorted((run / "tasks").glob("*.json")):
        task = json.loads(path.read_text())
        if (task["config"], task["problem"]) == ("pc-dps", "gmm25-80-2"):
            path.write_text(json.dumps(task | {"traceback": "Traceback: here"}))
    (run / "figures").mkdir()
    for name in ("heatmap", "calibration-seed2d", "calibration-gmm25-80-2", "sheet-digits-inpaint"):
        matplotlib.image.imsave(run / "figures" / f"{name}.png", np.zeros((30, 40)))
    gate = {
        "problem": "gmm25-80-2",
        "n": 100,
        "instances": 3,
        "fault": "drop a mode",
        "size": 0.25,
        "size_unit": "weight",
    }
    gate |= {"share_found": 0.2, "null_rate": 0.05, "null_ok": True}
    seen = gate | {"metric": "sw1", "found": True, "smallest": True, "believed": True, "reason": ""}
    blind = gate | {"metric": "mode_tv", "found": False, "smallest": False, "believed": False, "reason": DISBELIEVED}
    pd.DataFrame([seen, blind]).to_parquet(run / "gates.parquet")
    verdict = {"problem": "seed2d", "method": "dps", "framework": "jax", "oracle": False, "instances": 200, "n": 20}
    verdict |= {"test": "sbc", "quantity": "log_likelihood", "level": np.nan, "value": 0.4, "stderr": 0.1}
    verdict |= {"threshold": 0.01, "status": "ok", "reason": ""}
    judged = [{"config": "dps", "verdict": "fail", "p_value": 1e-4, "words": "too narrow"}]
    judged += [{"config": "exact", "oracle": True, "verdict": "pass", "p_value": 0.7, "words": ""}]
    pd.DataFrame([verdict | one for one in judged]).to_parquet(run / "calibration.parquet")
    return run


@pytest.fixture(scope="session")
def board(run_dir: Path) -> pd.DataFrame:
    return reports.leaderboard(run_dir)


@pytest.fixture(scope="session")
def index(run_dir: Path, board: pd.DataFrame) -> Path:
    return write_page(board, read_run(run_dir))


@pytest.fixture
def page(browser: Browser, index: Path) -> Browser:
    browser.width(1280)
    browser.scheme("light")
    browser.open(index)
    return browser
