"""Diffusion schedules x_t = alpha(t) x_0 + sigma(t) z, t in [0, 1] (Song et al. 2021, arXiv 2011.13456).

The law of x_t is that of dx = drift(t) x dt + sqrt(diffusion(t)) dw started at x_0. END is where the published time
grids stop, `start_std` the standard deviation that samplers start with, z times it.
"""

from __future__ import annotations

from problems.arrays import Array, namespace
from problems.contract import data


@data
class VP:
    """Variance preserving: drift -beta(t)/2, diffusion beta(t), beta linear from beta_min to beta_max.

    alpha = exp(-B/2), sigma^2 = 1 - exp(-B), B(t) = beta_min t + (beta_max - beta_min) t^2 / 2.
    """

    beta_min: Array = 0.1
    beta_max: Array = 20.0
    END = 1e-3

    def beta(self, t: Array) -> Array:
        """The squared diffusion coefficient g(t)^2; the drift is -beta(t) x / 2."""
        return self.beta_min + (self.beta_max - self.beta_min) * t

    def drift(self, t: Array) -> Array:
        return -0.5 * self.beta(t)

    def diffusion(self, t: Array) -> Array:
        return self.beta(t)

    def integral(self, t: Array) -> Array:
        """B(t), the integral of beta over [0, t]."""
        return self.beta_min * t + 0.5 * (self.beta_max - self.beta_min) * t**2

    def _inverse(self, b: Array) -> Array:
        """The t at which B(t) is b."""
        root = namespace(b).sqrt(self.beta_min**2 + 2.0 * (self.beta_max - self.beta_min) * b)
        return 2.0 * b / (self.beta_min + root)

    def time(self, ratio: Array) -> Array:
        """The t at which sigma(t) / alpha(t) is `ratio`."""
        return self._inverse(namespace(ratio).log1p(ratio**2))

    def alpha(self, t: Array) -> Array:
        return namespace(t).exp(-0.5 * self.integral(t))

    def sigma(self, t: Array) -> Array:
        xp = namespace(t)
        return xp.sqrt(-xp.expm1(-self.integral(t)))

    @property
    def one(self) -> Array:
        """1, with the dtype and device of the schedule."""
        return namespace(self.beta_min).ones_like(self.beta_min)

    @property
    def start_std(self) -> Array:
        return self.one


@data
class SubVP(VP):
    """Sub-variance-preserving: the drift of VP, diffusion beta (1 - exp(-2 B)); sigma = 1 - exp(-B)."""

    def diffusion(self, t: Array) -> Array:
        return -self.beta(t) * namespace(t).expm1(-2.0 * self.integral(t))

    def time(self, ratio: Array) -> Array:
        # 2 sinh(B/2) = ratio
        return self._inverse(2.0 * namespace(ratio).asinh(0.5 * ratio))

    def sigma(self, t: Array) -> Array:
        return -namespace(t).expm1(-self.integral(t))


@data
class VE:
    """Variance exploding: no drift; sigma(t)^2 = sigma_min^2 ((sigma_max / sigma_min)^(2t) - 1), which is 0 at t = 0.

    The published sigma(t) leaves out the -1: it is then sigma_min at t = 0, where x_t should be x_0.
    """

    sigma_min: Array
    sigma_max: Array
    END = 1e-5

    def drift(self, t: Array) -> Array:
        return 0.0 * t

    def diffusion(self, t: Array) -> Array:
        xp = namespace(t)
        return 2.0 * self.sigma_min**2 * self._log * xp.exp(2.0 * t * self._log)

    def time(self, ratio: Array) -> Array:
        """The t at which sigma(t) is `ratio`."""
        return 0.5 * namespace(ratio).log1p((ratio / self.sigma_min) ** 2) / self._log

    def alpha(self, t: Array) -> Array:
        return namespace(t).ones_like(t)

    def sigma(self, t: Array) -> Array:
        xp = namespace(t)
        return self.sigma_min * xp.sqrt(xp.expm1(2.0 * t * self._log))

    @property
    def one(self) -> Array:
        return namespace(self.sigma_min).ones_like(self.sigma_min)

    @property
    def start_std(self) -> Array:
        return self.sigma_max

    @property
    def _log(self) -> Array:
        return namespace(self.sigma_min).log(self.sigma_max / self.sigma_min)
