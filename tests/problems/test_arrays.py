"""The array layer does the same in NumPy, torch and JAX, and what it draws has the law it names."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch

from problems.arrays import (
    Replay,
    categorical,
    constant,
    framework_of,
    linspace,
    logsumexp,
    make_key,
    namespace,
    normal,
    scan,
    softmax,
    split,
    trace,
    uniform,
    vjp,
)

FRAMEWORKS = ("numpy", "torch", "jax")
KEYS = (*FRAMEWORKS, "replay")


def array(framework: str, values: Any, dtype: str = "float64") -> Any:
    host = np.asarray(values, dtype)
    return {"numpy": np.asarray, "torch": torch.tensor, "jax": jnp.asarray}[framework](host)


def like(kind: str, dtype: str = "float64") -> Any:
    return array("jax" if kind == "replay" else kind, [0.0], dtype)


@pytest.mark.parametrize("kind", KEYS)
def test_the_framework_of_keys_and_arrays_is_told(kind):
    assert framework_of(make_key(kind, [1])) == kind
    if kind != "replay":
        assert framework_of(array(kind, [1.0])) == kind


@pytest.mark.parametrize("kind", KEYS)
def test_words_decide_the_draws(kind):
    def draws(words: list[int]) -> list[float]:
        return np.asarray(normal(make_key(kind, words), (3,), like(kind))).tolist()

    words = [[0], [1], [0, 1], [1, 2], [2, 1], [2**32 - 1, 5], [5]]
    assert len({draws(w)[0] for w in words}) == len(words)
    assert all(draws(w) == draws(w) for w in words)


def test_a_negative_word_is_refused():
    with pytest.raises(ValueError, match="non-negative"):
        make_key("numpy", [3, -1])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize(("draw", "law"), [(normal, scipy.stats.norm()), (uniform, scipy.stats.uniform())])
def test_draws_have_their_law_and_the_dtype_of_like(kind, dtype, draw, law):
    drawn = draw(make_key(kind, [7, 1]), (4000, 5), like(kind, dtype))
    assert framework_of(drawn) == ("jax" if kind == "replay" else kind)
    host = np.asarray(drawn)
    assert host.shape == (4000, 5)
    assert host.dtype == dtype
    assert scipy.stats.kstest(host.ravel(), law.cdf).pvalue > 1e-5
    correlation = np.corrcoef(host, rowvar=False) - np.eye(5)
    assert np.abs(correlation).max() < 5 / np.sqrt(4000)
    assert abs(np.corrcoef(host[1:, 0], host[:-1, 0])[0, 1]) < 5 / np.sqrt(4000)


@pytest.mark.parametrize("kind", KEYS)
def test_split_gives_keys_that_draw_apart(kind):
    key = make_key(kind, [3])
    keys = split(key, 3)
    assert len(keys) == 3
    assert all(framework_of(k) == kind for k in keys)
    drawn = [float(np.asarray(normal(k, (1,), like(kind)))[0]) for k in keys]
    assert len(set(drawn)) == 3


@pytest.mark.parametrize("draw", [normal, uniform])
def test_replayed_rows_do_not_depend_on_their_number_or_on_the_framework(draw):
    key = make_key("replay", [4, 2])
    many = np.asarray(draw(key, (8, 3), like("jax")))
    assert len(np.unique(many)) == 24
    for framework in FRAMEWORKS:
        few = draw(key, (5, 3), array(framework, [0.0]))
        assert framework_of(few) == framework
        np.testing.assert_array_equal(np.asarray(few), many[:5])
        single = np.asarray(draw(key, (5, 3), array(framework, [0.0], "float32")))
        assert single.dtype == np.float32
        np.testing.assert_array_equal(single, many[:5].astype(np.float32))


def test_replayed_rows_of_split_keys_are_the_same_under_jit():
    def draw(raw: Any) -> Any:
        first, second = split(Replay(raw), 2)
        return normal(first, (8, 3), jnp.zeros(())) + 10 * uniform(second, (8, 3), jnp.zeros(()))

    raw = make_key("jax", [9])
    np.testing.assert_allclose(jax.jit(draw)(raw), draw(raw), rtol=1e-14)


@pytest.mark.parametrize("kind", KEYS)
def test_categorical_has_its_law(kind):
    weights = np.array([0.05, 0.4, 0.0, 0.25, 0.3])
    with np.errstate(divide="ignore"):
        logs = array("jax" if kind == "replay" else kind, np.log(weights))
    labels = np.asarray(categorical(make_key(kind, [5]), logs, 20_000))
    assert np.issubdtype(labels.dtype, np.integer)
    counts = np.bincount(labels, minlength=5)
    assert len(counts) == 5
    assert counts[2] == 0
    seen = weights > 0
    assert scipy.stats.chisquare(counts[seen], 20_000 * weights[seen]).pvalue > 1e-5


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_categorical_inverts_the_distribution_function(framework, given):
    """Its ends as well: a uniform draw may be 0, where a first component without weight must not be chosen."""
    draws = np.array([0.0, 0.19, 0.21, 0.49, 0.51, 1 - 2**-53])
    with np.errstate(divide="ignore"):
        logs = array(framework, np.log([0.0, 0.2, 0.3, 0.5]))
    np.testing.assert_array_equal(np.asarray(categorical(given(draws), logs, 6)), [1, 1, 2, 2, 3, 3])


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_linspace_has_both_ends(framework, dtype):
    found = linspace(-0.3, 1.7, 6, array(framework, [0.0], dtype))
    assert framework_of(found) == framework
    assert np.asarray(found).dtype == dtype
    np.testing.assert_allclose(np.asarray(found), [-0.3, 0.1, 0.5, 0.9, 1.3, 1.7], rtol=1e-6)


def test_linspace_takes_a_tracer():
    np.testing.assert_allclose(jax.jit(lambda a: linspace(2.0, 5.0, 4, a))(jnp.zeros(2)), [2, 3, 4, 5])


ROWS = np.array(
    [
        [0.3, -1.2, 2.0, 0.1],
        [1e4, 1e4 + 1, -1e4, 3.0],
        [-1e4, -1e4 - 2, -1e4 + 1, -3e4],
        [-np.inf, 0.5, -np.inf, -0.7],
        [700.0, -700.0, 710.0, 709.0],
    ]
)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_logsumexp_and_softmax_hold_at_the_extremes(framework):
    rows = array(framework, ROWS)
    np.testing.assert_allclose(np.asarray(logsumexp(rows)), scipy.special.logsumexp(ROWS, axis=-1), rtol=1e-14)
    np.testing.assert_allclose(np.asarray(softmax(rows)), scipy.special.softmax(ROWS, axis=-1), rtol=1e-12)
    np.testing.assert_allclose(np.asarray(logsumexp(rows[3])), scipy.special.logsumexp(ROWS[3]), rtol=1e-14)
    with np.errstate(divide="ignore"):
        assert float(logsumexp(array(framework, np.full(3, -np.inf)))) == -np.inf


@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_vjp_agrees_with_finite_differences_and_may_be_called_twice(framework):
    rng = np.random.default_rng(11)
    mix = rng.standard_normal((3, 4))
    x = rng.standard_normal((2, 3))
    weights = array(framework, mix)

    def f(x: Any) -> Any:
        xp = namespace(x)
        return xp.exp(0.3 * x @ weights) * xp.sum(x**3, axis=1, keepdims=True)

    def f_host(x: np.ndarray) -> np.ndarray:
        return np.exp(0.3 * x @ mix) * np.sum(x**3, axis=1, keepdims=True)

    value, pull = vjp(f, array(framework, x))
    np.testing.assert_allclose(np.asarray(value), f_host(x), rtol=1e-13)
    for _ in range(2):
        v, step = rng.standard_normal((2, 4)), 1e-5
        gradient = np.empty_like(x)
        for i in np.ndindex(*x.shape):
            unit = np.zeros_like(x)
            unit[i] = step
            gradient[i] = np.sum(v * (f_host(x + unit) - f_host(x - unit))) / (2 * step)
        np.testing.assert_allclose(np.asarray(pull(array(framework, v))), gradient, rtol=1e-7, atol=1e-8)


def test_vjp_in_torch_leaves_no_graph_behind():
    x = torch.tensor([1.5, -0.5])
    with torch.no_grad():
        value, pull = vjp(lambda x: x**3, x)
        pulled = pull(torch.tensor([1.0, 2.0]))
    assert not x.requires_grad
    assert not value.requires_grad
    assert not pulled.requires_grad
    np.testing.assert_allclose(pulled, [6.75, 1.5])


class Table(NamedTuple):
    """Two columns that must not be confused, nor their rows reordered."""

    scale: Any
    shift: Any


def walk(x: Any, row: Table, keys: Any) -> Any:
    assert len(keys) == 2
    drift = row.scale * namespace(x).tanh(x) + row.shift
    return drift + 0.3 * normal(keys[0], x.shape, x) * x + uniform(keys[1], x.shape, x)


TABLE = ([1.0, -0.7, 0.4, 2.0], [0.1, 0.0, -1.5, 0.3])


def run(framework: str, key: Any, n: int, step: Any = walk) -> Any:
    start = array(framework, np.outer(np.arange(1, n + 1), [0.1, -0.2, 0.3]))
    return scan(step, start, Table(*(array(framework, column) for column in TABLE)), key, draws=2)


def test_scan_is_the_loop_over_rows_and_split_keys():
    key = make_key("replay", [6, 6])
    x = array("numpy", np.outer(np.arange(1, 9), [0.1, -0.2, 0.3]))
    for scale, shift, keys in zip(*TABLE, key.split(4, 2), strict=True):
        x = walk(x, Table(scale, shift), [Replay(k) for k in keys])
    for framework in FRAMEWORKS:
        np.testing.assert_allclose(np.asarray(run(framework, key, 8)), x, rtol=1e-12)
        np.testing.assert_allclose(np.asarray(run(framework, key, 5)), x[:5], rtol=1e-12)


@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_scan_hands_each_step_fresh_keys(framework):
    """With the framework's own keys: the increments of a random walk are independent between steps and draws."""

    def increments(x: Any, row: Table, keys: Any) -> Any:
        return x + row.scale * normal(keys[0], x.shape, x) + 2 * row.shift * normal(keys[1], x.shape, x)

    key = make_key(framework, [12])
    start = array(framework, np.zeros((20_000, 3)))
    tables = Table(*(array(framework, column) for column in TABLE))
    final = np.asarray(scan(increments, start, tables, key, draws=2))
    variance = sum(a**2 + 4 * b**2 for a, b in zip(*TABLE, strict=True))
    assert scipy.stats.kstest(final.ravel() / np.sqrt(variance), "norm").pvalue > 1e-5


def test_scan_hands_one_key_unless_told_otherwise():
    def step(x: Any, row: Table, keys: Any) -> Any:
        assert len(keys) == 1
        return x + row.scale * normal(keys[0], x.shape, x)

    tables = Table(*(jnp.asarray(column) for column in TABLE))
    moved = scan(step, jnp.zeros((2, 2)), tables, make_key("jax", [1]))
    host = scan(step, torch.zeros(2, 2), Table(*map(torch.tensor, TABLE)), make_key("torch", [1]))
    assert np.all(np.asarray(moved) != 0)
    assert torch.all(host != 0)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_trace_keeps_every_state(framework):
    rows = tuple(array(framework, column) for column in ([[2.0, 1.0], [0.5, 3.0], [1.0, -1.0]], [[1.0], [0.0], [4.0]]))
    found = trace(lambda x, row: row[0] * x + row[1], array(framework, [1.0, -1.0]), rows)
    np.testing.assert_allclose(np.asarray(found), [[3, 0], [1.5, 0], [5.5, 4]])


@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_no_gradient_goes_through_what_is_constant_and_one_through_a_trace(framework):
    """d/dx of (((x a + c) a + c), summed over both states, with c = 5 x held)."""

    def f(x: Any) -> Any:
        rows = (array(framework, [2.0, 3.0]),)
        return namespace(x).sum(trace(lambda y, row: row[0] * y + constant(5 * x), x, rows), axis=0)

    value, pull = vjp(f, array(framework, 0.7))
    assert float(value) == pytest.approx(0.7 * (2 + 5 + 3 * (2 + 5) + 5))
    assert float(pull(array(framework, 1.0))) == pytest.approx(2 + 6)
