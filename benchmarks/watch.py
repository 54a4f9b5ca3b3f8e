"""What a sampler does with its problem: which parts it uses, what goes into the operator, and its random draws.

The parts of a problem are wrapped, and every use leaves a record on the host. In torch the draws of a run can be kept
and dealt out again to a run with fewer samples, row by row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from problems.arrays import Array, framework_of
from problems.contract import Problem, data, static

NEEDS = {
    ("operator", "adjoint"): "linear",
    ("operator", "pseudo_inverse"): "svd",
    ("operator", "damped_inverse"): "svd",
    ("operator", "gram_solve"): "svd",
    ("operator", "gram_log_det"): "svd",
    ("operator", "project_range"): "svd",
    ("operator", "singular_values"): "svd",
    ("operator", "spectral"): "svd",
    ("operator", "spectral_sum"): "svd",
    ("operator", "spectral_energy"): "svd",
    ("operator", "rank"): "svd",
    ("operator", "norm"): "gaussian_noise",
    ("noise", "std"): "gaussian_noise",
    ("noise", "log_likelihood"): "likelihood",
    ("noise", "score"): "likelihood",
    ("prior", "log_prob"): "prior_log_prob",
    ("prior", "sample"): "prior_sample",
    ("prior", "sample_components"): "prior_sample",
    ("prior", "cov"): "prior_cov",
}
"""What a method must require when it uses a part of the problem."""


@dataclass(eq=False)
class Record:
    """What was used, and the values that Tweedie's formula can be read off, as float64 arrays on the host.

    Attributes:
        uses: (part, attribute) pairs. scores: x, sigma and score of every call of the prior's score.
        measured: what the operator was applied to, and how many scores had been computed before.
    """

    uses: set[tuple[str, str]] = field(default_factory=set)
    scores: list[tuple[np.ndarray, float, np.ndarray]] = field(default_factory=list)
    measured: list[tuple[int, np.ndarray]] = field(default_factory=list)

    def add_score(self, x: Any, sigma: Any, score: Any) -> None:
        level = _host(sigma)
        if level.size == 1:
            self.scores.append((_host(x), level.item(), _host(score)))

    def add_measured(self, x: Any) -> None:
        self.measured.append((len(self.scores), _host(x)))


@data
class Watched:
    """A part of a problem whose uses are recorded; everything else is its own."""

    inner: Any
    part: str = static()
    record: Record = static()

    def score(self, x: Array, sigma: Array) -> Array:
        self.record.uses.add((self.part, "score"))
        score = self.inner.score(x, sigma)
        _tell(self.record.add_score, x, sigma, score)
        return score

    def __call__(self, x: Array) -> Array:
        self.record.uses.add((self.part, "call"))
        _tell(self.record.add_measured, x)
        return self.inner(x)

    def __getattr__(self, name: str) -> Any:
        if name == "inner":  # asked before the field is set: an incomplete copy
            raise AttributeError(name)
        self.record.uses.add((self.part, name))
        return getattr(self.inner, name)


def watched(problem: Problem, record: Record) -> Problem:
    """The problem with its prior, operator and noise wrapped."""

    def wrap(part: str) -> Any:
        inner = getattr(problem, part)
        return None if inner is None else Watched(inner, part, record)

    return replace(problem, prior=wrap("prior"), operator=wrap("operator"), noise=wrap("noise"))


def std_in_tweedie(record: Record) -> float | None:
    """The share of denoised states x + k score that were measured with k = sigma instead of sigma^2; None if none was.

    Each state that the operator was applied to is compared with the scores computed just before it (a JAX program
    may tell them out of order, hence also just after). In the scaling of a variance-preserving schedule the same slip
    reads k = sigma / alpha.
    """
    slips = []
    for count, u in record.measured:
        for x, sigma, score in record.scores[max(count - 2, 0) : count + 2]:
            if u.shape != x.shape or abs(sigma - 1) < 0.2:  # at sigma = 1 the two are the same
                continue
            k = float(np.vdot(score, u - x) / np.vdot(score, score))
            moved = np.abs(k * score).max()
            if moved > 1e-2 * np.abs(u).max() and np.abs(x + k * score - u).max() < 1e-3 * moved:
                slips.append(min(abs(k / (sigma * scale) - 1) for scale in (1.0, (1 + sigma**2) ** 0.5)) < 1e-2)
    return float(np.mean(slips)) if slips else None


class Draws:
    """The random draws of a torch run, in order.

    `with draws.kept(): run(7)`, then `with draws.dealt(): run(3)`: the second run gets the first rows of the same
    numbers. It raises IndexError if it draws more often, RuntimeError if it draws something larger; `all_dealt` says
    whether it drew as often.
    """

    def __init__(self) -> None:
        self._kept: list[Any] = []
        self._next = 0

    @property
    def all_dealt(self) -> bool:
        return self._next == len(self._kept)

    def kept(self) -> Any:
        return _torch_mode(lambda drawn: self._kept.append(drawn.clone()))

    def dealt(self) -> Any:
        self._next = 0
        return _torch_mode(self._deal)

    def _deal(self, drawn: Any) -> None:
        first = self._kept[self._next]
        self._next += 1
        drawn.copy_(first[tuple(slice(size) for size in drawn.shape)])


def _torch_mode(use: Callable[[Any], None]) -> Any:
    """A context in which `use` sees, and may overwrite, what torch draws from a generator."""
    from torch.overrides import TorchFunctionMode

    class Mode(TorchFunctionMode):
        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            drawn = function(*args, **(kwargs or {}))
            if (kwargs or {}).get("generator") is not None:
                use(drawn)
            return drawn

    return Mode()


def row_by_row(sample: Callable[[int], Callable[[], Array]], many: int, few: int) -> bool:
    """Whether the draws of a JAX program for few samples are the first rows of its draws for many.

    JAX draws a shorter array as the beginning of a longer one, so it is enough that the number of samples is the first
    dimension of every draw that it occurs in. False for a program that cannot be traced.
    """
    import jax

    try:
        long, short = (list(_draw_shapes(jax.make_jaxpr(sample(n))().jaxpr)) for n in (many, few))
    except Exception:
        return False
    pairs = zip(long, short, strict=False)
    return len(long) == len(short) and all(a == b or (a, b) == ((many, *a[1:]), (few, *a[1:])) for a, b in pairs)


def _draw_shapes(jaxpr: Any) -> Iterator[tuple[int, ...]]:
    from jax.extend.core import jaxprs_in_params

    for equation in jaxpr.eqns:
        if equation.primitive.name == "random_bits":
            yield equation.params["shape"]
        for inner in jaxprs_in_params(equation.params):
            yield from _draw_shapes(inner)


def _tell(use: Callable[..., None], *values: Array) -> None:
    """Calls `use` with concrete values, now (torch) or when the program runs (JAX)."""
    if framework_of(values[0]) == "torch":
        with suppress(RuntimeError):  # inside torch.func a tensor has no values to show
            use(*values)
    else:
        import jax

        jax.debug.callback(use, *values)


def _host(x: Any) -> np.ndarray:
    return np.asarray(x.detach().cpu() if hasattr(x, "detach") else x, dtype=np.float64)
