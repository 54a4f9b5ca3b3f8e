"""A problem is data: it travels to torch and JAX, takes a dtype, and is a pytree there."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import numpy as np
import pytest
import scipy.stats
import torch

from problems import FAMILIES, Instance
from problems.contract import data, static, to
from tests.problems.closed import KNOWN


@data
class Carried:
    """One field of every kind."""

    table: Any
    counts: Any
    number: Any
    nothing: Any
    inner: Any
    name: str = static()


def carried() -> Carried:
    inner = Carried(np.array([[2.5]]), np.array([1]), 0.25, None, None, "inner")
    return Carried(np.arange(6.0).reshape(2, 3) / 7, np.array([3, -1]), 1 / 3, None, inner, "outer")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("framework", "kind"), [("numpy", np.ndarray), ("torch", torch.Tensor), ("jax", jax.Array)])
def test_arrays_are_carried_and_structure_stays(framework, kind, dtype):
    moved = to(carried(), framework, dtype=dtype)
    assert isinstance(moved, Carried)
    assert moved.name == "outer"
    assert moved.nothing is None
    assert moved.inner.name == "inner"
    for array in (moved.table, moved.counts, moved.number, moved.inner.table):
        assert isinstance(array, kind)
    assert np.asarray(moved.table).dtype == np.asarray(moved.number).dtype == dtype
    assert np.asarray(moved.counts).dtype == np.int64
    np.testing.assert_array_equal(np.asarray(moved.table), carried().table.astype(dtype))
    np.testing.assert_array_equal(np.asarray(moved.counts), [3, -1])
    assert float(moved.number) == np.array(1 / 3).astype(dtype)


def test_what_torch_gets_is_a_copy():
    original = carried()
    to(original, "torch", dtype="float64").table[0, 0] = 9.0
    assert original.table[0, 0] == 0.0


def test_an_unknown_framework_is_refused_by_name():
    with pytest.raises(ValueError, match="no framework 'tensorflow'; there are: numpy, torch, jax"):
        to(carried(), "tensorflow")


def test_the_default_is_single_precision_on_the_processor(instance):
    problem = instance("seed2d", 1).problem
    assert problem.to("torch").y.dtype == torch.float32
    assert problem.to("torch").y.device.type == "cpu"
    assert problem.to("jax").y.dtype == np.float32
    assert problem.to("jax").y.devices() == {jax.devices("cpu")[0]}


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_problem_travels_to_the_gpu(instance):
    problem = instance("gmm25-8-2", 0).problem.to("torch", device="cuda")
    assert problem.prior.denoise(problem.prior.component_means, problem.noise.std).device.type == "cuda"


@pytest.mark.parametrize(
    ("name", "role"), [*((name, "prior") for name in FAMILIES), *((name, "posterior") for name in KNOWN)]
)
def test_problems_are_pytrees_of_their_arrays(name, role, problem_of):
    """Shapes and names are structure, the same for all instances; numbers are leaves; an oracle has no data term."""
    first, other = (problem_of(name, role, index).to("jax") for index in (0, 7))
    leaves, structure = jax.tree.flatten(first)
    assert structure == jax.tree.structure(other)
    assert all(isinstance(leaf, jax.Array) for leaf in leaves)
    assert [(leaf.shape, leaf.dtype) for leaf in leaves] == [
        (leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(other)
    ]
    back = jax.tree.unflatten(structure, leaves)
    assert back.shape == first.shape == FAMILIES[name].shape
    assert back.dim == FAMILIES[name].dim == np.prod(first.shape)
    if role == "posterior":
        assert (back.operator, back.noise, back.y) == (None, None, None)
    for one, other in zip(jax.tree.leaves(back.prior), jax.tree.leaves(first.prior), strict=True):
        np.testing.assert_array_equal(one, other)


def test_instances_are_frozen(instance):
    with pytest.raises(dataclasses.FrozenInstanceError):
        instance("seed2d", 0).problem.y = np.zeros(1)


def signals(found: Instance) -> np.ndarray:
    """Three signals as the prior has them: draws, or the truth a little changed."""
    rng, prior = np.random.default_rng(4), found.problem.prior
    if hasattr(prior, "sample"):
        return prior.sample(rng, 3)
    return found.x_true + 0.1 * prior.std * rng.standard_normal((3, *prior.shape))


@pytest.mark.parametrize("name", [name for name in FAMILIES if "gaussian_noise" in FAMILIES[name].provides])
def test_the_likelihood_is_gaussian_about_the_measured_signal(name, instance):
    problem = instance(name, 2).problem
    x = signals(instance(name, 2))
    ax = problem.operator(x)
    expected = scipy.stats.norm.logpdf(problem.y, loc=ax, scale=problem.noise.std).sum(axis=1)
    np.testing.assert_allclose(problem.log_likelihood(x), expected, rtol=1e-12)
    noisy = problem.noise.sample(np.random.default_rng(5), np.repeat(ax[:1], 2000, axis=0))
    standard = (noisy - ax[0]) / problem.noise.std
    assert scipy.stats.kstest(standard[:, 0], "norm").pvalue > 1e-5
    assert abs(np.mean(standard**2) - 1) < 5 * np.sqrt(2 / standard.size)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_score_of_the_likelihood_is_its_derivative(name, instance, relative):
    """Automatic differentiation of log p(y | x) at images of the prior, in double precision."""
    problem = instance(name, 2).problem.to("torch", dtype="float64")
    x = torch.tensor(signals(instance(name, 2)), requires_grad=True)
    (expected,) = torch.autograd.grad(problem.log_likelihood(x).sum(), x)
    assert relative(problem.likelihood_score(x.detach()), expected) < 1e-10
