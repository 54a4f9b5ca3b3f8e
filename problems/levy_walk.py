"""The law of a sum of independent increments that are not Gaussian, and its denoiser by quadrature."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from problems.arrays import Array, Key, constant, namespace, trace
from problems.contract import data, static
from problems.levy_laws import LAWS, Law

POINTS = 512
"""Of the grid of one entry of x."""
HALF_WIDTH = 6.0
"""How far from a noisy entry the clean one is looked for, in standard deviations of the noise."""
_NODES = ((-0.5 + 0.5 * 0.2113248654, 0.25), (-0.5 * 0.2113248654, 0.25))
"""Gauss-Legendre's two points on the left half of a cell: a law may have a kink in the middle of it."""


@data
class LevyWalk:
    """x_i = u_1 + ... + u_i with independent u of one law.

    x is a Markov chain, so E[x | x + sigma z] comes of forward and backward messages (Rabiner 1989) on grids of POINTS
    about each noisy entry. All of them are parts of one lattice, on which increments have the mass of their cell; a
    step is a convolution.

    Attributes:
        mean: (d,). std: (d,), where the variance is infinite half the width of the middle 68 %.
        diameter: the width that holds all but one in a hundred draws. name: of the law.
    """

    mean: Array
    std: Array
    diameter: Array
    name: str = static()
    shape: tuple[int, ...] = static()

    @property
    def law(self) -> Law:
        return LAWS[self.name]

    def sample(self, key: Key, n: int) -> Array:
        """n independent draws, (n, d)."""
        return namespace(self.mean).cumulative_sum(self.law.sample(key, (n, *self.shape), self.mean), axis=1)

    def denoise(self, x: Array, sigma: Array) -> Array:
        """E[x_0 | x_0 + sigma z = x], (n, d); sigma > 0.

        To 3e-4 sigma where x is the prior's; elsewhere as long as no entry is further from a likely signal than
        HALF_WIDTH sigma, and in single precision what is less likely than 1e-7 is rounded off.
        """
        return x + self._correction(x, sigma)

    def score(self, x: Array, sigma: Array) -> Array:
        """The gradient of the log density of x_0 + sigma z, (n, d); sigma > 0."""
        return self._correction(x, sigma) / sigma**2

    def _correction(self, x: Array, sigma: Array) -> Array:
        """E[x_0 | x] - x, which is small where sigma is."""
        xp, reach = namespace(x), self.law.reach
        half, fixed = HALF_WIDTH * sigma, constant(x)
        if math.isfinite(reach):  # one grid for all that the prior can be
            fixed = xp.where(half < reach, fixed, xp.zeros_like(fixed))
            half = xp.minimum(half, reach * xp.ones_like(half))
        step = half / (POINTS // 2)
        middle = xp.round(fixed / step)
        off = middle * step - x
        offset, twice = (
            xp.astype(xp.arange(size, dtype=xp.int32) - size // 2, x.dtype)[None, None, :]
            for size in (POINTS, 2 * POINTS)
        )
        likelihood = -0.5 * ((off[:, :, None] + offset * step) / sigma) ** 2
        likelihood = xp.exp(likelihood - xp.max(likelihood, axis=-1, keepdims=True))
        # The grid before the first entry is the origin; from there on two grids are apart by twice as many steps.
        first = self._cells(middle[:, :1, None] + offset, step)[:, 0]
        kernels = self._cells((middle[:, 1:] - middle[:, :-1])[:, :, None] + twice, step)
        spectra, later = xp.moveaxis(xp.fft.rfft(kernels), 1, 0), xp.moveaxis(likelihood[:, 1:], 1, 0)

        def forward(message: Array, row: Any) -> Array:
            spectrum, seen = row
            return _scaled(_valid(xp, xp.fft.rfft(message, n=2 * POINTS) * spectrum) * seen)

        def backward(message: Array, row: Any) -> Array:
            spectrum, seen = row
            return _scaled(_valid(xp, xp.fft.rfft(message * seen, n=2 * POINTS) * xp.conj(spectrum)))

        start, end = _scaled(first * likelihood[:, 0]), xp.ones_like(first)
        ahead = xp.concat([start[None], trace(forward, start, (spectra, later))])
        behind = trace(backward, end, (xp.flip(spectra, axis=0), xp.flip(later, axis=0)))
        share = ahead * xp.concat([xp.flip(behind, axis=0), end[None]])
        share = xp.moveaxis(share / xp.sum(share, axis=-1, keepdims=True), 0, 1)
        return off + xp.sum(share * offset, axis=-1) * step

    def _cells(self, place: Array, step: Array) -> Array:
        """The mass of increments in cells of the lattice at `place` steps, relative to the largest density of a row."""
        xp = namespace(place)
        top = xp.max(self.law.log_density(place * step), axis=-1, keepdims=True)
        mass = sum(
            weight * xp.exp(self.law.log_density((place + side * node) * step) - top)
            for node, weight in _NODES
            for side in (-1.0, 1.0)
        )
        # The cell of zero is exact, for it may hold nearly all. Far out its mass relative to its row's is not finite.
        centre = (1 - self.law.atom) * self.law.within(0.5 * step) + self.law.atom
        unit = xp.exp(-xp.clip(top, -50.0, math.inf)) / step
        return xp.where(place == 0, centre * unit, (1 - self.law.atom) * mass)


def _valid(xp: Any, spectrum: Array) -> Array:
    """What of a circular convolution is not wrapped around, with what rounding made negative set to zero."""
    product = xp.fft.irfft(spectrum, n=2 * POINTS)[..., POINTS:]
    return xp.where(product > 0, product, xp.zeros_like(product))


def _scaled(message: Array) -> Array:
    """A message with maximum 1; one that vanishes everywhere says nothing."""
    xp = namespace(message)
    top = xp.max(message, axis=-1, keepdims=True)
    return xp.where(top > 0, message / xp.where(top > 0, top, xp.ones_like(top)), xp.ones_like(message))


def levy_walk(name: str, d: int, key: np.random.Generator, draws: int = 100_000) -> LevyWalk:
    """A walk of d steps of a law; what has no variance has the widths of draws."""
    x = np.cumsum(LAWS[name].sample(key, (draws, d), np.zeros(0)), axis=1)
    variance = LAWS[name].variance
    if math.isfinite(variance):
        std = np.sqrt(variance * np.arange(1, d + 1))
    else:
        low, high = np.quantile(x, [0.1587, 0.8413], axis=0)
        std = (high - low) / 2
    length = np.quantile(np.linalg.norm(x, axis=1), 0.99)
    return LevyWalk(np.zeros(d), std, np.array(2 * length), name, (d,))
