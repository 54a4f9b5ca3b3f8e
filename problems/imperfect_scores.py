"""*-net, *-perturbed-{5, 20}: problems with an exact posterior, of which samplers get a score that is not exact.

Truth, measurement and posterior are those of the problem that the name begins with; what a sampler loses from there to
here is due to the score. A network was trained on draws of the exact prior. A perturbed score differs from the exact
one by a smooth field of a stated size.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np

from problems.arrays import Array, make_key, namespace
from problems.contract import Instance, data
from problems.families import FAMILIES, register
from problems.learned_tasks import network

NET, PERTURBED = "-net", "-perturbed-"


@data
class PerturbedPrior:
    """eps'(x, sigma) = eps(x, sigma) + size f(x): the noise that the exact denoiser sees in x, and an error.

    f(x) = sqrt(2) sin(W u + b), u = (x - mean) / sqrt(sigma^2 + sigma_data^2), where W has normal entries of variance
    1 / d and b is uniform: its mean square is about 1, and so `size` the root mean square error of eps, whose entries
    have the variance 1. It is at every noise level the same relative error, and no gradient of anything.

    Attributes:
        exact: the prior. weights: (d, d), W^T. phase: (d,), b. size, sigma_data: scalars.
    """

    exact: Any
    weights: Array
    phase: Array
    size: Array
    sigma_data: Array

    def denoise(self, x: Array, sigma: Array | float) -> Array:
        """x - sigma eps', (n, *shape)."""
        return self.exact.denoise(x, sigma) - sigma * self._error(x, sigma)

    def score(self, x: Array, sigma: Array | float) -> Array:
        """-eps' / sigma, (n, *shape), for sigma > 0."""
        return self.exact.score(x, sigma) - self._error(x, sigma) / sigma

    @property
    def shape(self) -> tuple[int, ...]:
        return self.exact.shape

    @property
    def mean(self) -> Array:
        return self.exact.mean

    @property
    def std(self) -> Array:
        return self.exact.std

    @property
    def diameter(self) -> Array:
        return self.exact.diameter

    def _error(self, x: Array, sigma: Array | float) -> Array:
        xp = namespace(x)
        u = (x - self.mean[None]) / xp.sqrt(self.sigma_data**2 + sigma**2)
        wave = xp.sin(xp.reshape(u, (x.shape[0], -1)) @ self.weights + self.phase[None, :])
        return self.size * math.sqrt(2.0) * xp.reshape(wave, x.shape)


def perturbed(exact: Any, size: float) -> PerturbedPrior:
    """The prior with an error of eps of a size; the field is a function of the dimension alone. NumPy."""
    d = math.prod(exact.shape)
    key = make_key("numpy", [d, 5])
    weights, phase = key.standard_normal((d, d)) / math.sqrt(d), key.uniform(0, 2 * math.pi, d)
    return PerturbedPrior(exact, weights, phase, np.array(size), np.sqrt(np.mean(np.asarray(exact.std) ** 2)))


@cache
def _perturbed(base: str, size: float) -> PerturbedPrior:
    return perturbed(FAMILIES[base].build(0).problem.prior, size)


def build(index: int, base: str, prior: Callable[[], Any]) -> Instance:
    """The instance of the exact problem, with another prior in the hands of the sampler."""
    instance = FAMILIES[base].build(index)
    return dataclasses.replace(instance, problem=dataclasses.replace(instance.problem, prior=prior()))


def _register(
    base: str, end: str, prior: Callable[[], Any], what: str, stresses: str, denoise_seconds: float | None = None
) -> None:
    family = FAMILIES[base]
    register(
        dataclasses.replace(
            family,
            name=base + end,
            build=partial(build, base=base, prior=prior),
            summary=f"{base}, {what}",
            stresses=stresses,
            twin=base,
            denoise_seconds=denoise_seconds,
            provides=family.provides - {"prior_log_prob", "prior_sample", "prior_cov"},
        )
    )


_COMMON = (
    "Truth, measurement and exact posterior are those of the problem with the exact score, so that the rows of both "
    "tables differ by what the score's error costs the sampler: the third part of its error, beside discretisation and "
    "guidance."
)
for _base, _network, _seconds in (
    ("digits-inpaint-model", "digits-model", 2.5e-4),
    ("gaussian-field-16", "gaussian-field-16", 8e-4),
):
    _register(
        _base,
        NET,
        partial(network, _network),
        "the score a network's, trained on draws of the prior",
        f"A learned score, wrong most where training saw least. {_COMMON}",
        _seconds,
    )
for _percent in (5, 20):
    _register(
        "digits-inpaint-model",
        f"{PERTURBED}{_percent}",
        partial(_perturbed, "digits-inpaint-model", _percent / 100),
        f"the score off by {_percent} % of the noise",
        f"A score with an error of known size, smooth and the same at every noise level. {_COMMON}",
    )
