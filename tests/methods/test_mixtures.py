"""Known biases and known truths where the posterior has several modes, within four Monte-Carlo errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from problems import load
from problems.arrays import make_key
from tests.methods.affine import sampler
from tests.methods.cases import LG1
from tests.methods.laws import named, obeys

SEED2D = load("seed2d", 0)
EXACT_MEAN = np.array([-0.239922, -0.157932])
HEAVY = 0.695603


def _draw(name: str, preset: str, hyper: dict[str, Any], problem: Any, n: int) -> np.ndarray:
    samples = sampler(name, preset, **hyper)(problem.to("torch"), make_key("torch", [11]), n=n)
    return samples.x.numpy().astype(float)


def _within(name: str, law: str, found: Any, expected: Any, error: Any) -> None:
    """Four standard errors."""
    obeys(name, law, found, expected, 4.0 * np.asarray(error))


def test_the_released_step_of_dps_keeps_one_mode():
    x = _draw("dps", "code", {}, SEED2D.problem, 3000)
    obeys("dps[code]", "published mean on two modes, exact -.240", x[:, 0].mean(), -0.55, 0.02)
    assert np.mean(x[:, 0] < 0) > 0.99


@pytest.mark.parametrize(
    ("name", "hyper"),
    [
        ("exact", {}),
        ("ancestral-none", {}),
        ("oracle-em", {"steps": 400}),
        ("oracle-pc", {"steps": 400}),
        ("oracle-ode", {"steps": 200}),
    ],
)
def test_the_exact_score_gives_the_exact_weights(name: str, hyper):
    """Any integrator, once the prior is the posterior."""
    n = 5000
    x, told = _draw(name, "default", hyper, SEED2D.oracle(), n), named(name, of="the posterior", **hyper)
    _within(told, "mean on two modes", x.mean(axis=0), EXACT_MEAN, x.std(axis=0) / n**0.5)
    weight = np.mean(x[:, 0] < 0)
    _within(told, "weight of the heavier mode", weight, HEAVY, (HEAVY * (1 - HEAVY) / n) ** 0.5)


@pytest.mark.parametrize("name", ["exact", "oracle-em", "oracle-pc", "oracle-ode"])
def test_oracles_on_twenty_five_modes(name: str):
    """Means, second moments and mode weights; the mean responsibility of a component is its weight."""
    n, posterior = 2000, load("gmm25-8-1", 2).posterior
    hyper = {} if name == "exact" else {"steps": 150 if name == "oracle-ode" else 500}
    x, told = _draw(name, "default", hyper, load("gmm25-8-1", 2).oracle(), n), named(name, **hyper)
    _within(told, "mean on 25 modes", x.mean(axis=0), posterior.mean, x.std(axis=0) / n**0.5)
    root = np.linalg.cholesky(posterior.cov())
    z = np.linalg.solve(root, (x - posterior.mean).T).T
    products = (z[:, :, None] * z[:, None, :])[:, *np.triu_indices(8)]
    expected = np.eye(8)[np.triu_indices(8)]
    _within(told, "whitened second moments on 25 modes", products.mean(axis=0), expected, products.std(axis=0) / n**0.5)
    weights = np.exp(posterior.log_weights)
    common = weights > 0.01
    assert common.sum() == 3
    r = posterior.responsibilities(x)[:, common]
    _within(told, "weights of 25 modes", r.mean(axis=0), weights[common], r.std(axis=0) / n**0.5)


@pytest.mark.parametrize(("scale", "expected"), [(0.1, 0.058), (0.3, 0.173), (1.0, 0.572)])
def test_the_spread_of_normalised_dps_is_its_step_size(scale: float, expected: float):
    """One dimension: the step has a fixed length, so the spread grows with it and noise_std, here .3, never enters."""
    n = 3000
    x = _draw("dps", "paper", {"scale": scale}, LG1.problem, n)[:, 0]
    spread = (x - x.mean()) ** 2
    told = named("dps", "paper", scale=scale)
    _within(told, "published std, one dimension", x.std(), expected, spread.std() / (2 * x.std() * n**0.5))
    obeys(told, "mean, one dimension", x.mean(), 0.8, 0.12 * scale)
