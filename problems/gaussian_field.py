"""gaussian-field-{side}: a stationary Gaussian field with a cosmological power spectrum, blurred and noisy."""

from __future__ import annotations

from functools import partial

import numpy as np

from problems.contract import Instance
from problems.families import LINEAR_GAUSSIAN, Family, instance_key, register
from problems.fourier_gaussian import FourierGaussian
from problems.noise import GaussianNoise
from problems.operators import FourierFilter
from problems.posteriors import measured
from problems.schedules import VP

TILT = 0.96
NOISE_STD = 0.5


def build(index: int, side: int) -> Instance:
    """Spectrum max(k, 1)^(TILT - 4) exp(-(k / kcut)^2), kcut = .7 side / 2, unit pixel variance.

    The blur has the transfer function exp(-(k / (.25 side))^2 / 2); k is the integer wave number.
    """
    name = f"gaussian-field-{side}"
    rows, columns = np.fft.fftfreq(side, 1 / side), np.fft.rfftfreq(side, 1 / side)
    k = np.hypot(rows[:, None], columns[None, :])
    multiplicity = np.full(k.shape, 2.0)
    multiplicity[:, [0, -1]] = 1.0
    spectrum = np.maximum(k, 1.0) ** (TILT - 4) * np.exp(-((k / (0.7 * side / 2)) ** 2))
    spectrum *= side**2 / (multiplicity * spectrum).sum()
    prior = FourierGaussian(np.zeros((side, side)), spectrum, multiplicity, (side, side))
    operator = FourierFilter(np.exp(-0.5 * (k / (0.25 * side)) ** 2), (side, side))
    noise = GaussianNoise(np.array(NOISE_STD))
    x_true = prior.sample(instance_key(name, index, "truth"), 1)[0]
    return measured(prior, operator, noise, VP(), x_true, instance_key(name, index, "noise"))


for _side in (16, 64):
    register(
        Family(
            name=f"gaussian-field-{_side}",
            build=partial(build, side=_side),
            kind="image",
            shape=(_side, _side),
            data_range=6.0,
            summary=f"{_side} x {_side} Gaussian field, blurred, noise std {NOISE_STD}",
            stresses=(
                "Scales. The large scales are measured well and the small ones not at all, with every ratio of signal "
                "to noise in between, so a sampler must trust the data by frequency: one step size or one variance for "
                "all of them leaves the posterior too narrow at one end of the spectrum and too wide at the other."
            ),
            provides=LINEAR_GAUSSIAN | {"image"},
            model_truth=True,
        )
    )
