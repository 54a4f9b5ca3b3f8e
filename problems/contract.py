"""What a problem is: the data a sampler may see, and the truth that only the scores may see."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar, dataclass_transform

import numpy as np

from problems.arrays import Array

T = TypeVar("T")
_DATA_CLASSES: list[type] = []
_registered_with_jax: set[type] = set()


def static(**kwargs: Any) -> Any:
    """A field that holds structure (shapes, names), not numbers: hashable, the same in every instance."""
    return field(metadata={"static": True}, **kwargs)


@dataclass_transform(frozen_default=True, field_specifiers=(static, field))
def data(cls: type[T]) -> type[T]:
    """A frozen dataclass of arrays that `to` can carry into torch or JAX; in JAX it is a pytree."""
    frozen = dataclass(frozen=True, eq=False)(cls)
    _DATA_CLASSES.append(frozen)
    return frozen


def to(tree: T, framework: str, *, dtype: str = "float32", device: str = "cpu") -> T:
    """Carry a `data` object into 'numpy', 'torch' or 'jax': floating arrays take `dtype`, integers stay.

    Raises:
        ValueError: for a framework that does not exist.
    """
    if framework == "jax":
        _register_with_jax()
    return _carry(tree, framework, dtype, device)


def _carry(node: Any, framework: str, dtype: str, device: str) -> Any:
    if dataclasses.is_dataclass(node) and not isinstance(node, type):
        moved = {
            f.name: _carry(getattr(node, f.name), framework, dtype, device)
            for f in dataclasses.fields(node)
            if not f.metadata.get("static")
        }
        return dataclasses.replace(node, **moved)
    if node is None:
        return None
    host = np.asarray(node)
    host = host.astype(dtype) if np.issubdtype(host.dtype, np.floating) else host
    if framework == "numpy":
        return host
    if framework == "torch":
        import torch

        return torch.tensor(host, device=device)
    if framework == "jax":
        import jax

        return jax.device_put(host, jax.devices(device)[0])
    raise ValueError(f"no framework {framework!r}; there are: numpy, torch, jax")


def _register_with_jax() -> None:
    import jax

    for cls in _DATA_CLASSES:
        if cls not in _registered_with_jax:
            fields = dataclasses.fields(cls)
            meta = [f.name for f in fields if f.metadata.get("static")]
            jax.tree_util.register_dataclass(cls, [f.name for f in fields if f.name not in meta], meta)
            _registered_with_jax.add(cls)


@data
class Problem:
    """All that a sampler may see. x is (n, *shape); measurements are flat, (n, m).

    Attributes:
        prior: p(x), with `denoise(x, sigma)`, `score(x, sigma)`, `mean` and `std` of every entry of x, the `diameter`
            of what it draws and, where known, `log_prob`, `sample`, `cov`.
        operator: A, with `operator(x)`, `linear` and `pull(x, v)`, the adjoint of its derivative at x; where it is
            linear `adjoint(v)`, and where singular values are known all of `operator_svd.Decomposed`.
        noise: p(y | A x), with `log_likelihood(y, ax)`, its gradient `score(y, ax)` and, where it is Gaussian, `std`.
        y: the measurement, (m,).
        schedule: `alpha(t)`, `sigma(t)`, t in [0, 1]; x_t = alpha x_0 + sigma z.
        shape: the shape of one x.

    An oracle method receives a problem whose prior is the posterior and whose operator, noise and y are None.
    """

    prior: Any
    operator: Any
    noise: Any
    y: Array
    schedule: Any
    shape: tuple[int, ...] = static()

    def to(self, framework: str, *, dtype: str = "float32", device: str = "cpu") -> Problem:
        return to(self, framework, dtype=dtype, device=device)

    @property
    def dim(self) -> int:
        return int(np.prod(self.shape))

    def log_likelihood(self, x: Array) -> Array:
        """log p(y | x) with its constant, (n,)."""
        return self.noise.log_likelihood(self.y, self.operator(x))

    def likelihood_score(self, x: Array) -> Array:
        """The gradient of log p(y | x) with respect to x, (n, *shape)."""
        return self.operator.pull(x, self.noise.score(self.y, self.operator(x)))


@dataclass(frozen=True, eq=False)
class Instance:
    """One instance of a family: the problem, and what only the scores may see. NumPy, float64.

    Attributes:
        x_true: the signal that was measured, `problem.shape`.
        known: gives p(x | y), a prior-like object, and log p(y) in nats, nan where that is not known; it remembers
            them, so that they are made when they are first asked for. None where nobody knows either.
    """

    problem: Problem
    x_true: np.ndarray
    known: Callable[[], tuple[Any, float]] | None = None

    @property
    def posterior(self) -> Any:
        """p(x | y), exact or by draws; None where nobody knows it."""
        return None if self.known is None else self.known()[0]

    @property
    def log_evidence(self) -> float:
        """log p(y) under the model, in nats; nan where nobody knows it."""
        return math.nan if self.known is None else self.known()[1]

    def oracle(self) -> Problem:
        """The problem whose prior is the posterior and whose data term is absent."""
        return dataclasses.replace(self.problem, prior=self.posterior, operator=None, noise=None, y=None)
