"""What a run says while it runs: a bar with the remaining time, or plain lines when nobody watches a terminal."""

from __future__ import annotations

import time
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

_PLAIN_SECONDS = 10.0
"""Plain lines come at most this often."""


class Reporter(Protocol):
    """Whom a run tells what it does."""

    def start(self, tasks: int, seconds: float) -> None:
        """The number of tasks and the estimate for all of them."""

    def begin(self, what: str) -> None:
        """What runs now."""

    def murmur(self, line: str, what: str = "") -> None:
        """What a sampler that runs now printed last, and which; '' is the one that began last."""

    def advance(self, estimate: float, *, ran: bool) -> None:
        """One task is done, which was estimated to take so many seconds; whether it ran or needed nothing."""

    def say(self, sentence: str) -> None:
        """A sentence worth reading."""

    def stop(self) -> None:
        """Nothing more comes."""


class Remaining:
    """The remaining time: the estimate of what is left, times how far off the estimates were so far."""

    def __init__(self, tasks: int, seconds: float) -> None:
        self.tasks = tasks
        self.done = 0
        self._left = seconds
        self._estimated = 0.0
        self._start = time.monotonic()

    def advance(self, estimate: float, *, ran: bool) -> None:
        self.done += 1
        self._left -= estimate
        self._estimated += estimate if ran else 0.0

    @property
    def seconds(self) -> float:
        # Before much has run, the estimate stands: it counts as 30 s of experience.
        took = time.monotonic() - self._start
        return max(self._left, 0.0) * (took + 30.0) / (self._estimated + 30.0)


class Bar:
    """A Rich progress bar."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.completed}/{task.total}"),
            BarColumn(),
            TextColumn("{task.fields[left]} left"),
            TextColumn("{task.description}", markup=False),
            console=console,
            transient=True,
        )
        self._remaining = Remaining(0, 0.0)
        self._what = ""

    def start(self, tasks: int, seconds: float) -> None:
        self._remaining = Remaining(tasks, seconds)
        self._task = self._progress.add_task("", total=tasks, left=duration(seconds))
        self._progress.start()

    def begin(self, what: str) -> None:
        self._what = what
        self._progress.update(self._task, description=what)

    def murmur(self, line: str, what: str = "") -> None:
        if line and self._what:
            self._progress.update(self._task, description=f"{what or self._what}: {line}")

    def advance(self, estimate: float, *, ran: bool) -> None:
        self._remaining.advance(estimate, ran=ran)
        self._progress.update(self._task, advance=1, left=duration(self._remaining.seconds))

    def say(self, sentence: str) -> None:
        self._progress.console.print(sentence, markup=False, highlight=False)

    def stop(self) -> None:
        self._progress.stop()


class Lines:
    """Plain lines, seldom."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._remaining = Remaining(0, 0.0)
        self._what = ""
        self._spoke = 0.0

    def start(self, tasks: int, seconds: float) -> None:
        self._remaining = Remaining(tasks, seconds)
        self.say(f"{tasks} tasks, about {duration(seconds)}")

    def begin(self, what: str) -> None:
        self._what = what

    def murmur(self, line: str, what: str = "") -> None:
        pass

    def advance(self, estimate: float, *, ran: bool) -> None:
        self._remaining.advance(estimate, ran=ran)
        if time.monotonic() - self._spoke > _PLAIN_SECONDS:
            left = duration(self._remaining.seconds)
            self.say(f"{self._remaining.done}/{self._remaining.tasks} tasks, {left} left, after {self._what}")

    def say(self, sentence: str) -> None:
        self._spoke = time.monotonic()
        self._console.print(sentence, markup=False, highlight=False, soft_wrap=True)

    def stop(self) -> None:
        pass


def reporter(console: Console) -> Reporter:
    """A bar on a terminal, else lines."""
    return Bar(console) if console.is_terminal else Lines(console)


def duration(seconds: float) -> str:
    """'40 s', '12 min', '3 h 05 min'."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min"
