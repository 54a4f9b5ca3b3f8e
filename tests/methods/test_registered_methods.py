"""What every registered array method owes its users, whatever it samples."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cache, partial
from typing import Any

import jax
import numpy as np
import pytest
import torch

from problems import FAMILIES, Problem, load
from problems.arrays import Replay, make_key
from problems.gaussian_mixture import gaussian_mixture
from problems.operators import matrix_operator
from tests.methods.affine import Given, sampler
from tests.methods.configurations import distinct, everyday, fits, labels, rare, seen

N = 6
CONFIGURATIONS = labels(steps=24)
CONFIGURATIONS["daps-covariance"][1]["steps"] = 4  # each differentiates d times
METHOD_NAMES = [label for label in CONFIGURATIONS if "[" not in label]
DISTINCT = distinct(CONFIGURATIONS)
FAMILY_NAMES = ("seed2d", "gaussian-field-16")
VECTORS = [label for label, (method, _) in CONFIGURATIONS.items() if fits(method, "seed2d")]


def _places(names: Iterable[str]) -> list[Any]:
    """Every label with every family on which it runs."""
    return everyday(
        ((label, family) for label in names for family in FAMILY_NAMES if fits(CONFIGURATIONS[label][0], family)), rare
    )


def _noise(shape: tuple[int, ...], n: int = N) -> np.ndarray:
    return np.random.default_rng(13).standard_normal((110, n, *shape))


def _torch(problem: Problem) -> Problem:
    return problem.to("torch", dtype="float64")


@pytest.mark.parametrize(("label", "family"), _places(METHOD_NAMES))
def test_jax_traces_once_for_all_instances(label: str, family: str):
    """The problem is an argument; nothing of it is looked at in Python."""
    method, hyper = CONFIGURATIONS[label]
    traces = []

    def run(problem: Problem, key: Any) -> Any:
        traces.append(label)
        return method.run(problem, key, n=N, **hyper)

    compiled = jax.jit(run)
    problems = [seen(method, load(family, index)).to("jax") for index in (0, 1)]
    shapes = [compiled.trace(problem, make_key("jax", [1, 2])).out_info.x for problem in problems]
    assert len(traces) == 1
    assert [(s.shape, s.dtype) for s in shapes] == [((N, *FAMILIES[family].shape), np.float32)] * 2


@cache
def _in_jax(*, slow: bool) -> dict[str, np.ndarray]:
    """The samples of every distinct configuration that is slow, or is not, from one compilation."""
    instance = load("seed2d", 0)

    def program(problem: Problem, oracle: Problem, noise: Any) -> dict[str, Any]:
        return {
            label: method.run(oracle if method.oracle else problem, Given(0, [1], noise), n=N, **hyper).x
            for label, (method, hyper) in DISTINCT.items()
            if label in VECTORS and rare(label) == slow
        }

    problems = (p.to("jax", dtype="float64") for p in (instance.problem, instance.oracle()))
    found = jax.jit(program)(*problems, _noise((2,)))
    return {label: np.asarray(x) for label, x in found.items()}


@pytest.mark.parametrize(
    "label", everyday(((label,) for label in DISTINCT if label in VECTORS), rare)
)  # a second each to compile
def test_torch_and_jax_agree_on_the_same_noise(label: str):
    method, hyper = CONFIGURATIONS[label]
    problem = _torch(seen(method, load("seed2d", 0)))
    in_torch = method.run(problem, Given(0, [1], _noise((2,))), n=N, **hyper).x.numpy()
    in_jax = _in_jax(slow=rare(label))[label]
    assert in_jax.dtype == in_torch.dtype == np.float64
    np.testing.assert_allclose(in_jax, in_torch, rtol=0, atol=1e-10 * np.abs(in_torch).max())


@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_replayed_noise_is_the_same_in_both_frameworks(framework: str):
    """The key that a user replays with, through a whole sampler; the other tests give their noise outright."""
    run, problem, key = sampler("em-jalal", steps=6), load("seed2d", 0).problem, make_key("replay", [21])
    assert isinstance(key, Replay)
    whole = np.asarray(run(problem.to(framework, dtype="float64"), key, n=4).x)
    half = run(_torch(problem), key, n=2).x.numpy()
    np.testing.assert_allclose(whole[:2], half, rtol=0, atol=1e-10)
    assert np.abs(half[0] - half[1]).max() > 1e-3


@pytest.mark.parametrize(("label", "family"), _places(CONFIGURATIONS))
def test_samples_do_not_depend_on_each_other(label: str, family: str):
    """Half the rows with the same noise give the same samples, and one row that is far off disturbs no other."""
    method, hyper = CONFIGURATIONS[label]
    problem = _torch(seen(method, load(family, 0)))
    noise = _noise(problem.shape)
    run = partial(method.run, problem, **hyper)
    whole = run(Given(0, [1], noise), n=N).x
    assert whole.shape == (N, *problem.shape)
    if method.particle:
        return
    tolerance = 1e-12 * float(torch.abs(whole).max())
    half = run(Given(0, [1], noise), n=N // 2).x
    torch.testing.assert_close(half, whole[: N // 2], rtol=0, atol=tolerance)
    noise[:, -1] *= 30.0
    disturbed = run(Given(0, [1], noise), n=N).x
    torch.testing.assert_close(disturbed[:-1], whole[:-1], rtol=0, atol=tolerance)
    # An operator of full rank leaves no noise in a projection that ends with a merge; a point estimate may have none.
    if family == "seed2d" and not method.point:
        assert torch.abs(disturbed[-1] - whole[-1]).max() > 1e-6


@pytest.mark.parametrize("label", everyday(zip(CONFIGURATIONS), rare))
def test_the_key_decides_everything(label: str):
    """But of an optimum, which may need no randomness, and of particles that share ancestors."""
    method, hyper = CONFIGURATIONS[label]
    family = "seed2d" if fits(method, "seed2d") else "gaussian-field-16"
    problem = _torch(seen(method, load(family, 0)))
    first, again, other = (method.run(problem, make_key("torch", [word]), n=N, **hyper).x for word in (0, 0, 1))
    torch.testing.assert_close(again, first, rtol=0, atol=0)
    if not method.point:
        assert torch.abs(other - first).reshape(N, -1).amax(dim=1).min() > 1e-6
        assert hyper.get("runs") == "one" or torch.unique(first, dim=0).shape[0] == N


def _dense(problem: Problem) -> Problem:
    """A stationary field and its filter as a covariance and a matrix."""
    d = problem.dim
    units = np.eye(d).reshape(d, *problem.shape)
    prior = gaussian_mixture(np.ones(1), problem.prior.mean.reshape(1, d), problem.prior.cov()[None], problem.shape)
    return replace(problem, prior=prior, operator=matrix_operator(problem.operator(units).T, problem.shape))


@pytest.mark.parametrize(
    "label",
    everyday(
        ((label,) for label, (m, _) in DISTINCT.items() if not m.oracle and "prior_sample" not in m.requires), rare
    ),
)
def test_a_filter_and_its_matrix_are_the_same_measurement(label: str):
    """Samplers ask an operator for maps, never for how it is stored."""
    method, hyper = CONFIGURATIONS[label]
    field = load("gaussian-field-16", 0).problem
    noise = _noise(field.shape, 3)
    found, expected = (method.run(_torch(p), Given(0, [1], noise), n=3, **hyper).x for p in (field, _dense(field)))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-8 * float(torch.abs(expected).max()))
