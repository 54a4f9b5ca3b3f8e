"""The bias that each method is known for, with its size: a Gaussian, a correlated one, and two far-apart modes.

What is compared: the standard deviation of a measured N(0, 1), exact .287; the mean of the unmeasured one of two
correlated entries, exact .881; the first mean of the two-mode demonstration, exact -.240, whose sign says which mode a
sampler prefers. The numbers are independent computations of the published algorithms, rounded to three digits.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import numpy as np
import pytest

from problems import Problem, load
from problems.arrays import make_key
from tests.methods.affine import QUICK, sampler
from tests.methods.cases import LG1_PADDED, LG2, Case

RUNS, N = 16, 500
LADDER = {"sigma_max": 20.0, "sigma_min": 0.03}
LONG = {**LADDER, "steps": 10000, "steps_per_level": 50}
REPLACEMENT = {"predictor": "ancestral", "corrector_steps": 0, "denoise": False}
PLAIN_GAMMA = {"gamma": 2.62488095**-1}
"""On the two modes gamma_t is sigma_t without the norm of A, which is hypot(2, 1.7)."""
Row = tuple[str, str, dict[str, Any], tuple[str, str, str]]
# name, preset, hyper-parameters; the three values as far as they are known: not at all where there is a dash.
SIGNS: list[Row] = [
    ("ancestral-mmps", "default", {}, (".284", ".881", "-.219")),
    ("tds", "one-run", {"steps": 1000}, (".287", ".874", "-.275")),
    ("mcgdiff", "one-run", {"steps": 200}, (".268", ".899", "-.248")),
    ("ancestral-pigdm", "default", {}, (".284", ".837", "-.055")),
    ("daps-exact-inner", "default", {}, (".287", ".837", "-.086")),
    ("annealed-langevin", "default", LADDER, (".297", ".791", "-")),
    ("annealed-langevin", "default", {**LADDER, **PLAIN_GAMMA}, ("-", "-", "-.075")),
    ("ddrm", "default", {}, (".173", ".582", "-.033")),
    ("ddrm", "default", {"steps": 1000}, (".092", ".871", "-.100")),
    ("dps", "calibrated", {}, (".207", "1.164", "-.454")),
    ("projection", "default", REPLACEMENT, (".000", ".599", "-.086")),
    ("mcg", "default", {}, (".000", "1.50", "-.567")),
    ("diffpir", "default", {}, (".266", ".567", "-.078")),
    ("pnp-dm", "fine", {}, (".302", ".873", "-.044")),
    ("pnp-dm", "default", {}, (".391", ".814", "-.057")),
    ("red-diff", "default", {}, (".01", ".917", "-.141")),
]
OF_MANY_STEPS: list[Row] = [
    ("snips", "default", LONG, (".285", ".882", "-.093")),
    ("annealed-langevin", "default", LONG, (".289", ".871", "-")),
    ("annealed-langevin", "default", {**LONG, **PLAIN_GAMMA}, ("-", "-", "-.104")),
]


def _twice(case: Case) -> Problem:
    """The same Gaussian as two equal components, so that it shares a compilation with two modes."""
    doubled = replace(
        case,
        means=np.repeat(case.means, 2, axis=0),
        covs=np.repeat(case.covs, 2, axis=0),
        weights=np.array([0.5, 0.5]),
    )
    return doubled.problem


def _two_modes() -> Problem:
    """The demonstration with its components as matrices, like the others."""
    case = replace(
        LG2,
        means=np.array([[-0.5, -0.5], [0.5, 0.5]]),
        covs=np.repeat(0.01 * np.eye(2)[None], 2, axis=0),
        weights=np.array([0.5, 0.5]),
        matrix=np.array([[-2.0, 1.7]]),
        y=np.array([0.3]),
        noise_std=0.2,
    )
    np.testing.assert_allclose(case.instance.log_evidence, load("seed2d", 0).log_evidence, rtol=1e-12)
    return case.problem


PROBLEMS = (_twice(LG1_PADDED), _twice(LG2), _two_modes())


def _measured(x: np.ndarray, which: int) -> float:
    return float(x[:, 0].std() if which == 0 else x[:, 1].mean() if which == 1 else x[:, 0].mean())


def _named(rows: list[Row]) -> list[Any]:
    """With a name each; those of many steps take minutes."""
    return [
        pytest.param(
            row, id=f"{row[0]}-{row[2].get('steps', row[1])}", marks=[pytest.mark.slow] if row in OF_MANY_STEPS else []
        )
        for row in rows
    ]


@pytest.mark.parametrize("row", _named([*SIGNS, *OF_MANY_STEPS]))
def test_the_bias_is_there_with_its_size(row: Row):
    """Within four standard errors, which are those of RUNS runs, and the rounding of the numbers."""
    name, preset, hyper, expected = row
    run = sampler(name, preset, **hyper)
    compiled = jax.jit(lambda problem, key: run(problem, key, n=N).x, compiler_options=QUICK)
    for which, (problem, value) in enumerate(zip(PROBLEMS, expected, strict=True)):
        if value == "-":
            continue
        carried = problem.to("jax", dtype="float64")
        draws = (np.asarray(compiled(carried, make_key("jax", [12, seed]))) for seed in range(RUNS))
        found = np.array([_measured(x, which) for x in draws])
        rounding = 0.5 * 10.0 ** -len(value.split(".")[1])
        assert abs(found.mean() - float(value)) < 4 * found.std(ddof=1) / RUNS**0.5 + rounding
