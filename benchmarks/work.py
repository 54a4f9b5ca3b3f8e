"""The work of a sampler, counted by the harness: denoiser evaluations, derivative passes, uses of the operator.

The prior and the operator of a problem are wrapped, and every use leaves a mark that also shows when it is
differentiated. In JAX the mark is an identity primitive, found by walking the traced program (marks in a scan count
once per iteration); it lowers to nothing, so the program that runs is the program that was counted. In torch the mark
adds to a tally when it is passed, forward or backward, in a call of its own.

A count is rows evaluated / n, that is per sample. `nfe`: denoise, score and log_prob of the prior. `vjp`: passes
through their derivative, backward or forward. `operator_calls`: uses of the operator (A, the adjoint of its derivative,
its pseudo-inverse, solve, projection or another function of its singular values) and derivative passes through them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from problems.arrays import Array, framework_of
from problems.contract import Problem, data, static

_COLUMNS = {
    ("prior", "forward"): "nfe",
    ("prior", "tangent"): "vjp",
    ("prior", "backward"): "vjp",
    ("operator", "forward"): "operator_calls",
    ("operator", "tangent"): "operator_calls",
    ("operator", "backward"): "operator_calls",
}


@dataclass(frozen=True)
class Work:
    """Counts per sample."""

    nfe: float
    vjp: float
    operator_calls: float


class UnknownLength(Exception):
    """The program evaluates the prior in a loop whose length is not known before it runs."""


@data
class CountedPrior:
    """A prior whose evaluations leave marks; everything else is the prior's own."""

    inner: Any
    tally: Counter[str] | None = static(default=None)

    def denoise(self, x: Array, *args: Any, **kwargs: Any) -> Array:
        return _marked(self, self.inner.denoise, "prior", x, *args, **kwargs)

    def score(self, x: Array, *args: Any, **kwargs: Any) -> Array:
        return _marked(self, self.inner.score, "prior", x, *args, **kwargs)

    def log_prob(self, x: Array, *args: Any, **kwargs: Any) -> Array:
        return _marked(self, self.inner.log_prob, "prior", x, *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return _inner(self, name)


@data
class CountedOperator:
    """An operator whose uses leave marks; everything else is the operator's own."""

    inner: Any
    tally: Counter[str] | None = static(default=None)

    def __call__(self, x: Array) -> Array:
        return _marked(self, self.inner, "operator", x)

    def adjoint(self, v: Array) -> Array:
        return _marked(self, self.inner.adjoint, "operator", v)

    def pull(self, x: Array, v: Array) -> Array:
        return _marked(self, lambda v: self.inner.pull(x, v), "operator", v)

    def pseudo_inverse(self, v: Array) -> Array:
        return _marked(self, self.inner.pseudo_inverse, "operator", v)

    def damped_inverse(self, v: Array, *args: Any) -> Array:
        return _marked(self, self.inner.damped_inverse, "operator", v, *args)

    def gram_solve(self, v: Array, *args: Any, **kwargs: Any) -> Array:
        return _marked(self, self.inner.gram_solve, "operator", v, *args, **kwargs)

    def project_range(self, x: Array) -> Array:
        return _marked(self, self.inner.project_range, "operator", x)

    def spectral(self, x: Array, *args: Any) -> Array:
        return _marked(self, self.inner.spectral, "operator", x, *args)

    def spectral_energy(self, x: Array, *args: Any) -> Array:
        return _marked(self, self.inner.spectral_energy, "operator", x, *args)

    def __getattr__(self, name: str) -> Any:
        return _inner(self, name)


def counted(problem: Problem, tally: Counter[str] | None = None) -> Problem:
    """The problem with its prior and operator wrapped; torch needs a tally, which holds rows."""
    operator = None if problem.operator is None else CountedOperator(problem.operator, tally)
    return replace(problem, prior=CountedPrior(problem.prior, tally), operator=operator)


def work_of(rows: Counter[str], n: int) -> Work:
    """Rows evaluated, divided by the number of samples."""
    return Work(*(rows[column] / n for column in ("nfe", "vjp", "operator_calls")))


def count_jaxpr(jaxpr: Any, n: int) -> Work:
    """The work of a traced program (a closed jaxpr) whose problem was `counted`.

    Raises:
        UnknownLength: if marks stand in a while loop.
    """
    return work_of(_walk(jaxpr.jaxpr), n)


def _inner(wrapper: Any, name: str) -> Any:
    if name == "inner":  # asked before the field is set: an incomplete copy
        raise AttributeError(name)
    return getattr(wrapper.inner, name)


def _marked(wrapper: Any, f: Callable[..., Array], what: str, x: Array, *args: Any, **kwargs: Any) -> Array:
    """f(x, ...), with a mark on its result (forward, tangent) and one on x, where the backward pass comes out."""
    if framework_of(x) == "torch":
        mark = _torch_mark()
        return mark(f(mark(x, wrapper.tally, what, "watch"), *args, **kwargs), wrapper.tally, what, "forward")
    primitive = _jax_mark()

    def bind(value: Array, way: str) -> Array:
        return primitive.bind(value, what=what, way=way, width=math.prod(value.shape[1:]))

    return bind(f(bind(x, "watch"), *args, **kwargs), "forward")


@cache
def _jax_mark() -> Any:
    """An identity whose derivative passes leave marks of their own."""
    from jax.extend.core import Primitive
    from jax.interpreters import ad, batching, mlir

    mark = Primitive("posterior_bench_mark")
    tangent_of = {"forward": "tangent", "watch": "watch", "tangent": "tangent", "backward": "backward"}
    transpose_of = {"tangent": "watch", "watch": "backward", "backward": "tangent"}

    def jvp(primals: Any, tangents: Any, *, way: str, **params: Any) -> tuple[Any, Any]:
        out = mark.bind(*primals, way=way, **params)
        moving = not isinstance(tangents[0], ad.Zero)
        return out, mark.bind(tangents[0], way=tangent_of[way], **params) if moving else tangents[0]

    def transpose(cotangent: Any, _: Any, *, way: str, **params: Any) -> list[Any]:
        moving = not isinstance(cotangent, ad.Zero)
        return [mark.bind(cotangent, way=transpose_of[way], **params) if moving else cotangent]

    mark.def_impl(lambda x, **_: x)
    mark.def_abstract_eval(lambda x, **_: x)
    mlir.register_lowering(mark, lambda _context, x, **_: [x])
    batching.primitive_batchers[mark] = lambda xs, axes, **params: (mark.bind(*xs, **params), axes[0])
    ad.primitive_jvps[mark] = jvp
    ad.primitive_transposes[mark] = transpose
    return mark


@cache
def _torch_mark() -> Callable[[Array, Counter[str], str, str], Array]:
    """An identity that adds its rows to a tally when it is passed, forward ('forward') or backward ('watch')."""
    import torch

    class Mark(torch.autograd.Function):
        generate_vmap_rule = True

        @staticmethod
        def forward(x: Any, tally: Counter[str], what: str, way: str) -> Any:
            if way == "forward":
                tally[_COLUMNS[what, way]] += x.shape[0]
            return x.view_as(x)

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:  # noqa: ARG004
            _, ctx.tally, ctx.what, ctx.way = inputs

        @staticmethod
        def backward(ctx: Any, *gradients: Any) -> Any:
            if ctx.way == "watch":
                ctx.tally[_COLUMNS[ctx.what, "backward"]] += gradients[0].shape[0]
            return gradients[0], None, None, None

    return Mark.apply


def _walk(jaxpr: Any) -> Counter[str]:
    """Rows evaluated by a jaxpr, by column."""
    total: Counter[str] = Counter()
    for equation in jaxpr.eqns:
        name, params = equation.primitive.name, equation.params
        if name == "posterior_bench_mark":
            column = _COLUMNS.get((params["what"], params["way"]))
            if column:
                total[column] += math.prod(equation.outvars[0].aval.shape) // params["width"]
            continue
        inside = [_walk(inner) for inner in _jaxprs(params)]
        if name == "cond":
            inside = [Counter({key: max(one[key] for one in inside) for one in inside for key in one})]
        if name == "while" and any(inside):
            raise UnknownLength
        times = params["length"] if name == "scan" else 1
        for one in inside:
            total.update({key: times * count for key, count in one.items()})
    return total


def _jaxprs(params: dict[str, Any]) -> Iterator[Any]:
    """The programs inside an equation."""
    for value in params.values():
        for item in value if isinstance(value, (tuple, list)) else (value,):
            closed = getattr(item, "jaxpr", item)
            if hasattr(closed, "eqns"):
                yield closed
