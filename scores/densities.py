"""Samplers that know their own density: the Kullback-Leibler divergence in both directions."""

from __future__ import annotations

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
