"""What a test of calibration says, in one sentence."""

from __future__ import annotations

import numpy as np

NAMES = {
    "log_likelihood": "the log-likelihood",
    "log_prior": "the log-prior",
    "hpd": "the posterior density",
    "tarp": "the distance to random points",
    "range": "range(A^T)",
    "null": "null(A)",
    "low": "the low frequencies",
    "mid": "the middle frequencies",
    "high": "the high frequencies",
}
_MEANS = {  # of truths that rank too high, too low, at both ends, in the middle
    "coordinates": (
        "the samples are off centre",
        "the samples are off centre",
        "the samples are too narrow",
        "the samples are too wide",
    ),
    "log_likelihood": (
        "the samples fit the data worse than the truth does",
        "the samples fit the data better than the truth does",
        "the samples vary too little in how well they fit the data",
        "the samples vary too much in how well they fit the data",
    ),
    "log_prior": (
        "the samples are less plausible under the prior than the truth is",
        "the samples are more plausible under the prior than the truth is",
        "the samples vary too little in how plausible they are under the prior",
        "the samples vary too much in how plausible they are under the prior",
    ),
    "hpd": (
        "the samples stray into thinner parts of the posterior than the truth does",
        "the samples crowd into denser parts of the posterior than the truth does",
        "the posterior density varies too little among the samples",
        "the posterior density varies too much among the samples",
    ),
    "tarp": (
        "the samples lie nearer to random points than the truth does: too narrow or off centre",
        "the samples lie farther from random points than the truth does: too wide or off centre",
        "the samples are too narrow or off centre",
        "the samples are too wide",
    ),
}
TOO_LITTLE = (
    "coordinates, TARP and coverage pass all the same, as they would for a sampler that ignores y or makes too little "
    "of it: only a quantity that depends on y can tell how well the samples fit it"
)


def rank_words(quantity: str, ranks: np.ndarray, n: int, p_value: float) -> str:
    """A sentence on ranks (instances,) in 0..n that were found not to be uniform."""
    shift, dispersion = lean(ranks, n)
    name = NAMES.get(quantity, "the worst direction")
    chance = f"p {_chance(p_value)}"
    high, low, ends, middle = _MEANS[quantity]
    if abs(shift) >= abs(dispersion):
        mean = f"mean {np.mean(ranks) / n:.2f} of 0 to 1, {chance}"
        where, meaning = ("high", high) if shift > 0 else ("low", low)
        return f"the truth ranks too {where} in {name} ({mean}): {meaning}"
    where, meaning = ("at both ends", ends) if dispersion > 0 else ("in the middle", middle)
    return f"the ranks of the truth in {name} crowd {where} ({chance}): {meaning}"


def coverage_words(space: str, level: float, error: float, stderr: float) -> str:
    """A sentence on a coverage that was found to differ from nominal."""
    what = f"{100 * level:g} % intervals in {NAMES[space]} cover {100 * (level + error):.1f} ± {100 * stderr:.1f} %"
    return f"{what}: too {'wide' if error > 0 else 'narrow or off centre'}"


def lean(ranks: np.ndarray, n: int) -> tuple[float, float]:
    """How far ranks lean upwards, and how far they spread about their own mean, in standard errors under uniformity.

    Of one sample both ranks are ends, and the spread says nothing: 0.
    """
    u = (ranks + 0.5) / (n + 1) - 0.5
    levels = (np.arange(n + 1) + 0.5) / (n + 1) - 0.5
    each = np.sqrt(len(ranks))
    shift = u.mean() / levels.std() * each
    dispersion = (np.var(u) - np.mean(levels**2)) / np.std(levels**2) * each if n > 1 else 0.0
    return float(shift), float(dispersion)


def _chance(p_value: float) -> str:
    return "< .0001" if p_value < 1e-4 else f"= {p_value:.2g}".replace("= 0.", "= .")
