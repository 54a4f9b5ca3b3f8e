"""Diffusion schedules x_t = alpha(t) x_0 + sigma(t) z, t in [0, 1] (Song et al. 2021, arXiv 2011.13456)."""

from __future__ import annotations

from problems.arrays import Array, namespace
from problems.contract import data


@data
class VP:
    """Variance preserving: dx = -beta(t)/2 x dt + sqrt(beta(t)) dw, beta linear from beta_min to beta_max.

    alpha = exp(-B/2), sigma^2 = 1 - exp(-B), B(t) = beta_min t + (beta_max - beta_min) t^2 / 2.
    """

    beta_min: Array = 0.1
    beta_max: Array = 20.0

    def beta(self, t: Array) -> Array:
        """The squared diffusion coefficient g(t)^2; the drift is -beta(t) x / 2."""
        return self.beta_min + (self.beta_max - self.beta_min) * t

    def integral(self, t: Array) -> Array:
        """B(t), the integral of beta over [0, t]."""
        return self.beta_min * t + 0.5 * (self.beta_max - self.beta_min) * t**2

    def time(self, ratio: Array) -> Array:
        """The t at which sigma(t) / alpha(t) is `ratio`."""
        xp = namespace(ratio)
        b = xp.log1p(ratio**2)
        return 2.0 * b / (self.beta_min + xp.sqrt(self.beta_min**2 + 2.0 * (self.beta_max - self.beta_min) * b))

    def alpha(self, t: Array) -> Array:
        return namespace(t).exp(-0.5 * self.integral(t))

    def sigma(self, t: Array) -> Array:
        xp = namespace(t)
        return xp.sqrt(-xp.expm1(-self.integral(t)))
