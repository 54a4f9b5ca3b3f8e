"""The remaining time, and what plain output says."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from benchmarks.progress import Bar, Lines, Remaining, duration, reporter


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (89.0, "89 s"),
        (90.0, "2 min"),
        (7140.0, "119 min"),
        (7500.0, "2 h 05 min"),
        (86400, "24 h 00 min"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that shows its last entry."""
    shown = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: shown[-1])
    return shown


def test_the_remaining_time_learns_how_far_off_the_estimates_are(clock: list[float]) -> None:
    remaining = Remaining(tasks=4, seconds=400.0)
    assert remaining.seconds == 400.0
    remaining.advance(estimate=50.0, ran=False)
    assert remaining.seconds == 350.0
    clock.append(1060.0)
    remaining.advance(estimate=100.0, ran=True)
    assert (remaining.done, remaining.seconds) == (2, pytest.approx(250 * 90 / 130))
    remaining.advance(estimate=500.0, ran=True)
    assert remaining.seconds == 0


def test_without_a_terminal_there_are_plain_lines(clock: list[float]) -> None:
    file = io.StringIO()
    lines = reporter(Console(file=file, width=40))
    assert isinstance(lines, Lines)
    lines.start(3, 100.0)
    for now, estimate in ((1005.0, 50.0), (1020.0, 0.0), (1021.0, 50.0)):
        clock.append(now)
        lines.begin("seed2d 0 dps[paper]")
        lines.advance(estimate, ran=True)
    lines.stop()
    assert file.getvalue() == "3 tasks, about 2 min\n2/3 tasks, 31 s left, after seed2d 0 dps[paper]\n"


def test_a_terminal_gets_a_bar() -> None:
    file = io.StringIO()
    bar = reporter(Console(file=file, force_terminal=True, width=100))
    assert isinstance(bar, Bar)
    bar.murmur("too early")
    bar.start(2, 60.0)
    bar.begin("seed2d 0 dps[paper]")
    bar.murmur("loss 3.08")
    bar.say("a sentence")
    bar.advance(30.0, ran=True)
    bar.stop()
    assert "1/2" in file.getvalue()
    assert "15 s left" in file.getvalue()
    assert "dps[paper]" in file.getvalue()
    assert "seed2d 0 dps[paper]: loss 3.08" in file.getvalue()
    assert "too early" not in file.getvalue()
    assert "a sentence" in file.getvalue()
