"""Samplers for JAX alone: the no-U-turn sampler, and the probability-flow ODE by an adaptive method."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import numpy as np
import pytest

from methods import METHODS
from methods.levels import SIGMA_MIN
from problems import Problem, load
from problems.arrays import Array, make_key, normal, split
from problems.contract import data
from tests.methods.affine import sampler
from tests.methods.cases import LG2
from tests.methods.laws import named, obeys

K = 4.5
"""Standard errors: a normal number goes beyond with chance 7e-6."""
INSTANCE = load("linear-gaussian-2", 0)
PROBLEM = INSTANCE.problem.to("jax", dtype="float64")
POSTERIOR = INSTANCE.posterior


def _draw(name: str, n: int, seed: int, problem: Problem = PROBLEM, **hyper: Any) -> Any:
    run = sampler(name, **hyper)

    def program(problem: Problem, key: Any) -> tuple[Array, Array, Array]:
        samples = run(problem, key, n=n)
        return samples.x, samples.nfe, samples.vjp

    with jax.numpy_dtype_promotion("standard"):  # blackjax promotes
        found = jax.jit(program)(problem, make_key("jax", [seed]))
    return map(np.asarray, found)


def _errors(x: np.ndarray, posterior: Any) -> np.ndarray:
    """How far mean and covariance of independent samples are off, in standard errors."""
    z = np.linalg.solve(np.linalg.cholesky(posterior.cov()), (x - posterior.mean).T)
    excess = z @ z.T / len(x) - np.eye(2)
    return np.hstack([z.mean(axis=1), excess[0, 0] / 2**0.5, excess[1, 1] / 2**0.5, excess[0, 1]]) * len(x) ** 0.5


def test_nuts_draws_the_posterior():
    """Independent chains. False alarm 5 x 7e-6."""
    x, nfe, vjp = _draw("nuts", 600, 1, warmup=100, steps=20)
    obeys("nuts", "posterior, in whitened standard errors", _errors(x, POSTERIOR), 0.0, K)
    assert np.abs(_errors(x, INSTANCE.problem.prior)).max() > 3 * K
    assert nfe == vjp > 120


def test_pf_ode_draws_the_posterior():
    """The posterior is a prior as well: the unguided flow then draws it. False alarm 5 x 7e-6 each."""
    oracle = replace(INSTANCE.problem, prior=POSTERIOR).to("jax", dtype="float64")
    for name, problem, own in (("pf-ode-none", oracle, {}), ("pf-ode-mmps", PROBLEM, {"iterations": 1})):
        x, _, _ = _draw(name, 3000, 2, problem, tolerance=1e-4, **own)
        obeys(named(name, **own), "posterior, in whitened standard errors", _errors(x, POSTERIOR), 0.0, K)


def _carried(n: int, seed: int) -> np.ndarray:
    """The exact flow of the posterior from the states that the sampler starts with.

    dx / ds = s (C + s^2)^-1 (x - m) from s = top: x - m goes with (C + s^2)^(1/2). At SIGMA_MIN the last step takes the
    denoised state, C (C + s^2)^-1 (x - m) + m.
    """
    schedule = PROBLEM.schedule
    alpha, sigma = float(schedule.alpha(schedule.one)), float(schedule.sigma(schedule.one))
    start = np.asarray(normal(split(make_key("jax", [seed]), 2)[0], (n, 2), schedule.one)) / alpha
    variances, axes = np.linalg.eigh(POSTERIOR.cov())
    shrink = variances / ((variances + SIGMA_MIN**2) * (variances + (sigma / alpha) ** 2)) ** 0.5
    return POSTERIOR.mean + (start - POSTERIOR.mean) @ axes * shrink @ axes.T


def test_pf_ode_tends_to_the_exact_flow_as_the_tolerance_falls():
    """Sample by sample, without Monte-Carlo error; one measurement, so the guidance is exact."""
    expected = _carried(40, 3)
    errors, evaluations = [], []
    run = METHODS["pf-ode-mmps"].run
    compiled = jax.jit(lambda problem, key, tolerance: run(problem, key, n=40, iterations=1, tolerance=tolerance))
    for tolerance in (1e-2, 1e-4, 1e-6, 1e-8):
        samples = compiled(PROBLEM, make_key("jax", [3]), tolerance)
        x = np.asarray(samples.x)
        errors.append(np.abs(x - expected).max())
        evaluations.append(float(samples.nfe))
        assert samples.vjp == 2 * samples.nfe
    assert errors == sorted(errors, reverse=True)
    assert evaluations == sorted(evaluations)
    assert errors[1] < errors[0] / 10
    assert errors[2] < 1e-4
    obeys("pf-ode-mmps tolerance=1e-08", "exact flow of the posterior, sample by sample", x, expected, 1e-6)


@pytest.mark.parametrize(
    "guidance", ["dps", *(pytest.param(name, marks=pytest.mark.slow) for name in ("jalal", "pigdm", "tmpd"))]
)
def test_adaptive_steps_and_those_of_heun_tend_to_one_flow(guidance: str):
    """Sample by sample; what is between them is the error of Heun's method, a quarter of it for twice the steps."""
    problem = LG2.problem.to("jax", dtype="float64")
    x, _, _ = _draw(f"pf-ode-{guidance}", 20, 5, problem, tolerance=1e-9)
    errors = []
    for steps in (250, 500):
        of_heun, _, _ = _draw(f"ode-{guidance}", 20, 5, problem, steps=steps)
        errors.append(np.abs(of_heun - x).max())
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.1)
    obeys(f"pf-ode-{guidance}", "flow of Heun's method with 500 steps, sample by sample", x, of_heun, 1e-3)


CALLS = {"forward": 0, "backward": 0}


@data
class Counted:
    """A prior that counts how often it is asked, and how often a gradient passes through the answer."""

    prior: Any

    def denoise(self, x: Array, sigma: Array) -> Array:
        @jax.custom_vjp
        def watched(y: Array) -> Array:
            return y

        def forward(y: Array) -> tuple[Array, None]:
            return y, None

        def backward(_: None, g: Array) -> tuple[Array]:
            jax.debug.callback(_count, "backward")
            return (g,)

        watched.defvjp(forward, backward)
        jax.debug.callback(_count, "forward")
        return watched(self.prior.denoise(x, sigma))


def _count(what: str) -> None:
    CALLS[what] += 1


@pytest.mark.parametrize(
    ("name", "hyper"),
    [
        pytest.param("pf-ode-none", {}, marks=pytest.mark.slow),
        pytest.param("pf-ode-dps", {"tolerance": 1e-3}, marks=pytest.mark.slow),
        pytest.param("pf-ode-mmps", {"tolerance": 1e-3}, marks=pytest.mark.slow),
        ("pf-ode-mmps", {"iterations": 1}),
    ],
)
def test_the_evaluations_are_those_that_were_made(name: str, hyper):
    """One sample, whose steps nobody else shares."""
    counted = replace(INSTANCE.problem, prior=Counted(INSTANCE.problem.prior)).to("jax", dtype="float64")
    CALLS.update(forward=0, backward=0)
    _, nfe, vjp = _draw(name, 1, 4, counted, **hyper)
    jax.effects_barrier()
    assert {"forward": float(nfe), "backward": float(vjp or 0)} == CALLS
    assert nfe > 40
