"""What the tests of the samplers share, and the table of the laws that they have been compared with."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import pytest

from methods import METHODS
from tests.methods.laws import TOLD, Line

_LINES: list[Line] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--laws", metavar="FILE", help="write the laws that were compared; fail if a sampler has none")


@pytest.fixture(autouse=True)
def _told(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a test compares travels with its report, from whichever process it ran in."""
    TOLD.clear()
    yield
    request.node.user_properties += [("law", tuple(line)) for line in TOLD]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "teardown":
        _LINES.extend(Line(*line) for name, line in report.user_properties if name == "law")


def pytest_sessionfinish(session: pytest.Session) -> None:
    path = session.config.getoption("--laws", None)
    if path is None or hasattr(session.config, "workerinput"):
        return
    Path(path).write_text(_table(_LINES))
    lacking = sorted(set(METHODS) - {line.sampler.partition("[")[0].partition(" ")[0] for line in _LINES})
    if lacking:
        print("\nno law was compared:", ", ".join(lacking))
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _table(lines: list[Line]) -> str:
    """Of each sampler and law the comparison that comes closest to being refused, and the number of comparisons."""
    text = "| sampler | law | comparisons | reference | found | difference | allowed |\n|---|---|---|---|---|---|---|\n"
    for (sampler, law), group in groupby(sorted(lines), lambda line: line[:2]):
        of_it = list(group)
        worst = max(of_it, key=lambda line: abs(line.found - line.reference) / line.allowed)
        off = worst.found - worst.reference
        numbers = f"{worst.reference:.6g} | {worst.found:.6g} | {off:+.1e} | {worst.allowed:.1e}"
        text += f"| {sampler} | {law} | {len(of_it)} | {numbers} |\n"
    return text
