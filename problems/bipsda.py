"""gmm-bipsda-{inpaint, inpaint-noisy, xray, phase}: a mixture of three Gaussians in 10 dimensions, measured four ways.

p(x) = .4 N(-5, I) + .3 N(0, D) + .3 N(5, Q D Q^T), D = diag(1 .. 2), Q a random rotation, and, each with matrices that
are the same in all instances:

    inpaint, inpaint-noisy    eight of ten entries, with noise of std .1 and 5: the posterior is in closed form
    xray     y ~ Poisson(1000 exp(-A (x + 10))), A (15, 10) uniform in (.01, .05)
    phase    y = (A x)^2 + 25 z, A (5, 10) normal

The last two posteriors are known by draws (bipsda_reference).
"""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import numpy as np

from problems.arrays import Array, Key, make_key, namespace
from problems.bipsda_reference import Gaussian, Resampled, behind_absorber, of_squares
from problems.contract import Instance, Problem, data, static
from problems.families import LINEAR_GAUSSIAN, Family, instance_key, register
from problems.gaussian_mixture import GaussianMixture, gaussian_mixture
from problems.noise import GaussianNoise
from problems.noise_poisson import PoissonNoise
from problems.operators import Matrix, matrix_operator
from problems.posteriors import measured
from problems.schedules import VP
from problems.shared_mixture import Draws, draws

D = 10
WEIGHTS = np.array([0.4, 0.3, 0.3])
SEEN = (0, 1, 2, 4, 5, 6, 7, 9)
INTENSITY, PHASE_STD = 1000.0, 25.0
_SCALED_TO = 10_000
_THINNEST = -60.0
"""Absorbers thinner than this are as thin as this: counts beyond 1e29 would overflow."""


@data
class XRay:
    """y = 1000 exp(-A (x + 10)): expected counts behind an absorber.

    Attributes:
        matrix: (m, d).
    """

    matrix: Array
    shape: tuple[int, ...] = static()
    linear = False

    def __call__(self, x: Array) -> Array:
        thickness = (x + 10.0) @ self.matrix.T
        return INTENSITY * namespace(x).exp(-namespace(x).maximum(thickness, _THINNEST + 0.0 * thickness))

    def pull(self, x: Array, v: Array) -> Array:
        """J(x)^T v, (n, d)."""
        return -(v * self(x)) @ self.matrix


@data
class Squares:
    """y = (A x)^2, entry by entry.

    Attributes:
        matrix: (m, d). reach: what |A x| hardly exceeds under the prior.
    """

    matrix: Array
    reach: Array
    shape: tuple[int, ...] = static()
    linear = False

    def __call__(self, x: Array) -> Array:
        return (x @ self.matrix.T) ** 2

    def pull(self, x: Array, v: Array) -> Array:
        """J(x)^T v, (n, d)."""
        return 2.0 * (v * (x @ self.matrix.T)) @ self.matrix

    @property
    def norm(self) -> Array:
        """Of the derivative 2 diag(A x) A at most, where the prior is; elsewhere it grows with x."""
        return 2.0 * self.reach * namespace(self.matrix).linalg.matrix_norm(self.matrix, ord=2)


@cache
def components() -> tuple[Gaussian, ...]:
    """The prior's."""
    q = np.linalg.qr(make_key("numpy", [D, 1]).standard_normal((D, D)))[0]
    spread = np.linspace(1.0, 2.0, D)
    covs = np.eye(D), np.diag(spread), (q * spread) @ q.T
    means = (np.full(D, level) for level in (-5.0, 0.0, 5.0))
    return tuple(Gaussian(*one) for one in zip(WEIGHTS.tolist(), means, covs, strict=True))


@cache
def prior() -> GaussianMixture:
    """The mixture."""
    weights, means, covs = (np.array(part) for part in zip(*components(), strict=True))
    return gaussian_mixture(weights, means, covs, (D,))


@cache
def measurement(task: str) -> tuple[Any, Any]:
    """The operator and the noise of a task."""
    if task == "xray":
        matrix = 0.01 + 0.04 * make_key("numpy", [D, 2]).random((15, D))
        return XRay(matrix, (D,)), PoissonNoise(np.array(1.0), np.array(0.0), np.array(1e-3))
    if task == "phase":
        matrix = make_key("numpy", [D, 3]).standard_normal((5, D))
        reach = np.quantile(np.abs(prior().sample(make_key("numpy", [D, 4]), _SCALED_TO) @ matrix.T), 0.999)
        return Squares(matrix, reach, (D,)), GaussianNoise(np.array(PHASE_STD))
    return _inpainting(), GaussianNoise(np.array(0.1 if task == "inpaint" else 5.0))


def _inpainting() -> Matrix:
    return matrix_operator(np.eye(D)[list(SEEN)], (D,))


def build(index: int, task: str) -> Instance:
    """A draw of the prior, measured."""
    name, (operator, noise) = f"gmm-bipsda-{task}", measurement(task)
    x_true = prior().sample(instance_key(name, index, "truth"), 1)[0]
    key = instance_key(name, index, "noise")
    if operator.linear:
        return measured(prior(), operator, noise, VP(), x_true, key)
    y = noise.sample(key, operator(x_true[None]))[0]
    return Instance(Problem(prior(), operator, noise, y, VP(), (D,)), x_true, cache(partial(_known, task, y, index)))


def _known(task: str, y: np.ndarray, index: int) -> tuple[Draws, float]:
    found = reference(task, y, instance_key(f"gmm-bipsda-{task}", index, "reference"))
    return draws(found.x), found.log_evidence


def reference(task: str, y: np.ndarray, key: Key) -> Resampled:
    """Draws of the posterior of 'xray' or 'phase'. NumPy, float64."""
    operator, noise = measurement(task)
    if task == "xray":

        def log_joint(x: np.ndarray) -> np.ndarray:
            return prior().log_prob(x) + noise.log_likelihood(y, operator(x))

        return behind_absorber(components(), operator.matrix, y, INTENSITY, log_joint, key)
    return of_squares(components(), operator.matrix, y, PHASE_STD, key)


_NONLINEAR = frozenset({"linear", "svd"})
_TASKS = {
    "inpaint": ("eight of ten entries, noise std .1", frozenset()),
    "inpaint-noisy": ("eight of ten entries, noise std 5", frozenset()),
    "xray": ("15 X-ray counts", _NONLINEAR | {"gaussian_noise"}),
    "phase": ("5 squared projections, noise std 25", _NONLINEAR),
}
for _task, (_what, _lacks) in _TASKS.items():
    register(
        Family(
            name=f"gmm-bipsda-{_task}",
            build=partial(build, task=_task),
            kind="vector",
            shape=(D,),
            data_range=20.0,
            summary=f"three Gaussians in 10 dimensions, {_what}",
            stresses=(
                "Modes of unequal shape in moderate dimension, weighed by a measurement that may be none of a linear "
                "one: counts behind an absorber, or squares, which do not see signs, so that the posterior has more "
                "modes than the prior."
            ),
            provides=LINEAR_GAUSSIAN - _lacks,
            model_truth=True,
        )
    )
