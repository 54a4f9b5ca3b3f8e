"""Counts: the exact Poisson likelihood, and the two Gaussian likelihoods that were published in its place."""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np

from problems.arrays import Array, Key, framework_of, namespace
from problems.contract import data
from problems.names import UsageError, lookup
from problems.noise import GaussianNoise
from problems.noise_diagonal import DiagonalNoise


@data
class PoissonNoise:
    """y ~ Poisson(scale (A x + offset)), counts that are independent of each other.

    Nothing is brighter than black by a negative amount: a rate below `least` counts as `least`, like a dark current.
    The likelihood is then positive everywhere, and flat, with score zero, below black.

    Attributes:
        scale: counts per unit of A x. offset: what is added to A x, in its units. least: counts.
    """

    scale: Array
    offset: Array
    least: Array

    def rate(self, ax: Array) -> Array:
        """The expected counts, (n, m)."""
        return namespace(ax).maximum(self.scale * (ax + self.offset), self.least)

    def log_likelihood(self, y: Array, ax: Array) -> Array:
        """log p(y | ax) for ax of shape (n, m) and counts y of shape (m,), with its constant: (n,)."""
        xp = namespace(ax)
        rate, positive = self.rate(ax), xp.where(y > 0, y, xp.ones_like(y))
        # Relative to the rate that equals the count: large terms that cancel stand in the constant alone, so that in
        # float32 two signals are compared without their rounding errors.
        constant = xp.sum(y * xp.log(positive) - y - _log_factorial(y))
        return xp.sum(y[None, :] * xp.log(rate / positive[None, :]) - (rate - y[None, :]), axis=-1) + constant

    def score(self, y: Array, ax: Array) -> Array:
        """The gradient of the log likelihood with respect to ax, (n, m)."""
        xp = namespace(ax)
        slope = self.scale * (y[None, :] / self.rate(ax) - 1.0)
        return xp.where(self.scale * (ax + self.offset) > self.least, slope, xp.zeros_like(slope))

    def sample(self, key: Key, ax: Array) -> Array:
        """One measurement of each row, (n, m), of the dtype of ax.

        Raises:
            ValueError: for a replayed key, which holds normal and uniform numbers only.
        """
        rate = self.rate(ax)
        kind = framework_of(key)
        if kind == "replay":
            raise ValueError("Poisson counts cannot be replayed; draw them with a key of NumPy, torch or JAX")
        if kind == "numpy":
            return key.poisson(rate).astype(ax.dtype)
        if kind == "torch":
            return sys.modules["torch"].poisson(rate, generator=key)
        import jax

        return jax.random.poisson(key, rate).astype(ax.dtype)


def poisson_noise(level: float = 1.0, *, least: float = 1e-3) -> PoissonNoise:
    """The published counts of an image in [-1, 1]: Poisson(255 level b) of the brightness b = (A x + 1) / 2.

    Chung et al. 2023 (arXiv 2209.14687), with level 1. The released code divides the counts by 255 level and clamps
    the result to [-1, 1]; here they stay counts, because a clamped count is no Poisson variable. `least`, in counts, is
    ours: the code clamps b to [0, 1] before it draws, and its likelihood is Gaussian.

    Raises:
        UsageError: for a level or a least rate that is not positive.
    """
    if not (0 < level < np.inf and 0 < least < np.inf):
        raise UsageError(f"the level and the least rate are positive and finite, got {level:g} and {least:g}")
    return PoissonNoise(np.array(127.5 * level), np.array(1.0), np.array(least))


def _one_weight(counts: Array) -> Array:
    return 1.0 / np.mean(1.0 / counts)


_VARIANCES: dict[str, Callable[[Array], Array]] = {"paper": np.copy, "code": _one_weight}


def as_gaussian(
    counts: np.ndarray, noise: PoissonNoise, weights: str = "paper"
) -> tuple[np.ndarray, DiagonalNoise | GaussianNoise]:
    """The measurement y = counts / scale - offset, and the Gaussian noise taken for Poisson's, in the units of A x.

    Chung et al. 2023 weight the squared residual of a count by Lambda = diag(1 / (2 counts)): a normal law whose
    variance is the count itself ('paper', a `DiagonalNoise`). Their code has one weight for all, the mean of
    1 / |y| ('code', a `GaussianNoise` whose variance is the harmonic mean of the counts); it multiplies the norm, not
    its square, and takes 1 / |y| of an image in [-1, 1], where grey is zero, instead of counts as here. A count of 0
    has infinite weight in both; it is taken for 1.

    Args:
        counts: (m,). noise: whose scale and offset are used. weights: 'paper' or 'code'.

    Raises:
        UsageError: for other weights, or for negative or broken counts.
    """
    variance_of = lookup("weighting of counts", weights, _VARIANCES)
    if not (np.all(np.isfinite(counts)) and np.all(counts >= 0)):
        raise UsageError("counts are finite and not negative")
    std = np.sqrt(variance_of(np.maximum(counts, 1.0))) / noise.scale
    return counts / noise.scale - noise.offset, DiagonalNoise(std) if std.ndim else GaussianNoise(np.asarray(std))


def _log_factorial(y: Array) -> Array:
    """log y!; not part of the array standard."""
    kind = framework_of(y)
    if kind == "torch":
        return sys.modules["torch"].lgamma(y + 1.0)
    if kind == "numpy":
        import scipy.special

        return scipy.special.gammaln(y + 1.0)
    import jax

    return jax.scipy.special.gammaln(y + 1.0)
