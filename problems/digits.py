"""digits-{denoise, inpaint, blur, superres}[-model]: 8 x 8 handwritten digits under a Gaussian-mixture prior.

The images are the test split of the UCI optical digits (Alpaydin and Kaynak 1998, CC BY 4.0; the copy that
scikit-learn carries), scaled to [0, 1]. The prior is a mixture fitted on the training split, so the posterior under
the model is exact while x_true is a real image that the fit has not seen. The twins, -model, differ in their truths
alone: draws from the fitted prior, so that calibration has a target there.
"""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path

import numpy as np

from problems.contract import Instance
from problems.families import LINEAR_GAUSSIAN, TUNING_START, Family, instance_key, register
from problems.gaussian_mixture import GaussianMixture, gaussian_mixture
from problems.noise import GaussianNoise
from problems.operators import Matrix, matrix_operator
from problems.posteriors import measured
from problems.schedules import VP

SHAPE = (8, 8)
MODEL = "-model"
"""The end of a twin's name."""
NOISE_STD = {"denoise": 0.25, "inpaint": 0.1, "blur": 0.05, "superres": 0.05}


@cache
def _shipped() -> tuple[GaussianMixture, np.ndarray, np.ndarray]:
    """The fitted prior and the two held-out sets of images in [0, 1]: (scoring, tuning)."""
    with np.load(Path(__file__).parent / "data" / "digits.npz") as archive:
        prior = gaussian_mixture(archive["weights"], archive["means"], archive["covs"], SHAPE)
        return prior, archive["test"] / 16.0, archive["tune"] / 16.0


@cache
def operator(task: str) -> Matrix:
    """denoise: identity. inpaint: the upper half. blur: Gaussian, std 1 pixel. superres: 2 x 2 average pooling."""
    units = np.eye(64).reshape(64, *SHAPE)
    if task == "denoise":
        images = units
    elif task == "inpaint":
        images = units[:, :4, :]
    elif task == "blur":
        from scipy.ndimage import gaussian_filter

        images = np.stack([gaussian_filter(unit, 1.0, mode="reflect") for unit in units])
    else:
        images = units.reshape(64, 4, 2, 4, 2).mean(axis=(2, 4))
    return matrix_operator(images.reshape(64, -1).T, SHAPE)


def build(index: int, task: str) -> Instance:
    """Scoring indices run through the test images, tuning indices through the tuning images, cyclically."""
    _, test, tune = _shipped()
    images, offset = (tune, TUNING_START) if index >= TUNING_START else (test, 0)
    return _measured(f"digits-{task}", index, task, images[(index - offset) % len(images)])


def build_model(index: int, task: str) -> Instance:
    """The twin, whose truth is drawn from the fitted prior."""
    name = f"digits-{task}{MODEL}"
    return _measured(name, index, task, _shipped()[0].sample(instance_key(name, index, "truth"), 1)[0])


def _measured(name: str, index: int, task: str, x_true: np.ndarray) -> Instance:
    noise = GaussianNoise(np.array(NOISE_STD[task]))
    return measured(_shipped()[0], operator(task), noise, VP(), x_true, instance_key(name, index, "noise"))


_TASKS = {
    "denoise": "all pixels seen, noise std .25",
    "inpaint": "the lower half hidden, noise std .1",
    "blur": "Gaussian blur of one pixel, noise std .05",
    "superres": "2 x 2 average pooling, noise std .05",
}
_STIFF = (
    "The mixture prior has near-flat directions (the empty borders) beside wide ones, so its score is stiff, and which "
    "digit it is may be open."
)
_KINDS = {
    "": (
        build,
        "real handwritten digits",
        f"Real images. {_STIFF} The truth was not drawn from the model: coverage here shows how well the prior "
        "fits, not whether the sampler is right; the distance to the exact posterior does that.",
    ),
    MODEL: (
        build_model,
        "digits drawn from the fitted prior",
        f"Calibration on images. {_STIFF} The truth is drawn from the prior that the sampler is given, so an exact "
        "sampler must be calibrated, in what the measurement sees and in what it hides.",
    ),
}
for _suffix, (_build, _source, _stresses) in _KINDS.items():
    for _task, _what in _TASKS.items():
        register(
            Family(
                name=f"digits-{_task}{_suffix}",
                build=partial(_build, task=_task),
                kind="image",
                shape=SHAPE,
                data_range=1.0,
                summary=f"{_source}, {_what}",
                stresses=_stresses,
                provides=LINEAR_GAUSSIAN | {"image"},
                model_truth=_suffix == MODEL,
            )
        )
