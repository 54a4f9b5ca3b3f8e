"""A headless Chromium, and what the tests of the page ask it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
UNAVAILABLE = "" if BROWSER and DRIVER else "needs the programs chromium and chromedriver, which are not installed"
FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1280,900"),
)
SECONDS = 30
"""To wait for anything."""


class Browser:
    """A page in Chromium."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, index: Path, fragment: str = "") -> None:
        """Loads the page anew and waits until its tables are drawn."""
        self.driver.get("about:blank")
        self.driver.get(f"{index.as_uri()}{fragment}")
        self.wait("return document.documentElement.dataset.ready === 'yes'")

    def js(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def all(self, selector: str, value: str) -> list[Any]:
        """A JavaScript expression of every `node` that matches."""
        return list(self.js(f"return [...document.querySelectorAll(arguments[0])].map((node) => {value})", selector))

    def wait(self, script: str, *arguments: Any) -> Any:
        """Until a script returns something true."""
        return WebDriverWait(self.driver, SECONDS, 0.05).until(lambda _: self.js(script, *arguments))

    def go(self, fragment: str) -> str:
        """Opens a dialog by its address, and returns its title."""
        self.js("document.getElementById('dialog').replaceChildren(); location.hash = arguments[0]", fragment)
        return str(self.wait("return document.getElementById('dialog-title')?.textContent"))

    def width(self, pixels: int) -> None:
        size = {"width": pixels, "height": 844, "deviceScaleFactor": 1, "mobile": pixels < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def scheme(self, name: str) -> None:
        """Prefers 'light' or 'dark'."""
        features = [{"name": "prefers-color-scheme", "value": name}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def errors(self) -> list[str]:
        """What the console complained of since the last call."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]

    def see_all(self) -> None:
        """Scrolls through the page, so that everything drawn late is there."""
        for section in ("cost", "calibration"):
            self.js("document.getElementById(arguments[0]).scrollIntoView({behavior: 'instant'})", section)
            self.wait("return document.querySelector(`#${arguments[0]}-chart .main-svg`) !== null", section)

    def rows(self) -> list[int]:
        """The rows of the leaderboard that are shown, over all pages, by their place in the DataFrame."""
        found: list[int] = []
        while True:
            found += self.all("#board tr[data-row]", "+node.dataset.row")
            following = "document.querySelectorAll('#pager button')[1]"
            if not self.js(
                f"const next = {following}; if (!next || next.disabled) return false; next.click(); return true"
            ):
                return found

    def set(self, **fields: Any) -> None:
        """Types into filters of the leaderboard, and waits until they count."""
        for name, value in fields.items():
            self.js(
                "const f = document.getElementById(`f-${arguments[0]}`); if (f.type === 'checkbox')"
                " f.checked = arguments[1]; else f.value = arguments[1];"
                "document.getElementById('count').textContent = '';"
                "f.dispatchEvent(new Event('input', {bubbles: true}))",
                name,
                value,
            )
        self.wait("return document.getElementById('count').textContent !== ''")

    def violations(self, part: str) -> list[str]:
        """Serious and critical findings of axe-core within the part that a selector matches."""
        import axe_selenium_python

        self.js(next(Path(axe_selenium_python.__file__).parent.rglob("axe.min.js")).read_text(encoding="utf-8"))
        found = self.driver.execute_async_script(
            "const [part, done] = arguments; axe.run(part).then((result) => done(result.violations))", part
        )
        return [
            f"{one['id']}: {one['help']}: {node['html'][:200]}"
            for one in found
            if one["impact"] in ("serious", "critical")
            for node in one["nodes"]
        ]


@contextmanager
def chromium(profile: Path) -> Iterator[Browser]:
    """A browser with an empty profile."""
    os.environ["SE_OFFLINE"] = "true"  # selenium looks for no other driver
    options = webdriver.ChromeOptions()
    options.binary_location = str(BROWSER)
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
    try:
        yield Browser(driver)
    finally:
        driver.quit()
