"""photos-{8, 16}-{denoise, deblur, inpaint, superres}: patches of photographs under a Gaussian-mixture prior.

The mixture is fitted on patches of the photographs for training, so the posterior under the model is exact while x_true
is a patch of photographs that the fit has not seen. The same tasks as photos-32-*, where a network is the prior.
"""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path

import numpy as np

from problems.contract import Instance
from problems.families import LINEAR_GAUSSIAN, Family, instance_key, register
from problems.gaussian_mixture import GaussianMixture, gaussian_mixture
from problems.learned_tasks import photograph
from problems.noise import GaussianNoise
from problems.operators import Matrix, matrix_operator
from problems.posteriors import measured
from problems.restoration import RESTORATIONS
from problems.schedules import VP


@cache
def prior(side: int) -> GaussianMixture:
    """The fitted mixture."""
    with np.load(Path(__file__).parent / "data" / f"photos_{side}.npz") as archive:
        covs = archive["covs"].astype(np.float64)
        return gaussian_mixture(
            archive["weights"], archive["means"], (covs + covs.transpose(0, 2, 1)) / 2, (side, side)
        )


@cache
def measurement(side: int, task: str) -> tuple[Matrix, GaussianNoise]:
    """The operator as a matrix, and its noise."""
    operator, noise = RESTORATIONS[task].measurement((side, side))
    units = np.eye(side**2).reshape(-1, side, side)
    return matrix_operator(operator(units).T, (side, side)), noise


def build(index: int, side: int, task: str) -> Instance:
    """Scoring indices run through patches of the photographs for scoring, tuning indices through those for tuning."""
    key = instance_key(f"photos-{side}-{task}", index, "noise")
    return measured(prior(side), *measurement(side, task), VP(), photograph(index, side), key)


for _side in (8, 16):
    for _task, _restoration in RESTORATIONS.items():
        register(
            Family(
                name=f"photos-{_side}-{_task}",
                build=partial(build, side=_side, task=_task),
                kind="image",
                shape=(_side, _side),
                data_range=1.0,
                summary=f"{_side} x {_side} photographs, {_restoration.what}",
                stresses=(
                    f"{_restoration.stresses} The components of the prior are smooth or full of texture, at variances "
                    "that differ by orders of magnitude. The truth was not drawn from the model: coverage shows how "
                    "well the prior fits; the distance to the exact posterior judges the sampler."
                ),
                provides=LINEAR_GAUSSIAN | {"image"},
                model_truth=False,
            )
        )
