"""When a cell differs from exact sampling: the one rule by which metrics are judged on exact and on faulty samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

LEVEL = 0.05
"""The rule flags exact cells this often."""

CELLS = 2000
"""Cells put together from the draws at hand."""

_ROUNDING = 1e-9

Values = Callable[[str], np.ndarray]
"""A metric's name -> its values."""

Parts = tuple[np.ndarray, ...]
"""The quantities of a metric whose means over instances make the value of a cell, an array of draws each."""


def flagged(cells: np.ndarray, exact: np.ndarray, better: str | float, draws: int) -> np.ndarray:
    """Which cells cannot be exact sampling, (cells,) bool.

    A cell is the mean of a metric over the instances, one run on each; its yardstick are the means of exact samples on
    the same instances (so what instances differ by cancels), combined from `draws` exact runs on each of them. Where
    less is better a cell above the 95 % quantile is flagged. Where a value is the target, and where more is better (a
    sampler that returns its mean has the best PSNR of a sample), both tails count, 2.5 % each.

    Means combined from few draws scatter by (draws - 1) / draws too little about a centre that is itself off by a
    share 1 / draws of their variance: they are stretched by the root of (draws + 1) / (draws - 1).
    The floors of the tables are the same rule (`reports.cells.quantile95_of_means`).
    """
    center = np.mean(exact)
    stretch = np.sqrt((draws + 1) / (draws - 1))
    tails = (None, 1 - LEVEL) if better == "lower" else (LEVEL / 2, 1 - LEVEL / 2)
    low, high = (None if tail is None else center + stretch * (np.quantile(exact, tail) - center) for tail in tails)
    margin = _ROUNDING * abs(center)
    above = cells > high + margin
    return above if low is None else above | (cells < low - margin)


def parts_of(metric: str, values: Values) -> Parts:
    """The parts of a metric, in the scales in which tables average them.

    z-std as a square, a PSNR as the mean squared error, differences of two PSNRs as the two errors whose ratio they
    are; all other metrics as they are.
    """
    if metric == "z_std":
        return (values(metric) ** 2,)
    if metric in ("psnr_mean_db", "psnr_sample_db"):
        return (_squared_error(values(metric)),)
    if metric == "psnr_gain_db":
        return _squared_error(values("psnr_sample_db")), _squared_error(values("psnr_mean_db"))
    if metric == "mmse_gap_db":
        return _squared_error(values("psnr_mean_db")), _squared_error(values("psnr_mean_db") + values(metric))
    return (values(metric),)


def _squared_error(decibels: np.ndarray) -> np.ndarray:
    return 10 ** (-decibels / 10)


def cells_of(instances: Sequence[Parts], stream: int) -> np.ndarray:
    """CELLS values of a cell, each from one draw on every instance at random; `stream` numbers the random choices."""
    generator = np.random.default_rng(stream)
    return _means(instances, [generator.integers(len(parts[0]), size=CELLS) for parts in instances])


def disjoint_cells(instances: Sequence[Parts]) -> np.ndarray:
    """The cells of which the j-th has the j-th draw on every instance: independent of each other."""
    return _means(instances, [np.arange(len(parts[0])) for parts in instances])


def _means(instances: Sequence[Parts], chosen: list[np.ndarray]) -> np.ndarray:
    """The value of each cell, from the draws that are chosen on each instance."""
    means = [
        np.mean([parts[k][which] for parts, which in zip(instances, chosen, strict=True)], axis=0)
        for k in range(len(instances[0]))
    ]
    return means[0] if len(means) == 1 else means[0] / means[1]
