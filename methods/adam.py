"""Adam (Kingma and Ba 2015, arXiv 1412.6980), entry by entry, for samplers that optimise inside a `scan`."""

from __future__ import annotations

from typing import NamedTuple

from problems.arrays import Array, linspace, namespace


class Adam(NamedTuple):
    """The averages of gradients and of their squares, like what is optimised."""

    mean: Array
    square: Array


class Pass(NamedTuple):
    """A step of an optimiser: its number from 1 on."""

    count: Array


def start_adam(like: Array) -> Adam:
    """Before the first step, for one parameter of a shape."""
    return Adam(namespace(like).zeros_like(like), namespace(like).zeros_like(like))


def adam(
    state: Adam, gradient: Array, count: Array, rate: Array | float, beta1: float, beta2: float
) -> tuple[Array, Adam]:
    """The change of what is optimised, and the next averages; count is 1 in the first step, an array."""
    mean = beta1 * state.mean + (1.0 - beta1) * gradient
    square = beta2 * state.square + (1.0 - beta2) * gradient**2
    corrected = (square / (1.0 - beta2**count)) ** 0.5 + 1e-8
    return -rate * (mean / (1.0 - beta1**count)) / corrected, Adam(mean, square)


def counts(steps: int, like: Array) -> Array:
    """1, 2, ..., steps."""
    return linspace(1.0, float(steps), steps, like)
