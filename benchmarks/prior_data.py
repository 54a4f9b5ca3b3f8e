"""What a prior can be trained on: a named set of pictures, a folder of images, or an array in a file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from problems import load
from problems.arrays import Key, make_key
from problems.image_folder import by_file
from problems.names import UsageError, unknown
from problems.pictures import PHOTOGRAPHS, ellipses, patches, rings

HELD_OUT = 10
"""Of a folder every tenth image is held out, with all squares that are cut out of it; of an array every tenth row.
Of fewer images the last is held out, of one alone the squares in its last rows: those beside a square that was trained
on would tell little."""
_PICTURES = 2**30
"""The first word of keys of pictures; those of weights and of training begin with the seed."""


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


def photographs() -> Pictures:
    """Grey patches of the training photographs, with their mirror images; held out are those of another photograph."""
    side = 32
    train = patches("train", side, 4)
    return Pictures(
        np.concatenate([train, train[:, :, ::-1]]).astype(np.float32),
        patches("tune", side, 8).astype(np.float32),
        f"patches of photographs, at half resolution ({', '.join(PHOTOGRAPHS['train'])})",
        "public domain or CC0, see data/README.txt of scikit-image",
    )


def _drawn(make: Callable[[Key, int, int], np.ndarray], what: str, count: int, side: int) -> Pictures:
    """Pictures of a generator: count for training, a tenth as many held out."""
    keys = (make_key("numpy", [_PICTURES, side, split]) for split in (1, 2))
    train, held_out = (make(key, n, side) for key, n in zip(keys, (count, count // 10), strict=True))
    return Pictures(train.astype(np.float32), held_out.astype(np.float32), what, "CC0")


def _drawn_from(family: str) -> Pictures:
    """Draws of the exact prior of a problem."""
    prior = load(family, 0).problem.prior
    train, held_out = (prior.sample(make_key("numpy", [_PICTURES, k]), n) for k, n in ((1, 20_000), (2, 2_000)))
    return Pictures(train.astype(np.float32), held_out.astype(np.float32), f"draws of the prior of {family}", "CC0")


SETS: dict[str, Callable[[], Pictures]] = {
    "digits": digits,
    "digits-model": partial(_drawn_from, "digits-inpaint-model"),
    "gaussian-field-16": partial(_drawn_from, "gaussian-field-16"),
    "photos-32": photographs,
    "rings-32": partial(_drawn, rings, "rings as of black holes (problems/pictures.py)", 10_000, 32),
    "ellipses-64": partial(_drawn, ellipses, "phantoms of ellipses (problems/pictures.py)", 4_000, 64),
}


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
        files = by_file(path, crop=crop, colour=colour)
        pictures, counts, about = (
            np.concatenate(files),
            [len(file) for file in files],
            f"images in the folder {path.name}",
        )
    elif path.suffix == ".npy":
        pictures, about = _array(path), f"the array {path.name}"
        counts = [1] * len(pictures)
    else:
        raise UsageError(f"{unknown('training set', source, SETS)}; or give a folder of images or a .npy file")
    _refuse_unusable(pictures, source)
    held_out = _held_out(counts)
    if np.sum(~held_out) < HELD_OUT:
        raise UsageError(f"{source} has its squares in one image of {len(counts)}, which is held out; give more images")
    return Pictures(pictures[~held_out], pictures[held_out], about, licence)


def _held_out(counts: list[int]) -> np.ndarray:
    """Which pictures are held out, of files that give so many each."""
    file = np.repeat(np.arange(len(counts)), counts)
    if len(counts) == 1:
        return np.arange(len(file)) >= len(file) - len(file) // HELD_OUT
    last = min(HELD_OUT, len(counts)) - 1
    return file % HELD_OUT == last


def _array(path: Path) -> np.ndarray:
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UsageError(f"cannot read an array from {path}: {error}") from None
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "fu" or values.ndim < 2:
        told = f"{values.dtype} of shape {values.shape}" if isinstance(values, np.ndarray) else "several arrays"
        raise UsageError(f"{path} should hold real or unsigned numbers (n, *shape), got {told}")
    return (values / np.iinfo(values.dtype).max if values.dtype.kind == "u" else values).astype(np.float32)


def _refuse_unusable(pictures: np.ndarray, source: str) -> None:
    if len(pictures) < 2 * HELD_OUT:
        raise UsageError(f"{source} has {len(pictures)} pictures; training takes {2 * HELD_OUT} or more")
    if not np.isfinite(pictures).all():
        raise UsageError(f"{source} has values that are not finite")
