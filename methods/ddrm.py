"""Denoising diffusion restoration models (Kawar et al. 2022, arXiv 2201.11793), equations 7 and 8."""

from __future__ import annotations

from methods.levels import Interval, ddpm_levels, noise_ratios
from methods.registry import Count, Fraction, Samples, method
from methods.spectral import spectral_step, start_measured
from problems.arrays import Array, Key, Keys, normal, scan, split
from problems.contract import Problem


@method("ddrm", requires={"linear", "svd", "gaussian_noise"}, own_steps=True)
def ddrm(
    problem: Problem,
    key: Key,
    *,
    n: int,
    steps: Count = 20,
    eta: Fraction = 0.85,
    eta_b: Fraction = 1.0,
) -> Samples:
    """DDRM: each singular direction is denoised, pulled to its measurement, or replaced by it, by how noisy it is.

    20 steps as published: with more it collapses onto y (the measured spread falls with the number of steps), so that
    it is calibrated for no number of them. Starts at y where the measurement is less noisy than the first level.
    """
    first, second = split(key, 2)
    tables = noise_ratios(ddpm_levels(problem, steps))

    def step(x: Array, row: Interval, keys: Keys) -> Array:
        return spectral_step(problem, x, normal(keys[0], x.shape, x), row, eta, eta_b)[0]

    return Samples(scan(step, start_measured(problem, first, n, tables.sigma_from[0]), tables, second), nfe=steps)
