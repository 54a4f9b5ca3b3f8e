"""Maxima, the curvature there, and total variation, against independent optimisers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.optimize

from problems.arrays import make_key
from tests.methods.affine import sampler
from tests.methods.cases import LG1, MIXTURE, Case
from tests.methods.laws import obeys


def _maxima(case: Case) -> list[tuple[float, np.ndarray]]:
    """The local maxima of log p(x | y) that searches from two hundred places find, the highest first."""
    posterior = case.instance.posterior

    def descent(x: np.ndarray) -> float:
        return -float(posterior.log_prob(x[None])[0])

    starts = posterior.sample(make_key("numpy", [3]), 200)
    ends = [scipy.optimize.minimize(descent, x, method="BFGS", options={"gtol": 1e-9}) for x in starts]
    found = sorted(((-end.fun, end.x) for end in ends), key=lambda one: -one[0])
    apart = [found[0]]
    for value, x in found[1:]:
        if min(np.linalg.norm(x - other) for _, other in apart) > 1e-3:
            apart.append((value, x))
    return apart


def _curvature(case: Case, x: np.ndarray, h: float = 1e-4) -> np.ndarray:
    """The matrix of second derivatives of -log p(x | y), by central differences."""
    log_prob, d = case.instance.posterior.log_prob, len(x)
    steps = h * np.eye(d)

    def at(*moves: np.ndarray) -> float:
        return float(log_prob((x + sum(moves))[None])[0])

    second = [[at(a, b) - at(a, -b) - at(-a, b) + at(-a, -b) for b in steps] for a in steps]
    return -np.array(second) / (4 * h**2)


# Two far-apart modes, the nearer of them to the prior's mean the lower.
FAR = replace(
    MIXTURE,
    means=np.array([[-1.5, -1.2, 0.9], [1.6, 1.4, -0.8]]),
    covs=np.array([0.5 * np.eye(3), [[0.4, 0.1, 0.0], [0.1, 0.3, 0.05], [0.0, 0.05, 0.5]]]),
    weights=np.array([0.45, 0.55]),
    matrix=np.array([[0.3, -0.4, 0.9], [0.5, 0.2, 0.1]]),
    y=np.array([0.1, 0.05]),
    noise_std=0.8,
)


def test_laplace_is_the_gaussian_at_the_highest_maximum():
    """Mean and covariance within 4.5 standard errors of n draws: false alarm 9 x 7e-6."""
    n = 4000
    (value, mode), (lower, _), *_ = _maxima(FAR)
    assert value - lower > 0.05
    x = sampler("laplace", steps=200)(FAR.problem.to("torch", dtype="float64"), make_key("torch", [4]), n=n).x.numpy()
    z = (x - mode) @ np.linalg.cholesky(_curvature(FAR, mode))
    upper = np.triu_indices(3)
    excess = (z.T @ z / n - np.eye(3))[upper] / (1 + np.eye(3)[upper]) ** 0.5
    found = np.hstack([z.mean(axis=0), excess]) * n**0.5
    obeys("laplace", "Gaussian at the highest of two modes, in whitened standard errors", found, 0.0, 4.5)


def test_map_finds_the_maxima():
    maxima = [x for _, x in _maxima(FAR)]
    x = sampler("map", steps=600)(FAR.problem.to("torch", dtype="float64"), make_key("torch", [5]), n=50).x.numpy()
    apart = np.linalg.norm(x[:, None] - np.array(maxima)[None], axis=-1)
    obeys("map", "distance to a local maximum of the density", apart.min(axis=1), 0.0, 1e-3)
    assert len(set(apart.argmin(axis=1))) >= 2


def _image(shape: tuple[int, int], m: int, noise_std: float) -> Case:
    """A random image seen through m random weightings; its prior is wide, and matters to total variation by its std."""
    rng, d = np.random.default_rng([7, m]), shape[0] * shape[1]
    return replace(
        LG1,
        means=rng.standard_normal((1, d)),
        covs=1.7**2 * np.eye(d)[None],
        matrix=rng.standard_normal((m, d)) if m < d else np.eye(d),
        y=2 * rng.standard_normal(m),
        noise_std=noise_std,
        shape=shape,
    )


def _total_variation(case: Case, **hyper: float) -> np.ndarray:
    found = sampler("tv", **hyper)(case.problem.to("torch", dtype="float64"), make_key("torch", [6]), n=2).x.numpy()
    np.testing.assert_array_equal(found[0], found[1])
    return found[0]


@pytest.mark.parametrize("noise_std", [0.4, 4.0])
def test_total_variation_of_two_pixels_shrinks_their_difference(noise_std: float):
    """Their mean stays, and |x_2 - x_1| is |y_2 - y_1| less 2 lam noise_std^2, or 0."""
    case, weight = _image((1, 2), 2, noise_std), 2.1
    (x,) = _total_variation(case, steps=4000, weight=weight)
    difference = max(abs(case.y[1] - case.y[0]) - 2 * weight / 1.7 * noise_std**2, 0.0)
    assert (difference > 0.5) == (noise_std == 0.4)
    assert x.sum() == pytest.approx(case.y.sum(), abs=1e-6 * noise_std)
    obeys("tv", "difference of two pixels, in closed form", abs(x[1] - x[0]), difference, 1e-6 * noise_std)


def test_total_variation_is_the_minimum_of_what_it_says():
    """Against a general minimiser of the same with |grad x| rounded off below 1e-4."""
    case, weight = _image((3, 4), 9, 0.3), 0.8

    def objective(flat: np.ndarray, rounding: float = 1e-4) -> float:
        image = flat.reshape(3, 4)
        down = np.pad(np.diff(image, axis=0), ((0, 1), (0, 0)))
        right = np.pad(np.diff(image, axis=1), ((0, 0), (0, 1)))
        misfit = np.sum((case.y - case.matrix @ flat) ** 2) / (2 * case.noise_std**2)
        return misfit + weight / 1.7 * np.sqrt(down**2 + right**2 + rounding**2).sum()

    x = _total_variation(case, steps=20_000, weight=weight).ravel()
    best = scipy.optimize.minimize(objective, x + 0.3, method="BFGS", options={"gtol": 1e-7, "maxiter": 5000})
    assert objective(x, 0.0) == pytest.approx(best.fun, abs=3e-3)
    obeys("tv", "minimum that BFGS finds", x, best.x, 5e-3)
    assert objective(case.problem.operator.pseudo_inverse(case.y[None])[0].ravel()) > best.fun + 0.5
