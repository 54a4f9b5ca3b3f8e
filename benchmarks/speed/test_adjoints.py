"""How diffrax should differentiate the probability-flow ODE of dpi-ode: seconds per gradient, and its error.

One gradient of the mean log density of 256 points, at the tolerances that dpi-ode trains with. extra_info has the
largest error of a point's gradient, relative to the largest gradient: the exact one is the prior's score.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from methods import METHODS
from methods.probability_flow import log_prob
from problems import load

N = 256
SETTINGS = METHODS["dpi-ode"].configure()
TOLERANCES = {"rtol": SETTINGS["rtol"], "atol": SETTINGS["atol"]}
ADJOINTS = {
    "recursive-checkpoint": diffrax.RecursiveCheckpointAdjoint(),
    "direct": diffrax.DirectAdjoint(),
    "backsolve": diffrax.BacksolveAdjoint(
        solver=diffrax.Dopri5(), stepsize_controller=diffrax.PIDController(**TOLERANCES)
    ),
}


def test_reference(reference: Callable[[], Any]) -> None:
    assert reference().shape == (500, 80)


@pytest.mark.parametrize("name", ["seed2d", "gmm25-8-1"])
@pytest.mark.parametrize("adjoint", ADJOINTS)
def test_gradient(adjoint: str, name: str, benchmark: BenchmarkFixture) -> None:
    problem = load(name, 0).problem.to("jax")
    x = problem.prior.sample(jax.random.key(0), N)
    t0 = jnp.asarray(SETTINGS["t0"], x.dtype)

    @jax.jit
    def slope(prior: Any, schedule: Any, x: Any) -> Any:
        return jax.grad(lambda x: log_prob(prior, schedule, x, t0=t0, **TOLERANCES, adjoint=ADJOINTS[adjoint]).sum())(x)

    found = benchmark.pedantic(
        lambda: jax.block_until_ready(slope(problem.prior, problem.schedule, x)), rounds=5, warmup_rounds=1
    )
    exact = np.asarray(problem.prior.score(x, jnp.zeros((), x.dtype)))
    benchmark.extra_info["error"] = float(np.abs(np.asarray(found) - exact).max() / np.abs(exact).max())
