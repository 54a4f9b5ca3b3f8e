"""Who solves it: the samplers, each registered under its name."""

from methods import (  # noqa: F401  (they register themselves)
    annealed_langevin,
    annealed_mcmc,
    daps,
    dcps,
    ddnm,
    ddrm,
    diffpir,
    dpi,
    dpi_mixture,
    dps,
    fps,
    gaussian_fit,
    guided,
    importance,
    lgd,
    mcg,
    mcgdiff,
    mgdm,
    nuts,
    pigdm_ddim,
    point_estimates,
    projection,
    red_diff,
    references,
    smc,
    snips,
    split_gibbs,
    tds,
    total_variation,
)
from methods.registry import METHODS, Method, Samples, method

__all__ = ["METHODS", "Method", "Samples", "method"]
