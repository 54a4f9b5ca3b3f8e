"""The rule that flags cells: its level, its tails, and how the cells are put together."""

from __future__ import annotations

import numpy as np
import pytest

from scores.decision import CELLS, cells_of, disjoint_cells, flagged, parts_of

EXACT = np.linspace(0.0, 100.0, 1001)
MANY = 10**9
"""So many draws that nothing is stretched."""


@pytest.mark.parametrize(
    ("better", "values", "expected"),
    [
        ("lower", [-50.0, 2.0, 94.9, 95.1, np.inf], [False, False, False, True, True]),
        ("higher", [2.4, 2.6, 97.4, 97.6], [True, False, False, True]),
        (1.0, [2.4, 2.6, 97.4, 97.6, -np.inf], [True, False, False, True, True]),
    ],
)
def test_less_is_better_has_one_tail_and_all_else_two(better, values, expected):
    assert flagged(np.array(values), EXACT, better, MANY).tolist() == expected


def test_few_draws_stretch_the_yardstick_about_its_mean():
    high = 50 + 45 * np.sqrt(21 / 19)
    assert flagged(np.array([high - 0.01, high + 0.01]), EXACT, "lower", 20).tolist() == [False, True]
    low = 50 - 47.5 * np.sqrt(6 / 4)
    assert flagged(np.array([low - 0.01, low + 0.01]), EXACT, 0.0, 5).tolist() == [True, False]


def test_a_cell_that_is_not_a_number_is_not_flagged_and_a_constant_never():
    assert not flagged(np.array([np.nan]), EXACT, "lower", 20).any()
    constant = np.full(7, 2.9)
    assert not flagged(constant * (1 + 1e-13), constant, 1.0, 20).any()
    assert not flagged(np.zeros(3), np.zeros(7), "lower", 20).any()
    assert flagged(constant * (1 + 1e-6), constant, "lower", 20).all()


@pytest.mark.parametrize("better", ["lower", 0.0])
@pytest.mark.parametrize("instances", [4, 16])
def test_exact_cells_are_flagged_at_the_stated_rate(better, instances, rng):
    """5 % over many yardsticks of 20 draws; instances differ by far more than their draws do."""
    rates = []
    for repeat in range(300):
        level, width = 100 * rng.standard_normal(instances), rng.uniform(0.5, 2, instances)
        draws = [(level[i] + width[i] * rng.standard_normal(20),) for i in range(instances)]
        fresh = level + width * rng.standard_normal((200, instances))
        rates.append(np.mean(flagged(fresh.mean(axis=1), cells_of(draws, repeat), better, 20)))
    assert np.mean(rates) == pytest.approx(0.05, abs=0.01)


def test_a_shift_of_the_mean_is_found_as_often_as_a_normal_test_would(rng):
    """By 3 standard errors of the cell: found with probability 1 - Phi(1.645 - 3) = .912."""
    found = []
    for repeat in range(300):
        draws = [(rng.standard_normal(20),) for _ in range(9)]
        cells = (rng.standard_normal((200, 9)) + 1.0).mean(axis=1)
        found.append(np.mean(flagged(cells, cells_of(draws, repeat), "lower", 20)))
    assert np.mean(found) == pytest.approx(0.912, abs=0.03)


VALUES = {
    "z_std": np.array([0.5, 3.0]),
    "psnr_mean_db": np.array([20.0, 30.0]),
    "psnr_sample_db": np.array([17.0, 26.0]),
    "psnr_gain_db": np.array([3.0, 4.0]),
    "mmse_gap_db": np.array([1.0, -0.5]),
    "sw1": np.array([0.3, 0.7]),
}


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("sw1", [[0.3, 0.7]]),
        ("z_std", [[0.25, 9.0]]),
        ("psnr_mean_db", [[1e-2, 1e-3]]),
        ("psnr_sample_db", [[10**-1.7, 10**-2.6]]),
        ("psnr_gain_db", [[10**-1.7, 10**-2.6], [1e-2, 1e-3]]),
        ("mmse_gap_db", [[1e-2, 1e-3], [10**-2.1, 10**-2.95]]),
    ],
)
def test_metrics_are_averaged_in_the_scales_of_the_tables(metric, expected):
    np.testing.assert_allclose(parts_of(metric, VALUES.__getitem__), expected)


def test_the_value_of_a_cell_is_what_the_tables_show():
    """One run on each instance: the mean, or for a difference of decibels the ratio of the mean squared errors."""
    from reports.cells import DECIBEL

    for metric, table in (
        ("sw1", 0.5),
        ("z_std", (9.25 / 2) ** 0.5),
        ("psnr_gain_db", DECIBEL * np.log((10**-1.7 + 10**-2.6) / (1e-2 + 1e-3))),
        ("mmse_gap_db", DECIBEL * np.log((1e-2 + 1e-3) / (10**-2.1 + 10**-2.95))),
    ):
        instances = [parts_of(metric, lambda name, i=i: VALUES[name][i : i + 1]) for i in range(2)]
        cells = cells_of(instances, stream=0)
        assert cells.shape == (CELLS,)
        shown = {"z_std": np.sqrt, "sw1": lambda value: value}.get(metric, lambda value: DECIBEL * np.log(value))
        np.testing.assert_allclose(shown(cells), table)


def test_cells_take_one_draw_of_every_instance():
    cells = cells_of([(np.array([1.0, 2.0]),), (np.array([10.0, 20.0, 40.0]),)], stream=5)
    values, counts = np.unique(cells, return_counts=True)
    np.testing.assert_allclose(values, [5.5, 6.0, 10.5, 11.0, 20.5, 21.0])
    assert counts.min() > 0.8 * CELLS / 6


def test_disjoint_cells_use_every_draw_once():
    two = np.array([1.0, 2.0, 4.0]), np.array([10.0, 30.0, 20.0])
    np.testing.assert_allclose(disjoint_cells([(two[0],), (two[1],)]), [5.5, 16.0, 12.0])
    np.testing.assert_allclose(disjoint_cells([(two[0], two[1]), (two[1], two[0])]), [1.0, 1.0, 1.0])
    np.testing.assert_allclose(disjoint_cells([two]), [0.1, 2 / 30, 0.2])
