"""Pictures that priors are trained on and truths are taken from: photographs, rings as of black holes, ellipses.

What is drawn is a function of a NumPy key. Photographs are those that come with scikit-image (all free to use, see its
data/README.txt); which of them are for training, for tuning and for scoring is fixed here.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from problems.arrays import Key

PHOTOGRAPHS = {
    "train": ("astronaut", "brick", "chelsea", "grass", "gravel", "motorcycle_left"),
    "tune": ("rocket",),
    "test": ("camera", "coffee"),
}
LEAST_CONTRAST = 0.05
"""The standard deviation of the pixels of a patch that is worth looking at: half of a photograph is sky or wall."""


@cache
def photographs(split: str) -> tuple[np.ndarray, ...]:
    """The grey photographs of a split at half their resolution, each (h, w), values in [0, 1]."""
    from skimage import data
    from skimage.color import rgb2gray

    found = []
    for name in PHOTOGRAPHS[split]:
        picture = data.stereo_motorcycle()[0] if name == "motorcycle_left" else getattr(data, name)()
        grey = rgb2gray(picture) if picture.ndim == 3 else picture / 255.0
        h, w = (side - side % 2 for side in grey.shape)
        found.append(grey[:h, :w].reshape(h // 2, 2, w // 2, 2).mean(axis=(1, 3)))
    return tuple(found)


@cache
def patches(split: str, side: int, stride: int) -> np.ndarray:
    """The squares of photographs with some contrast, (n, side, side): every `stride` pixels, in a fixed mixed order."""
    cut = [
        np.lib.stride_tricks.sliding_window_view(photo, (side, side))[::stride, ::stride].reshape(-1, side, side)
        for photo in photographs(split)
    ]
    found = np.concatenate(cut)
    found = found[found.std(axis=(1, 2)) > LEAST_CONTRAST]
    return found[np.random.Generator(np.random.Philox(side)).permutation(len(found))]


def rings(key: Key, count: int, side: int) -> np.ndarray:
    """Rings, brighter on one side, as of a black hole, (count, side, side): pixels from 0 to 1.

    I(r, theta) = exp(-(r - radius)^2 / (2 width^2)) (1 + a cos(theta - phi)) about a centre near that of the image.
    """
    radius = side * (0.14 + 0.1 * key.random(count))
    width = side * (0.03 + 0.04 * key.random(count))
    strength, phase = 0.9 * key.random(count), 2 * np.pi * key.random(count)
    centre = side / 2 - 0.5 + key.standard_normal((2, count)) * side / 32
    row, column = (i[None] - c[:, None, None] for i, c in zip(np.indices((side, side)), centre, strict=True))
    r, theta = np.hypot(row, column), np.arctan2(row, column)
    radius, width, strength, phase = (p[:, None, None] for p in (radius, width, strength, phase))
    images = np.exp(-(((r - radius) / width) ** 2) / 2) * (1 + strength * np.cos(theta - phase))
    return images / images.max(axis=(1, 2), keepdims=True)


ELLIPSES = 12.0
"""How many an image has in the mean (Poisson)."""


def ellipses(key: Key, count: int, side: int) -> np.ndarray:
    """Phantoms of ellipses that add up, within a disk, (count, side, side): pixels from 0 to 1.

    Their number is 1 + a Poisson variable of mean ELLIPSES - 1, half axes .05 + .2 times exponential variables in a
    field from -1 to 1; centres are uniform in (-.7, .7)^2, turns uniform, values uniform in (-.4, 1). A pixel is the
    mean over 2 x 2 points.
    """
    place = (np.arange(2 * side) + 0.5) / side - 1
    row, column = np.meshgrid(place, place, indexing="ij")
    disk = np.hypot(row, column) < 1
    found = np.zeros((count, side, side))
    for image in found:
        total = np.zeros_like(row)
        for _ in range(1 + key.poisson(ELLIPSES - 1)):
            axes, (y, x) = 0.05 + 0.2 * key.exponential(size=2), key.uniform(-0.7, 0.7, 2)
            turn, value = key.uniform(0, np.pi), key.uniform(-0.4, 1.0)
            along = (column - x) * np.cos(turn) + (row - y) * np.sin(turn)
            across = (row - y) * np.cos(turn) - (column - x) * np.sin(turn)
            total += value * ((along / axes[0]) ** 2 + (across / axes[1]) ** 2 < 1)
        total = np.clip(total * disk, 0, None)
        image[:] = (total / max(total.max(), 1e-12)).reshape(side, 2, side, 2).mean(axis=(1, 3))
    return found
