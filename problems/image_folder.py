"""The images of a folder as an array."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np

from problems.names import UsageError

GREY = ("1", "L", "LA", "I", "F", "I;16", "I;16B", "I;16L", "I;16N")
"""Modes of Pillow."""
IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")


def image_folder(folder: Path, *, colour: bool = False) -> np.ndarray:
    """All images of a folder, by name, values in [0, 1]: (n, h, w), or (n, 3, h, w) in colour.

    Args:
        folder: where they are. colour: whether they have three channels.

    Raises:
        UsageError: for a folder without images, and images that cannot be read or differ in size.
    """
    return np.concatenate(by_file(folder, colour=colour))


def by_file(folder: Path, *, crop: int | None = None, colour: bool = False) -> list[np.ndarray]:
    """What each image of a folder gives, by name: itself, (1, ...), or the squares it is cut into, (k, ...).

    Args, Raises: as for `image_folder`. crop: side of the squares; an image that has none is left out.
    """
    files = _files(folder)
    if not files:
        raise UsageError(f"there is no image in {folder}; known endings are {', '.join(IMAGES)}")
    read = {file: _read(file, colour) for file in files}
    if crop is not None:
        cut = [squares for picture in read.values() if len(squares := _squares(picture, crop))]
        if not cut:
            raise UsageError(f"no image in {folder} has a square of {crop} x {crop} pixels")
        return cut
    first = files[0]
    for file, picture in read.items():
        if picture.shape != read[first].shape:
            sizes = " and ".join(f"{f.name} of {_size(read[f])}" for f in (first, file))
            raise UsageError(f"the images in {folder} differ in size, {sizes}; cut squares out of them with --crop")
    return [picture[None] for picture in read.values()]


def in_colour(folder: Path) -> bool:
    """Whether the first image of a folder is in colour; false without one."""
    from PIL import Image

    for file in _files(folder):
        with suppress(OSError), Image.open(file) as image:
            return image.mode not in GREY
    return False


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in IMAGES)


def _read(file: Path, colour: bool) -> np.ndarray:
    from PIL import Image

    try:
        with Image.open(file) as image:
            if colour and image.mode in GREY:
                raise UsageError(f"{file} is grey where colour is asked for; leave --colour out")
            if image.mode.startswith(("I", "F")):
                raise UsageError(f"{file} has more than 8 bits per pixel, whose range nobody knows; use a .npy file")
            values = np.asarray(image.convert("RGB" if colour else "L"), dtype=np.float32) / 255
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:  # what Pillow says of broken files
        raise UsageError(f"cannot read the image {file}: {error}") from None
    return np.moveaxis(values, -1, 0) if colour else values


def _squares(picture: np.ndarray, side: int) -> np.ndarray:
    """The squares side by side in a picture, (k, ..., side, side); a margin at the right and below is left out."""
    rows, columns = (length // side for length in picture.shape[-2:])
    return np.stack(
        [
            picture[..., i * side : (i + 1) * side, j * side : (j + 1) * side]
            for i in range(rows)
            for j in range(columns)
        ]
        or [np.zeros((*picture.shape[:-2], side, side), picture.dtype)]
    )[: rows * columns]


def _size(picture: np.ndarray) -> str:
    return "{1} x {0} pixels".format(*picture.shape[-2:])
