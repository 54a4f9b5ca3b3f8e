"""folder-NAME-DIGEST-{denoise, deblur, inpaint, superres}: a user's images, with a network of the user's as prior."""

from __future__ import annotations

import hashlib
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from problems.contract import Instance
from problems.families import Family, register
from problems.foreign_networks import load_prior
from problems.image_folder import image_folder, in_colour
from problems.learned_tasks import PROVIDED, UNKNOWN, of_truth
from problems.names import UsageError
from problems.restoration import RESTORATIONS, Measurement

_DENOISE_SECONDS_PER_PIXEL = 1e-5
"""A guess, for the estimate of the time: networks differ a thousandfold."""


def register_folder(folder: Path, prior: str) -> list[str]:
    """Registers the tasks of RESTORATIONS on the images of a folder; returns the names of the families.

    A name holds a digest of the images and of the prior (of its name if it is in a cache, `hf:`): results of other ones
    are never taken for theirs. A task that images of this size do not allow (say, with sides no multiples of four) is
    left out.

    Args:
        folder: images of one size, grey or in colour, with values in [0, 1]. prior: see `foreign_networks.load_prior`.

    Raises:
        UsageError: for images that cannot be used together, and a prior that is not there or takes other pictures.
    """
    images = image_folder(folder, colour=in_colour(folder)).astype(np.float64)
    shape = images.shape[1:]
    _prior(prior, shape)  # what is wrong with it is told now
    digest = hashlib.sha256(images.tobytes() + _told(prior).encode()).hexdigest()[:6]
    names = []
    for task, one in RESTORATIONS.items():
        try:
            _measurement(task, shape)
        except UsageError:
            continue
        names.append(name := f"folder-{folder.name}-{digest}-{task}")
        register(
            Family(
                name=name,
                build=partial(_build, name=name, images=images, task=task, prior=prior),
                kind="image",
                shape=shape,
                data_range=1.0,
                summary=f"{len(images)} images of {folder.name}, {one.what}",
                stresses=f"{one.stresses} The prior is {prior}. {UNKNOWN}",
                provides=PROVIDED,
                model_truth=False,
                denoise_seconds=_DENOISE_SECONDS_PER_PIXEL * float(np.prod(shape)),
            )
        )
    return names


def _build(index: int, name: str, images: np.ndarray, task: str, prior: str) -> Instance:
    """Indices run through the images, cyclically."""
    shape = images.shape[1:]
    x_true = images[index % len(images)]
    return of_truth(name, index, _prior(prior, shape), _measurement(task, shape), x_true)


@cache
def _prior(source: str, shape: tuple[int, ...]) -> Any:
    return load_prior(source, shape)


@cache
def _measurement(task: str, shape: tuple[int, ...]) -> Measurement:
    return RESTORATIONS[task].measurement(shape)


def _told(source: str) -> str:
    """The contents of what is on the disk, wherever it lies; the source as it is of what is elsewhere."""
    path = Path(source)
    if not path.exists():
        return source
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    contents = []
    for file in files:
        with file.open("rb") as opened:
            contents.append((str(file.relative_to(path)), hashlib.file_digest(opened, "sha256").hexdigest()))
    return repr(contents)
