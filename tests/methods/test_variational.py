"""DCPS and MGDM fit Gaussians by gradients: the way that they go on given noise, and the biases they are known for."""

from __future__ import annotations

from functools import cache
from typing import Any

import jax
import numpy as np
import pytest
from scipy.stats import norm, t

from problems.arrays import make_key
from tests.methods import reference_variational as reference
from tests.methods.affine import Given, sampler
from tests.methods.cases import LG1, LG1_PADDED, LG2, MIXTURE, TALL, WIDE, Case
from tests.methods.laws import named, obeys

N, DRAWS = 6, 900
CASES = pytest.mark.parametrize("case", [MIXTURE, TALL, WIDE], ids=["mixture", "tall", "wide"])


def _noise(case: Case) -> np.ndarray:
    return np.random.default_rng(7).standard_normal((DRAWS, N, len(case.means[0])))


def _agree(case: Case, noise: np.ndarray, expected: np.ndarray, name: str, preset: str, **hyper: Any) -> None:
    problem = case.problem.to("torch", dtype="float64")
    found = sampler(name, preset, **hyper)(problem, Given(0, [1], noise), n=N).x.numpy()
    law = "way of its formulas on given noise"
    obeys(named(name, preset), law, found, expected, 1e-8 * max(1.0, np.abs(expected).max()))


@CASES
@pytest.mark.parametrize(
    ("preset", "meaning", "own"),
    [
        ("default", {}, {"steps": 25}),
        ("converged", {"gradient_steps": 20}, {"steps": 10, "learning_rate": 0.05}),
        ("default", {}, {"steps": 10, "blocks": 1, "learning_rate": 0.3}),
        ("default", {}, {"steps": 40, "blocks": 4, "gradient_steps": 3, "learning_rate": 0.02}),
    ],
)
def test_dcps_goes_the_way_of_its_formulas(preset: str, meaning, own, case: Case):
    """The start is key 1; after the second key two for each block, and the draws from then on."""
    noise = _noise(case)
    expected = reference.dcps(case, noise[1], noise[3 + 2 * own.get("blocks", 3) :], **meaning, **own)
    _agree(case, noise, expected, "dcps", preset, **own)


@CASES
@pytest.mark.parametrize(
    ("preset", "meaning", "own"),
    [
        ("default", {}, {"steps": 16}),
        ("default", {}, {"steps": 4}),
        (
            "ffhq",
            {"gradient_steps": 5, "last_steps": 30},
            {"steps": 40, "last_gradient_steps": 2, "denoising_steps": 3},
        ),
        ("ffhq", {"gradient_steps": 5}, {"steps": 20, "last_steps": 8, "denoising_steps": 4, "learning_rate": 0.2}),
        ("default", {}, {"steps": 13, "last_steps": 1, "denoising_steps": 7, "gradient_steps": 1}),
    ],
)
def test_mgdm_goes_the_way_of_its_formulas(preset: str, meaning, own, case: Case):
    """The start is key 1, and the draws follow the three."""
    noise = _noise(case)
    expected = reference.mgdm(case, noise[1], noise[4:], **{**meaning, **own})
    _agree(case, noise, expected, "mgdm", preset, **own)


RUNS, SAMPLES = 16, 250
Row = tuple[str, str, dict[str, Any], Case, list[str], list[str]]
PUBLISHED: list[Row] = [
    ("mgdm", "ffhq", {}, LG1_PADDED, [".775"], [".326"]),
    ("mgdm", "ffhq", {}, LG2, ["1.130", ".940"], [".331", ".616"]),
    ("mgdm", "default", {}, LG1_PADDED, [".540"], [".517"]),
    ("dcps", "default", {"learning_rate": 0.01}, LG1, [".726"], [".339"]),
    ("dcps", "default", {"learning_rate": 0.01 / 2**0.5}, LG2, ["1.018", ".726"], [".405", ".725"]),
    ("dcps", "converged", {"learning_rate": 0.01}, LG1, [".798"], [".245"]),
    ("dcps", "converged", {"learning_rate": 0.01 / 2**0.5}, LG2, ["1.198", "1.062"], [".253", ".558"]),
]
"""Mean and standard deviation of the first entries, to three digits, of 4000 samples of an independent implementation.

There the parameters of DCPS move by .01 in all, here by learning_rate sqrt(d); its norms are why LG1 is not padded.
"""


def _named(rows: list[Row]) -> list[Any]:
    """With a name each; those of many gradients take half a minute."""
    slow = {("dcps", "converged"), ("mgdm", "ffhq"), ("mgdm", "default")}
    return [
        pytest.param(row, id=f"{row[0]}-{row[1]}-lg{len(row[4])}", marks=[pytest.mark.slow] if row[:2] in slow else [])
        for row in rows
    ]


@cache
def _compiled(name: str, preset: str) -> Any:
    run = sampler(name, preset)
    return jax.jit(lambda problem, key: run(problem, key, n=SAMPLES).x)


def _drawn(name: str, preset: str, hyper: dict[str, Any], case: Case) -> np.ndarray:
    """(RUNS, SAMPLES, d), the first axis independent: of DCPS one run, as its samples are, and it compiles slowly."""
    if name == "dcps":
        problem = case.problem.to("torch", dtype="float64")
        x = sampler(name, preset, **hyper)(problem, make_key("torch", [15]), n=RUNS * SAMPLES).x.numpy()
        return x.reshape(RUNS, SAMPLES, -1)
    problem, compiled = case.problem.to("jax", dtype="float64"), _compiled(name, preset)
    return np.array([np.asarray(compiled(problem, make_key("jax", [15, seed]))) for seed in range(RUNS)])


def _near(told: tuple[str, str], found: np.ndarray, error: np.ndarray, published: list[str], theirs: Any) -> None:
    """No farther off than four standard errors of both, ours by the quantile of t, and the rounding."""
    expected = np.array([float(value) for value in published])
    error = error[: len(expected)] * t.isf(norm.sf(4), RUNS - 1)
    obeys(*told, found[: len(expected)], expected, np.hypot(error, 4 * theirs) + 0.0005)


@pytest.mark.parametrize("row", _named(PUBLISHED))
def test_the_published_moments(row: Row):
    """Each of 20 values is refused by chance with probability 6e-5, one of them with 1.3e-3."""
    name, preset, hyper, case, means, stds = row
    x, told = _drawn(name, preset, hyper, case), named(name, preset, **hyper, d=len(means))
    theirs = np.array([float(std) for std in stds])
    mean, variance = x.mean(axis=1), x.var(axis=1, ddof=1)
    error = mean.std(axis=0, ddof=1) / RUNS**0.5
    _near((told, "published mean of draws"), mean.mean(axis=0), error, means, theirs / 4000**0.5)
    std = variance.mean(axis=0) ** 0.5
    error = variance.std(axis=0, ddof=1) / RUNS**0.5 / (2 * std)
    _near((told, "published std of draws"), std, error, stds, theirs / 8000**0.5)
