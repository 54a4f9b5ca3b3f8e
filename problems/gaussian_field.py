"""gaussian-field-{16, 64, 128}, -64-inpaint: a stationary Gaussian field with a cosmological power spectrum.

Blurred and noisy, which is diagonal in Fourier space; or with half of the pixels hidden, which is diagonal in no basis.
"""

from __future__ import annotations

from functools import cache, partial

import numpy as np

from problems.arrays import make_key
from problems.contract import Instance
from problems.families import LINEAR_GAUSSIAN, Family, instance_key, register
from problems.fourier_gaussian import FourierGaussian
from problems.noise import GaussianNoise
from problems.operator_mask import Masked, random_pixels
from problems.operators import FourierFilter
from problems.posteriors import measured
from problems.schedules import VP

TILT = 0.96
NOISE_STD = 0.5
INPAINTED, INPAINTED_NOISE_STD, HIDDEN = 64, 0.2, 0.5


def _wave_number(side: int) -> np.ndarray:
    """The integer wave number of every entry of rfft2."""
    rows, columns = np.fft.fftfreq(side, 1 / side), np.fft.rfftfreq(side, 1 / side)
    return np.hypot(rows[:, None], columns[None, :])


@cache
def field(side: int) -> FourierGaussian:
    """Spectrum max(k, 1)^(TILT - 4) exp(-(k / kcut)^2), kcut = .7 side / 2, unit pixel variance."""
    k = _wave_number(side)
    multiplicity = np.full(k.shape, 2.0)
    multiplicity[:, [0, -1]] = 1.0
    spectrum = np.maximum(k, 1.0) ** (TILT - 4) * np.exp(-((k / (0.7 * side / 2)) ** 2))
    spectrum *= side**2 / (multiplicity * spectrum).sum()
    return FourierGaussian(np.zeros((side, side)), spectrum, multiplicity, (side, side))


@cache
def _mask() -> Masked:
    return random_pixels((INPAINTED, INPAINTED), make_key("numpy", [INPAINTED, 4]), HIDDEN)


def build(index: int, side: int) -> Instance:
    """The blur has the transfer function exp(-(k / (.25 side))^2 / 2)."""
    blur = FourierFilter(np.exp(-0.5 * (_wave_number(side) / (0.25 * side)) ** 2), (side, side))
    return _measured(f"gaussian-field-{side}", index, field(side), blur, NOISE_STD)


def build_inpainted(index: int) -> Instance:
    """The mask is the same in all instances."""
    return _measured(f"gaussian-field-{INPAINTED}-inpaint", index, field(INPAINTED), _mask(), INPAINTED_NOISE_STD)


def _measured(name: str, index: int, prior: FourierGaussian, operator: FourierFilter | Masked, std: float) -> Instance:
    x_true = prior.sample(instance_key(name, index, "truth"), 1)[0]
    return measured(prior, operator, GaussianNoise(np.array(std)), VP(), x_true, instance_key(name, index, "noise"))


for _side in (16, 64, 128):
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
register(
    Family(
        name=f"gaussian-field-{INPAINTED}-inpaint",
        build=build_inpainted,
        kind="image",
        shape=(INPAINTED, INPAINTED),
        data_range=6.0,
        summary=f"{INPAINTED} x {INPAINTED} Gaussian field, half of the pixels hidden, noise std {INPAINTED_NOISE_STD}",
        stresses=(
            "Correlation across a mask. Hidden pixels are known by their neighbours alone, and prior and measurement "
            "share no basis: what treats pixels or frequencies one by one is wrong about both."
        ),
        provides=LINEAR_GAUSSIAN | {"image"},
        model_truth=True,
    )
)
