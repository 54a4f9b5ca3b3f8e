"""Whom the page leaves out: nobody with a narrow screen, a keyboard, weak eyes or a screen reader."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.reports.page.chromium import Browser


@pytest.mark.parametrize("fragment", ["", "#cell/gmm25-80-2/pc-dps/jax", "#problem/seed2d", "#method/dps"])
def test_on_a_phone_nothing_is_wider_than_the_screen(page: Browser, index: Path, fragment: str) -> None:
    page.width(390)
    page.open(index, fragment)
    page.see_all()
    if fragment:
        page.wait("return document.getElementById('dialog-title') !== null")
        assert page.js("const d = document.getElementById('dialog'); return d.scrollWidth <= d.clientWidth")
    assert page.js("return document.documentElement.scrollWidth") <= 390
    sticky = "return getComputedStyle(document.querySelector('#board tbody th')).position"
    assert page.js(sticky) == "sticky"


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_axe_finds_nothing_serious(page: Browser, scheme: str, width: int) -> None:
    page.scheme(scheme)
    page.width(width)
    page.see_all()
    assert page.violations("html") == []
    for fragment in ("#cell/gmm25-80-2/dps/jax", "#problem/gmm25-80-2", "#method/dps"):
        page.go(fragment)
        assert page.violations("#dialog") == []


CONTRASTS = """
const read = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
const opacity = (color) => color.length > 3 ? color[3] : 1;
const over = (top, below) => below.map((one, i) => opacity(top) * top[i] + (1 - opacity(top)) * one);
const linear = (v) => v <= 10 ? v / 255 / 12.92 : ((v / 255 + .055) / 1.055) ** 2.4;
const light = (color) => .2126 * linear(color[0]) + .7152 * linear(color[1]) + .0722 * linear(color[2]);
function behind(node) {
  if (!node) return read(getComputedStyle(document.documentElement).backgroundColor).slice(0, 3);
  const own = read(getComputedStyle(node).backgroundColor);
  return own.length === 3 || own[3] === 1 ? own.slice(0, 3) : over(own, behind(node.parentElement));
}
const found = [];
for (const node of document.querySelectorAll('main *, header *, dialog[open] *')) {
  if (node.closest('.chart, svg, .sr, [hidden]') || !node.getClientRects().length || node.disabled) continue;
  if (![...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim())) continue;
  const back = behind(node), ink = over(read(getComputedStyle(node).color), back), [x, y] = [light(ink), light(back)];
  const ratio = (Math.max(x, y) + .05) / (Math.min(x, y) + .05);
  if (!(ratio >= 4.5)) found.push(`${node.outerHTML.slice(0, 80)} ${ratio.toFixed(2)}`);
}
return [document.querySelectorAll('main *').length, found];
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_what_is_behind_it(page: Browser, scheme: str) -> None:
    page.scheme(scheme)
    for fragment in ("#method/dps", "#cell/gmm25-80-2/pc-dps/jax"):
        page.go(fragment)
        looked_at, faint = page.js(CONTRASTS)
        assert looked_at > 1000
        assert faint == []
    page.js("document.body.style.color = 'rgb(128, 128, 128)'")
    assert page.js(CONTRASTS)[1]
