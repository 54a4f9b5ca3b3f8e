"""A learned prior: a network trained to denoise, in the preconditioning of Karras et al. 2022 (arXiv 2206.00364)."""

from __future__ import annotations

import dataclasses
import math
from typing import NamedTuple

import numpy as np

from problems.arrays import Array, namespace
from problems.contract import Problem, data
from problems.networks import Weights, apply

SIGMA_MIN, SIGMA_MAX = 0.005, 200.0
"""The noise levels of training, in the units of x: a variance-preserving schedule goes from .01 to 152. Beyond them
the network is told the nearest one."""
_SWEEPS = 20


class Preconditioning(NamedTuple):
    """Table 1 of the paper: D = skip x + out F(into x, noise)."""

    skip: Array
    out: Array
    into: Array
    noise: Array


def preconditioning(sigma: Array, sigma_data: Array) -> Preconditioning:
    """What keeps input and target of the network at unit variance, for data with mean 0 and deviation sigma_data.

    skip = sigma_data^2 / (sigma^2 + sigma_data^2), out = sigma sigma_data / sqrt(sigma^2 + sigma_data^2),
    into = 1 / sqrt(sigma^2 + sigma_data^2), noise = log(sigma) / 4. With F = 0, D is the denoiser of a Gaussian.
    """
    xp = namespace(sigma)
    total = xp.sqrt(sigma**2 + sigma_data**2)
    known = xp.clip(sigma, SIGMA_MIN, SIGMA_MAX)
    return Preconditioning((sigma_data / total) ** 2, sigma * sigma_data / total, 1.0 / total, 0.25 * xp.log(known))


@data
class LearnedPrior:
    """What a network knows of pictures: a denoiser and the score made of it. It has no density and no sampler.

    Attributes:
        weights: the network, for input around 0 with unit variance.
        mean, std: of every entry of x over the training data, `shape`. diameter: the largest distance of two of them.
        sigma_data: scalar, the root of the mean variance of an entry.
    """

    weights: Weights
    mean: Array
    std: Array
    diameter: Array
    sigma_data: Array

    def denoise(self, x: Array, sigma: Array | float) -> Array:
        """E[x_0 | x_0 + sigma z = x] as the network has learned it, (n, *shape); sigma is a scalar, or (n,).

        Raises:
            UsageError: for an x of a shape that the network does not take.
        """
        centred, c = self._preconditioned(x, sigma)
        return self.mean[None] + c.skip * centred + c.out * apply(self.weights, c.into * centred, c.noise)

    def score(self, x: Array, sigma: Array | float) -> Array:
        """(D(x, sigma) - x) / sigma^2, (n, *shape), for sigma > 0.

        Written without the difference, in which float32 loses the score of small noise.
        """
        centred, c = self._preconditioned(x, sigma)
        # (skip - 1) / sigma^2 = -into^2, out / sigma^2 = sigma_data into / sigma
        gain = self.sigma_data * c.into / self._rows(x, sigma)
        return gain * apply(self.weights, c.into * centred, c.noise) - c.into**2 * centred

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one x."""
        return tuple(self.mean.shape)

    def _preconditioned(self, x: Array, sigma: Array | float) -> tuple[Array, Preconditioning]:
        return x - self.mean[None], preconditioning(self._rows(x, sigma), self.sigma_data)

    def _rows(self, x: Array, sigma: Array | float) -> Array:
        """sigma with the rank of x, one for all rows or one for each."""
        xp = namespace(x)
        return xp.reshape(xp.zeros_like(self.sigma_data) + sigma, (-1, *(1,) * (x.ndim - 1)))


def in_bfloat16(problem: Problem) -> Problem:
    """The problem of torch or JAX with the weights of its network in bfloat16; as it is if its prior has none of ours.

    Eight bits of a product are kept: a denoiser is off by about a hundredth of what the network adds.
    """
    prior = problem.prior
    if not isinstance(prior, LearnedPrior):
        return problem
    xp, flat = namespace(prior.weights.flat), prior.weights.flat
    weights = dataclasses.replace(prior.weights, flat=xp.astype(flat, xp.bfloat16))
    return dataclasses.replace(problem, prior=dataclasses.replace(prior, weights=weights))


def learned_prior(weights: Weights, pictures: np.ndarray) -> LearnedPrior:
    """The prior of a network and what others ask about the data, (n, *shape), NumPy float64.

    No entry deviates by less than SIGMA_MIN, the least noise that the network is trained to remove: some pixels are the
    same in all pictures.
    """
    pictures = np.asarray(pictures, dtype=np.float64)
    variance = pictures.var(axis=0)
    return LearnedPrior(
        weights=weights,
        mean=pictures.mean(axis=0),
        std=np.maximum(np.sqrt(variance), SIGMA_MIN),
        diameter=np.array(_diameter(pictures.reshape(len(pictures), -1))),
        sigma_data=np.array(math.sqrt(max(float(variance.mean()), SIGMA_MIN**2))),
    )


def _diameter(points: np.ndarray) -> float:
    """The largest distance of two rows, found by going on to the farthest one until that leads nowhere farther.

    It is at least 1 / sqrt(3) of it, and in practice nearly all; comparing all pairs would be quadratic.
    """
    here, largest = points.mean(axis=0), 0.0
    for _ in range(_SWEEPS):
        distances = np.linalg.norm(points - here[None], axis=1)
        here = points[distances.argmax()]
        if distances.max() <= largest:
            break
        largest = float(distances.max())
    return largest
