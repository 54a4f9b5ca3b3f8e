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
import scipy.linalg
import scipy.stats

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
    """Row 1 + key * stride + j of a draw has a 1 in coordinate j, all else is 0; no draw has more than stride."""

    stride: int

    def rows(self, draw: Callable[..., Array], shape: tuple[int, ...]) -> Array:  # noqa: ARG002
        import jax

        xp: Any = jax.numpy if isinstance(self.key, jax.core.Tracer) else np
        place = xp.arange(shape[0])[:, None] - 1 - self.key * self.stride
        return xp.reshape(place == xp.arange(math.prod(shape[1:]))[None, :], shape)


def stride_of(problem: Problem) -> int:
    """Samplers draw states and, some of them, measurements."""
    return problem.dim if problem.y is None else max(problem.dim, len(problem.y))


@dataclass(frozen=True)
class Given(Numbered):
    """The draw of a key is the first rows of noise[key], (n, *shape) in all; one number a row is its first entry.

    A sampler that splits its key in two draws its start with key 1 and its steps with keys 3, 4, ... What goes beyond
    the noise begins anew at its start. Uniform numbers are the normal ones through their distribution function.
    """

    noise: Array

    def rows(self, draw: Callable[..., Array], shape: tuple[int, ...]) -> Array:
        import jax

        traced = any(isinstance(one, jax.core.Tracer) for one in (self.key, self.noise))
        xp: Any = jax.numpy if traced else np
        keys, rows = self.noise.shape[:2]
        flat = xp.asarray(self.noise).reshape(keys, rows, -1)
        row, entry = np.arange(shape[0])[:, None], np.arange(math.prod(shape[1:]))[None, :]
        drawn = flat[(self.key + row // rows) % keys, row % rows, entry % flat.shape[2]].reshape(shape)
        if "uniform" not in draw.__name__:
            return drawn
        return jax.scipy.stats.norm.cdf(drawn) if xp is jax.numpy else scipy.stats.norm.cdf(drawn)


@dataclass(frozen=True)
class Antithetic(Numbered):
    """Row n / 2 + i of a draw is the reflection of row i; not for compiled programs, whose keys are not known."""

    def rows(self, draw: Callable[..., Array], shape: tuple[int, ...]) -> Array:
        generator = np.random.default_rng(self.key)
        half = (shape[0] // 2, *shape[1:])
        if "uniform" in draw.__name__:
            u = generator.random(half)
            return np.concatenate([u, 1.0 - u])
        z = generator.standard_normal(half)
        return np.concatenate([z, -z])


def sampler(name: str, preset: str = "default", **overrides: Any) -> Run:
    """The registered sampler with a configuration: (problem, key, *, n) -> Samples."""
    method = METHODS[name]
    return partial(method.run, **method.configure(preset, overrides))


def keys_made(run: Run, problem: Problem) -> int:
    """How many keys a run makes, the root among them; the problem is in JAX."""
    import jax

    counter = [1]
    jax.eval_shape(lambda problem: run(problem, Impulse(0, counter, 1), n=1).x, problem)
    return counter[0]


def torch_law(run: Run, problem: Problem) -> Law:
    """Mean (d,) and covariance (d, d) of the output, in torch, float64. For few steps."""
    return _moments(_torch_rows(run, problem))


def torch_stationary_law(run: Run, problem: Problem, start_std: float) -> Law:
    """The law that a Markov kernel leaves as it is, from a run that applies it once to start_std times the first draw.

    The kernel is x -> F x + b + noise, and the start is drawn with key 1, which makes F the responses to that key.
    """
    x = _torch_rows(run, problem).reshape(-1, problem.dim)
    own = slice(1 + stride_of(problem), 1 + stride_of(problem) + problem.dim)
    kernel = (x[own] - x[0]).T / start_std
    noise = np.delete(x[1:] - x[0], np.r_[own] - 1, axis=0)
    mean = np.linalg.solve(np.eye(problem.dim) - kernel, x[0])
    return mean, scipy.linalg.solve_discrete_lyapunov(kernel, noise.T @ noise)


def jax_laws(runs: Mapping[str, Run], problems: Mapping[str, Problem]) -> dict[str, dict[str, Law]]:
    """Sampler -> problem -> law in JAX. For many steps: one program holds all samplers, for problems of one shape."""
    import jax

    carried = {name: problem.to("jax", dtype="float64") for name, problem in problems.items()}
    first = next(iter(carried.values()))
    stride = stride_of(first)
    sizes = {name: 1 + keys_made(run, first) * stride for name, run in runs.items()}

    def program(problem: Problem) -> dict[str, Array]:
        return {name: run(problem, Impulse(0, [1], stride), n=sizes[name]).x for name, run in runs.items()}

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


def _torch_rows(run: Run, problem: Problem) -> np.ndarray:
    """The output for silence, and below it those for a unit of every number drawn."""
    carried = problem.to("torch", dtype="float64")
    counter = [1]
    stride = stride_of(problem)
    run(carried, Impulse(0, counter, stride), n=1)
    n = 1 + counter[0] * stride
    return run(carried, Impulse(0, [1], stride), n=n).x.numpy()


def _moments(x: np.ndarray) -> Law:
    flat = x.reshape(len(x), -1)
    responses = flat[1:] - flat[0]
    return flat[0], responses.T @ responses
