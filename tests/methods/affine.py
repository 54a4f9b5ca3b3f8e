"""The law of a sampler that is affine in its noise, taken from the sampler itself.

For a Gaussian prior a non-adaptive sampler is an affine map of all its standard normal draws, so its output is Gaussian
with mean f(0) and covariance sum_i f_i f_i^T, f_i being the response to a unit of the i-th number drawn. One run gives
all of it: row 0 draws zeros, and every other row draws a single 1 in a place of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from methods import METHODS, Samples
from problems import Problem
from problems.arrays import Array, Replay

Run = Callable[..., Samples]
Law = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Numbered(Replay):
    """Keys are integers, in the order in which they are made; the root is 0."""

    made: list[int]

    def split(self, *shape: int) -> np.ndarray:
        first = self.made[0]
        self.made[0] += math.prod(shape)
        return np.arange(first, self.made[0]).reshape(shape)


@dataclass(frozen=True)
class Impulse(Numbered):
    """Row 1 + key * d + j of a draw has a 1 in coordinate j; everything else is 0."""

    def rows(self, draw: Callable[..., Array], shape: tuple[int, ...]) -> Array:  # noqa: ARG002
        import jax

        xp: Any = jax.numpy if isinstance(self.key, jax.core.Tracer) else np
        d = math.prod(shape[1:])
        place = xp.arange(shape[0])[:, None] - 1 - self.key * d
        return xp.reshape(place == xp.arange(d)[None, :], shape)


@dataclass(frozen=True)
class Given(Numbered):
    """The draw of a key is the first rows of noise[key], (n, *shape) in all; one number a row is its first entry.

    A sampler that splits its key in two draws its start with key 1 and its steps with keys 3, 4, ...
    """

    noise: Array

    def rows(self, draw: Callable[..., Array], shape: tuple[int, ...]) -> Array:  # noqa: ARG002
        import jax

        noise = jax.numpy.asarray(self.noise) if isinstance(self.key, jax.core.Tracer) else self.noise
        drawn = noise[self.key][: shape[0]]
        return drawn if len(shape) > 1 else drawn.reshape(shape[0], -1)[:, 0]


def sampler(name: str, preset: str = "default", **overrides: Any) -> Run:
    """The registered sampler with a configuration: (problem, key, *, n) -> Samples."""
    method = METHODS[name]
    return partial(method.run, **method.configure(preset, overrides))


def keys_made(run: Run, problem: Problem) -> int:
    """How many keys a run makes, the root among them; the problem is in JAX."""
    import jax

    counter = [1]
    jax.eval_shape(lambda problem: run(problem, Impulse(0, counter), n=1).x, problem)
    return counter[0]


def torch_law(run: Run, problem: Problem) -> Law:
    """Mean (d,) and covariance (d, d) of the output, in torch, float64. For few steps."""
    carried = problem.to("torch", dtype="float64")
    counter = [1]
    run(carried, Impulse(0, counter), n=1)
    n = 1 + counter[0] * problem.dim
    return _moments(run(carried, Impulse(0, [1]), n=n).x.numpy())


def jax_laws(runs: Mapping[str, Run], problems: Mapping[str, Problem]) -> dict[str, dict[str, Law]]:
    """Sampler -> problem -> law in JAX. For many steps: one program holds all samplers, for problems of one shape."""
    import jax

    carried = {name: problem.to("jax", dtype="float64") for name, problem in problems.items()}
    first = next(iter(carried.values()))
    sizes = {name: 1 + keys_made(run, first) * first.dim for name, run in runs.items()}

    def program(problem: Problem) -> dict[str, Array]:
        return {name: run(problem, Impulse(0, [1]), n=sizes[name]).x for name, run in runs.items()}

    compiled = jax.jit(program)
    found = {name: compiled(problem) for name, problem in carried.items()}
    return {run: {name: _moments(np.asarray(x[run])) for name, x in found.items()} for run in runs}


def jax_laws_by_derivative(run: Run, problems: Mapping[str, Problem]) -> dict[str, Law]:
    """The same from one row and d reverse passes, for chains too long for a row per draw."""
    import jax

    carried = {name: problem.to("jax", dtype="float64") for name, problem in problems.items()}
    first = next(iter(carried.values()))
    silence = np.zeros((keys_made(run, first), 1, *first.shape))

    def mean(noise: Array, problem: Problem) -> Array:
        return run(problem, Given(0, [1], noise), n=1).x[0].reshape(-1)

    def responses(noise: Array, problem: Problem) -> tuple[Array, Array]:
        return mean(noise, problem), jax.jacrev(mean)(noise, problem)

    compiled = jax.jit(responses)
    laws = {}
    for name, problem in carried.items():
        centre, jacobian = map(np.asarray, compiled(silence, problem))
        flat = jacobian.reshape(len(centre), -1)
        laws[name] = centre, flat @ flat.T
    return laws


def _moments(x: np.ndarray) -> Law:
    flat = x.reshape(len(x), -1)
    responses = flat[1:] - flat[0]
    return flat[0], responses.T @ responses
