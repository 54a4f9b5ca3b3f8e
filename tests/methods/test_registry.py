"""Registering a sampler, and configuring it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import pytest
from annotated_types import Lt

import methods.registry
from methods import METHODS, method
from methods.registry import Count, Method, NonNegative, Positive, describe, keywords, register
from problems.names import UsageError

if TYPE_CHECKING:
    from nowhere import Unresolved


@pytest.fixture(autouse=True)
def table(monkeypatch: pytest.MonkeyPatch) -> dict[str, Method]:
    """An empty registry."""
    empty: dict[str, Method] = {}
    monkeypatch.setattr(methods.registry, "METHODS", empty)
    return empty


def drift(
    problem,
    key,
    *,
    n,
    steps: Count = 7,
    width: Positive | None = None,
    slope: NonNegative = 0.5,
    kind: Literal["left", "right"] = "left",
    share: Annotated[float, Lt(3.0)] = 2.0,
    free=None,
    scale=1.0,
    name="x",
):
    """Walks away. It says more

    on other lines.
    """


def test_an_entry_holds_what_was_declared(table):
    found = method("drift", framework="torch", requires={"svd"}, presets={"fast": {"steps": 2}}, particle=True)(drift)
    assert found is drift
    entry = table["drift"]
    assert entry == Method(
        name="drift",
        run=drift,
        framework="torch",
        hyper={
            "steps": 7,
            "width": None,
            "slope": 0.5,
            "kind": "left",
            "share": 2.0,
            "free": None,
            "scale": 1.0,
            "name": "x",
        },
        types=entry.types,
        presets={"default": {}, "fast": {"steps": 2}},
        requires=frozenset({"svd"}),
        oracle=False,
        particle=True,
        summary="Walks away. It says more",
    )
    assert list(entry.types) == ["steps", "width", "slope", "kind", "share"]


def test_defaults_are_an_array_method_that_needs_nothing(table):
    method("drift")(drift)
    entry = table["drift"]
    assert (entry.framework, entry.requires, entry.oracle, entry.particle) == ("array", frozenset(), False, False)
    assert list(entry.presets) == ["default"]


def test_the_package_and_the_registry_share_one_table(table):
    assert METHODS is not table  # the fixture's, for this test alone
    assert {"exact", "prior", "dps", "em-none"} <= set(METHODS)
    assert all(name == entry.name for name, entry in METHODS.items())


def test_a_name_is_taken_once(table):
    method("drift")(drift)
    with pytest.raises(UsageError, match="method 'drift' is already taken; choose another name"):
        method("drift")(drift)
    with pytest.raises(UsageError, match="already taken"):
        register(table["drift"])
    assert len(table) == 1


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"framework": "tourch"}, "no framework 'tourch'; did you mean 'torch'? there are: array, jax, torch"),
        ({"requires": {"linaer"}}, "no requirement 'linaer'; did you mean 'linear'?"),
        ({"presets": {"fast": {"stesp": 2}}}, "no hyper-parameter of drift 'stesp'; did you mean 'steps'?"),
        ({"presets": {"fast": {"steps": 0}}}, "drift: steps is out of range: .*greater than or equal to 1, got 0"),
    ],
)
def test_wrong_declarations_are_refused_and_nothing_is_registered(table, declared, message):
    with pytest.raises(UsageError, match=message.replace("?", r"\?")):
        method("drift", **declared)(drift)
    assert not table


def without_n(problem, key, *, steps=3): ...
def swapped(key, problem, *, n): ...
def positional(problem, key, n): ...
def without_default(problem, key, *, n, steps): ...
def catch_all(problem, key, *, n, **hyper): ...


@pytest.mark.parametrize("wrong", [without_n, swapped, positional, without_default, catch_all])
def test_wrong_signatures_are_refused(table, wrong):
    with pytest.raises(UsageError, match=rf"{wrong.__name__}: a sampler is \(problem, key, \*, n, name=default"):
        method("wrong")(wrong)
    assert not table


def test_configuring_takes_the_preset_over_the_defaults_and_the_overrides_over_both(table):
    method("drift", presets={"fast": {"steps": 2, "slope": 0.25}})(drift)
    entry = table["drift"]
    assert entry.configure() == entry.hyper
    assert entry.configure("fast", {"slope": 4, "width": 0.5}) == {
        **entry.hyper,
        "steps": 2,
        "slope": 4.0,
        "width": 0.5,
    }
    assert entry.configure("fast", {"width": None})["width"] is None
    assert entry.hyper["steps"] == 7  # nothing is written back


def test_values_take_the_declared_type(table):
    method("drift")(drift)
    chosen = table["drift"].configure("default", {"steps": 4.0, "slope": 2, "free": "anything", "scale": 3})
    assert (type(chosen["steps"]), type(chosen["slope"]), chosen["free"]) == (int, float, "anything")
    assert chosen["scale"] == 3  # without an annotation any number does where the default is one


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("steps", value) for value in (0, -1, 1.5, None, "x", True)),
        *(("width", value) for value in (0, -2.0)),
        ("slope", -0.001),
        ("kind", "up"),
        ("share", 3.0),
        *(("scale", value) for value in ("x", None, True)),
        *(("name", value) for value in (1, None)),
    ],
)
def test_values_out_of_range_are_refused_with_what_came(table, name, value):
    method("drift")(drift)
    with pytest.raises(UsageError, match=rf"^drift: {name} is out of range: .*, got {value!r}$"):
        table["drift"].configure("default", {name: value})


def test_the_edges_of_the_ranges_are_inside(table):
    method("drift")(drift)
    chosen = table["drift"].configure("default", {"steps": 1, "slope": 0.0, "width": 1e-300, "share": 2.999})
    assert (chosen["steps"], chosen["slope"], chosen["width"]) == (1, 0.0, 1e-300)


def test_annotations_that_cannot_be_resolved_leave_the_defaults(table):
    """A plugin may annotate with names that only its type checker imports."""

    def plugin(problem: Unresolved, key, *, n: int, steps: Count = 3): ...

    assert describe(plugin) == ({"steps": 3}, {})
    assert keywords(plugin)[0].keys() == {"n", "steps"}
    method("plugin")(plugin)
    assert table["plugin"].configure("default", {"steps": -5}) == {"steps": -5}
    assert table["plugin"].summary == ""
