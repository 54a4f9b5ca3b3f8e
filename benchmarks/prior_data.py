"""What a prior can be trained on: a named set of pictures, a folder of images, or an array in a file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from problems.names import UsageError, unknown

HELD_OUT = 10
"""Of a folder or an array every tenth picture is held out."""
IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")


@dataclass(frozen=True)
class Pictures:
    """Training data.

    Attributes:
        train, held_out: (n, *shape), float32, in the units of the problem: [0, 1] for images.
        about: what they are and where they come from. licence: of the pictures.
    """

    train: np.ndarray
    held_out: np.ndarray
    about: str
    licence: str

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one picture."""
        return self.train.shape[1:]

    @property
    def described(self) -> str:
        """What they are, how many, and a digest of those that are trained on."""
        digest = hashlib.sha256(np.ascontiguousarray(self.train).tobytes()).hexdigest()[:16]
        size = "x".join(map(str, self.shape))
        return f"{self.about}; {len(self.train)} for training, each {size}, digest {digest}"


def digits() -> Pictures:
    """The digits on which the mixture of `problems.digits` was fitted; its tuning images are held out."""
    from sklearn.datasets import load_digits

    images = (load_digits().images / 16.0).astype(np.float32)
    turn = np.arange(len(images)) % 6  # as in problems/make_data.py
    return Pictures(
        images[turn > 1],
        images[turn == 1],
        "handwritten digits (UCI optical recognition of handwritten digits, Alpaydin and Kaynak 1998)",
        "CC BY 4.0",
    )


SETS: dict[str, Callable[[], Pictures]] = {"digits": digits}


def pictures_of(source: str, *, crop: int | None = None, colour: bool = False, licence: str = "not stated") -> Pictures:
    """The pictures of a named set, a folder of images, or a .npy file.

    Args:
        source: a name in SETS, or a path. crop: side of the squares that the images of a folder are cut into.
        colour: whether images are read as three channels. licence: of images of one's own.

    Raises:
        UsageError: for a source that does not exist, or pictures that cannot be used together.
    """
    path = Path(source)
    if source in SETS:
        if crop is not None or colour:
            raise UsageError(f"{source!r} is a named set: --crop and --colour are for folders of images")
        return SETS[source]()
    if path.is_dir():
        pictures, about = _folder(path, crop, colour), f"images in the folder {path.name}"
    elif path.suffix == ".npy":
        pictures, about = _array(path), f"the array {path.name}"
    else:
        raise UsageError(f"{unknown('training set', source, SETS)}; or give a folder of images or a .npy file")
    _refuse_unusable(pictures, source)
    held_out = np.arange(len(pictures)) % HELD_OUT == HELD_OUT - 1
    return Pictures(pictures[~held_out], pictures[held_out], about, licence)


def _folder(folder: Path, crop: int | None, colour: bool) -> np.ndarray:
    """All images of a folder, by name, values in [0, 1]: (n, h, w), or (n, 3, h, w) in colour."""
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in IMAGES)
    if not files:
        raise UsageError(f"there is no image in {folder}; known endings are {', '.join(IMAGES)}")
    read = {file: _read(file, colour) for file in files}
    if crop is not None:
        read = {file: _squares(picture, crop) for file, picture in read.items()}
        pictures = np.concatenate(list(read.values()))
        if not len(pictures):
            raise UsageError(f"no image in {folder} has a square of {crop} x {crop} pixels")
        return pictures
    first = files[0]
    for file, picture in read.items():
        if picture.shape != read[first].shape:
            sizes = " and ".join(f"{f.name} of {_size(read[f])}" for f in (first, file))
            raise UsageError(f"the images in {folder} differ in size, {sizes}; cut squares out of them with --crop")
    return np.stack(list(read.values()))


def _read(file: Path, colour: bool) -> np.ndarray:
    from PIL import Image

    try:
        with Image.open(file) as image:
            grey = image.mode in ("1", "L", "LA", "I", "F", "I;16")
            if colour and grey:
                raise UsageError(f"{file} is grey where colour is asked for; leave --colour out")
            if image.mode in ("I", "F", "I;16"):
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


def _array(path: Path) -> np.ndarray:
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UsageError(f"cannot read an array from {path}: {error}") from None
    if values.dtype.kind not in "fu" or values.ndim < 2:
        raise UsageError(f"{path} should hold numbers (n, *shape), got {values.dtype} of shape {values.shape}")
    return (values / 255 if values.dtype == np.uint8 else values).astype(np.float32)


def _refuse_unusable(pictures: np.ndarray, source: str) -> None:
    if len(pictures) < 2 * HELD_OUT:
        raise UsageError(f"{source} has {len(pictures)} pictures; training takes {2 * HELD_OUT} or more")
    if not np.isfinite(pictures).all():
        raise UsageError(f"{source} has values that are not finite")


def _size(picture: np.ndarray) -> str:
    return "{1} x {0} pixels".format(*picture.shape[-2:])
