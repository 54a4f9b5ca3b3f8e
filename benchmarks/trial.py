"""A small linear problem with a Gaussian prior, as a conformance check varies it, and the runs of a sampler on it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from methods import Method, Samples
from problems import Instance, Problem
from problems.arrays import Key, make_key
from problems.gaussian_mixture import gaussian_mixture
from problems.noise import GaussianNoise
from problems.operators import matrix_operator
from problems.posteriors import condition, make_instance
from problems.schedules import VP

N = 512
"""Samples of a run whose law is looked at."""
LIMIT_SECONDS = 45.0
"""CPU seconds that the runs of one sampler may take together; checks that would need more are left out, and say so."""
SIGMAS = 5.0
"""Standard errors beyond which a figure is off: 6e-7 a comparison, below 1e-4 for the hundred that a sampler meets."""
CHANGED = 0.1
"""The smallest change of a mean or of a log standard deviation, in posterior standard deviations, that counts."""
NOISE_STD = 0.3

# Generic numbers. In the columns of BASIS, x falls into three directions that the measurement is correlated with (it
# sees two) and three that are independent of it, whose posterior is the prior under any guidance.
BASIS = np.linalg.qr(np.random.default_rng(20240229).standard_normal((6, 6)))[0]
SEEN, UNSEEN = BASIS[:, :3], BASIS[:, 3:]
SEEN_COV = np.array([[1.1, 0.5, -0.3], [0.5, 0.8, 0.2], [-0.3, 0.2, 0.6]])
UNSEEN_COV = np.array([[0.7, 0.3, 0.1], [0.3, 0.9, -0.2], [0.1, -0.2, 0.5]])
MEAN = SEEN @ np.array([0.4, -0.3, 0.2]) + UNSEEN @ np.array([0.7, -0.5, 0.6])
MATRIX = np.array([[0.9, 0.4, 0.0], [-0.3, 0.8, 0.0]]) @ SEEN.T
RESIDUAL = np.array([1.3, -0.9])  # y - A MEAN
SHIFT = np.array([-1.6, 1.1])


class Verdict(NamedTuple):
    """Whether a check is passed, and what it saw."""

    ok: bool
    message: str


Verdicts = Iterator[Verdict]


def fine(message: str) -> Verdict:
    """In order, or a remark."""
    return Verdict(True, message)


def fault(message: str) -> Verdict:
    """To be mended."""
    return Verdict(False, message)


class OutOfTime(Exception):
    """Another run would take longer than the check may take."""


def instance(*, noise_std: float = NOISE_STD, units: float = 1.0, shifted: bool = False) -> Instance:
    """The problem; `units` multiplies A and y, which is the same problem if it multiplies noise_std too.

    A power of 2 multiplies without rounding, so that a sampler for which the units do not matter returns the same bits.
    """
    cov = SEEN @ SEEN_COV @ SEEN.T + UNSEEN @ UNSEEN_COV @ UNSEEN.T
    prior = gaussian_mixture(np.ones(1), MEAN[None], cov[None], (6,))
    operator = matrix_operator(MATRIX, (6,))
    operator = replace(operator, matrix=units * operator.matrix, s=units * operator.s)
    y = units * (MATRIX @ MEAN + RESIDUAL + shifted * SHIFT)
    return make_instance(Problem(prior, operator, GaussianNoise(np.array(noise_std)), y, VP(), (6,)), MEAN)


def effective_variance(x: np.ndarray) -> float:
    """The noise variance under which the exact posterior of `instance()` explains A x best, by likelihood."""
    problem = instance().problem
    ax = x @ MATRIX.T
    fits = []
    for variance in NOISE_STD**2 * np.geomspace(1e-3, 1e3, 241):
        posterior = condition(problem.prior, problem.operator, GaussianNoise(np.array(variance**0.5)), problem.y)[0]
        cov = MATRIX @ posterior.cov() @ MATRIX.T
        r = ax - MATRIX @ posterior.mean
        fit = np.linalg.slogdet(cov)[1] + (r * np.linalg.solve(cov, r.T).T).sum(axis=1).mean()
        fits.append((fit, variance))
    return min(fits)[1]


def change_of_law(a: np.ndarray, b: np.ndarray) -> float:
    """The largest change of a mean or log standard deviation from a to b, beyond SIGMAS standard errors.

    In coordinates of x and of A x in which the exact posterior has mean 0 and covariance I. Rows of equal number are
    taken as pairs, which is sharp if they have the same noise and valid if not. Infinite if a sample is not finite.
    """
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return float("inf")
    za, zb = _standardised(a), _standardised(b)
    ua, ub = ((z - z.mean(axis=0)) / z.std(axis=0) for z in (za, zb))
    means = np.abs(zb.mean(axis=0) - za.mean(axis=0)) - SIGMAS * _standard_error(za, zb)
    stds = np.abs(np.log(zb.std(axis=0) / za.std(axis=0))) - SIGMAS * _standard_error(ua**2 / 2, ub**2 / 2)
    return float(max(means.max(), stds.max()))


def _standardised(x: np.ndarray) -> np.ndarray:
    """x, and A x, centred and whitened by the exact posterior: (n, d + m)."""
    posterior = instance().posterior
    cov, centred = posterior.cov(), x - posterior.mean
    blocks = ((cov, centred), (MATRIX @ cov @ MATRIX.T, centred @ MATRIX.T))
    return np.concatenate([np.linalg.solve(np.linalg.cholesky(c), z.T).T for c, z in blocks], axis=1)


def _standard_error(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of the difference of the means of columns."""
    if len(a) == len(b):
        return (b - a).std(axis=0) / len(a) ** 0.5
    return (a.var(axis=0) / len(a) + b.var(axis=0) / len(b)) ** 0.5


class Trial:
    """The runs of one sampler, with its default preset, within the time allowed.

    Attributes:
        framework: where it runs: array methods in torch, because nothing needs compiling there.
    """

    def __init__(self, method: Method) -> None:
        self.method = method
        self.hyper = method.configure()
        self.framework = "jax" if method.framework == "jax" else "torch"
        self._started = time.process_time()
        self._longest = 0.0
        self._drawn: dict[Any, np.ndarray] = {}
        self._programs: dict[int, Callable[[Problem, Key], Any]] = {}

    def carried(self, instance: Instance, framework: str = "") -> Problem:
        """What the sampler may see of an instance: an oracle gets the posterior."""
        problem = instance.oracle() if self.method.oracle else instance.problem
        return problem.to(framework or self.framework)

    def key(self, seed: int) -> Key:
        return make_key(self.framework, [seed])

    def run(self, problem: Problem, key: Key, n: int) -> Samples:
        """One run, as it is written.

        Raises:
            OutOfTime: if it would probably end after LIMIT_SECONDS.
        """
        return self._timed(lambda: self.method.run(problem, key, n=n, **self.hyper))

    def _timed(self, run: Callable[[], Any]) -> Any:
        start = time.process_time()
        if start - self._started + self._longest > LIMIT_SECONDS and self._longest > 0:
            raise OutOfTime(f"one run takes {self._longest:.0f} s, and all may take {LIMIT_SECONDS:.0f} s")
        samples = run()
        if self.framework == "jax":
            import jax

            jax.block_until_ready(getattr(samples, "x", samples))
            jax.effects_barrier()
        self._longest = max(self._longest, time.process_time() - start)
        return samples

    def draw(self, *, seed: int = 1, n: int = N, **changes: Any) -> np.ndarray:
        """Samples of `instance(**changes)`, (n, 6); kept, so that checks may ask for the same."""
        asked = (seed, n, *sorted(changes.items()))
        if asked not in self._drawn:
            problem, key = self.carried(instance(**changes)), self.key(seed)
            self._drawn[asked] = host(self._timed(lambda: self._program(n)(problem, key)))
        return self._drawn[asked]

    def _program(self, n: int) -> Callable[[Problem, Key], Any]:
        """(problem, key) -> x, in JAX compiled as a whole where that is possible: else its loops are in every run."""

        def sample(problem: Problem, key: Key) -> Any:
            return self.method.run(problem, key, n=n, **self.hyper).x

        if self.framework == "torch":
            return sample
        if n not in self._programs:
            import jax

            compiled = jax.jit(sample)

            def attempt(problem: Problem, key: Key) -> Any:
                try:
                    return compiled(problem, key)
                except Exception:  # it looks at values, or converts them
                    self._programs[n] = sample
                    return sample(problem, key)

            self._programs[n] = attempt
        return self._programs[n]


def host(x: Any) -> np.ndarray:
    """The samples as a NumPy array of float64."""
    return np.asarray(x.detach().cpu() if hasattr(x, "detach") else x, dtype=np.float64)


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread of torch: on arrays this small a second one costs more than it brings, twenty times so if it waits."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
