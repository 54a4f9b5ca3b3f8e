"""atoms-{digits, faces, blackhole}-*: finitely many images as prior, so that any measurement has an exact posterior.

The prior is N equally likely images, each with white noise of std SMOOTH, too little for a measurement to see. p(x | y)
is the same images with weights times p(y | image): for phase retrieval, photon counts and closure phases as well as for
linear measurements. Truths are drawn from the prior.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np

from problems import digits
from problems.arrays import make_key
from problems.contract import Instance
from problems.event_horizon import closures
from problems.families import LINEAR_GAUSSIAN, Family, instance_key, register
from problems.noise_poisson import poisson_noise
from problems.operator_mask import half
from problems.operator_nonlinear import phase_retrieval
from problems.operator_resolution import average_pooling
from problems.pictures import rings
from problems.posteriors import measured
from problems.restoration import Measurement, noisy
from problems.schedules import VP
from problems.shared_mixture import Atoms, atoms

SMOOTH = 1e-3
RINGS, SIDE = 2000, 32
FACES, FACE = 100, (25, 25)


@cache
def digit_atoms() -> Atoms:
    """599 handwritten digits in [-1, 1], of the training images."""
    with np.load(Path(__file__).parent / "data" / "digit_atoms.npz") as archive:
        return atoms(archive["images"] / 8.0 - 1.0, SMOOTH)


@cache
def ring_atoms() -> Atoms:
    """Rings as of a black hole, the same on every machine to rounding."""
    return atoms(rings(make_key("numpy", [SIDE, RINGS]), RINGS, SIDE), SMOOTH)


@cache
def face_atoms() -> Atoms:
    """The faces that come with scikit-image: 100 of Labeled Faces in the Wild (Huang et al. 2007), in [0, 1]."""
    from skimage.data import lfw_subset

    return atoms(lfw_subset()[:FACES], SMOOTH)


def _linear(task: str, std: float) -> Measurement:
    return noisy(digits.operator(task), std)


def _counts(level: float) -> Measurement:
    return digits.operator("denoise"), poisson_noise(level)


def _closure(noise_times: float) -> Measurement:
    return closures(ring_atoms().component_means, noise_times)


@dataclass(frozen=True)
class Task:
    """A measurement of atoms.

    Attributes:
        prior, measurement: made when they are asked for. what: in words. lacks: of what linear Gaussian ones provide.
    """

    prior: Callable[[], Atoms]
    measurement: Callable[[], Measurement]
    shape: tuple[int, int]
    data_range: float
    what: str
    stresses: str
    lacks: frozenset[str] = frozenset()


_NONLINEAR = frozenset({"linear", "svd"})
_BLIND = (
    "A measurement that is not linear, and blind to the sign of x and to its rotation by half a turn: a local guidance "
    "follows its own first guess."
)
_DIGITS = partial(Task, prior=digit_atoms, shape=digits.SHAPE, data_range=2.0)
_FACES = partial(Task, prior=face_atoms, shape=FACE, data_range=1.0)
TASKS = {
    "digits-inpaint": _DIGITS(
        measurement=partial(_linear, "inpaint", 0.7),
        what="599 digits, the lower half hidden, noise std .7",
        stresses="Which of many images it was, from half of each.",
    ),
    "digits-superres": _DIGITS(
        measurement=partial(_linear, "superres", 0.4),
        what="599 digits, 2 x 2 average pooling, noise std .4",
        stresses="Which of many images it was, from a coarse view of each.",
    ),
    "digits-phase": _DIGITS(
        measurement=lambda: noisy(phase_retrieval(digits.SHAPE), 0.8),
        what="599 digits, Fourier amplitudes with noise std .8",
        stresses=_BLIND,
        lacks=_NONLINEAR,
    ),
    "digits-poisson": _DIGITS(
        measurement=partial(_counts, 0.004),
        what="599 digits, about one photon for a white pixel",
        stresses="Noise that is not Gaussian: counts, whose variance is the signal, and most of which are zero.",
        lacks=frozenset({"gaussian_noise"}),
    ),
    "faces-inpaint": _FACES(
        measurement=lambda: noisy(half(FACE), 1.0),
        what="100 faces, the lower half hidden, noise std 1",
        stresses="Which of a few faces it was, from the eyes of each.",
    ),
    "faces-superres": _FACES(
        measurement=lambda: noisy(average_pooling(FACE, 5), 0.2),
        what="100 faces, 5 x 5 average pooling, noise std .2",
        stresses="Which of a few faces it was, from 25 numbers.",
    ),
    "faces-phase": _FACES(
        measurement=lambda: noisy(phase_retrieval(FACE), 1.0),
        what="100 faces, Fourier amplitudes with noise std 1",
        stresses=f"{_BLIND} Here no image is another one turned around.",
        lacks=_NONLINEAR,
    ),
    "blackhole-closure": Task(
        prior=ring_atoms,
        measurement=partial(_closure, 7.0),
        shape=(SIDE, SIDE),
        data_range=1.0,
        what=f"{RINGS} rings, closure phases and amplitudes of the EHT, 2017, with seven times its noise",
        stresses=(
            "A measurement that is neither linear nor Gaussian: phases that wrap, ratios of amplitudes that lose all "
            "meaning where one of them vanishes, the total flux and the centre of light."
        ),
        lacks=_NONLINEAR | {"gaussian_noise"},
    ),
}
_COMMON = (
    "The prior is finitely many images, so the posterior is known for any measurement: it is their weights. A sampler "
    "has to end on images that exist, in the right proportions, with a score that is exact and stiff near each of them."
)


@cache
def _measurement(task: str) -> Measurement:
    return TASKS[task].measurement()


def build(index: int, task: str) -> Instance:
    """One of the images, measured."""
    name, prior = f"atoms-{task}", TASKS[task].prior()
    x_true = prior.sample(instance_key(name, index, "truth"), 1)[0]
    return measured(prior, *_measurement(task), VP(), x_true, instance_key(name, index, "noise"))


for _name, _task in TASKS.items():
    register(
        Family(
            name=f"atoms-{_name}",
            build=partial(build, task=_name),
            kind="image",
            shape=_task.shape,
            data_range=_task.data_range,
            summary=_task.what,
            stresses=f"{_task.stresses} {_COMMON}",
            provides=(LINEAR_GAUSSIAN | {"image"}) - _task.lacks,
            model_truth=True,
        )
    )
