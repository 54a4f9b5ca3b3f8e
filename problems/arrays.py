"""The array layer: what samplers need beyond the array API standard, in NumPy, torch and JAX.

Priors, operators and samplers are written once against the standard (`namespace(x)` gives the
functions); this module adds keys, random draws, `vjp` and `scan`. A key is the framework's own:
`numpy.random.Generator`, `torch.Generator`, a JAX key, or `Replay` in tests. Following JAX, a key
is used once: split it before you draw twice (for the stateful generators `split` is the identity).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, TypeVar

import array_api_compat
import numpy as np

Array = Any
Key = Any
State = TypeVar("State")


def namespace(x: Array) -> Any:
    """The array API namespace of `x` (NumPy, torch or JAX)."""
    return array_api_compat.array_namespace(x)


def framework_of(x: Array | Key) -> str:
    """'numpy', 'torch', 'jax' or 'replay' for an array or a key."""
    root = type(x).__module__.split(".")[0]
    if isinstance(x, Replay):
        return "replay"
    return root if root in ("numpy", "torch") else "jax"


@dataclass(frozen=True)
class Replay:
    """A key whose draws are the same numbers in torch and in JAX, row by row.

    Row i of a draw depends on the key and on i alone, never on the number of rows, so that two
    frameworks, or n and n/2 samples, can be compared on the same noise. A subclass may number its
    draws (`split`) and decide what they are (`rows`).
    """

    key: Any  # a JAX key

    def split(self, *shape: int) -> Array:
        """An array of that shape of what `key` may be, each for one new key."""
        return _jax().random.split(self.key, shape)

    def rows(self, draw: Callable[..., Array], shape: tuple[int, ...]) -> Array:
        """draw(key_i, shape[1:]) for every row i."""
        return _drawn_by_row(draw, shape)(self.key)


@cache
def _drawn_by_row(draw: Callable[..., Array], shape: tuple[int, ...]) -> Callable[[Key], Array]:
    jax = _jax()

    def row(key: Key, i: Array) -> Array:
        return draw(jax.random.fold_in(key, i), shape[1:])

    # Compiled, because torch replays step by step, where the many small operations would take 2 ms a draw.
    return jax.jit(lambda key: jax.vmap(row, (None, 0))(key, jax.numpy.arange(shape[0])))


def _jax() -> Any:
    import jax

    return jax


def make_key(framework: str, words: Sequence[int], device: str = "cpu") -> Key:
    """The key of `framework` for a sequence of non-negative integers (hashed, order matters)."""
    seed = np.random.SeedSequence(list(words))
    if framework == "numpy":
        return np.random.Generator(np.random.Philox(seed))
    if framework == "torch":
        import torch

        return torch.Generator(device=device).manual_seed(int(seed.generate_state(1, np.uint64)[0] >> 1))
    jax = _jax()
    key = jax.random.wrap_key_data(jax.numpy.asarray(seed.generate_state(2, np.uint32)), impl="threefry2x32")
    return Replay(key) if framework == "replay" else key


def split(key: Key, k: int) -> Any:
    """k keys, ready to unpack."""
    kind = framework_of(key)
    if kind == "jax":
        return _jax().random.split(key, k)
    return [replace(key, key=one) for one in key.split(k)] if kind == "replay" else [key] * k


def _draw(key: Key, shape: tuple[int, ...], like: Array, name: str) -> Array:
    """Draws `name` ('normal' or 'uniform') of the dtype and device of `like`."""
    kind = framework_of(key)
    if kind == "numpy":
        drawn = key.standard_normal(shape) if name == "normal" else key.random(shape)
        return drawn.astype(like.dtype)
    if kind == "torch":
        import torch

        draw = torch.randn if name == "normal" else torch.rand
        return draw(shape, generator=key, dtype=like.dtype, device=like.device)
    random = getattr(_jax().random, name)
    if kind == "jax":
        return random(key, shape, dtype=like.dtype)
    rows = key.rows(random, shape)
    return namespace(like).asarray(np.array(rows) if framework_of(like) == "torch" else rows, dtype=like.dtype)


def normal(key: Key, shape: tuple[int, ...], like: Array) -> Array:
    """Standard normal draws with the dtype and device of `like`."""
    return _draw(key, shape, like, "normal")


def uniform(key: Key, shape: tuple[int, ...], like: Array) -> Array:
    """Uniform draws on [0, 1) with the dtype and device of `like`."""
    return _draw(key, shape, like, "uniform")


def categorical(key: Key, log_weights: Array, n: int) -> Array:
    """n indices drawn with probabilities exp(log_weights), shape (K,) and normalised, by inversion."""
    xp = namespace(log_weights)
    cumulative = xp.cumulative_sum(xp.exp(log_weights))
    u = uniform(key, (n,), log_weights) * cumulative[-1]
    return xp.sum(xp.astype(u[:, None] >= cumulative[None, :-1], xp.int32), axis=1)


def linspace(start: float, stop: float, num: int, like: Array) -> Array:
    """num equally spaced numbers, both ends included, with the dtype and device of `like`."""
    place = {"device": like.device} if framework_of(like) == "torch" else {}  # a JAX tracer has no device
    return namespace(like).linspace(start, stop, num, dtype=like.dtype, **place)


def eye(d: int, like: Array) -> Array:
    """The identity matrix with the dtype and device of `like`."""
    place = {"device": like.device} if framework_of(like) == "torch" else {}
    return namespace(like).eye(d, dtype=like.dtype, **place)


def logsumexp(a: Array) -> Array:
    """log sum exp over the last axis; -inf of nothing but -inf."""
    xp = namespace(a)
    top = xp.max(a, axis=-1, keepdims=True)
    top = xp.where(xp.isinf(top), xp.zeros_like(top), top)
    return top[..., 0] + xp.log(xp.sum(xp.exp(a - top), axis=-1))


def softmax(a: Array) -> Array:
    """exp(a) normalised over the last axis."""
    xp = namespace(a)
    e = xp.exp(a - xp.max(a, axis=-1, keepdims=True))
    return e / xp.sum(e, axis=-1, keepdims=True)


def constant(x: Array) -> Array:
    """x, through which no gradient goes."""
    if framework_of(x) == "jax":
        return _jax().lax.stop_gradient(x)
    return x.detach() if framework_of(x) == "torch" else x


def vjp(f: Callable[[Array], Array], x: Array) -> tuple[Array, Callable[[Array], Array]]:
    """f(x) and the map v -> (df/dx)^T v, which may be called more than once."""
    if framework_of(x) == "jax":
        value, pull = _jax().vjp(f, x)
        return value, lambda v: pull(v)[0]
    torch = sys.modules["torch"]
    leaf = x.detach().requires_grad_(True)
    with torch.enable_grad():
        value = f(leaf)
    return value.detach(), lambda v: torch.autograd.grad(value, leaf, v, retain_graph=True)[0]


@dataclass(frozen=True)
class Keys(Sequence[Key]):
    """Unused keys: keys[i] is one of them, keys[i:j] are several, for a `scan` inside a step."""

    like: Key  # a torch generator, which stands for all; a Replay; None in JAX
    values: Array | None  # the keys of JAX, or what the Replay is to hold
    size: int

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, i: Any) -> Any:
        values = None if self.values is None else self.values[i]
        if isinstance(i, slice):
            return Keys(self.like, values, len(range(*i.indices(self.size))))
        if not -self.size <= i < self.size:
            raise IndexError(f"there are {self.size} keys, asked for number {i}")
        if isinstance(self.like, Replay):
            return replace(self.like, key=values)
        return values if self.like is None else self.like

    def arranged(self, steps: int, draws: int) -> Array | None:
        """The values as an array (steps, draws)."""
        return None if self.values is None else self.values[: steps * draws].reshape(steps, draws)


def many(key: Key, count: int) -> Keys:
    """`count` keys of one."""
    if framework_of(key) == "jax":
        return Keys(None, _jax().random.split(key, count), count)
    return Keys(key, key.split(count) if isinstance(key, Replay) else None, count)


def scan(step: Callable[[State, Any, Keys], State], x: State, tables: Any, key: Key | Keys, draws: int = 1) -> State:
    """x <- step(x, row, keys) for every row of the schedule's tables; returns the last x.

    Args:
        step: one step of a sampler; `row` has the type of `tables`, `keys` holds `draws` unused keys.
        x: an array, or a tuple of arrays.
        tables: a NamedTuple of arrays of equal first dimension; or None, for as many steps as the keys suffice for.
        key: for all the draws, or as many `Keys` as there are draws.
    """
    first = x[0] if isinstance(x, tuple) else x
    steps = len(key) // draws if tables is None else len(tables[0])
    keys = key if isinstance(key, Keys) else many(key, steps * draws)  # before the loop: inside it doubles the time
    values = keys.arranged(steps, draws)
    if framework_of(first) == "jax":

        def body(x: State, row_values: Any) -> tuple[State, None]:
            row, own = row_values
            return step(x, row, Keys(keys.like, own, draws)), None

        return _jax().lax.scan(body, x, (tables, values))[0]
    for i in range(steps):
        row = None if tables is None else type(tables)(*(column[i] for column in tables))
        x = step(x, row, Keys(keys.like, None if values is None else values[i], draws))
    return x


def trace(step: Callable[[State, Any], State], x: State, rows: tuple[Array, ...]) -> Array:
    """All x of x <- step(x, row), stacked, where a row has one entry of each array; differentiable."""
    if framework_of(x) == "jax":
        return _jax().lax.scan(lambda x, row: 2 * (step(x, row),), x, rows)[1]
    found = []
    for row in zip(*rows, strict=True):
        x = step(x, row)
        found.append(x)
    return namespace(x).stack(found)
