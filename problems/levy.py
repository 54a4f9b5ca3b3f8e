"""levy-{gauss, laplace, bl, st1, st2, st3}-{denoise, deconv, impute, fourier}: signals of independent increments.

x_i = u_1 + ... + u_i, i = 1 .. 64, with u ~ N(0, 1/4); Laplace(1); zero with probability .9, else Laplace(1); Student's
t with 1, 2, 3 degrees of freedom. Measured at 25 dB: the noise has the variance median(mean of (A x)^2) / 10^2.5.
After Bohra et al. 2023, A statistical framework to investigate the optimality of signal-reconstruction methods.

gauss has its posterior in closed form. The others are known by draws of Gibbs chains (levy_gibbs).
"""

from __future__ import annotations

from functools import cache, partial

import numpy as np

from problems.arrays import make_key
from problems.contract import Instance, Problem
from problems.families import LINEAR_GAUSSIAN, Family, instance_key, register
from problems.gaussian_mixture import GaussianMixture, gaussian_mixture
from problems.levy_gibbs import Reference, reference
from problems.levy_laws import LAWS
from problems.levy_walk import LevyWalk, levy_walk
from problems.noise import GaussianNoise
from problems.operators import Matrix, matrix_operator
from problems.posteriors import make_instance
from problems.schedules import VP
from problems.shared_mixture import Draws, draws

D = 64
GAUSS_VARIANCE = 0.25
SIGNAL_TO_NOISE_DB = 25.0
BLUR_VARIANCE, BLUR_REACH = 2.0, 6
SEEN = 0.6
"""The share of entries that 'impute' sees, and of frequencies that 'fourier' does."""
LOWEST = 5
"""How many of the lowest frequencies are seen in any case."""
_SCALED_TO = 2_000
DENOISE_SECONDS = 0.015


@cache
def prior(law: str) -> GaussianMixture | LevyWalk:
    """The law of x."""
    if law == "gauss":
        steps = np.arange(1.0, D + 1)
        return gaussian_mixture(
            np.ones(1), np.zeros((1, D)), GAUSS_VARIANCE * np.minimum(steps[:, None], steps)[None], (D,)
        )
    return levy_walk(law, D, make_key("numpy", [D, *law.encode()]))


@cache
def operator(task: str) -> Matrix:
    """denoise: identity. deconv: a Gaussian of 13 taps, edges repeated. impute: entries, with the last of them.

    fourier: the real and imaginary parts of frequencies, which are rows of an orthogonal matrix.
    """
    key = make_key("numpy", [D, 2])
    if task == "denoise":
        return matrix_operator(np.eye(D), (D,))
    if task == "deconv":
        taps = np.exp(-(np.arange(-BLUR_REACH, BLUR_REACH + 1) ** 2) / (2 * BLUR_VARIANCE))
        padded = np.pad(np.eye(D), ((0, 0), (BLUR_REACH, BLUR_REACH)), mode="edge")
        windows = np.lib.stride_tricks.sliding_window_view(padded, len(taps), axis=1)
        return matrix_operator((windows @ (taps / taps.sum())).T, (D,))
    if task == "impute":
        seen = key.permutation(D - 1)[: round(SEEN * D) - 1]
        return matrix_operator(np.eye(D)[[*np.sort(seen), D - 1]], (D,))
    waves = np.fft.rfft(np.eye(D), norm="ortho").T
    later = LOWEST + key.permutation(len(waves) - 1 - LOWEST)[: round(SEEN * len(waves)) - LOWEST]
    kept = waves[[*range(LOWEST), *np.sort(later)]]
    rows = np.concatenate([kept.real[:1], np.sqrt(2) * kept.real[1:], np.sqrt(2) * kept.imag[1:]])
    return matrix_operator(rows, (D,))


@cache
def noise(law: str, task: str) -> GaussianNoise:
    """At 25 dB."""
    x = prior(law).sample(make_key("numpy", [D, 3]), _SCALED_TO)
    power = np.median(np.mean(operator(task)(x) ** 2, axis=1))
    return GaussianNoise(np.array(np.sqrt(power / 10 ** (SIGNAL_TO_NOISE_DB / 10))))


def build(index: int, law: str, task: str) -> Instance:
    """A signal of the law, measured."""
    name = f"levy-{law}-{task}"
    x_true = prior(law).sample(instance_key(name, index, "truth"), 1)[0]
    y = noise(law, task).sample(instance_key(name, index, "noise"), operator(task)(x_true[None]))[0]
    problem = Problem(prior(law), operator(task), noise(law, task), y, VP(), (D,))
    if law == "gauss":
        return make_instance(problem, x_true)
    return Instance(problem, x_true, cache(partial(_known, index, law, task, y)))


def chains(index: int, law: str, task: str, y: np.ndarray) -> Reference:
    """Draws of the posterior of an instance, and how well they are mixed."""
    key = instance_key(f"levy-{law}-{task}", index, "reference")
    return reference(LAWS[law], operator(task).matrix, y, float(noise(law, task).std), key)


def _known(index: int, law: str, task: str, y: np.ndarray) -> tuple[Draws, float]:
    return draws(chains(index, law, task, y).x), np.nan


_WALK = frozenset({"prior_log_prob", "prior_cov"})
_LAWS: dict[str, tuple[str, str]] = {
    "gauss": ("normal increments", "The case that any linear estimator solves, beside which the others are read."),
    "laplace": (
        "Laplace increments",
        "Increments with exponential tails: what total variation is the MAP estimate for.",
    ),
    "bl": (
        "steps, one in ten, of Laplace heights",
        "Signals that are constant between jumps: where the jumps are is a matter of combinations, and the posterior "
        "of an entry has an atom at that of its neighbour.",
    ),
    "st1": ("Cauchy increments", "Tails without mean or variance: a jump may be larger than all else together."),
    "st2": ("Student increments, 2 degrees of freedom", "Tails without a variance, and rare jumps among small steps."),
    "st3": ("Student increments, 3 degrees of freedom", "Tails with a variance, but no kurtosis: rare jumps."),
}
_TASKS = {
    "denoise": "noisy at 25 dB",
    "deconv": "blurred, 25 dB",
    "impute": "six of ten entries, 25 dB",
    "fourier": "six of ten frequencies, 25 dB",
}
for _law, (_what, _stresses) in _LAWS.items():
    for _task, _measured in _TASKS.items():
        register(
            Family(
                name=f"levy-{_law}-{_task}",
                build=partial(build, law=_law, task=_task),
                kind="vector",
                shape=(D,),
                data_range=10.0,
                summary=f"sums of {_what}, {_measured}",
                stresses=(
                    f"{_stresses} The score of such a prior is far from linear, and a step that suits the small "
                    "increments is lost in front of a large one."
                ),
                provides=LINEAR_GAUSSIAN - (frozenset() if _law == "gauss" else _WALK),
                model_truth=True,
                denoise_seconds=None if _law == "gauss" else DENOISE_SECONDS,
            )
        )
