"""How well a learned prior denoises pictures that it was not trained on, and what it dreams of."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.covariance import ledoit_wolf_shrinkage

from benchmarks.prior_training import Recipe, matching_loss
from methods.probability_flow_heun import heun
from problems.arrays import make_key, normal
from problems.contract import Problem, to
from problems.learned import LearnedPrior
from problems.schedules import VP

REPEATS = 8
"""Noise levels and draws per held-out picture."""
LEVELS = np.geomspace(0.01, 100.0, 17)
MOST = 256
"""Held-out pictures that the gain is measured on."""
_FITTED_ON = 5000
"""Training pictures that the Gaussian is fitted on at most where they have as many entries."""
_ENOUGH = 4
"""Pictures per entry from which on their covariance is taken as it is."""
_STREAMS = {"held out": 2**31, "gain": 2**31 + 1, "samples": 2**31 + 2}
"""Second words of keys, where those of training have the number of a step."""


class Gain(NamedTuple):
    """Root mean squared errors per entry on held-out pictures at LEVELS, of the network and of a Gaussian."""

    learned: np.ndarray
    gaussian: np.ndarray


def held_out_loss(prior: LearnedPrior, pictures: np.ndarray, seed: int, device: str = "cpu") -> float:
    """The loss of training on held-out pictures, on the same draws for every prior."""
    own: Any = to(prior, "torch", device=device)
    clean: Any = to(np.asarray(pictures, dtype=np.float64) - prior.mean[None], "torch", device=device)
    losses = []
    with torch.no_grad():
        for repeat in range(REPEATS):
            key = make_key("torch", [seed, _STREAMS["held out"], repeat], device)
            shuffled = clean[torch.randperm(len(clean), generator=key, device=device)]
            losses += [
                float(matching_loss(own.weights, part, key, own.sigma_data, Recipe(steps=1))) * len(part)
                for part in torch.split(shuffled, MOST)
            ]
    return sum(losses) / (REPEATS * len(clean))


def gain(prior: LearnedPrior, train: np.ndarray, held_out: np.ndarray, seed: int, device: str = "cpu") -> Gain:
    """Errors of the learned denoiser, and of the exact one of a Gaussian with the moments of the training pictures.

    With the moments of all pictures there are, the second is the best of all affine denoisers: a network that is worse
    has learned less than two moments.
    """
    own: Any = to(prior, "torch", device=device)
    clean: Any = to(np.asarray(held_out[:MOST], dtype=np.float64), "torch", device=device)
    wiener = _Wiener(train)
    learned, gaussian = [], []
    with torch.no_grad():
        for place, sigma in enumerate(LEVELS):
            key = make_key("torch", [seed, _STREAMS["gain"], place], device)
            noisy = clean + float(sigma) * normal(key, clean.shape, clean)
            learned.append(_rms(_host(own.denoise(noisy, float(sigma)) - clean)))
            gaussian.append(_rms(wiener(_host(noisy), sigma) - _host(clean)))
    return Gain(np.array(learned), np.array(gaussian))


def samples(prior: LearnedPrior, n: int, seed: int, device: str = "cpu", steps: int = 40) -> np.ndarray:
    """n draws, (n, *shape): the probability-flow ODE by Heun's method, from the noise that samplers start with."""
    problem: Any = Problem(prior, None, None, None, VP(), prior.shape)
    own = problem.to("torch", device=device)
    key = make_key("torch", [seed, _STREAMS["samples"], 0], device)
    with torch.no_grad():
        return _host(heun(own, key, normal(key, (n, *prior.shape), own.prior.mean), steps))


class _Wiener:
    """m + C (C + sigma^2)^-1 (x - m) with the mean and the covariance of pictures.

    Of few pictures the covariance is shrunk as by Ledoit and Wolf 2004: else it takes directions for constant in which
    pictures merely did not differ, and nothing denoises worse where there is little noise.
    """

    def __init__(self, pictures: np.ndarray) -> None:
        dim = pictures[0].size
        every = -(-len(pictures) // _FITTED_ON) if dim >= _FITTED_ON else 1
        flat = np.asarray(pictures[::every], dtype=np.float64).reshape(-1, dim)
        self._mean = flat.mean(axis=0)
        centered = flat - self._mean[None]
        shrinkage = ledoit_wolf_shrinkage(centered, assume_centered=True) if len(flat) < _ENOUGH * dim else 0.0
        if len(flat) < dim:
            _, s, self._directions = np.linalg.svd(centered / len(flat) ** 0.5, full_matrices=False)
            variances = s**2
        else:
            variances, columns = np.linalg.eigh(centered.T @ centered / len(flat))
            self._directions = columns.T
        self._elsewhere = shrinkage * np.sum(variances) / dim
        self._variances = (1 - shrinkage) * np.maximum(variances, 0.0) + self._elsewhere

    def __call__(self, x: np.ndarray, sigma: float) -> np.ndarray:
        flat = x.reshape(len(x), -1) - self._mean[None]
        within, elsewhere = (v / (v + sigma**2) for v in (self._variances, self._elsewhere))
        kept = (flat @ self._directions.T) * (within - elsewhere)[None]
        return (self._mean[None] + elsewhere * flat + kept @ self._directions).reshape(x.shape)


def _rms(error: np.ndarray) -> float:
    return float(np.sqrt(np.mean(error**2)))


def _host(x: Any) -> np.ndarray:
    return x.cpu().numpy().astype(np.float64)
