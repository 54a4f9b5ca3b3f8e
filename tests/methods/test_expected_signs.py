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
EXACT = (0.28735, 0.88073, -0.23992)
LADDER = {"sigma_max": 20.0, "sigma_min": 0.03}
LONG = {**LADDER, "steps": 10000, "steps_per_level": 50}
REPLACEMENT = {"predictor": "ancestral", "corrector_steps": 0, "denoise": False}
PLAIN_GAMMA = {"gamma": 2.62488095**-1}
"""On the two modes gamma_t is sigma_t without the norm of A, which is hypot(2, 1.7)."""
Row = tuple[str, str, dict[str, Any], tuple[float | None, ...], float]
# name, preset, hyper-parameters; the three values, None where none is known; how finely they are rounded.
SIGNS: list[Row] = [
    ("ancestral-mmps", "default", {}, (0.284, 0.881, -0.219), 1e-3),
    ("tds", "one-run", {"steps": 1000}, (0.287, 0.874, -0.275), 1e-3),
    ("mcgdiff", "one-run", {"steps": 200}, (0.268, 0.899, -0.248), 1e-3),
    ("ancestral-pigdm", "default", {}, (0.284, 0.837, -0.055), 1e-3),
    ("daps-exact-inner", "default", {}, (0.287, 0.837, -0.086), 1e-3),
    ("annealed-langevin", "default", LADDER, (0.297, 0.791, None), 1e-3),
    ("annealed-langevin", "default", {**LADDER, **PLAIN_GAMMA}, (None, None, -0.075), 1e-3),
    ("ddrm", "default", {}, (0.173, 0.582, -0.033), 1e-3),
    ("ddrm", "default", {"steps": 1000}, (0.092, 0.871, -0.100), 1e-3),
    ("dps", "calibrated", {}, (0.207, 1.164, -0.454), 1e-3),
    ("projection", "default", REPLACEMENT, (0.0, 0.599, -0.086), 1e-3),
    ("mcg", "default", {}, (0.0, 1.50, -0.567), 1e-3),
    ("diffpir", "default", {}, (0.266, 0.567, -0.078), 1e-3),
    ("pnp-dm", "fine", {}, (0.302, 0.873, -0.044), 1e-3),
    ("pnp-dm", "default", {}, (0.391, 0.814, -0.057), 1e-3),
    ("red-diff", "default", {}, (0.01, 0.917, -0.141), 1e-2),
]
OF_MANY_STEPS: list[Row] = [
    ("snips", "default", LONG, (0.285, 0.882, -0.093), 1e-3),
    ("annealed-langevin", "default", LONG, (0.289, 0.871, None), 1e-3),
    ("annealed-langevin", "default", {**LONG, **PLAIN_GAMMA}, (None, None, -0.104), 1e-3),
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
    name, preset, hyper, expected, digit = row
    run = sampler(name, preset, **hyper)
    compiled = jax.jit(lambda problem, key: run(problem, key, n=N).x, compiler_options=QUICK)
    for which, (problem, value) in enumerate(zip(PROBLEMS, expected, strict=True)):
        if value is None:
            continue
        carried = problem.to("jax", dtype="float64")
        draws = (np.asarray(compiled(carried, make_key("jax", [12, seed]))) for seed in range(RUNS))
        found = np.array([_measured(x, which) for x in draws])
        error = 4 * found.std(ddof=1) / RUNS**0.5 + 0.5 * digit
        assert abs(found.mean() - value) < error
        if abs(value - EXACT[which]) > 2 * error:
            assert np.sign(found.mean() - EXACT[which]) == np.sign(value - EXACT[which])
