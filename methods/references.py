"""Reference rows: exact samples, the prior, and integrators on the exact diffused posterior score.

An oracle receives a problem whose prior is the posterior and that has no data term. Started from the exact p_T(x | y)
its only error is the integrator's; started from N(0, I), as methods are, it shows the terminal mismatch as well.
"""

from __future__ import annotations

from typing import Literal

from methods.guidance import none
from methods.integrators import continuous_steps
from methods.probability_flow_heun import heun
from methods.registry import Count, NonNegative, Samples, method
from methods.reverse_sde import Corrector, reverse_sde, start_normal
from problems.arrays import Array, Key, normal, split
from problems.contract import Problem

Start = Literal["exact", "normal"]
_START = {"N(0,I)": {"start": "normal"}}


def _start(problem: Problem, key: Key, n: int, start: Start) -> Array:
    """x_T: alpha(1) x_0 + sigma(1) z with x_0 from the problem's prior, or N(0, I)."""
    first, second = split(key, 2)
    if start == "normal":
        return start_normal(problem, first, n)
    schedule = problem.schedule
    one = schedule.one
    x0 = problem.prior.sample(first, n)
    return schedule.alpha(one) * x0 + schedule.sigma(one) * normal(second, x0.shape, x0)


@method("exact", oracle=True)
def exact(problem: Problem, key: Key, *, n: int) -> Samples:
    """Independent samples of the exact posterior: what a perfect sampler scores at this n."""
    return Samples(problem.prior.sample(key, n), nfe=0)


@method("prior", requires={"prior_sample"})
def prior(problem: Problem, key: Key, *, n: int) -> Samples:
    """Independent samples of the prior: the sampler that ignores the measurement."""
    return Samples(problem.prior.sample(key, n), nfe=0)


@method("oracle-em", oracle=True, presets=_START)
def oracle_em(problem: Problem, key: Key, *, n: int, steps: Count = 1000, start: Start = "exact") -> Samples:
    """Euler-Maruyama on the exact score of p_t(x | y)."""
    first, second = split(key, 2)
    x = _start(problem, first, n, start)
    x = reverse_sde(problem, second, x, continuous_steps(problem, steps), none)
    return Samples(x, nfe=steps)


@method("oracle-pc", oracle=True, presets=_START)
def oracle_pc(
    problem: Problem,
    key: Key,
    *,
    n: int,
    steps: Count = 1000,
    snr: NonNegative = 0.16,
    start: Start = "exact",
) -> Samples:
    """Predictor-corrector (Euler-Maruyama, one Langevin step) on the exact score of p_t(x | y)."""
    first, second = split(key, 2)
    x, corrector = _start(problem, first, n, start), Corrector("ald", snr, 1)
    x = reverse_sde(problem, second, x, continuous_steps(problem, steps), none, corrector)
    return Samples(x, nfe=2 * steps)


@method("oracle-ode", oracle=True, presets={**_START, "euler": {"solver": "euler"}})
def oracle_ode(
    problem: Problem,
    key: Key,
    *,
    n: int,
    steps: Count = 1000,
    solver: Literal["heun", "euler"] = "heun",
    start: Start = "exact",
) -> Samples:
    """The probability-flow ODE of the exact p_t(x | y): Heun in sigma / alpha, or Euler in t.

    Euler's is the published grid, whose steps are not its spacing.
    """
    first, second = split(key, 2)
    x = _start(problem, first, n, start)
    if solver == "heun":
        return Samples(heun(problem, second, x, steps), nfe=2 * steps - 1)
    tables = continuous_steps(problem, steps, "score-sde", flow=True)
    return Samples(reverse_sde(problem, second, x, tables, none), nfe=steps)
