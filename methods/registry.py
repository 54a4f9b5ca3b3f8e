"""The registry of methods: what a sampler declares, how it is configured, and what it returns."""

from __future__ import annotations

import inspect
import math
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from annotated_types import Ge, Interval

from problems.arrays import Array
from problems.contract import data
from problems.names import UsageError, lookup, unknown

Count = typing.Annotated[int, Ge(1)]
Positive = typing.Annotated[float, Interval(gt=0, lt=math.inf)]
NonNegative = typing.Annotated[float, Interval(ge=0, lt=math.inf)]
Inside = typing.Annotated[float, Interval(gt=0, lt=1)]
Fraction = typing.Annotated[float, Interval(ge=0, le=1)]

FRAMEWORKS = {"array": ("jax", "torch"), "jax": ("jax",), "torch": ("torch",)}
REQUIREMENTS = (
    *("linear", "svd", "gaussian_noise", "likelihood", "differentiable", "image"),
    *("prior_log_prob", "prior_sample", "prior_cov"),
)


@data
class Samples:
    """What a method returns.

    Attributes:
        x: (n, *problem.shape).
        log_prob: (n,) log q(x) in nats, for methods that have a density.
        nfe, vjp: the method's own count of denoiser evaluations and backward passes per sample; checked by the
            harness, not believed.
        train_seconds: the part of the run that was training.
        info: named scalars worth storing, for example a training loss.
        log_density: x (k, *problem.shape) -> log q(x) in nats, (k,), for methods that know it everywhere. It is asked
            about draws of the exact posterior, after the clock has stopped. Of methods of framework 'jax' or 'torch'
            only: the output of one that the harness compiles ('array') holds no functions.
    """

    x: Array
    log_prob: Array | None = None
    nfe: Any = None
    vjp: Any = None
    train_seconds: Any = 0.0
    info: dict[str, Any] = field(default_factory=dict)
    log_density: Callable[[Array], Array] | None = None


@dataclass(frozen=True)
class Method:
    """A registered sampler.

    Attributes:
        run: `run(problem, key, *, n, **hyper) -> Samples`.
        framework: 'array' (array arithmetic, runs in JAX and torch), 'jax' or 'torch'.
        hyper: name -> default. types: name -> annotation with its bounds.
        presets: name -> the hyper-parameters that differ from the defaults; 'default' always exists.
        requires: what a problem must provide. oracle: it is given the posterior as its prior.
        particle: its samples depend on each other, by design: they interact, or share random numbers.
        point: it estimates one signal and is no sampler: its spread means nothing.
        own_steps: its number of steps is part of the algorithm, or of training: suites leave it as it is.
        max_dim: the dimension up to which it can be afforded; None for all.
        compiled: whether the harness compiles it in JAX, as it does all of framework 'array'; others of framework 'jax'
            compile what they want, when they want.
    """

    name: str
    run: Callable[..., Samples]
    framework: str
    hyper: Mapping[str, Any]
    types: Mapping[str, Any]
    presets: Mapping[str, Mapping[str, Any]]
    requires: frozenset[str]
    oracle: bool
    particle: bool
    summary: str
    point: bool = False
    own_steps: bool = False
    max_dim: int | None = None
    compiled: bool = False

    def configure(self, preset: str = "default", overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The full hyper-parameters of a preset with overrides.

        Raises:
            UsageError: for an unknown preset, an unknown hyper-parameter, a wrong type or a value out of range.
        """
        chosen = {**self.hyper, **lookup(f"preset of {self.name}", preset, self.presets), **(overrides or {})}
        for name, value in chosen.items():
            if name not in self.hyper:
                raise unknown(f"hyper-parameter of {self.name}", name, self.hyper)
            chosen[name] = self._checked(name, value)
        return chosen

    def _checked(self, name: str, value: Any) -> Any:
        if value is None and self.hyper[name] is None:
            return None
        if isinstance(value, bool) and type(self.hyper[name]) in (int, float):  # pydantic takes true for 1
            raise UsageError(f"{self.name}: {name} is out of range: Input should be a number, got {value!r}")
        from pydantic import ValidationError

        try:
            return self._adapters[name].validate_python(value)
        except ValidationError as error:
            what = error.errors()[0]["msg"]
            raise UsageError(f"{self.name}: {name} is out of range: {what}, got {value!r}") from None

    @cached_property
    def _adapters(self) -> dict[str, Any]:
        """name -> what checks its values; made once, because a plan asks for every row of every problem."""
        from pydantic import TypeAdapter

        return {name: TypeAdapter(self.types.get(name, _kind_of(default))) for name, default in self.hyper.items()}


def _kind_of(default: Any) -> Any:
    """What a hyper-parameter without an annotation may be: like its default, and any number where that is one."""
    if default is None:
        return Any
    return int | float if type(default) in (int, float) else type(default)


METHODS: dict[str, Method] = {}


def register(entry: Method) -> None:
    """Adds a method; its name must be new."""
    if entry.name in METHODS:
        raise UsageError(f"method {entry.name!r} is already taken; choose another name")
    METHODS[entry.name] = entry


def keywords(function: Callable[..., Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The keyword-only parameters of a function: name -> default (`inspect.Parameter.empty` if none), annotations."""
    parameters = inspect.signature(function).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except NameError:  # annotations of a plugin that only its type checker can resolve
        hints = {}
    return defaults, {name: hints[name] for name in defaults if name in hints}


def describe(run: Callable[..., Samples]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The hyper-parameters of a sampler, n apart: defaults and annotations.

    Raises:
        UsageError: if the signature is not (problem, key, *, n, name=default, ...).
    """
    parameters = inspect.signature(run).parameters.values()
    positional = [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY]
    defaults, types = keywords(run)
    bare = [name for name, default in defaults.items() if name != "n" and default is inspect.Parameter.empty]
    if positional != ["problem", "key"] or "n" not in defaults or bare:
        raise UsageError(
            f"{getattr(run, '__name__', run)}: a sampler is (problem, key, *, n, name=default, ...), "
            f"got {inspect.signature(run)}"
        )
    hyper = {name: default for name, default in defaults.items() if name != "n"}
    return hyper, {name: types[name] for name in hyper if name in types}


def method(
    name: str,
    *,
    framework: str = "array",
    requires: frozenset[str] | set[str] = frozenset(),
    presets: Mapping[str, Mapping[str, Any]] | None = None,
    oracle: bool = False,
    particle: bool = False,
    point: bool = False,
    own_steps: bool = False,
    max_dim: int | None = None,
    compiled: bool = False,
) -> Callable[[Callable[..., Samples]], Callable[..., Samples]]:
    """Registers a sampler `(problem, key, *, n, **hyper) -> Samples` under a name.

    Raises:
        UsageError: for a name already taken, an unknown framework or requirement, or a wrong signature.
    """
    lookup("framework", framework, FRAMEWORKS)
    for need in requires:
        if need not in REQUIREMENTS:
            raise unknown("requirement", need, REQUIREMENTS)

    def decorate(run: Callable[..., Samples]) -> Callable[..., Samples]:
        hyper, types = describe(run)
        entry = Method(
            name=name,
            run=run,
            framework=framework,
            hyper=hyper,
            types=types,
            presets={"default": {}, **(presets or {})},
            requires=frozenset(requires) | ({"posterior"} if oracle else set()),
            oracle=oracle,
            particle=particle,
            summary=(inspect.getdoc(run) or "").split("\n")[0],
            point=point,
            own_steps=own_steps,
            max_dim=max_dim,
            compiled=compiled or framework == "array",
        )
        for preset in entry.presets:
            entry.configure(preset)
        register(entry)
        return run

    return decorate
