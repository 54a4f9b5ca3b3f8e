"""Samplers that know their own density, or that of y: Kullback-Leibler divergences, and the error of the evidence."""

from __future__ import annotations

import math
from typing import cast

from scores.candidate import Candidate
from scores.data_fit import mean_and_stderr
from scores.faults import FAULTS
from scores.registry import metric


@metric(
    "log_density_regret",
    unit="nats",
    better="lower",
    applies=lambda candidate: candidate.log_prob is not None,
    claims=set(FAULTS) - {"drop_mode"},
)
def log_density_regret(candidate: Candidate) -> tuple[float, float]:
    """Mean over samples of log q(x) - log p(x | y): an estimate of KL(q || posterior), with its standard error.

    It is blind to what q leaves out: a lost mode of weight w costs only -log(1 - w).
    """
    return mean_and_stderr(candidate.log_prob - candidate.instance.posterior.log_prob(candidate.x))


@metric("kl_reverse", unit="nats", better="lower", applies=lambda candidate: candidate.exact_log_prob is not None)
def kl_reverse(candidate: Candidate) -> tuple[float, float]:
    """Mean over exact draws of log p(x | y) - log q(x): an estimate of KL(posterior || q), with its standard error.

    What q leaves out costs as much as q says that it is unlikely: a lost mode, which log_density_regret hardly sees,
    stands out. inf where q has no mass at all.
    """
    return mean_and_stderr(candidate.instance.posterior.log_prob(candidate.exact_x) - candidate.exact_log_prob)


@metric(
    "log_evidence_error",
    unit="nats",
    better=0.0,
    applies=lambda candidate: candidate.log_evidence is not None and math.isfinite(candidate.instance.log_evidence),
    claims=(),
)
def log_evidence_error(candidate: Candidate) -> tuple[float, float]:
    """The method's estimate of log p(y) minus the exact one, with the standard error of the estimate.

    Of many runs it is the logarithm of the mean of their evidences, whose expectation is the evidence of the
    discretised model: what is left with many runs and particles is the error of the steps. Of one run it is lower by
    half its variance on average, and its standard error is not known. It judges no sample.
    """
    estimate, stderr = cast(tuple[float, float], candidate.log_evidence)
    return estimate - candidate.instance.log_evidence, stderr
