"""Samplers take a network for their prior: in JAX and in torch they end in the same samples from the same noise."""

from __future__ import annotations

from dataclasses import replace

import jax
import numpy as np
import pytest

from methods import METHODS
from problems import load
from problems.arrays import make_key
from problems.contract import Problem
from problems.learned import learned_prior
from problems.mlp import MLP
from problems.networks import initial

SAMPLERS = ("dps", "ddrm", "diffpir", "pigdm-ddim", "daps", "projection", "annealed-langevin", "em-mmps")


def learned_problem(index: int) -> Problem:
    """Hidden halves of digits under a network that has learned nothing but is no Gaussian's either."""
    problem = load("digits-inpaint", index).problem
    pictures = problem.prior.sample(make_key("numpy", [1]), 60)
    weights = initial(MLP(dim=64, width=24, blocks=1), 0)
    moved = 0.05 * np.random.default_rng(index).standard_normal(weights.flat.shape)
    return replace(problem, prior=learned_prior(replace(weights, flat=weights.flat + moved), pictures))


@pytest.mark.parametrize("name", SAMPLERS)
def test_samplers_agree_on_a_learned_prior_and_compile_once(name):
    method, key, traces = METHODS[name], make_key("jax", [4]), []
    hyper = method.configure("default", {"steps": 6})

    def run(problem: Problem, key: jax.Array) -> jax.Array:
        traces.append(problem)
        return method.run(problem, type(replay)(key), n=3, **hyper).x

    replay = make_key("replay", [4])
    compiled = jax.jit(run)
    for index in (0, 1):
        problem = learned_problem(index)
        x = np.asarray(compiled(problem.to("jax", dtype="float64"), key))
        host = np.asarray(method.run(problem.to("torch", dtype="float64"), replay, n=3, **hyper).x)
        assert x.shape == (3, 8, 8)
        assert np.all(np.isfinite(x))
        np.testing.assert_allclose(x, host, rtol=0, atol=1e-6 * np.abs(host).max())
    assert len(traces) == 1
