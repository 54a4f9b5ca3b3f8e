"""The page in a real browser: it works, its tables say what the DataFrame says, and nothing leads nowhere."""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

import reports
from reports.equal_work import Budget
from reports.page import write_page
from reports.run import read_run
from tests.reports.conftest import FakeRun
from tests.reports.page.chromium import Browser
from tests.reports.page.conftest import DISBELIEVED


def test_it_loads_without_a_complaint(page: Browser) -> None:
    page.see_all()
    page.go("#problem/seed2d")
    assert page.errors() == []
    assert page.js("return document.querySelectorAll('#field-table tbody tr').length") > 10


def test_as_ranked_it_has_the_rows_of_the_leaderboard(page: Browser, board: pd.DataFrame) -> None:
    names = page.all("#board tr[data-row]", "[node.cells[1].textContent, node.cells[0].textContent.replace(' †', '')]")
    assert names == board[["problem", "label"]].head(50).to_numpy().tolist()
    assert page.rows() == list(range(len(board)))


def test_who_is_significantly_better_is_told_and_that_none_is(browser: Browser, fake_run: FakeRun) -> None:
    for instance in range(14):
        for label, shift in (("a", 1.0), ("b", 2.0), ("c", 9.0)):
            fake_run.task("p", instance, label, {"sw1": shift + 0.01 * instance})
        fake_run.floor("p", instance, "sw1", [0.5, 0.5])
    board = reports.leaderboard(fake_run.write())
    assert list(board["beaten_by"]) == [(), ("a",), ("a", "b")]
    browser.width(1280)
    browser.open(write_page(board, read_run(fake_run.path)))
    tips = browser.all("#board tr td:nth-child(3) button", "node.dataset.tip")
    assert [tip[tip.index(".") + 1 :] for tip in tips] == [
        " None is significantly better.",
        " Significantly better: a.",
        " Significantly better: a; b.",
    ]
    for label, words in (("a", "none"), ("c", "a; b")):
        assert browser.go(f"#cell/p/{label}/jax") == label
        facts = browser.all("#dialog .facts dt", "[node.textContent, node.nextSibling.textContent]")
        assert ["significantly better", words] in facts


def sort_by(page: Browser, key: str) -> str:
    button = "[...document.querySelectorAll('#board button.sort')].find((b) => b.dataset.key === arguments[0])"
    page.js(f"{button}.click()", key)
    return str(page.js(f"return {button}.parentElement.getAttribute('aria-sort')", key))


def ordered(board: pd.DataFrame, values: pd.Series, *, ascending: bool) -> list[int]:
    return list(board.assign(key=values).sort_values("key", ascending=ascending, kind="stable").index)


def test_sorting_by_a_number_both_ways_and_back(page: Browser, board: pd.DataFrame) -> None:
    for ascending, word in ((True, "ascending"), (False, "descending")):
        assert sort_by(page, "sw1_over_floor95") == word
        assert page.rows() == ordered(board, board["sw1_over_floor95"], ascending=ascending)
    assert sort_by(page, "sw1_over_floor95") == "none"
    assert page.rows() == list(range(len(board)))


def test_signed_errors_sort_by_their_distance_from_zero(page: Browser, board: pd.DataFrame) -> None:
    page.js("PB.data.run.metrics.coverage90_range.better = 0")  # the invented results have no card of it
    sort_by(page, "coverage90_range")
    assert page.rows() == ordered(board, board["coverage90_range"].abs(), ascending=True)


FILTERS: dict[str, tuple[dict[str, Any], Callable[[pd.DataFrame], pd.Series]]] = {
    "problem": ({"problem": "seed2d"}, lambda b: b["problem"] == "seed2d"),
    "kind": ({"kind": "image"}, lambda b: b["problem"] == "digits-inpaint"),
    "references": ({"references": False}, lambda b: ~b["reference"]),
    "search": ({"search": "MMPS gmm"}, lambda b: b["label"].str.contains("mmps") & b["problem"].str.contains("gmm")),
    "status": ({"status": "diverged"}, lambda b: b["status"] == "diverged"),
    "floor": ({"status": "at the floor"}, lambda b: b["at_floor"]),
    "work": ({"work": "1000"}, lambda b: b["work"] <= 1000),
    "seconds": ({"seconds": "4.5"}, lambda b: b["seconds_per_1000"] + b["seconds_train"].fillna(0) <= 4.5),
    "reason": ({"search": "it timeout"}, lambda b: b["reason"] == "it timeout"),
}


@pytest.mark.parametrize("name", FILTERS)
def test_filters_leave_the_rows_that_the_dataframe_says(page: Browser, board: pd.DataFrame, name: str) -> None:
    fields, chosen = FILTERS[name]
    expected = list(board.index[chosen(board)])
    assert 0 < len(expected) < len(board)
    page.set(**fields)
    assert page.rows() == expected
    assert page.js("return document.getElementById('count').textContent") == f"{len(expected)} of {len(board)} rows"


def test_seconds_are_those_of_the_report_s_budget(browser: Browser, fake_run: FakeRun) -> None:
    for label, seconds, training in (
        ("slow", 2.0, 0.0),
        ("fast", 0.2, 0.0),
        ("trained", 0.2, 60.0),
        ("long", 0.2, 900.0),
    ):
        fake_run.task("p", 0, label, {"sw1": 1.0}, seconds_sample=seconds, seconds_train=training)  # 100 samples
    fake_run.floor("p", 0, "sw1", [0.5, 0.5])
    board = reports.leaderboard(fake_run.write())
    browser.width(1280)
    browser.open(write_page(board, read_run(fake_run.path)))
    for limit, labels in ((1.9, []), (2.1, ["fast"]), (20.5, ["slow", "fast"]), (62.5, ["slow", "fast", "trained"])):
        browser.set(seconds=str(limit))
        assert {board["label"][row] for row in browser.rows()} == set(labels), limit
        if labels:
            within = Budget(max_seconds=limit).within(board)["label"]
            assert set(within) == set(labels)
    browser.js("document.getElementById('cost').scrollIntoView({behavior: 'instant'})")
    choose = "const s = document.getElementById('c-cost'); s.value = 'seconds_per_1000';"
    browser.js(f"{choose} s.dispatchEvent(new Event('change'))")
    chart = "document.getElementById('cost-chart')"
    browser.wait(f"return {chart}.layout?.xaxis.title.text.startsWith('seconds')")
    trace = f"const t = {chart}.data.find((one) => one.name === 'trained'); return [t.x[0], t.error_x.array[0]]"
    assert browser.js(trace) == [2, 60]
    assert "thin line: with training" in browser.js(f"return {chart}.layout.xaxis.title.text")


def test_beside_the_filters_it_says_whose_ranks_they_are(page: Browser) -> None:
    words = page.js("return document.getElementById('filtered-ranks').textContent.replace(/\\s+/g, ' ')")
    assert "ranks are those among all cells" in words
    assert "posterior-bench report DIR --max-work 500 --max-seconds 2" in words


def test_the_order_is_in_the_address(page: Browser, board: pd.DataFrame, index: Path) -> None:
    values = board["sw1_over_floor95"]
    for told, ascending in (("sort=sw1_over_floor95", True), ("sort=-sw1_over_floor95", False)):
        sort_by(page, "sw1_over_floor95")
        fragment = str(page.js("return location.hash"))
        assert fragment == f"#leaderboard?{told}"
        page.open(index, fragment)
        assert page.rows() == ordered(board, values, ascending=ascending)
    sort_by(page, "sw1_over_floor95")
    assert page.js("return location.hash") == "#leaderboard"
    page.open(index, "#leaderboard?sort=-constructor&problem=seed2d")
    page.wait("return document.getElementById('f-problem').value === 'seed2d'")
    assert page.rows() == list(board.index[board["problem"] == "seed2d"])
    assert page.errors() == []


def test_filters_are_in_the_address(page: Browser, board: pd.DataFrame, index: Path) -> None:
    page.set(problem="seed2d", references=False)
    fragment = "#" + str(page.js("return location.hash"))[1:]
    page.open(index, fragment)
    page.wait("return document.querySelector('#count').textContent.startsWith('2')")
    assert page.rows() == list(board.index[(board["problem"] == "seed2d") & ~board["reference"]])


def test_every_metric_can_be_a_column(page: Browser, board: pd.DataFrame) -> None:
    page.set(columns="all")
    page.wait(
        "return [...document.querySelectorAll('#board button.sort')].some((b) => b.dataset.key === 'coverage50_range')"
    )
    shown = page.all("#board button.sort", "node.dataset.key")
    assert {name for name in board if f"{name}_stderr" in board and board[name].notna().any()} <= {*shown, "vjp"}


def test_every_link_and_picture_resolves(page: Browser, board: pd.DataFrame, index: Path) -> None:
    page.set(problem="")
    page.js("document.querySelector('#field-more button')?.click()")
    found = set(page.all("a[href]", "node.getAttribute('href')"))
    quoted = [urllib.parse.quote(str(name), safe="!'()*") for name in board["config"]]
    found |= {f"#cell/{p}/{c}/jax" for p, c in zip(board["problem"], quoted, strict=True)}
    dialogs = {link for link in found if link.split("/")[0] in ("#cell", "#problem", "#method")}
    assert len(dialogs) > len(board)
    pictures = set(page.all("img", "node.getAttribute('src')"))
    for link in sorted(dialogs):
        assert not page.go(link).startswith("There is no"), link
        inside = "#dialog a[href]", "#dialog img"
        found |= set(
            page.js(f"return [...document.querySelectorAll('{inside[0]}')].map((a) => a.getAttribute('href'))")
        )
        pictures |= set(
            page.js(f"return [...document.querySelectorAll('{inside[1]}')].map((i) => i.getAttribute('src'))")
        )
    assert {name.split("/")[1] for name in pictures} == {path.name for path in (index.parent / "figures").iterdir()}
    files = {link for link in found | pictures if not link.startswith(("#", "https://"))}
    assert all((index.parent / urllib.parse.unquote(name)).is_file() for name in files)
    anchors = {link[1:].split("?")[0] for link in found if link.startswith("#") and link not in dialogs}
    anchors = {name for name in anchors if name.split("/")[0] not in ("cell", "problem", "method")}
    assert "leaderboard" in anchors
    assert all(page.js("return document.getElementById(arguments[0]) !== null", name) for name in anchors)
    assert page.go("#cell/seed2d/nobody/jax").startswith("There is no")
    assert page.errors() == []


def test_a_cell_opens_by_its_address_with_all_that_is_known(page: Browser, index: Path, board: pd.DataFrame) -> None:
    page.open(index, "#cell/gmm25-80-2/pc-dps/jax")
    page.wait("return document.getElementById('dialog-title')?.textContent === 'pc-dps'")
    text = page.js("return document.getElementById('dialog').textContent")
    assert "Traceback: here" in text
    assert "it diverged" in text
    assert "posterior-bench run --suite quick --problems gmm25-80-2 --methods pc-dps --n 100 --instances 3" in text
    page.go("#cell/gmm25-80-2/dps/jax")
    rows = page.all("#dialog .metrics tbody tr", "[...node.cells].map((cell) => cell.textContent)")
    cell = board[(board["problem"] == "gmm25-80-2") & (board["label"] == "dps")].iloc[0]
    told = {row[0]: row for row in rows}
    assert float(told["sw1"][1].split(" ±")[0]) == pytest.approx(cell["sw1"], abs=5e-4)
    assert float(told["sw1"][2]) == pytest.approx(cell["sw1_floor95"], abs=5e-4)
    assert "believed; finds drop a mode 0.250 weight" in told["sw1"][4]
    assert DISBELIEVED in told["mode_tv"][4]
    links = page.all("#dialog dd a", "node.href")
    assert {"https://arxiv.org/abs/2209.14687", "https://example.org/a"} <= set(links)


def test_what_is_not_believed_is_greyed_and_says_why(page: Browser) -> None:
    page.set(problem="gmm25-80-2")
    greyed = page.all("#board button.greyed", "node.dataset.tip")
    assert greyed
    assert all(DISBELIEVED in tip for tip in greyed)
    page.set(problem="digits-inpaint")
    assert page.js("return document.querySelectorAll('#board button.greyed').length") == 0


def test_the_keyboard_alone_reaches_everything(page: Browser) -> None:
    def press(*keys: str) -> None:
        ActionChains(page.driver).send_keys(*keys).perform()

    def focused(attribute: str) -> str:
        return str(page.js(f"return document.activeElement.{attribute}"))

    press(Keys.TAB)
    assert focused("className") == "skip"
    press(Keys.ENTER)
    page.wait("return location.hash === '#leaderboard'")
    for _ in range(25):
        press(Keys.TAB)
        if focused("dataset.key") == "rank":
            break
    outline = page.js("return getComputedStyle(document.activeElement).outlineStyle")
    assert (focused("dataset.key"), outline) == ("rank", "solid")
    press(Keys.ENTER)
    assert focused("parentElement.ariaSort") == "ascending"
    for _ in range(60):
        press(Keys.TAB)
        if "value" in focused("className"):
            break
    tip = "const t = document.getElementById('tip'); return t.hidden ? '' : t.textContent"
    assert page.js(tip) == focused("dataset.tip") != "undefined"
    assert focused("getAttribute('aria-describedby')") == "tip"
    press(Keys.ESCAPE)
    assert page.js(tip) == ""
    while focused("tagName") != "A" or not focused("hash").startswith("#cell/"):
        press(Keys.TAB)
    link = focused("hash")
    press(Keys.ENTER)
    page.wait("return document.getElementById('dialog').open && document.getElementById('dialog-title') !== null")
    assert focused("className") == "close"
    press(Keys.ESCAPE)
    page.wait("return !document.getElementById('dialog').open")
    assert focused("hash") == link
    assert not page.js("return location.hash").startswith("#cell")


def test_floors_are_told_on_hover_and_on_tap(page: Browser) -> None:
    button = page.driver.find_element("css selector", "#board tr.at-floor td.ratio button")
    page.js("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", button)
    for act in (lambda: ActionChains(page.driver).move_to_element(button).perform(), button.click):
        page.js("document.body.dispatchEvent(new PointerEvent('pointerover', {bubbles: true}))")
        act()
        page.wait("return document.getElementById('tip').textContent.startsWith('At the floor')")
    assert "●" in button.text
