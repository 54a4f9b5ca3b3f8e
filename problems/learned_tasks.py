"""Pictures with a trained network as prior, and what imaging measures of them; the posterior is not known.

photos-32-{denoise, deblur, inpaint, superres}, phase-retrieval-32: patches of photographs that the network has not
seen. blackhole-32-{visibilities, closure}: rings. ct-ellipses-64-{sparse, limited}, mri-phantom-64: phantoms of
ellipses. Each network is a file in problems/data, with the command that made it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from problems.arrays import make_key
from problems.contract import Instance, Problem
from problems.event_horizon import closures, visibilities
from problems.families import TUNING_START, Family, instance_key, register
from problems.fourier_masks import poisson_disc
from problems.learned import LearnedPrior
from problems.operator_fourier import fourier_sampling
from problems.operator_gram import with_gram
from problems.operator_nonlinear import phase_retrieval
from problems.operator_radon import angles, noise_std, radon
from problems.pictures import ellipses, patches, rings
from problems.restoration import RESTORATIONS, Measurement, noisy
from problems.schedules import VP
from problems.weight_files import load as load_weights

DATA = Path(__file__).parent / "data"
_DENOISE_SECONDS = {32: 1.5e-3, 64: 5.5e-3}
PROVIDED = frozenset({"linear", "svd", "gaussian_noise", "likelihood", "differentiable", "image"})
_TYPICAL = 200
"""Pictures that a measurement is scaled to."""


@cache
def network(name: str) -> LearnedPrior:
    """A network that ships with the project."""
    return load_weights(DATA / f"prior-{name}.safetensors")[0]


def photograph(index: int, side: int) -> np.ndarray:
    """A patch of photographs that no prior was trained on, (side, side)."""
    split, offset = ("tune", TUNING_START) if index >= TUNING_START else ("test", 0)
    found = patches(split, side, 8)
    return found[(index - offset) % len(found)]


def _photograph(_: str, index: int) -> np.ndarray:
    return photograph(index, 32)


def _ring(name: str, index: int) -> np.ndarray:
    return rings(instance_key(name, index, "truth"), 1, 32)[0]


def _phantom(name: str, index: int) -> np.ndarray:
    return ellipses(instance_key(name, index, "truth"), 1, 64)[0]


def _typical_rings() -> np.ndarray:
    return rings(make_key("numpy", [32, 2]), _TYPICAL, 32)


def _tomography(geometry: str) -> Measurement:
    operator = with_gram(radon(64, angles(geometry)))
    return noisy(operator, noise_std(operator(ellipses(make_key("numpy", [64, 2]), _TYPICAL, 64))))


@dataclass(frozen=True)
class Task:
    """Pictures and their measurement.

    Attributes:
        network: of the prior. truth: the picture of an instance, by its family's name and index.
        measurement: made when it is asked for. what: in words. lacks: of what linear ones with Gaussian noise provide.
    """

    network: str
    truth: Callable[[str, int], np.ndarray]
    measurement: Callable[[], Measurement]
    side: int
    what: str
    stresses: str
    lacks: frozenset[str] = frozenset()


_NONLINEAR = frozenset({"linear", "svd"})
_PHOTOS = partial(Task, network="photos-32", truth=_photograph, side=32)
_RINGS = partial(Task, network="rings-32", truth=_ring, side=32)
_PHANTOMS = partial(Task, network="ellipses-64", truth=_phantom, side=64)
TASKS = {
    **{
        f"photos-32-{name}": _PHOTOS(
            measurement=partial(one.measurement, (32, 32)), what=f"photographs, {one.what}", stresses=one.stresses
        )
        for name, one in RESTORATIONS.items()
    },
    "phase-retrieval-32": _PHOTOS(
        measurement=lambda: noisy(phase_retrieval((32, 32)), 0.025),
        what="photographs, Fourier amplitudes with noise std .025",
        stresses="Not linear, and blind to a rotation by half a turn: a local guidance follows its own first guess.",
        lacks=_NONLINEAR,
    ),
    "blackhole-32-visibilities": _RINGS(
        measurement=lambda: noisy(visibilities(_typical_rings(), 10.0), 1.0),
        what="rings, visibilities of the EHT, 2017, with ten times its noise",
        stresses="A few Fourier coefficients of an image that is mostly dark, each with a noise of its own.",
    ),
    "blackhole-32-closure": _RINGS(
        measurement=lambda: closures(_typical_rings(), 5.0),
        what="rings, closure phases and amplitudes of the EHT, 2017, with five times its noise",
        stresses=(
            "Neither linear nor Gaussian: phases that wrap, and ratios of amplitudes that lose all meaning where one "
            "of them vanishes."
        ),
        lacks=_NONLINEAR | {"gaussian_noise"},
    ),
    "ct-ellipses-64-sparse": _PHANTOMS(
        measurement=partial(_tomography, "sparse"),
        what="phantoms of ellipses, tomography at 30 angles, noise 5 %",
        stresses="Edges that the projections see from few directions.",
    ),
    "ct-ellipses-64-limited": _PHANTOMS(
        measurement=partial(_tomography, "limited"),
        what="phantoms of ellipses, tomography over 90 degrees, noise 5 %",
        stresses="Edges of whole directions that no projection sees: the prior has to draw them.",
    ),
    "mri-phantom-64": _PHANTOMS(
        measurement=lambda: noisy(fourier_sampling(poisson_disc((64, 64))), 0.02),
        what="phantoms of ellipses, a quarter of k-space by symmetry, noise std .02",
        stresses="Low frequencies known well and most others not at all, which rings where a sampler is timid.",
    ),
}
UNKNOWN = (
    "Nobody knows the posterior: what can be said is how far the truth is, how well the data are met, and whether "
    "intervals hold the truth as often as they say."
)
_COMMON = f"The prior is a network trained on such pictures, the truth a picture that it has not seen. {UNKNOWN}"


@cache
def _measurement(name: str) -> Measurement:
    return TASKS[name].measurement()


def build(index: int, name: str) -> Instance:
    """One picture, measured."""
    task = TASKS[name]
    return of_truth(name, index, network(task.network), _measurement(name), task.truth(name, index))


def of_truth(name: str, index: int, prior: Any, measurement: Measurement, x_true: np.ndarray) -> Instance:
    """The instance in which a truth is measured; its posterior is not known."""
    operator, noise = measurement
    y = noise.sample(instance_key(name, index, "noise"), operator(x_true[None]))[0]
    return Instance(Problem(prior, operator, noise, y, VP(), x_true.shape), x_true)


for _name, _task in TASKS.items():
    register(
        Family(
            name=_name,
            build=partial(build, name=_name),
            kind="image",
            shape=(_task.side, _task.side),
            data_range=1.0,
            summary=_task.what,
            stresses=f"{_task.stresses} {_COMMON}",
            provides=PROVIDED - _task.lacks,
            model_truth=False,
            denoise_seconds=_DENOISE_SECONDS[_task.side],
        )
    )
