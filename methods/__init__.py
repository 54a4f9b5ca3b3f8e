"""Who solves it: the samplers, each registered under its name."""

from methods import (  # noqa: F401  (they register themselves)
    annealed_langevin,
    dpi,
    dpi_mixture,
    dps,
    guided,
    projection,
    references,
)
from methods.registry import METHODS, Method, Samples, method

__all__ = ["METHODS", "Method", "Samples", "method"]
