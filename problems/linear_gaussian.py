"""linear-gaussian-{d}: a correlated Gaussian prior and a random, rank-deficient linear measurement."""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path

import numpy as np

from problems.contract import Instance
from problems.families import LINEAR_GAUSSIAN, Family, instance_key, register
from problems.gaussian_mixture import gaussian_mixture
from problems.noise import GaussianNoise
from problems.operators import matrix_operator
from problems.posteriors import measured
from problems.schedules import VP

DATA = Path(__file__).parent / "data"


@cache
def _constants(d: int) -> dict[str, np.ndarray]:
    with np.load(DATA / f"linear_gaussian_{d}.npz") as archive:
        return dict(archive)


def build(index: int, d: int) -> Instance:
    """One prior and one matrix per d (shipped, made by problems/make_data.py); truth and noise are drawn."""
    name = f"linear-gaussian-{d}"
    shipped = _constants(d)
    prior = gaussian_mixture(np.ones(1), shipped["mean"][None], shipped["cov"][None], (d,))
    operator = matrix_operator(shipped["matrix"], (d,))
    noise = GaussianNoise(shipped["noise_std"])
    x_true = prior.sample(instance_key(name, index, "truth"), 1)[0]
    return measured(prior, operator, noise, VP(), x_true, instance_key(name, index, "noise"))


for _d in (2, 16, 128):
    register(
        Family(
            name=f"linear-gaussian-{_d}",
            build=partial(build, d=_d),
            kind="vector",
            shape=(_d,),
            data_range=6.0,
            summary=f"correlated Gaussian in {_d} dimensions, {max(_d // 2, 1)} noisy projections",
            stresses=(
                "Covariance. With one mode and a Gaussian posterior the only thing to get right is how the data pull "
                "on the directions they do not observe, through a prior whose correlations span two decades. A "
                "sampler that replaces Cov[x_0 | x_t] by a multiple of the identity, or by zero, is exact nowhere here."
            ),
            provides=LINEAR_GAUSSIAN,
            model_truth=True,
        )
    )
