"""Torch and JAX draw one law, each from its own random numbers, on every small problem."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest
from scipy.stats import ks_2samp

from methods import Method
from problems import FAMILIES, load
from problems.arrays import make_key
from tests.methods.configurations import distinct, fits, labels, seen

SMALL = [name for name, family in FAMILIES.items() if family.dim <= 16]
N, LEVEL = 1000, 1e-3
STEPS = {"lgd-mc": 200}
"""Where fifty are too few: three draws make its guidance as stiff as the likelihood itself, and it diverges."""


def p_value(a: np.ndarray, b: np.ndarray) -> float:
    """Of "one law": Kolmogorov-Smirnov on every coordinate, the smallest times their number.

    A coordinate that does not scatter, as of a point estimate, has one value in both, to a thousandth of its size.
    """
    a, b = (np.nan_to_num(x.reshape(len(x), -1), nan=2e30, posinf=1e30, neginf=-1e30) for x in (a, b))
    return min(1.0, min(_p_value(u, v) for u, v in zip(a.T, b.T, strict=True)) * a.shape[1])


def _p_value(u: np.ndarray, v: np.ndarray) -> float:
    both = np.concatenate([u, v])
    if max(np.ptp(u), np.ptp(v)) < 1e-3 * np.abs(both).max():
        return float(np.ptp(both) < 1e-3 * np.abs(both).max())
    return float(ks_2samp(u, v).pvalue)


def rejected(p_values: dict[Any, float], level: float) -> list[Any]:
    """The hypotheses that Holm's procedure rejects: a false one among them with probability `level` at most."""
    found: list[Any] = []
    for i, (name, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        if p > level / (len(p_values) - i):
            break
        found.append(name)
    return found


def drawn(method: Method, hyper: dict[str, Any], family: str, framework: str) -> np.ndarray:
    problem = seen(method, load(family, 1)).to(framework)
    key = make_key(framework, [6])
    if framework == "torch":
        return method.run(problem, key, n=N, **hyper).x.numpy()
    with jax.enable_x64(False):
        return np.asarray(jax.jit(lambda problem, key: method.run(problem, key, n=N, **hyper).x)(problem, key))


@pytest.mark.slow
def test_torch_and_jax_draw_one_law_on_every_small_problem() -> None:
    configurations = {
        label: (method, {**hyper, "steps": STEPS[method.name]} if method.name in STEPS else hyper)
        for label, (method, hyper) in distinct(labels(steps=50)).items()
    }
    p_values = {
        (family, label): p_value(*(drawn(*configurations[label], family, framework) for framework in ("torch", "jax")))
        for family in SMALL
        for label, (method, hyper) in configurations.items()
        if fits(method, family) and hyper.get("runs") != "one"  # of which the samples are not independent
    }
    assert len(p_values) > 150
    assert rejected(p_values, LEVEL) == []
    assert np.median(list(p_values.values())) > 0.1


def test_another_law_is_rejected() -> None:
    """A shift of a fifth of the posterior's spread, on a problem whose coordinates it moves."""
    method, hyper = labels(steps=50)["exact"]
    x = drawn(method, hyper, "linear-gaussian-2", "torch")
    same = p_value(x, drawn(method, hyper, "linear-gaussian-2", "jax"))
    assert same > LEVEL
    shifted = p_value(x, drawn(method, hyper, "linear-gaussian-2", "jax") + 0.2 * x.std(axis=0))
    assert rejected({"same": same, "shifted": shifted}, LEVEL) == ["shifted"]
    assert p_value(x, np.full_like(x, np.nan)) == 0


def test_what_does_not_scatter_is_compared_by_its_value() -> None:
    x = np.full((50, 1), 3.0) + np.linspace(0.0, 1e-5, 50)[:, None]
    assert p_value(x, x + 1e-4) == 1
    assert p_value(x, x + 0.1) == 0
    assert p_value(x, x + np.linspace(-1.0, 1.0, 50)[:, None]) < LEVEL


def test_holm_compares_the_smallest_with_the_strictest_level() -> None:
    assert rejected({"a": 0.02, "b": 0.011, "c": 0.9, "d": 0.012}, 0.05) == ["b", "d", "a"]
    assert rejected({"a": 0.02, "b": 0.013, "c": 0.9, "d": 0.012}, 0.05) == ["d", "b", "a"]
    assert rejected({"a": 0.001, "b": 0.02, "c": 0.03}, 0.05) == ["a", "b", "c"]
    assert rejected({"a": 0.02, "b": 0.03, "c": 0.03}, 0.05) == []
