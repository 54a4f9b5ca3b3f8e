"""The gates judge metrics by the rule by which the tables judge samplers, though the two share no code."""

from __future__ import annotations

import numpy as np
import pytest

from reports.cells import quantile95_of_means
from scores.decision import cells_of, flagged


@pytest.mark.parametrize(("instances", "draws"), [(1, 20), (3, 20), (3, 5), (16, 20), (9, 4)])
def test_the_floor_of_the_tables_is_where_the_gates_begin_to_flag(instances: int, draws: int) -> None:
    rng = np.random.default_rng(instances + draws)
    exact = [rng.gamma(3.0, rng.uniform(0.5, 2.0), draws) + 5 for _ in range(instances)]
    floor = quantile95_of_means(exact, [1] * instances)
    yardstick = cells_of([(values,) for values in exact], stream=1)
    near = 0.08 * (floor - yardstick.mean())  # both put cells together at random
    cells = floor + np.array([-near, near])
    assert flagged(cells, yardstick, "lower", draws).tolist() == [False, True]


@pytest.mark.parametrize("instances", [4, 16])
def test_exact_samples_exceed_their_floor_as_often_as_it_says(instances: int) -> None:
    """5 % over many floors of 20 draws on each instance: unstretched it would be 6 % and more."""
    rng, rates = np.random.default_rng(5), []
    for _ in range(300):
        level = 10 * rng.standard_normal(instances)
        floor = quantile95_of_means([one + rng.standard_normal(20) for one in level], [1] * instances)
        rates.append(np.mean((level + rng.standard_normal((400, instances))).mean(axis=1) > floor))
    assert np.mean(rates) == pytest.approx(0.05, abs=0.008)
