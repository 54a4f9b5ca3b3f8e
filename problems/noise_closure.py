"""The likelihood of closure phases, log closure amplitudes, total flux and centre of light.

An approximation in three ways. Closures that share a baseline share its noise, and are taken for independent. Their
standard deviations are those of small errors, right where each visibility is several times its noise. And a phase so
noisy is taken for a von Mises variable, a log amplitude for a normal one.
"""

from __future__ import annotations

import math

import numpy as np

from problems.arrays import Array, Key, framework_of, namespace, normal, split
from problems.contract import data
from problems.names import UsageError

FLUX_STD = math.sqrt(0.5)
"""In the unit of the summed pixels: the published weight 1 of (sum - target)^2 is 1 / (2 std^2)."""


@data
class ClosureNoise:
    """Independent noise of y = (c closure phases, q log closure amplitudes, flux, row and column of the centre).

    A phase has the density exp(-(1 - cos(y - a)) / s^2) / (2 pi I_0(1 / s^2) exp(-1 / s^2)), a von Mises law: half of
    the published misfit 2 (1 - cos) / s^2, and the constant that makes it a density. The others are normal.

    Attributes:
        concentration: 1 / s^2 of the phases, (c,). log_constant: log(2 pi I_0(1 / s^2)) - 1 / s^2, (c,).
        linear_std: of the others, (q + 3,): of log amplitudes, of the flux in its unit, of the centre in pixels.
    """

    concentration: Array
    log_constant: Array
    linear_std: Array

    def log_likelihood(self, y: Array, ax: Array) -> Array:
        """log p(y | ax) for ax of shape (n, m) and y of shape (m,), with its constant: (n,)."""
        xp = namespace(ax)
        turn, residual = self._residuals(y, ax)
        # 1 - cos d = 2 sin^2(d / 2), which keeps its digits where d is small.
        phases = xp.sum(
            -2.0 * self.concentration[None, :] * xp.sin(0.5 * turn) ** 2 - self.log_constant[None, :], axis=-1
        )
        constant = xp.sum(xp.log(self.linear_std)) + 0.5 * self.linear_std.shape[0] * math.log(2 * math.pi)
        return phases - 0.5 * xp.sum((residual / self.linear_std[None, :]) ** 2, axis=-1) - constant

    def score(self, y: Array, ax: Array) -> Array:
        """The gradient of the log likelihood with respect to ax, (n, m)."""
        xp = namespace(ax)
        turn, residual = self._residuals(y, ax)
        return xp.concat(
            [self.concentration[None, :] * xp.sin(turn), residual / self.linear_std[None, :] ** 2], axis=-1
        )

    def sample(self, key: Key, ax: Array) -> Array:
        """One measurement of each row, (n, m), phases from -pi to pi: draws of this law, not of noisy visibilities.

        Raises:
            ValueError: for a key that is not NumPy's; the others have no von Mises law.
        """
        if framework_of(key) != "numpy":
            raise ValueError("closure phases are drawn with a key of NumPy")
        first, second = split(key, 2)
        c = self.concentration.shape[0]
        turned = ax[:, :c] + first.vonmises(0.0, self.concentration[None, :], (len(ax), c))
        others = ax[:, c:] + self.linear_std[None, :] * normal(second, ax[:, c:].shape, ax)
        return np.concatenate([turned - 2 * np.pi * np.round(turned / (2 * np.pi)), others], axis=1).astype(ax.dtype)

    def _residuals(self, y: Array, ax: Array) -> tuple[Array, Array]:
        c, difference = self.concentration.shape[0], y[None, :] - ax
        return difference[:, :c], difference[:, c:]


def closure_noise(
    visibilities: np.ndarray,
    std: np.ndarray,
    triangles: np.ndarray,
    quadrangles: np.ndarray,
    *,
    flux_std: float = FLUX_STD,
    centre_std: float = 1.0,
) -> ClosureNoise:
    """The noise of closures from that of the visibilities: variances are sums of 1 / SNR^2 over the baselines.

    Args:
        visibilities: (2 b,), real parts and imaginary parts, whose moduli give the signal-to-noise ratios.
        std: (b,), of the real part, and of the imaginary part, of each.
        triangles: (c, b). quadrangles: (q, b).
        flux_std: in the unit of the image. The published image has a flux near 173 (arXiv 2309.01949, the code's
            demonstration), of which the default is .4 per cent.
        centre_std: in pixels. The published term is w / 2 (centre - target)^2 for each of the two coordinates, a
            standard deviation of w^(-1/2); its weight is 0 by default, which leaves the position free, 1 here.

    Raises:
        UsageError: if a visibility is zero, or a standard deviation is not positive.
    """
    from scipy.special import i0e

    real, imaginary = np.split(np.asarray(visibilities, np.float64), 2)
    power = real**2 + imaginary**2
    if not (np.all(power > 0) and np.all(np.asarray(std) > 0) and flux_std > 0 and centre_std > 0):
        raise UsageError("closures need visibilities that are not zero, and standard deviations that are positive")
    relative = np.asarray(std) ** 2 / power
    concentration = 1.0 / (triangles**2 @ relative)
    log_constant = np.log(2 * np.pi * i0e(concentration))
    amplitude_std = np.sqrt(quadrangles**2 @ relative)
    return ClosureNoise(concentration, log_constant, np.array([*amplitude_std, flux_std, centre_std, centre_std]))
