"""The registry of metrics: what each is called, its unit, and which way is better."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from problems.names import UsageError, lookup
from scores.candidate import Candidate
from scores.faults import FAULTS

Compute = Callable[[Candidate], float | tuple[float, float]]
F = TypeVar("F", bound=Compute)


@dataclass(frozen=True)
class Metric:
    """A registered metric.

    Attributes:
        better: 'lower', 'higher', or the value that an exact sampler has.
        has_floor: an exact sampler of finite n does not reach the best value, so its own values are the yardstick.
        compute: the value, or (value, standard error within the run).
        applies: whether the metric exists for this problem; it may not look at the values of the samples.
        claims: the planted faults (`scores.faults`) that it must find at their nominal size to be believed.
        in_x: it weighs errors by their size in x, and claims a fault only where that is large enough (`scores.effect`).
    """

    name: str
    unit: str
    better: str | float
    summary: str
    has_floor: bool
    compute: Compute
    applies: Callable[[Candidate], bool]
    claims: frozenset[str]
    in_x: bool


METRICS: dict[str, Metric] = {}


def metric(
    name: str,
    *,
    unit: str,
    better: str | float,
    has_floor: bool = False,
    applies: Callable[[Candidate], bool] = lambda _: True,
    summary: str | None = None,
    claims: Iterable[str] = FAULTS,
    in_x: bool = False,
    exact: bool = True,
) -> Callable[[F], F]:
    """Registers a function of a `Candidate` as a metric; the summary is the first line of its docstring.

    A metric that claims nothing less claims to see every planted fault. An exact one compares with the exact posterior,
    and exists only where that is known.

    Raises:
        UsageError: for a name already taken, a `better` that is neither 'lower', 'higher' nor a number, or a claim
            that is no planted fault.
    """
    if name in METRICS:
        raise UsageError(f"metric {name!r} is already taken; choose another name")
    if isinstance(better, str) and better not in ("lower", "higher"):
        raise UsageError(f"metric {name!r}: better is 'lower', 'higher' or a number, got {better!r}")
    claimed = frozenset(lookup("planted fault", claim, FAULTS).name for claim in claims)

    def asked(candidate: Candidate) -> bool:
        return (candidate.has_posterior or not exact) and applies(candidate)

    def register(compute: F) -> F:
        line = summary or (inspect.getdoc(compute) or "").split("\n")[0]
        METRICS[name] = Metric(name, unit, better, line, has_floor, compute, asked, claimed, in_x)
        return compute

    return register
