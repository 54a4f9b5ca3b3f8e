"""gmm-bipsda-{inpaint, inpaint-noisy, xray, phase}: a mixture of three Gaussians in 10 dimensions, measured four ways.

p(x) = .4 N(-5, I) + .3 N(0, D) + .3 N(5, Q D Q^T), D = diag(1 .. 2), Q a random rotation, and, each with matrices that
are the same in all instances:

    inpaint, inpaint-noisy    eight of ten entries, with noise of std .1 and 5: the posterior is in closed form
    xray     y ~ Poisson(1000 exp(-A (x + 10))), A (15, 10) uniform in (.01, .05)
    phase    y = (A x)^2 + 25 z, A (5, 10) normal

The last two posteriors are known by draws, of importance resampling from a mixture of Student laws about the modes: of
xray those of each component of the prior, which are log-concave; of phase those of u = A x for each component and each
choice of signs, after which x given u is Gaussian.
"""

from __future__ import annotations

import itertools
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
import scipy.linalg
import scipy.special

from problems.arrays import Array, Key, make_key, namespace
from problems.contract import Instance, Problem, data, static
from problems.families import LINEAR_GAUSSIAN, Family, instance_key, register
from problems.gaussian_mixture import GaussianMixture, gaussian_mixture
from problems.noise import GaussianNoise
from problems.noise_poisson import PoissonNoise
from problems.operators import Matrix, matrix_operator
from problems.posteriors import measured
from problems.schedules import VP
from problems.shared_mixture import draws

D = 10
WEIGHTS = np.array([0.4, 0.3, 0.3])
SEEN = (0, 1, 2, 4, 5, 6, 7, 9)
INTENSITY, PHASE_STD = 1000.0, 25.0
PROPOSED, KEPT = 200_000, 4_000
"""Draws of the proposal, and how many of them stand for the posterior."""
FREEDOM = 8.0
"""Degrees of freedom of the Student laws: tails heavier than the posterior's."""
NEGLIGIBLE = 15.0
"""A mode whose mass is so many nats below that of the largest is left out."""
_NEWTON_STEPS = 60


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
        return INTENSITY * namespace(x).exp(-(x + 10.0) @ self.matrix.T)

    def pull(self, x: Array, v: Array) -> Array:
        """J(x)^T v, (n, d)."""
        return -(v * self(x)) @ self.matrix


@data
class Squares:
    """y = (A x)^2, entry by entry.

    Attributes:
        matrix: (m, d).
    """

    matrix: Array
    shape: tuple[int, ...] = static()
    linear = False

    def __call__(self, x: Array) -> Array:
        return (x @ self.matrix.T) ** 2

    def pull(self, x: Array, v: Array) -> Array:
        """J(x)^T v, (n, d)."""
        return 2.0 * (v * (x @ self.matrix.T)) @ self.matrix

    @property
    def norm(self) -> Array:
        """Of the linear part: what it does to x depends on x."""
        return namespace(self.matrix).linalg.matrix_norm(self.matrix, ord=2)


class Gaussian(NamedTuple):
    """A component of the prior: its weight, mean (d,) and covariance (d, d)."""

    weight: float
    mean: np.ndarray
    cov: np.ndarray


class Resampled(NamedTuple):
    """Draws (KEPT, d), log p(y), and the effective sample size of the weights among the PROPOSED."""

    x: np.ndarray
    log_evidence: float
    effective: float


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
        return Squares(make_key("numpy", [D, 3]).standard_normal((5, D)), (D,)), GaussianNoise(np.array(PHASE_STD))
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
    found = reference(task, y, instance_key(name, index, "reference"))
    return Instance(Problem(prior(), operator, noise, y, VP(), (D,)), x_true, draws(found.x), found.log_evidence)


def reference(task: str, y: np.ndarray, key: Key) -> Resampled:
    """Draws of the posterior of 'xray' or 'phase'. NumPy, float64."""
    operator, noise = measurement(task)
    if task == "xray":
        modes = [_mode_behind_absorber(one, operator.matrix, y) for one in components()]
        x, log_weights = _proposed(modes, key)
        log_weights += prior().log_prob(x) + noise.log_likelihood(y, operator(x))
        return _resampled(x, log_weights, key)
    found = [_signed(one, operator.matrix, y) for one in components()]
    modes = [mode for own in found for mode in own]
    u, log_weights = _proposed(modes, key)
    of_u = gaussian_mixture(
        WEIGHTS,
        np.array([operator.matrix @ one.mean for one in components()]),
        np.array([operator.matrix @ one.cov @ operator.matrix.T for one in components()]),
        (len(y),),
    )
    log_weights += of_u.log_prob(u) + noise.log_likelihood(y, u**2)
    kept = _resampled(u, log_weights, key)
    return kept._replace(x=_given(operator.matrix, kept.x, of_u, key))


class Mode(NamedTuple):
    """Where a proposal stands, and with what scale: its log weight, (up to a constant), place (k,), and root of cov."""

    log_weight: float
    place: np.ndarray
    root: np.ndarray


def _mode_behind_absorber(one: Gaussian, matrix: np.ndarray, y: np.ndarray) -> Mode:
    """Newton's method on -log p(x, y) of a component, which is convex."""
    precision = np.linalg.inv(one.cov)

    def rates(x: np.ndarray) -> np.ndarray:
        return INTENSITY * np.exp(-matrix @ (x + 10.0))

    def energy(x: np.ndarray) -> float:
        r = x - one.mean
        return float(0.5 * r @ precision @ r + y @ matrix @ (x + 10.0) + rates(x).sum())

    x = one.mean
    for _ in range(_NEWTON_STEPS):
        rate = rates(x)
        hessian = precision + (matrix.T * rate) @ matrix
        step = np.linalg.solve(hessian, precision @ (x - one.mean) + matrix.T @ (y - rate))
        size = 1.0
        while energy(x - size * step) > energy(x) and size > 1e-6:
            size /= 2
        x = x - size * step
    return _mode(np.log(one.weight) - energy(x) + 0.5 * np.linalg.slogdet(precision)[1], x, hessian)


def _signed(one: Gaussian, matrix: np.ndarray, y: np.ndarray) -> list[Mode]:
    """Gauss-Newton steps on -log p(u, y) from u = +-sqrt(y), for every choice of signs."""
    mean, precision = matrix @ one.mean, np.linalg.inv(matrix @ one.cov @ matrix.T)
    size = np.sqrt(np.maximum(y, 1.0))

    def energy(u: np.ndarray) -> float:
        r = u - mean
        return float(0.5 * r @ precision @ r + 0.5 * np.sum((u**2 - y) ** 2) / PHASE_STD**2)

    modes = []
    for signs in itertools.product((-1.0, 1.0), repeat=len(y)):
        u = np.array(signs) * size
        for _ in range(_NEWTON_STEPS):
            curvature = precision + np.diag(4 * u**2 / PHASE_STD**2)
            slope = precision @ (u - mean) + 2 * u * (u**2 - y) / PHASE_STD**2
            step, size_of_step = np.linalg.solve(curvature, slope), 1.0
            while energy(u - size_of_step * step) > energy(u) and size_of_step > 1e-6:
                size_of_step /= 2
            u = u - size_of_step * step
        curvature = precision + np.diag(4 * u**2 / PHASE_STD**2)
        modes.append(_mode(np.log(one.weight) - energy(u) + 0.5 * np.linalg.slogdet(precision)[1], u, curvature))
    return modes


def _mode(log_height: float, place: np.ndarray, curvature: np.ndarray) -> Mode:
    """Laplace's approximation of the mass of a mode, and the root of its covariance."""
    root = np.linalg.inv(np.linalg.cholesky(curvature)).T
    return Mode(float(log_height - 0.5 * np.linalg.slogdet(curvature)[1]), place, root)


def _proposed(modes: list[Mode], key: Key) -> tuple[np.ndarray, np.ndarray]:
    """Draws (PROPOSED, k) of a mixture of Student laws about the modes, and minus the log density there."""
    highest = max(mode.log_weight for mode in modes)
    modes = [mode for mode in modes if mode.log_weight > highest - NEGLIGIBLE]
    logs = np.array([mode.log_weight for mode in modes])
    weights = np.exp(logs - scipy.special.logsumexp(logs))
    weights = 0.9 * weights + 0.1 / len(modes)  # no mode is left out because Laplace's approximation is poor
    counts = np.asarray(key.multinomial(PROPOSED, weights))
    k = len(modes[0].place)
    stretch = np.sqrt(FREEDOM / key.chisquare(FREEDOM, PROPOSED))[:, None]
    z = key.standard_normal((PROPOSED, k)) * stretch
    labels = np.repeat(np.arange(len(modes)), counts)
    places, roots = (np.array(part) for part in zip(*((mode.place, mode.root) for mode in modes), strict=True))
    x = places[labels] + np.einsum("nij,nj->ni", roots[labels], z)
    log_density = np.full(PROPOSED, -np.inf)
    constant = (
        scipy.special.gammaln((FREEDOM + k) / 2) - scipy.special.gammaln(FREEDOM / 2) - k / 2 * np.log(FREEDOM * np.pi)
    )
    for weight, mode in zip(weights, modes, strict=True):
        whitened = scipy.linalg.solve_triangular(mode.root, (x - mode.place).T, lower=False)
        student = (
            constant
            - np.linalg.slogdet(mode.root)[1]
            - (FREEDOM + k) / 2 * np.log1p(np.sum(whitened**2, axis=0) / FREEDOM)
        )
        log_density = np.logaddexp(log_density, np.log(weight) + student)
    return x, -log_density


def _resampled(x: np.ndarray, log_weights: np.ndarray, key: Key) -> Resampled:
    """KEPT of the draws, by systematic resampling in random order."""
    total = scipy.special.logsumexp(log_weights)
    weights = np.exp(log_weights - total)
    order = key.permutation(len(x))
    places = (np.arange(KEPT) + key.random()) / KEPT
    chosen = order[np.minimum(np.searchsorted(np.cumsum(weights[order]), places), len(x) - 1)]
    return Resampled(x[key.permutation(chosen)], float(total - np.log(len(x))), float(1 / np.sum(weights**2)))


def _given(matrix: np.ndarray, u: np.ndarray, of_u: GaussianMixture, key: Key) -> np.ndarray:
    """Draws of x given A x = u, (n, d): a component by its responsibility, then a draw that is moved onto u."""
    shares = of_u.responsibilities(u)
    labels = np.array(
        [np.searchsorted(np.cumsum(row), level) for row, level in zip(shares, key.random(len(u)), strict=True)]
    )
    labels = np.minimum(labels, len(WEIGHTS) - 1)
    x = np.zeros((len(u), D))
    for label, one in enumerate(components()):
        own = labels == label
        drawn = one.mean + key.standard_normal((int(own.sum()), D)) @ np.linalg.cholesky(one.cov).T
        gain = one.cov @ matrix.T @ np.linalg.inv(matrix @ one.cov @ matrix.T)
        x[own] = drawn + (u[own] - drawn @ matrix.T) @ gain.T
    return x


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
