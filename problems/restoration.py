"""What is done to photographs in the papers on restoration, for pictures of any size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from problems.arrays import make_key
from problems.noise import GaussianNoise
from problems.operator_mask import identity, random_pixels
from problems.operator_resolution import average_pooling, gaussian_blur

Measurement = tuple[Any, Any]
"""An operator and its noise."""
Shape = tuple[int, ...]
HIDDEN = 0.7
"""Of the pixels, in random inpainting; of Zhang et al. 2024 (DAPS, arXiv 2407.01521)."""
NOISE_STD = 0.025
"""In the units of pixels in [0, 1]; the .05 of the papers is for pixels in [-1, 1]."""


def noisy(operator: Any, std: float) -> Measurement:
    """An operator with Gaussian noise."""
    return operator, GaussianNoise(np.array(std))


@dataclass(frozen=True)
class Restoration:
    """A task.

    Attributes:
        measurement: shape -> operator and noise. what: in words. stresses: what a sampler must get right.
    """

    measurement: Callable[[Shape], Measurement]
    what: str
    stresses: str


def _deblurred(shape: Shape) -> Measurement:
    return noisy(gaussian_blur(shape, 3.0 if shape[-1] >= 64 else 1.5), NOISE_STD)


def _inpainted(shape: Shape) -> Measurement:
    return noisy(random_pixels(shape, make_key("numpy", [shape[-1]]), hidden=HIDDEN), NOISE_STD)


RESTORATIONS = {
    "denoise": Restoration(
        lambda shape: noisy(identity(shape), 0.1),
        "all pixels seen, noise std .1",
        "Texture, which the mean of all answers lacks and each sample should have.",
    ),
    "deblur": Restoration(
        _deblurred,
        f"Gaussian blur, noise std {NOISE_STD}",
        "Singular values over up to three orders of magnitude, from what is seen to what is lost in the noise.",
    ),
    "inpaint": Restoration(
        _inpainted,
        f"70 % of the pixels hidden, noise std {NOISE_STD}",
        "Pixels that are known almost exactly beside others that only their neighbours tell of.",
    ),
    "superres": Restoration(
        lambda shape: noisy(average_pooling(shape, 4), NOISE_STD),
        f"4 x 4 average pooling, noise std {NOISE_STD}",
        "One number for sixteen pixels: nearly all of the picture is the prior's.",
    ),
}
