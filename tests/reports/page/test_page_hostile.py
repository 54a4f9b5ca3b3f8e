"""Names, docstrings, reasons and tracebacks of a plugin are shown as the text that they are."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import reports
from reports.page import write_page
from reports.page.encode import script
from reports.run import read_run
from tests.reports.conftest import FakeRun
from tests.reports.page.chromium import Browser

EVIL = "\"'><script>hacked=1</script><img src=x onerror=hacked=2></script><b>&lt;\\u003c\u2028`${hacked=3}"
LINKS = "javascript:hacked=4 data:text/html,<script>hacked=5</script> https://example.org/a?x=<b> arXiv 2209.14687"


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hostile")
    run = FakeRun(path)
    name = EVIL.replace("[", "(")
    for instance in (0, 1):
        told = {"hyper": json.dumps({EVIL: EVIL}), "versions": json.dumps({EVIL: EVIL})}
        metrics = {"sw1": 1.0 + instance, EVIL: 2.0, "coverage90_range": 0.1, "z_std": 1.0}
        run.task(EVIL, instance, name, metrics, **told)
        run.task(EVIL, instance, "prior", metrics)
        run.task(EVIL, instance, f"{name}[x]", status="failed", reason=EVIL, nfe=float("nan"))
        run.floor(EVIL, instance, "sw1", [0.5, 0.6])
    run.write()
    for file in sorted((path / "tasks").glob("*.json")):
        file.write_text(json.dumps(json.loads(file.read_text()) | {"traceback": EVIL}))
    card = {
        "summary": EVIL,
        "doc": f"{EVIL}\n\n{LINKS} \udcff",
        "frameworks": [EVIL],
        "requires": [EVIL],
        "hyper": {EVIL: EVIL},
    }
    card |= {"presets": {EVIL: {EVIL: EVIL}}, "oracle": False, "particle": False, "plugin": EVIL}
    problem = {
        "summary": EVIL,
        "stresses": EVIL,
        "kind": EVIL,
        "shape": [2],
        "dim": 2,
        "data_range": 1,
        "provides": [EVIL, "posterior"],
    }
    metric = {"summary": EVIL, "unit": EVIL, "better": "lower"}
    info = {
        "schema": 1,
        "suite": EVIL,
        "seed": EVIL,
        "versions": {EVIL: EVIL},
        "devices": {"cpu": EVIL},
        "command": [EVIL],
    }
    info |= {"methods": {name: card}, "problems": {EVIL: problem}, "metrics": {EVIL: metric}}
    (path / "run.json").write_text(json.dumps(info))
    shutil.rmtree(path / "figures", ignore_errors=True)
    return write_page(reports.leaderboard(path), read_run(path))


def test_no_text_of_a_plugin_is_run_or_becomes_an_element(browser: Browser, index: Path) -> None:
    browser.width(1280)
    browser.open(index)
    browser.see_all()
    links: set[str] = set()
    for fragment in [
        *browser.all("#field-table a", "node.getAttribute('href')"),
        "#method/%3Cscript%3E",
        "#cell/%ZZ/%/x",
    ]:
        browser.go(fragment)
        links |= set(browser.all("a", "node.getAttribute('href')"))
        assert browser.js("return typeof hacked") == "undefined"
        assert browser.all("main b, #dialog b", "node.textContent").count("&lt;") == 0
        assert browser.all("img", "node.src") == []
        sources = browser.all("script", "node.getAttribute('src')")
        assert all(source and source.startswith(("static/", "data/")) for source in sources)
    assert {link for link in links if not link.startswith("#")} == {
        "https://example.org/a?x=",
        "https://arxiv.org/abs/2209.14687",
    }
    assert browser.errors() == []


def test_the_texts_are_shown_as_they_are(browser: Browser, index: Path) -> None:
    browser.open(index)
    browser.see_all()
    name = EVIL.replace("[", "(")
    assert EVIL in browser.js("return document.querySelector('.kicker').textContent")
    assert name in browser.all("#board tbody th", "node.textContent")
    assert any(
        "<script>" in text and "<b>" in text for text in browser.all("#cost-chart .legendtext", "node.textContent")
    )
    cell = next(link for link in browser.all("#board a", "node.getAttribute('href')") if link.endswith("%5Bx%5D/jax"))
    assert browser.go(cell) == f"{name}[x]"
    assert browser.js("return document.querySelector('#dialog pre').textContent") == f"instance 0\n\n{EVIL}"
    assert f"--problems '{EVIL.split(chr(39))[0]}" in browser.js(
        "return document.querySelector('#dialog code').textContent"
    )


def test_a_script_of_data_holds_no_tag_and_reads_back(browser: Browser, index: Path) -> None:
    text = script("x", json.dumps([EVIL, "\u2029", "\\'"], ensure_ascii=False))
    assert "<" not in text
    assert "\u2028" not in text
    assert "\u2029" not in text
    browser.open(index)
    assert browser.js(f"let found; const pageData = (_, value) => {{ found = value; }}; {text}; return found") == [
        EVIL,
        "\u2029",
        "\\'",
    ]
