"""How fast the integrators converge, and to what, by the exact law of their own output."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from methods.levels import SIGMA_MIN
from tests.methods.affine import sampler, torch_law
from tests.methods.cases import WIDE

MEAN, COV = WIDE.means[0], WIDE.covs[0]


def _covs(name: str, numbers: tuple[int, ...], **hyper: Any) -> list[np.ndarray]:
    return [torch_law(sampler(name, steps=steps, **hyper), WIDE.problem)[1] for steps in numbers]


def _size(a: np.ndarray) -> float:
    return float(np.abs(a).max())


def test_heun_is_second_order_and_ends_at_the_exact_law():
    """The last step, D(x, SIGMA_MIN) in place of the flow, leaves C (C + SIGMA_MIN^2)^-1 C of the covariance C."""
    limit = COV @ np.linalg.solve(COV + SIGMA_MIN**2 * np.eye(3), COV)
    covs = _covs("oracle-ode", (40, 80, 160))
    errors = [_size(cov - limit) for cov in covs]
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    np.testing.assert_allclose(orders, 2.0, atol=0.1)
    coarse, fine = (covs[1] * 4 - covs[0]) / 3, (covs[2] * 4 - covs[1]) / 3
    np.testing.assert_allclose((fine * 8 - coarse) / 7, COV, atol=2e-5)
    np.testing.assert_allclose(torch_law(sampler("oracle-ode", steps=40), WIDE.problem)[0], MEAN, atol=1e-12)


def test_euler_maruyama_is_first_order_in_the_moments_and_ends_at_the_exact_law():
    laws = [torch_law(sampler("oracle-em", steps=steps), WIDE.problem) for steps in (50, 100, 200)]
    for which, exact in enumerate((MEAN, COV)):
        moments = [law[which] for law in laws]
        errors = [_size(moment - exact) for moment in moments]
        np.testing.assert_allclose(np.log2(np.array(errors[:-1]) / errors[1:]), 1.0, atol=0.08)
        once = [2 * b - a for a, b in pairwise(moments)]
        np.testing.assert_allclose((4 * once[1] - once[0]) / 3, exact, atol=2e-4)


@pytest.mark.parametrize(
    ("name", "hyper", "numbers"),
    [
        ("oracle-ode", {"solver": "euler"}, (50, 100, 200)),
        ("ancestral-none", {"grid": "score-sde"}, (50, 100, 200)),
        pytest.param("ancestral-none", {"variance": "large"}, (125, 250, 500), marks=pytest.mark.slow),
    ],
)
def test_first_order_towards_the_grids_own_limit(name: str, hyper, numbers: tuple[int, ...]):
    """linspace(1, 1e-3, N) with the step 1 / N moves 1e-3 too fast for its times; the DDPM levels end at 1e-4."""
    first, second, third = _covs(name, numbers, **hyper)
    assert np.log2(_size(first - second) / _size(second - third)) == pytest.approx(1.0, abs=0.12)
    np.testing.assert_allclose(2 * third - second, COV, atol=5e-3)
