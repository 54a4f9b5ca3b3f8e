"""A measurement as a person looks at it: sinogram, k-space, Fourier amplitudes, the plane of baselines."""

from __future__ import annotations

from typing import Any

import numpy as np
from skimage.transform import radon as skimage_radon

from benchmarks.pictures import _seen
from problems.arrays import make_key
from problems.contract import Problem
from problems.event_horizon import visibilities
from problems.fourier_masks import poisson_disc
from problems.noise import GaussianNoise
from problems.operator_fourier import fourier_sampling
from problems.operator_gram import with_gram
from problems.operator_mask import masked
from problems.operator_nonlinear import phase_retrieval
from problems.operator_radon import radon
from problems.pictures import ellipses, rings
from problems.schedules import VP

PHANTOM = ellipses(make_key("numpy", [1]), 1, 16)[0]
RING = rings(make_key("numpy", [2]), 1, 16)[0]


def looked_at(operator: Any, image: np.ndarray) -> np.ndarray:
    """The picture of what is measured of an image without noise."""
    noise = GaussianNoise(np.array(0.1))
    return _seen(Problem(None, operator, noise, operator(image[None])[0], VP(), image.shape))


def test_tomography_is_a_sinogram() -> None:
    angles = np.array([0.0, 30.0, 75.0, 140.0])
    found = looked_at(with_gram(radon(16, angles)), PHANTOM)
    assert found.shape == (16, 4)
    disk = np.hypot(*(np.indices((16, 16)) - 8)) < 7
    expected = skimage_radon(PHANTOM * disk, angles, circle=True)
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.95


def test_magnetic_resonance_is_seen_in_k_space() -> None:
    """Bright in the middle, at the level of nothing where no frequency was measured."""
    mask = poisson_disc((16, 16))
    found = looked_at(fourier_sampling(mask), PHANTOM)
    assert found.shape == (16, 16)
    assert np.unravel_index(np.argmax(found), found.shape) == (8, 8)
    lowest = np.mean(found == found.min())
    assert 0.2 < lowest < 0.95


def test_amplitudes_are_logarithms_on_a_square() -> None:
    operator = phase_retrieval((16, 16))
    found = looked_at(operator, RING)
    y = operator(RING[None])[0]
    side = round(len(y) ** 0.5)
    np.testing.assert_allclose(found.max(), np.log10(y.max()))
    np.testing.assert_allclose(found.ravel()[np.argsort(y)[-9:]], np.log10(np.sort(y)[-9:]))
    assert found.shape == (side, side)


def test_visibilities_lie_on_the_plane_of_baselines() -> None:
    """Symmetric, the shortest baseline the brightest, and lit where a baseline is and nowhere else."""
    operator = visibilities(rings(make_key("numpy", [3]), 20, 16), 10.0)
    found = looked_at(operator, RING)
    assert found.shape == (65, 65)
    np.testing.assert_array_equal(found, found[::-1, ::-1])
    assert np.unravel_index(np.argmax(found), found.shape) == (32, 32)
    lit = np.argwhere(found > found.min()) - 32
    scale = 32 / max(np.abs(operator.east).max(), np.abs(operator.north).max())
    places = {(-round(v), -round(u)) for u, v in zip(scale * operator.east, scale * operator.north, strict=True)}
    assert {tuple(place) for place in lit.tolist()} <= places | {(-row, -column) for row, column in places}
    assert len(lit) > 20


def test_other_linear_measurements_are_seen_through_the_pseudo_inverse() -> None:
    shown = np.indices((16, 16)).sum(axis=0) % 3 > 0
    np.testing.assert_allclose(looked_at(masked(shown, (16, 16)), RING), RING * shown, atol=1e-12)
