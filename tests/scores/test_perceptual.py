"""LPIPS: only where package and weights are there, and of pictures as the network expects them."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from problems.contract import Instance, Problem
from problems.noise import GaussianNoise
from problems.operator_mask import identity
from problems.schedules import VP
from scores import METRICS, frame, perceptual
from scores.candidate import Candidate


class Told:
    """Stands for the network: remembers what it was given, and returns mean squared differences."""

    def __init__(self, net: str, verbose: bool) -> None:
        self.given: list[torch.Tensor] = []
        assert (net, verbose) == ("alex", False)

    def eval(self) -> Told:
        return self

    def __call__(self, images: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        self.given = [images, truth]
        return ((images - truth) ** 2).mean(dim=(1, 2, 3), keepdim=True)


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Any:
    """A package named lpips, and the file of its backbone in the cache of torch."""
    module: Any = ModuleType("lpips")
    module.LPIPS = Told
    module.__spec__ = type(sys.__spec__)("lpips", None)
    monkeypatch.setitem(sys.modules, "lpips", module)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    perceptual._network.cache_clear()
    (tmp_path / "checkpoints").mkdir()
    yield tmp_path / "checkpoints" / perceptual.BACKBONE
    perceptual._network.cache_clear()


def candidate(shape: tuple[int, ...], scale: float = 1.0) -> Candidate:
    rng = np.random.default_rng(1)
    truth = scale * rng.random(shape)
    operator = identity(shape)

    class Prior:
        mean, std = np.zeros(shape), np.ones(shape)

    problem = Problem(Prior(), operator, GaussianNoise(np.array(0.1)), truth.ravel(), VP(), shape)
    instance = Instance(problem, truth)
    x = truth + scale * 0.2 * rng.standard_normal((5, *shape))
    return Candidate(x, instance, frame(instance, 5), scale)


def test_without_weights_it_is_not_asked_for(package: Any) -> None:
    applies = METRICS["lpips_sample"].applies
    assert not applies(candidate((32, 32)))
    perceptual._network.cache_clear()
    package.write_bytes(b"weights")
    assert applies(candidate((32, 32)))
    assert applies(candidate((3, 40, 32)))
    assert not applies(candidate((16, 16)))


@pytest.mark.parametrize("shape", [(32, 32), (3, 32, 32)])
def test_pictures_become_three_channels_from_minus_one_to_one(package: Any, shape: tuple[int, ...]) -> None:
    package.write_bytes(b"weights")
    scored = candidate(shape, scale=4.0)
    found = perceptual.lpips_sample(scored)
    images, truth = perceptual._network().given
    assert images.shape == (5, 3, 32, 32)
    assert truth.shape == (1, 3, 32, 32)
    assert 0.95 < float(truth.max()) <= 1
    assert -1 <= float(truth.min()) < -0.95
    if len(shape) == 2:
        assert torch.equal(images[:, 0], images[:, 2])
    expected = np.mean((2 * (scored.x - scored.instance.x_true) / 4.0) ** 2)
    assert found == pytest.approx(float(expected), rel=1e-4)
