"""Laws of every family, keys that draw given numbers, and the two comparisons that the tests make."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pytest

import problems
from problems.arrays import Replay, framework_of
from problems.contract import Instance, Problem

load = cache(problems.load)


@pytest.fixture
def instance() -> Callable[[str, int], Instance]:
    """instance(name, index), built once."""
    return load


@pytest.fixture
def problem_of() -> Callable[..., Problem]:
    """problem_of(name, role, index): the problem whose prior is the family's 'prior' or its 'posterior'."""

    def choose(name: str, role: str, index: int = 0) -> Problem:
        found = load(name, index)
        return found.problem if role == "prior" else found.oracle()

    return choose


class Given(Replay):
    """A key whose one draw is the array it holds, in the shape asked for."""

    def rows(self, draw: Callable[..., Any], shape: tuple[int, ...]) -> Any:  # noqa: ARG002
        held = self.key.numpy() if framework_of(self.key) == "torch" else self.key
        return held.reshape(shape)


@pytest.fixture
def given() -> type[Given]:
    return Given


class Component(NamedTuple):
    """A Gaussian of a mixture, on flattened x."""

    log_weight: float
    mean: np.ndarray
    cov: np.ndarray


def mixture_of(law: Any) -> list[Component]:
    """The mixture that a law samples, read off its sampler; equal covariances are one array.

    Drawing a component is affine in its noise, m_k + L_k z: the unit vectors as noise give L_k, and C_k = L_k L_k^T.
    """
    d = int(np.prod(law.shape))
    covs: list[tuple[np.ndarray, np.ndarray]] = []
    found = []
    for k, mean in enumerate(law.component_means.reshape(-1, d)):
        root = law.sample_components(Given(np.eye(d)), np.full(d, k)).reshape(d, d) - mean[None, :]
        same = [cov for known, cov in covs if np.allclose(known, root, rtol=0, atol=1e-12 * np.max(np.abs(root)))]
        if not same:
            covs.append((root, root.T @ root))
        found.append(Component(float(law.log_weights[k]), mean, same[0] if same else covs[-1][1]))
    return found


@cache
def _components(name: str, role: str, index: int) -> list[Component]:
    found = load(name, index)
    return mixture_of(found.problem.prior if role == "prior" else found.posterior)


@pytest.fixture
def decompose() -> Callable[[Any], list[Component]]:
    return mixture_of


@pytest.fixture
def components() -> Callable[..., list[Component]]:
    """components(name, role, index) of a family's 'prior' or 'posterior'."""
    return lambda name, role, index=0: _components(name, role, index)


def difference(got: Any, expected: Any) -> float:
    """The largest absolute difference relative to the largest absolute expected value (or to 1 if all are 0)."""
    got, expected = np.asarray(got, np.float64), np.asarray(expected, np.float64)
    assert got.shape == expected.shape
    assert np.all(np.isfinite(expected))
    return float(np.max(np.abs(got - expected)) / (np.max(np.abs(expected)) or 1.0))


@pytest.fixture
def relative() -> Callable[[Any, Any], float]:
    return difference
