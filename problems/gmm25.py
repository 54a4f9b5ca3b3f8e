"""gmm25-{d}-{m}: 25 Gaussians on a grid, measured by a random m x d matrix (Cardoso et al. 2023, arXiv 2308.07983)."""

from __future__ import annotations

from functools import partial

import numpy as np

from problems.contract import Instance
from problems.families import LINEAR_GAUSSIAN, Family, instance_key, register
from problems.noise import GaussianNoise
from problems.operators import matrix_operator
from problems.posteriors import measured
from problems.schedules import VP
from problems.shared_mixture import SharedMixture


def build(index: int, d: int, m: int) -> Instance:
    """Weights, matrix, noise level, truth and measurement are drawn from the keys of the instance.

    Means (8i, 8j) repeated d/2 times for i, j in -2..2, unit covariance; weights are normalised squared standard
    normals; the singular values of a standard normal matrix are replaced by sorted uniforms; noise std is uniform on
    (0, 1) times the largest singular value.
    """
    name = f"gmm25-{d}-{m}"
    key = instance_key(name, index, "prior")
    weights = key.standard_normal(25) ** 2
    u, _, vt = np.linalg.svd(key.standard_normal((m, d)), full_matrices=False)
    s = np.sort(key.random(m))[::-1]
    noise = GaussianNoise(np.array(key.random() * s[0]))
    grid = 8.0 * np.arange(-2, 3)
    corners = np.stack(np.meshgrid(grid, grid, indexing="ij"), axis=-1).reshape(25, 2)
    prior = SharedMixture(
        log_weights=np.log(weights / weights.sum()),
        component_means=np.tile(corners, (1, d // 2)),
        variance=np.array(1.0),
        basis=np.zeros((d, 0)),
        eigenvalues=np.zeros(0),
        shape=(d,),
    )
    x_true = prior.sample(instance_key(name, index, "truth"), 1)[0]
    operator = matrix_operator((u * s) @ vt, (d,))
    return measured(prior, operator, noise, VP(), x_true, instance_key(name, index, "noise"))


for _d in (8, 80, 800):
    for _m in (1, 2, 4):
        register(
            Family(
                name=f"gmm25-{_d}-{_m}",
                build=partial(build, d=_d, m=_m),
                kind="vector",
                shape=(_d,),
                data_range=40.0,
                summary=f"25 modes in {_d} dimensions, {_m} random projection{'s' if _m > 1 else ''}",
                stresses=(
                    "Many modes, few measurements. The data rule out most of the 25 modes and weigh the rest; within a "
                    "mode nearly all directions are unobserved and must stay as wide as the prior. In high dimension "
                    "the modes separate while the noise is still large, and the start from N(0, I) no longer matches "
                    "the diffused prior, whose means do not vanish: a terminal mismatch that every sampler inherits."
                ),
                provides=LINEAR_GAUSSIAN,
                model_truth=True,
            )
        )
