"""The evidence that particle methods tell: the mean of Z, whose expectation is that of the discretised model."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from methods import tds
from problems import Instance, load
from problems.arrays import make_key
from tests.methods.affine import sampler
from tests.methods.cases import GAUSSIANS, LG1
from tests.methods.laws import obeys

INSTANCES: dict[str, Instance] = {
    "seed2d": load("seed2d", 0),
    **{name: one.instance for name, one in GAUSSIANS.items()},
}
STEPS, RUNS, DRAWS = 100, {"tds": 500, "smc": 2000}, 200_000


def _log_mean(logs: np.ndarray) -> tuple[float, float]:
    """The logarithm of the mean of exponentials, and its standard error."""
    top = logs.max()
    weights = np.exp(logs - top)
    return float(np.log(weights.mean()) + top), float(weights.std() / weights.mean() / len(logs) ** 0.5)


def _of_the_chain(instance: Instance) -> tuple[float, float]:
    """log E p(y | x) over draws of the unconditional sampler with as many steps, and its standard error."""
    run, problem = sampler("ancestral-none", steps=STEPS), instance.problem.to("jax", dtype="float64")
    draw = jax.jit(lambda problem, key: problem.log_likelihood(run(problem, key, n=DRAWS).x))
    return _log_mean(np.asarray(draw(problem, make_key("jax", [21]))))


@pytest.mark.slow
@pytest.mark.parametrize("name", INSTANCES)
@pytest.mark.parametrize("method", ["tds", "smc"])
def test_the_mean_evidence_is_that_of_the_discretised_model(method: str, name: str):
    """Within three standard errors; that of smc, which has no steps of a diffusion, is the exact one.

    The gap from the discretised to the exact evidence is that of its steps, and some per cent here.
    """
    instance = INSTANCES[name]
    run, problem = sampler(method, steps=STEPS), instance.problem.to("jax", dtype="float64")
    told = jax.jit(lambda problem, key: run(problem, key, n=RUNS[method]).info)
    found = {key: float(value) for key, value in told(problem, make_key("jax", [22])).items()}
    value, stderr = found["log_evidence"], found["log_evidence_stderr"]
    exact = instance.log_evidence
    expected, error = (exact, 0.0) if method == "smc" else _of_the_chain(instance)
    assert stderr < 0.05
    told = f"{method} steps={STEPS}"
    obeys(told, f"log of the mean evidence on {name}, discretised", value, expected, 3 * np.hypot(stderr, error))
    obeys(told, f"gap from the discretised to the exact log evidence on {name}", expected, exact, 0.1)


@pytest.mark.slow
def test_the_evidence_of_tds_hardly_scatters_where_its_twist_is_exact(monkeypatch: pytest.MonkeyPatch):
    """Any twist and proposal have a right evidence on average; those of a prior as wide as they take it for, in a run.

    What is left falls with the steps. Half of the shift, or twice the variance of the twist, scatter by .19 and .17.
    """
    monkeypatch.setattr(tds, "evidence", lambda logs: {"each": logs})

    def scatter(steps: int, **hyper: float) -> float:
        run = sampler("tds", steps=steps, particles=16, **hyper)
        each = jax.jit(lambda problem, key: run(problem, key, n=1000).info["each"])
        return float(np.std(each(LG1.problem.to("jax", dtype="float64"), make_key("jax", [23]))))

    assert scatter(400) < 0.065
    assert scatter(200) < 0.11
    assert scatter(200, prior_std=0.7) > 0.135
