"""What is left of one problem's tasks, and which worker does it next."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from benchmarks.errands import Errand, row
from benchmarks.plan import Planned


@dataclass(eq=False)
class Agenda:
    """The errands of one problem that have not begun and those that are under way.

    They are taken instance by instance. An instance's floor and picture are made while the tasks of the one before it
    run, and are there before its own tasks begin. Each worker prefers the rows of the table whose programs it
    compiles, and helps with others when an instance has none of its own left.

    Attributes:
        problem: its name. seconds: of work that it has taken, of all workers together. outdated: see `campaign`.
    """

    problem: str
    errands: list[Errand] = field(default_factory=list)
    under_way: set[Errand] = field(default_factory=set)
    seconds: float = 0.0
    outdated: int = 0

    def take(self, seat: int) -> Errand | None:
        """The next errand of a worker, or None if there is none for it yet."""
        undone = {e.instance for e in [*self.errands, *self.under_way] if e.planned is None}
        allowed = [e for e in self.errands if (e.seat == seat if e.instance is None else e.ready(undone))]
        best = min(allowed, key=lambda e: self._rank(e, seat), default=None)
        if best is not None:
            self.errands.remove(best)
            self.under_way.add(best)
        return best

    def end(self, errand: Errand, seconds: float) -> None:
        """An errand is done."""
        self.under_way.discard(errand)
        self.seconds += seconds

    @property
    def over(self) -> bool:
        """Nothing is left but programs to compile, for a worker that may never come back."""
        return not self.under_way and all(errand.instance is None for errand in self.errands)

    def _rank(self, errand: Errand, seat: int) -> tuple[float, bool]:
        """Compiling first; then the arrays of an instance, one ahead of its tasks; own rows before others."""
        if errand.instance is None:
            return -2.0, False
        ahead = errand.instance - 1.5 if errand.planned is None else float(errand.instance)
        return ahead, errand.seat not in (None, seat)


def owners(waiting: list[Planned], seats: int) -> dict[tuple[str, str], int]:
    """Which worker compiles each (config, framework): the rows are dealt so that all have about as much to do."""
    seconds: defaultdict[tuple[str, str], float] = defaultdict(float)
    for planned in waiting:
        seconds[row(planned.task)] += planned.seconds
    loads, dealt = [0.0] * seats, {}
    for name in sorted(seconds, key=lambda name: -seconds[name]):
        dealt[name] = loads.index(min(loads))
        loads[dealt[name]] += seconds[name]
    return dealt
