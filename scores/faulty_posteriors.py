"""Faulty posteriors in closed form: wrong weights, widths, places and noise, each by a known amount."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from problems.contract import Instance
from problems.inpainted_field import InpaintedField
from problems.posteriors import condition
from problems.shared_mixture import Atoms, Draws
from scores.exact_reference import subspace

LIGHTEST, HEAVIEST = 0.1, 0.5
"""The mode that is dropped has a weight within: lighter ones matter little, and heavier ones nobody overlooks."""

SPREAD_WEIGHT = 0.9
"""Weights are tilted where the heaviest is at most this: else the others would have to become many times as heavy."""

_VARIANCES = ("variance", "eigenvalues", "spectrum")


def _weights(instance: Instance) -> np.ndarray:
    return np.exp(instance.posterior.log_weights)


def can_lose_a_mode(instance: Instance) -> bool:
    """Whether a mode has a weight between LIGHTEST and HEAVIEST."""
    weights = _weights(instance)
    return bool(np.any((weights >= LIGHTEST) & (weights <= HEAVIEST)))


def without_mode(instance: Instance, size: float) -> Any:
    """The lightest mode between LIGHTEST and HEAVIEST loses this share of its weight to the others, in proportion."""
    weights = _weights(instance)
    between = (weights >= LIGHTEST) & (weights <= HEAVIEST)
    return _with_share(instance, int(np.argmin(np.where(between, weights, np.inf))), 1 - size)


def can_be_tilted(instance: Instance) -> bool:
    """Whether the heaviest mode leaves enough to the others; draws are no modes."""
    return not isinstance(instance.posterior, Draws) and bool(np.max(_weights(instance)) <= SPREAD_WEIGHT)


def tilted(instance: Instance, size: float) -> Any:
    """The heaviest mode loses this share of its weight to the others, in proportion."""
    return _with_share(instance, int(np.argmax(_weights(instance))), 1 - size)


def _with_share(instance: Instance, mode: int, share: float) -> Any:
    """The posterior whose `mode` keeps a share of its weight; the other modes keep their ratios."""
    weights = _weights(instance)
    kept = share * weights[mode]
    weights *= (1 - kept) / (1 - weights[mode])
    weights[mode] = kept
    with np.errstate(divide="ignore"):  # a dropped mode has log weight -inf
        return dataclasses.replace(instance.posterior, log_weights=np.log(weights))


def scaled(posterior: Any, factor: float) -> Any:
    """Every mode with its standard deviation times a factor, about its mean; atoms, which have next to none, as one."""
    if isinstance(posterior, InpaintedField):  # its covariance is that of the field and of the noise
        field = dataclasses.replace(posterior.field, spectrum=posterior.field.spectrum * factor**2)
        noise = dataclasses.replace(posterior.noise, std=posterior.noise.std * factor)
        return condition(field, posterior.operator, noise, posterior.y)[0]
    found = {name: getattr(posterior, name) for name in _VARIANCES if hasattr(posterior, name)}
    changed = {name: value * factor**2 for name, value in found.items()}
    if isinstance(posterior, Atoms):
        changed["component_means"] = posterior.mean + factor * (posterior.component_means - posterior.mean)
    return dataclasses.replace(posterior, **changed)


def shifted(instance: Instance, directions: np.ndarray, size: float) -> Any:
    """The posterior moved by `size` of its standard deviations along each of the directions (k, d) at once."""
    posterior = instance.posterior
    std = subspace(instance, directions, np.asarray(posterior.mean).reshape(-1)).std
    moved = (size * std @ directions).reshape(posterior.shape)
    if isinstance(posterior, InpaintedField):  # its draws start from the field and from y
        field = dataclasses.replace(posterior.field, mean=posterior.field.mean + moved)
        y = posterior.y + posterior.operator(moved[None])[0]
        return dataclasses.replace(posterior, field=field, y=y, mean=posterior.mean + moved)
    # A field is one Gaussian, whose mean is stored; that of a mixture follows from those of its components.
    name = "mean" if any(field.name == "mean" for field in dataclasses.fields(posterior)) else "component_means"
    return dataclasses.replace(posterior, **{name: getattr(posterior, name) + moved})


def knows_the_prior(instance: Instance) -> bool:
    """Whether the prior can be drawn from and has a density: a score in its place, exact or not, has neither."""
    prior = instance.problem.prior
    return hasattr(prior, "sample") and hasattr(prior, "log_prob")


def can_change_noise(instance: Instance) -> bool:
    """Whether the noise has a std, and the posterior a closed form for any."""
    closed = knows_the_prior(instance) and not isinstance(instance.posterior, Draws)
    return closed and hasattr(instance.problem.noise, "std")


def with_noise_std_over(instance: Instance, size: float) -> Any:
    """The exact posterior of the same measurement under a noise std divided by `size`; see `can_change_noise`."""
    problem = instance.problem
    noise = dataclasses.replace(problem.noise, std=problem.noise.std / size)
    return condition(problem.prior, problem.operator, noise, problem.y)[0]
