"""Which worker does which errand of a problem, and when."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.agenda import Agenda, owners
from benchmarks.errands import Errand
from benchmarks.plan import Planned
from tests.benchmarks.test_execute import task

PLANNED = Planned(task("exact", "seed2d"), skip="", seconds=1.0)


def sample(what: str, instance: int, seat: int | None = None) -> Errand:
    return Errand("sample", what=what, instance=instance, planned=PLANNED, seat=seat)


def arrays(what: str, instance: int) -> Errand:
    return Errand("floor", what=what, instance=instance)


def compiling(seat: int) -> Errand:
    return Errand("compile", what=f"compile {seat}", seat=seat)


def order(agenda: Agenda, seat: int) -> list[str]:
    """What one worker alone takes, each errand ended before the next."""
    taken = []
    while (errand := agenda.take(seat)) is not None:
        taken.append(errand.what)
        agenda.end(errand, 1.0)
    return taken


def test_one_worker_goes_instance_by_instance_with_what_is_made_for_the_next_in_between() -> None:
    errands = [sample("b", 1), arrays("floor 1", 1), sample("a", 0), arrays("floor 0", 0), compiling(0)]
    agenda = Agenda("seed2d", errands)
    assert order(agenda, 0) == ["compile 0", "floor 0", "floor 1", "a", "b"]
    assert agenda.over
    assert agenda.seconds == 5.0


def test_a_task_waits_for_its_floor_wherever_that_is_made() -> None:
    agenda = Agenda("seed2d", [arrays("floor", 0), sample("a", 0)])
    floor = agenda.take(1)
    assert floor is not None
    assert agenda.take(0) is None
    assert not agenda.over
    agenda.end(floor, 1.0)
    assert order(agenda, 0) == ["a"]


def test_a_worker_prefers_its_own_rows_and_helps_with_others() -> None:
    agenda = Agenda("seed2d", [sample("hers", 0, seat=1), sample("his", 0, seat=0), sample("later", 1, seat=0)])
    assert order(agenda, 0) == ["his", "hers", "later"]


def test_a_program_is_compiled_by_its_own_worker_alone_and_holds_up_no_other() -> None:
    agenda = Agenda("seed2d", [compiling(1), sample("a", 0)])
    assert order(agenda, 0) == ["a"]
    assert agenda.over  # the other worker may never come back
    assert agenda.errands[0].seat == 1


@pytest.mark.parametrize("seats", [1, 2, 3])
def test_rows_are_dealt_evenly_and_each_to_one_worker(seats: int) -> None:
    work = {"a": 9.0, "b": 4.0, "c": 3.0, "d": 2.0}
    waiting = [
        replace(PLANNED, task=replace(PLANNED.task, config=config), seconds=seconds / 2)
        for config, seconds in work.items()
    ] * 2
    dealt = owners(waiting, seats)
    assert {config for config, _ in dealt} == set(work)
    loads = [sum(work[config] for (config, _), seat in dealt.items() if seat == one) for one in range(seats)]
    assert max(loads) == {1: 18.0, 2: 9.0, 3: 9.0}[seats]
    assert sum(loads) == 18.0
