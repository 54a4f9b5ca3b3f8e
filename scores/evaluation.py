"""All metrics of one run, and the values that exact samples of the same size have."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from problems.arrays import make_key
from problems.contract import Instance
from scores.candidate import Candidate
from scores.exact_reference import Frame
from scores.registry import METRICS, Metric, metric

_FLOOR_STREAM = 2


@metric("nonfinite", unit="share", better="lower", claims=(), exact=False)
def nonfinite(candidate: Candidate) -> float:
    """Share of the samples with an entry that is nan or infinite; if there is any, no other metric has a value."""
    return float(1 - np.mean(np.all(np.isfinite(candidate.flat), axis=1)))


def evaluate(
    x: np.ndarray,
    instance: Instance,
    frame: Frame,
    *,
    data_range: float,
    log_prob: np.ndarray | None = None,
    exact_x: np.ndarray | None = None,
    exact_log_prob: np.ndarray | None = None,
    log_evidence: tuple[float, float] | None = None,
    point: bool = False,
) -> dict[str, tuple[float, float]]:
    """Metric name -> (value, standard error within the run; nan where the metric has none).

    Metrics that do not apply to the problem are absent. All but `nonfinite` are nan when any sample is not finite.

    Args:
        x: (n, *shape), n that of the frame. frame: the `Reference` of an instance whose posterior is known.
        log_prob: (n,) log q(x) in nats, where the method has a density.
        data_range: the peak-to-peak range that PSNR and SSIM refer to, in the units of x.
        exact_x: (k, *shape), independent exact draws. exact_log_prob: (k,), log q(x) there in nats; both or neither.
        log_evidence: the method's estimate of log p(y) in nats, and its standard error (nan if unknown).
        point: the method estimates one signal; calibration is not asked of it.

    Raises:
        ValueError: for another shape than (n, *shape).
        UserWarning: when the transport solver stops before its optimum.
    """
    x = np.asarray(x, dtype=np.float64)
    expected = (frame.n, *instance.problem.shape)
    if x.shape != expected:
        raise ValueError(f"samples have the shape of the reference, {expected}, got {x.shape}")
    if log_prob is not None and np.shape(log_prob) != x.shape[:1]:
        raise ValueError(f"log_prob has one value per sample, ({len(x)},), got {np.shape(log_prob)}")
    exact_x = None if exact_x is None else np.asarray(exact_x, dtype=np.float64)
    draws, values = (None if a is None else a.shape for a in (exact_x, exact_log_prob))
    if draws != (None if values is None else (*values[:1], *x.shape[1:])):
        raise ValueError(f"exact_log_prob has one value per exact draw, got {values} for {draws}")
    candidate = Candidate(x, instance, frame, data_range, log_prob, exact_x, exact_log_prob, log_evidence, point)
    share = nonfinite(candidate)
    unknown = float("nan"), float("nan")
    return {
        name: _value(entry, candidate) if share == 0 or name == "nonfinite" else unknown
        for name, entry in METRICS.items()
        if entry.applies(candidate)
    }


def floor(
    instance: Instance, frame: Frame, *, draws: int, seed_words: Sequence[int], data_range: float
) -> dict[str, np.ndarray]:
    """Metric name -> (draws,) values of fresh i.i.d. exact samples against the same reference.

    For the metrics with `has_floor`; of an instance whose posterior is not known there are none. The candidates are
    i.i.d. as honest samplers are, only the reference is stratified. Draw i is a function of `seed_words` and i alone.
    """
    values: dict[str, list[float]] = {}
    for draw in range(draws if instance.known is not None else 0):
        x = instance.posterior.sample(make_key("numpy", [*seed_words, _FLOOR_STREAM, draw]), frame.n)
        candidate = Candidate(x, instance, frame, data_range)
        for name, entry in METRICS.items():
            if entry.has_floor and entry.applies(candidate):
                values.setdefault(name, []).append(_value(entry, candidate)[0])
    return {name: np.array(column) for name, column in values.items()}


def _value(entry: Metric, candidate: Candidate) -> tuple[float, float]:
    # Finite but enormous samples may overflow: the metric is then inf or nan, which says so.
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        result = entry.compute(candidate)
    return result if isinstance(result, tuple) else (result, float("nan"))
