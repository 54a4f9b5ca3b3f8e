"""Calibration over many instances: the ranks of their truths, TARP and coverage, and one verdict for each.

A sampler of the exact posterior passes every test; what a failure says is put in words. Verdicts need truths that are
drawn from the prior.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from problems.arrays import make_key
from problems.contract import Instance
from problems.names import UsageError
from scores.coverage import LEVELS, coverage_test
from scores.directions import BANDS, band_directions, null_directions, projection_directions, range_directions
from scores.holm import holm_threshold
from scores.ranks import member_ranks, truth_ranks
from scores.tarp import tarp_ranks
from scores.uniformity import simultaneous_band, uniformity_test
from scores.verdict_words import TOO_LITTLE, coverage_words, lean, rank_words

LEVEL = 0.01
"""The family-wise false-alarm rate of all tests of one row."""
_ALL_COORDINATES, _RANDOM, _SEEN = 16, 16, 8
"""Up to this dimension ranks of all coordinates; above, of random directions and of range and null directions."""
_STREAM = 6

Directions = dict[str, list[np.ndarray]]


@dataclass(frozen=True)
class Finding:
    """One test of one row.

    Attributes:
        test: 'sbc', 'tarp' or 'coverage'. quantity: 'coordinates', 'log_likelihood', 'log_prior', 'hpd', 'tarp', or the
            space of a coverage: 'range', 'null', 'low', 'mid', 'high'. level: of the intervals, else nan.
        value: the statistic (see `uniformity`), or coverage minus nominal. stderr: over instances, else nan.
        p_value: of coordinates, the smallest times their number. threshold: up to which p-values fail.
        verdict: 'pass', 'fail', or 'none' where the truths are not drawn from the prior. words: one sentence.
    """

    test: str
    quantity: str
    level: float
    value: float
    stderr: float
    p_value: float
    threshold: float
    verdict: str
    words: str


def directions(instances: Sequence[Instance]) -> Directions:
    """'coordinates', 'range', 'null' and, of images, frequency bands -> directions (k, d) for each instance.

    Up to 16 dimensions the coordinates are all of them; above, 16 fixed random directions, and up to 8 of range(A^T)
    and as many of null(A).

    Raises:
        UsageError: if the measurements of the instances differ in rank.
    """
    shape = instances[0].problem.shape
    d = int(np.prod(shape))
    spaces: Directions = {
        "range": [range_directions(instance.problem.operator) for instance in instances],
        "null": [null_directions(instance.problem.operator) for instance in instances],
    }
    for each in spaces.values():
        if len({len(rows) for rows in each}) > 1:
            raise UsageError("calibration over many instances needs measurements of one rank on all of them")
    if d <= _ALL_COORDINATES:
        coordinates = [np.eye(d)] * len(instances)
    else:
        drawn = projection_directions(d)[:_RANDOM]
        pairs = zip(spaces["range"], spaces["null"], strict=True)
        coordinates = [np.concatenate([drawn, _some(seen), _some(hidden)]) for seen, hidden in pairs]
    bands = {band: band_directions((shape[0], shape[1]), band) for band in BANDS} if len(shape) == 2 else {}
    found = {"coordinates": coordinates, **spaces, **{name: [band] * len(instances) for name, band in bands.items()}}
    return {name: each for name, each in found.items() if len(each[0])}


def calibrate(
    x: np.ndarray,
    instances: Sequence[Instance],
    along: Directions,
    *,
    seed_words: Sequence[int],
    model_truth: bool,
) -> tuple[list[Finding], dict[str, np.ndarray]]:
    """All tests of the samples of one method, and the ranks that pictures show.

    Args:
        x: (instances, n, *shape), finite. along: `directions(instances)`.
        seed_words: of the key that breaks ties.
        model_truth: whether the truths are drawn from the prior; if not there is no verdict, only what was seen.

    Returns:
        The findings; and quantity -> ranks, (instances,) or (instances, k) for coordinates, with 'n', and
        'band_low' and 'band_high', the accepted shares of ranks below 1..n for a single quantity at LEVEL.
    """
    count, n = x.shape[:2]
    flat = x.reshape(count, n, -1)
    truths = np.stack([instance.x_true.reshape(-1) for instance in instances])
    rng = make_key("numpy", [*seed_words, _STREAM])
    ranks = {
        "coordinates": truth_ranks(*_projected(flat, truths, along["coordinates"]), rng),
        **{name: truth_ranks(*pair, rng) for name, pair in _densities(x, instances).items()},
        "tarp": tarp_ranks(flat, truths, rng),
    }
    tested = {name: _uniformity(name, found, n) for name, found in ranks.items()}
    findings = [finding for finding, _ in tested.values()]
    worst = {name: column for name, (_, column) in tested.items()}
    for space in ("range", "null", "low", "mid", "high"):
        if space in along:
            members = member_ranks(*_projected(flat, truths, along[space]))
            findings += [_coverage(space, *members, level) for level in LEVELS]
    low, high = simultaneous_band(count, n, LEVEL)
    kept = {name: found.astype(np.uint8 if n < 256 else np.uint16) for name, found in ranks.items()}
    return _judged(findings, worst, n, model_truth), {**kept, "n": np.array(n), "band_low": low, "band_high": high}


def _some(rows: np.ndarray) -> np.ndarray:
    return rows[np.unique(np.linspace(0, len(rows) - 1, min(_SEEN, len(rows))).astype(int))]


def _projected(flat: np.ndarray, truths: np.ndarray, rows: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Samples (instances, n, k) and truths (instances, k) along the directions of each instance."""
    samples = np.stack([one @ each.T for one, each in zip(flat, rows, strict=True)])
    return samples, np.stack([each @ truth for truth, each in zip(truths, rows, strict=True)])


def _densities(x: np.ndarray, instances: Sequence[Instance]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """quantity -> (of the samples, (instances, n); of the truths, (instances,)).

    The log posterior is the sum of the two others up to log p(y), which all of an instance share. A prior without a
    density leaves the likelihood.
    """
    dense = all(hasattr(instance.problem.prior, "log_prob") for instance in instances)
    likelihoods, priors = [], []
    for samples, instance in zip(x, instances, strict=True):
        members = np.concatenate([instance.x_true[None], samples])
        with np.errstate(over="ignore", invalid="ignore"):
            likelihoods.append(instance.problem.log_likelihood(members))
            if dense:
                priors.append(instance.problem.prior.log_prob(members))
    found = {"log_likelihood": np.stack(likelihoods)}
    if dense:
        found["log_prior"] = np.stack(priors)
        found["hpd"] = found["log_likelihood"] + found["log_prior"]
    return {name: (values[:, 1:], values[:, 0]) for name, values in found.items()}


def _uniformity(quantity: str, ranks: np.ndarray, n: int) -> tuple[Finding, np.ndarray]:
    """The finding and, of several columns of ranks, the worst, (instances,)."""
    columns = ranks.reshape(len(ranks), -1).T
    found = [uniformity_test(column, n) for column in columns]
    worst = min(range(len(columns)), key=lambda k: found[k][1])
    statistic, p_value = found[worst]
    corrected = min(1.0, p_value * len(columns))
    test, nan = "tarp" if quantity == "tarp" else "sbc", float("nan")
    return Finding(test, quantity, nan, statistic, nan, corrected, nan, "", ""), columns[worst]


def _coverage(space: str, below: np.ndarray, ties: np.ndarray, level: float) -> Finding:
    found = coverage_test(below, ties, level)
    return Finding("coverage", space, level, found.error, found.stderr, found.p_value, float("nan"), "", "")


def _judged(findings: list[Finding], worst: dict[str, np.ndarray], n: int, model_truth: bool) -> list[Finding]:
    """The findings with their verdicts, by Holm's correction over all of them, and words. worst: quantity -> ranks."""
    threshold = holm_threshold(np.array([one.p_value for one in findings]), LEVEL)
    failed = {one.quantity for one in findings if one.p_value <= threshold}
    # Samples that fit the data worse than the truth, and are calibrated else: the mark of too little use of y, be it
    # none at all or that of a noise a little too large. Which of the two, these tests cannot say.
    loose = {"log_likelihood"} <= failed <= {"log_likelihood", "hpd"} and lean(worst["log_likelihood"], n)[0] > 0
    judged = []
    for one in findings:
        wrong = one.p_value <= threshold
        verdict = ("fail" if wrong else "pass") if model_truth else "none"
        words = _words(one, worst, n) if wrong else "as from an exact sampler"
        if wrong and loose and one.quantity == "log_likelihood":
            words = f"{words}; {TOO_LITTLE}"
        if wrong and not model_truth:
            words = f"misfit, no verdict, as the truths are not drawn from the prior: {words}"
        judged.append(replace(one, threshold=threshold, verdict=verdict, words=words))
    return judged


def _words(finding: Finding, worst: dict[str, np.ndarray], n: int) -> str:
    if finding.test == "coverage":
        return coverage_words(finding.quantity, finding.level, finding.value, finding.stderr)
    return rank_words(finding.quantity, worst[finding.quantity], n, finding.p_value)
