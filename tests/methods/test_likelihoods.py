"""Samplers of any likelihood: their gradients where the measurement is not linear or its noise not Gaussian."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import numpy as np
import pytest
import torch

from methods import METHODS
from methods.guidance import denoiser, dps
from methods.target import posterior
from problems import FAMILIES, load
from problems.arrays import make_key, vjp

PROBLEMS = [
    *("atoms-digits-phase", "atoms-digits-poisson", "atoms-blackhole-closure"),
    *("gmm-bipsda-phase", "gmm-bipsda-xray"),
]
DIVERGE = {("gmm-bipsda-phase", method) for method in ("em-dps", "em-jalal", "dps", "annealed-langevin")}
"""Where the derivative of A grows with x, and methods measure states that are far out."""
every = pytest.mark.parametrize("name", PROBLEMS)


def states(problem: Any, sigma: float) -> torch.Tensor:
    """Draws of x_0 + sigma z near which the likelihood is defined."""
    key = make_key("numpy", [3])
    x = problem.prior.sample(key, 4)
    return torch.tensor(x + sigma * key.standard_normal(x.shape))


@every
def test_the_guidance_of_dps_is_the_gradient_of_the_likelihood_of_the_denoised_state(name: str) -> None:
    instance = load(name, 0).problem
    problem, x = instance.to("torch", dtype="float64"), states(instance, 0.2)
    alpha, sigma = torch.tensor(1.0, dtype=x.dtype), torch.tensor(0.2, dtype=x.dtype)
    x0_hat, g = dps(problem, x, alpha, sigma)
    denoise = denoiser(problem, alpha, sigma)
    value, pull = vjp(lambda x: problem.log_likelihood(denoise(x)), x)
    torch.testing.assert_close(x0_hat, denoise(x))
    torch.testing.assert_close(g, pull(torch.ones_like(value)), rtol=1e-7, atol=1e-7)


@every
def test_targets_have_the_gradient_of_their_log_density(name: str) -> None:
    instance = load(name, 0).problem
    target, x = posterior(instance.to("torch", dtype="float64")), states(instance, 1e-3)
    value, pull = vjp(target.log_density, x)
    found, expected = target.gradient(x), pull(torch.ones_like(value))
    torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-7 * float(expected.abs().max()))


RUN = [
    (name, method)
    for name in PROBLEMS
    for method in ("em-dps", "ancestral-dps", "em-jalal", "dps", "lgd-mc", "daps", "annealed-langevin", "sir", "mgdm")
    if METHODS[method].requires <= FAMILIES[name].provides
]


@pytest.mark.parametrize(("name", "method"), RUN)
@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_samplers_of_any_likelihood_run(name: str, method: str, framework: str) -> None:
    """The result has the shape that it should have and is finite, but where no step is short enough."""
    entry, problem = METHODS[method], load(name, 0).problem.to(framework)
    hyper = entry.configure("default", {k: 20 for k in ("steps", "particles") if k in entry.hyper})
    run = partial(entry.run, n=2, **hyper)
    with jax.enable_x64(False):
        x = np.asarray(run(problem, make_key(framework, [1])).x)
    assert x.shape == (2, *problem.shape)
    assert x.dtype == np.float32
    assert np.all(np.isfinite(x)) or (name, method) in DIVERGE


NONLINEAR = [
    name for name, family in FAMILIES.items() if family.provides & {"gaussian_noise", "linear"} == {"gaussian_noise"}
]


@pytest.mark.parametrize("name", NONLINEAR)
def test_no_derivative_at_a_truth_exceeds_the_norm(name: str) -> None:
    """Methods take their steps from it."""
    for index in range(3):
        found = load(name, index)
        operator, m = found.problem.operator, len(found.problem.y)
        rows = operator.pull(np.repeat(found.x_true[None], m, axis=0), np.eye(m)).reshape(m, -1)
        assert np.linalg.norm(rows, 2) <= float(operator.norm) * (1 + 1e-9)


@pytest.mark.parametrize("method", ["pigdm-ddim", "ddrm", "em-mmps", "projection", "conditional-gaussian"])
def test_samplers_of_linear_measurements_are_not_offered_others(method: str) -> None:
    assert "linear" in METHODS[method].requires
    assert "linear" not in FAMILIES["atoms-digits-phase"].provides
