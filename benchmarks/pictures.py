"""What is stored for pictures: the truth, the measurement, exact moments and samples, and 2-D densities."""

from __future__ import annotations

import math

import numpy as np

from benchmarks.execute import instance_of
from benchmarks.tasks import seed_words
from problems import FAMILIES
from problems.arrays import make_key
from problems.contract import Problem
from problems.event_horizon import Visibilities
from problems.operator_fourier import FourierSampling
from problems.operator_gram import WithGram
from problems.operator_nonlinear import PhaseRetrieval
from problems.operator_radon import Radon

INSTANCES = 4
"""Pictures show the first instances."""
_SAMPLES = 1000
_NUMBERS = 500_000  # at most so many in the samples of one picture: 2 MB
_GRID = 200
_PLANE = 65


def _seen(problem: Problem) -> np.ndarray:
    """The measurement as a person looks at it, an image of any size.

    A sinogram, the logarithm of the amplitudes in k-space, of Fourier amplitudes or of visibilities on the plane of
    baselines; else A^+ y, or where the likelihood pulls the prior's mean.
    """
    operator, y = problem.operator, problem.y
    if isinstance(operator, WithGram) and isinstance(operator.inner, Radon):
        return y.reshape(problem.shape[0], -1)
    if isinstance(operator, FourierSampling):
        spectrum = np.abs(np.fft.fftshift(np.fft.fft2(operator.pseudo_inverse(y[None])[0])))
        return np.log10(np.maximum(spectrum, 1e-3 * spectrum.max()))
    if isinstance(operator, PhaseRetrieval):
        return np.log10(np.maximum(y, 1e-3 * y.max())).reshape(math.isqrt(y.size), -1)
    if isinstance(operator, Visibilities):
        return _on_plane(operator, np.hypot(*np.split(y, 2)))
    if operator.linear:
        return operator.pseudo_inverse(y[None])[0]
    return problem.likelihood_score(problem.prior.mean[None])[0]


def _on_plane(operator: Visibilities, size: np.ndarray) -> np.ndarray:
    """The logarithm of amplitudes at each baseline and its negative: east to the left, north upwards, as on the sky."""
    plane = np.zeros((_PLANE, _PLANE))
    scale = (_PLANE // 2) / max(np.max(np.abs(operator.east)), np.max(np.abs(operator.north)))
    for sign in (1, -1):
        places = operator.north, operator.east
        row, column = (_PLANE // 2 - np.rint(sign * scale * place).astype(int) for place in places)
        np.maximum.at(plane, (row, column), size)
    return np.log10(np.maximum(plane, 1e-2 * plane.max()))


def picture(problem: str, index: int, seed: int) -> dict[str, np.ndarray]:
    """The arrays of one instance, all float32.

    x_true, prior_std: `shape`. y: (m,). y_image, for images: (rows, columns) or (3, rows, columns). Where the posterior
    is known: posterior_mean, posterior_std: `shape`; samples: (k, *shape), exact. For d = 2: grid_x, grid_y: (g,),
    density: (g, g), the posterior at (grid_x[j], grid_y[i]).
    """
    instance = instance_of(problem, index)
    family, posterior, measured = FAMILIES[problem], instance.posterior, instance.problem
    key = make_key("numpy", seed_words(seed, problem, index, "picture"))
    arrays = {"x_true": instance.x_true, "y": measured.y, "prior_std": measured.prior.std}
    if family.kind == "image":
        arrays["y_image"] = _seen(measured)
    if posterior is not None:
        samples = posterior.sample(key, max(3, min(_SAMPLES, _NUMBERS // family.dim)))
        arrays |= {"posterior_mean": posterior.mean, "posterior_std": posterior.std, "samples": samples}
    if posterior is not None and family.dim == 2:
        around = np.concatenate([samples, measured.prior.sample(key, _SAMPLES)])
        low, high = around.min(axis=0), around.max(axis=0)
        x, y = np.linspace(low - 0.1 * (high - low), high + 0.1 * (high - low), _GRID).T
        points = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
        density = np.exp(posterior.log_prob(points)).reshape(_GRID, _GRID)
        arrays |= {"grid_x": x, "grid_y": y, "density": density}
    return {name: np.asarray(value, dtype=np.float32) for name, value in arrays.items()}
