"""Laws of the increments of a Levy process: symmetric, of one scale, mixtures of Gaussians by their variance."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from problems.arrays import Array, Key, namespace, normal, split, uniform


@dataclass(frozen=True)
class Law:
    """The law of one increment u: zero with probability `atom`, else of a density; u given its variance is Gaussian.

    Attributes:
        log_density: of what is not zero, normalised, at any array of numbers.
        within: P(|u| < a) of what is not zero, at a > 0.
        sample: (key, shape, like) -> draws.
        variances: (key, u) -> draws of the variance given u. NumPy; u of any shape. At u = 0 beside an atom the
            variance that a jump would have.
        variance: of u; inf of Student's laws with 1 and 2 degrees of freedom.
        reach: what the sum of 64 increments exceeds with a probability below 1e-4; inf where that is too far.
        atom: P(u = 0).
    """

    log_density: Callable[[Array], Array]
    within: Callable[[Array], Array]
    sample: Callable[[Key, tuple[int, ...], Array], Array]
    variances: Callable[[np.random.Generator, np.ndarray], np.ndarray]
    variance: float
    reach: float = math.inf
    atom: float = 0.0


def _laplace_log_density(u: Array) -> Array:
    return -namespace(u).abs(u) - math.log(2)


def _laplace_within(a: Array) -> Array:
    return -namespace(a).expm1(-a)


def _laplace(key: Key, shape: tuple[int, ...], like: Array) -> Array:
    """The difference of two exponential variables."""
    xp, (first, second) = namespace(like), split(key, 2)
    return xp.log1p(-uniform(first, shape, like)) - xp.log1p(-uniform(second, shape, like))


def _laplace_variances(key: np.random.Generator, u: np.ndarray) -> np.ndarray:
    """1 / w given u is inverse Gaussian with mean 1 / |u| and shape 1 (Park and Casella 2008); w = z^2 at u = 0."""
    size = np.abs(u)
    return np.where(size > 1e-8, 1 / key.wald(1 / np.maximum(size, 1e-8), 1.0), key.standard_normal(u.shape) ** 2)


def _sparse(key: Key, shape: tuple[int, ...], like: Array, atom: float) -> Array:
    xp, (first, second) = namespace(like), split(key, 2)
    u = _laplace(first, shape, like)
    return xp.where(uniform(second, shape, like) < atom, xp.zeros_like(u), u)


def _sparse_variances(key: np.random.Generator, u: np.ndarray) -> np.ndarray:
    """As of Laplace; where there is no jump, from the prior: w is exponential with mean 2."""
    return np.where(u == 0, key.exponential(2.0, u.shape), _laplace_variances(key, u))


def _student_log_density(u: Array, freedom: int) -> Array:
    constant = math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2) - 0.5 * math.log(freedom * math.pi)
    return constant - 0.5 * (freedom + 1) * namespace(u).log1p(u**2 / freedom)


def _student_within(a: Array, freedom: int) -> Array:
    """In closed form for 1, 2 and 3 degrees of freedom."""
    xp = namespace(a)
    if freedom == 2:
        return a / xp.sqrt(2.0 + a**2)
    z = a / math.sqrt(freedom)
    return (xp.atan(z) + (z / (1 + z**2) if freedom == 3 else 0.0)) * (2 / math.pi)


def _student(key: Key, shape: tuple[int, ...], like: Array, freedom: int) -> Array:
    xp, z = namespace(like), normal(key, (*shape, freedom + 1), like)
    spread = xp.sqrt(xp.mean(z[..., 1:] ** 2, axis=-1))
    return z[..., 0] / xp.maximum(spread, 1e-12 * xp.ones_like(spread))  # a normal draw may be 0 in single precision


def _student_variances(key: np.random.Generator, u: np.ndarray, freedom: int) -> np.ndarray:
    """Inverse gamma: ((freedom + 1) / 2, (freedom + u^2) / 2)."""
    return (freedom + u**2) / 2 / key.gamma((freedom + 1) / 2, size=u.shape)


def student(freedom: int, reach: float) -> Law:
    """Student's law with 1, 2 or 3 degrees of freedom."""
    return Law(
        partial(_student_log_density, freedom=freedom),
        partial(_student_within, freedom=freedom),
        partial(_student, freedom=freedom),
        partial(_student_variances, freedom=freedom),
        freedom / (freedom - 2) if freedom > 2 else math.inf,
        reach,
    )


LAWS = {
    "laplace": Law(_laplace_log_density, _laplace_within, _laplace, _laplace_variances, 2.0, 80.0),
    "bl": Law(_laplace_log_density, _laplace_within, partial(_sparse, atom=0.9), _sparse_variances, 0.2, 40.0, 0.9),
    "st1": student(1, math.inf),
    "st2": student(2, 1500.0),
    "st3": student(3, 250.0),
}
