"""Samplers that know their own density."""

from __future__ import annotations

from scores.candidate import Candidate
from scores.data_fit import mean_and_stderr
from scores.registry import metric


@metric("log_density_regret", unit="nats", better="lower", applies=lambda candidate: candidate.log_prob is not None)
def log_density_regret(candidate: Candidate) -> tuple[float, float]:
    """Mean over samples of log q(x) - log p(x | y): an estimate of KL(q || posterior), with its standard error.

    It is blind to what q leaves out: a lost mode of weight w costs only -log(1 - w).
    """
    return mean_and_stderr(candidate.log_prob - candidate.instance.posterior.log_prob(candidate.x))
