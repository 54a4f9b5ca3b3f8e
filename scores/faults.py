"""Planted faults: the exact posterior, wrong in one known way and by a known amount. What a metric has to find."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from problems.arrays import Key
from problems.contract import Instance
from scores.directions import null_directions, range_directions
from scores.faulty_posteriors import (
    can_be_tilted,
    can_change_noise,
    can_lose_a_mode,
    knows_the_prior,
    scaled,
    shifted,
    tilted,
    with_noise_std_over,
    without_mode,
)


@dataclass(frozen=True)
class Fault:
    """A fault of a known size.

    Attributes:
        words: what it is, a format of `size` and `percent`. size_unit: of its sizes.
        sizes: ascending; `nominal` is the one that a metric must find to be believed.
        applies: whether it can be planted on an instance.
        law: (instance, size) -> the faulty posterior, a prior-like object in closed form.
    """

    name: str
    words: str
    sizes: tuple[float, ...]
    nominal: float
    size_unit: str
    applies: Callable[[Instance], bool]
    law: Callable[[Instance, float], Any]

    def sample(self, instance: Instance, size: float, key: Key, n: int) -> np.ndarray:
        """n independent draws of the faulty posterior, (n, *shape), float64."""
        return self.law(instance, size).sample(key, n)

    def said(self, size: float) -> str:
        """The fault of this size in words: 'weights tilted by 10 %'."""
        return self.words.format(size=size, percent=100 * size)


def _always(_: Instance) -> bool:
    return True


_FACTORS = 1.05, 1.1, 1.25, 1.5, 2.0
_SHIFTS = 0.05, 0.1, 0.2, 0.4

_PLANTED = (
    Fault(
        "drop_mode",
        "a mode that lost {percent:g} % of its weight",
        (0.25, 0.5, 1.0),
        1.0,
        "share of the mode",
        can_lose_a_mode,
        without_mode,
    ),
    Fault(
        "tilt_weights",
        "weights tilted by {percent:g} %",
        (0.025, 0.05, 0.1, 0.2, 0.4),
        0.1,
        "share of the heaviest mode",
        can_be_tilted,
        tilted,
    ),
    Fault(
        "std_divided",
        "a std divided by {size:g}",
        _FACTORS,
        2.0,
        "factor",
        _always,
        lambda instance, size: scaled(instance.posterior, 1 / size),
    ),
    Fault(
        "std_multiplied",
        "a std multiplied by {size:g}",
        _FACTORS,
        2.0,
        "factor",
        _always,
        lambda instance, size: scaled(instance.posterior, size),
    ),
    Fault(
        "shift_range",
        "a shift by {size:g} std in range(A^T)",
        _SHIFTS,
        0.2,
        "posterior std",
        lambda instance: len(range_directions(instance.problem.operator)) > 0,
        lambda instance, size: shifted(instance, range_directions(instance.problem.operator), size),
    ),
    Fault(
        "shift_null",
        "a shift by {size:g} std in null(A)",
        _SHIFTS,
        0.2,
        "posterior std",
        lambda instance: len(null_directions(instance.problem.operator)) > 0,
        lambda instance, size: shifted(instance, null_directions(instance.problem.operator), size),
    ),
    Fault(
        "ignore_y",
        "samples that ignore y",
        (1.0,),
        1.0,
        "1",
        knows_the_prior,
        lambda instance, _: instance.problem.prior,
    ),
    Fault(
        "noise_std_divided",
        "a noise std divided by {size:g}",
        (1.1, 1.25, 1.5, 2.0),
        2.0,
        "factor",
        can_change_noise,
        with_noise_std_over,
    ),
)
FAULTS = {fault.name: fault for fault in _PLANTED}
"""The planted faults by name, in the order of the tables."""
