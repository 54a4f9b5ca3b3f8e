"""What is stored for pictures: the truth, the measurement, exact moments and samples, and 2-D densities."""

from __future__ import annotations

import numpy as np

from benchmarks.execute import instance_of
from benchmarks.tasks import seed_words
from problems import FAMILIES
from problems.arrays import make_key
from problems.contract import Problem

INSTANCES = 4
"""Pictures show the first instances."""
_SAMPLES = 1000
_NUMBERS = 500_000  # at most so many in the samples of one picture: 2 MB
_GRID = 200


def _seen(problem: Problem) -> np.ndarray:
    """The measurement as an image, `shape`: A^+ y, or where the likelihood pulls the prior's mean."""
    if problem.operator.linear:
        return problem.operator.pseudo_inverse(problem.y[None])[0]
    return problem.likelihood_score(problem.prior.mean[None])[0]


def picture(problem: str, index: int, seed: int) -> dict[str, np.ndarray]:
    """The arrays of one instance, all float32.

    x_true, posterior_mean, posterior_std: `shape`. y: (m,). y_image: `shape`, for images. samples:
    (k, *shape), exact. For d = 2: grid_x, grid_y: (g,), density: (g, g), the posterior at (grid_x[j], grid_y[i]).
    """
    instance = instance_of(problem, index)
    family, posterior, measured = FAMILIES[problem], instance.posterior, instance.problem
    key = make_key("numpy", seed_words(seed, problem, index, "picture"))
    samples = posterior.sample(key, max(3, min(_SAMPLES, _NUMBERS // family.dim)))
    arrays = {
        "x_true": instance.x_true,
        "y": measured.y,
        "posterior_mean": posterior.mean,
        "posterior_std": posterior.std,
        "samples": samples,
    }
    if family.kind == "image":
        arrays["y_image"] = _seen(measured)
    if family.dim == 2:
        around = np.concatenate([samples, measured.prior.sample(key, _SAMPLES)])
        low, high = around.min(axis=0), around.max(axis=0)
        x, y = np.linspace(low - 0.1 * (high - low), high + 0.1 * (high - low), _GRID).T
        points = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
        density = np.exp(posterior.log_prob(points)).reshape(_GRID, _GRID)
        arrays |= {"grid_x": x, "grid_y": y, "density": density}
    return {name: np.asarray(value, dtype=np.float32) for name, value in arrays.items()}
