"""Several instances as one: what differs between their problems is stacked, what they share is kept once."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from benchmarks.tasks import Task
from methods import Samples
from problems import Instance, Problem, load
from problems.arrays import Array, Key, make_key
from problems.contract import data, static

MEMORY_BYTES = 2**30
"""What a chunk of instances may take while it runs, by estimate."""
_ARRAYS = 16
"""(n, components, *shape) float32 arrays that a guided sampler holds at once, for one instance."""


@data
class Stack:
    """Problems of one structure.

    Attributes:
        shared: the leaves that all instances have in common. varying: those that differ, (instances, ...).
        tree: how the leaves of one problem make it. varies: for each of them, in order, whether it differs.
    """

    shared: tuple[Array, ...]
    varying: tuple[Array, ...]
    tree: Any = static()
    varies: tuple[bool, ...] = static()

    def one(self, own: tuple[Array, ...]) -> Problem:
        """The problem whose own leaves are these, one row of each of `varying`."""
        import jax

        common, single = iter(self.shared), iter(own)
        return jax.tree_util.tree_unflatten(self.tree, [next(single if v else common) for v in self.varies])

    def part(self, places: np.ndarray) -> Stack:
        """The instances at these places."""
        return dataclasses.replace(self, varying=tuple(leaf[places] for leaf in self.varying))


@lru_cache(maxsize=1)
def instances_of(problem: str, first: int, count: int) -> tuple[Instance, ...]:
    """Instances first .. first + count - 1, kept because all methods meet them one after the other."""
    return tuple(load(problem, first + i) for i in range(count))


def stacked(task: Task) -> tuple[Stack, Key]:
    """The problems and the JAX keys, (instances,), of a batched task: each key is that of the instance's own task.

    Raises:
        ValueError: if the instances differ in structure or shapes.
    """
    import jax

    words = [dataclasses.replace(task, instance=task.instance + i).sampler_words for i in range(task.instances)]
    keys = jax.numpy.stack([make_key("jax", one) for one in words])
    return _stack(task.problem, task.instance, task.instances, task.oracle, task.device), keys


def over_instances(run: Callable[[Problem, Key], Samples]) -> Callable[[Stack, Key], Samples]:
    """The sampler of one problem as a sampler of a stack: every array that it returns has the instances first."""

    def batched(stack: Stack, keys: Key) -> Samples:
        import jax

        return jax.vmap(lambda own, key: run(stack.one(own), key))(stack.varying, keys)

    return batched


def chunks(task: Task) -> list[np.ndarray]:
    """The places of the instances that run at once: lists of equal length, the last one filled up with its own end."""
    prior = instances_of(task.problem, task.instance, task.instances)[0].problem.prior
    numbers = task.rows * prior.mean.size * len(getattr(prior, "log_weights", (0,)))
    size = max(1, min(task.instances, MEMORY_BYTES // (4 * _ARRAYS * numbers)))
    starts = range(0, task.instances, size)
    return [np.minimum(np.arange(start, start + size), task.instances - 1) for start in starts]


@lru_cache(maxsize=2)
def _stack(problem: str, first: int, count: int, oracle: bool, device: str) -> Stack:
    import jax

    instances = instances_of(problem, first, count)
    problems = [instance.oracle() if oracle else instance.problem for instance in instances]
    trees = {jax.tree_util.tree_structure(problems[0].to("jax", device=device))}
    rows = []
    for one in problems:
        leaves, tree = jax.tree_util.tree_flatten(one.to("numpy"))
        rows.append(leaves)
        trees.add(tree)
    if len(trees) > 1:
        raise ValueError(f"the instances of {problem} differ in structure")
    columns = [np.stack(column) for column in zip(*rows, strict=True)]
    varies = tuple(bool((column != column[:1]).any()) for column in columns)
    place = jax.devices(device)[0]
    return Stack(
        shared=tuple(jax.device_put(c[0], place) for c, v in zip(columns, varies, strict=True) if not v),
        varying=tuple(jax.device_put(c, place) for c, v in zip(columns, varies, strict=True) if v),
        tree=trees.pop(),
        varies=varies,
    )
