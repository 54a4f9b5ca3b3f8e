"""Deep probabilistic imaging with a score prior: a normalizing flow fitted to the posterior.

Sun and Bouman 2021 (arXiv 2010.14462); with the exact prior of the probability-flow ODE, Feng et al. 2023 (arXiv
2304.11751); with the evidence bound in its place, Feng and Bouman 2023 (arXiv 2309.01949).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from methods.registry import Count, Fraction, Inside, NonNegative, Positive, Samples, method
from problems.arrays import Key
from problems.contract import Problem

if TYPE_CHECKING:
    from methods.variational_training import Density

_NEEDS = {"differentiable", "likelihood"}
# The authors' two-dimensional demonstration: no warm-up, no decay, no clipping, no start at the prior's moments.
_PAPER: dict[str, Any] = {
    "flow_steps": 8,
    "width": 128,
    "placed": False,
    "steps": 12001,
    "batch": 2560,
    "learning_rate": 1e-5,
    "warmup": 0.0,
    "decay": 0.0,
}


def _fit_flow(
    problem: Problem,
    key: Key,
    density: Density,
    *,
    n: int,
    label: str,
    flow_steps: int,
    width: int,
    placed: bool,
    steps: int,
    batch: int,
    learning_rate: float,
    warmup: float,
    decay: float,
    clip: float,
) -> Samples:
    """Fits one RealNVP and draws from it; `placed` starts it at the mean and spread of the prior."""
    import jax
    import jax.numpy as jnp

    from methods.normalizing_flow import Placement, real_nvp, require_even
    from methods.variational_training import FlowObjective, Recipe, fit

    require_even(problem.dim)
    flow_key, train_key, sample_key = jax.random.split(key, 3)
    start = None
    if placed:
        mean, std = problem.prior.mean.reshape(-1), problem.prior.std.reshape(-1)
        start = Placement(mean, std, jnp.zeros_like(mean), jnp.zeros_like(mean))
    flow = real_nvp(flow_key, problem.dim, flow_steps=flow_steps, width=width, like=problem.y, start=start)
    recipe = Recipe(steps, learning_rate, warmup=warmup, decay=decay, clip=clip or None)
    trained = fit(FlowObjective(density, batch), flow, problem, train_key, recipe, label)
    x = trained.model.from_base(jax.random.normal(sample_key, (n, problem.dim), problem.y.dtype))[0]
    return Samples(
        x.reshape(n, *problem.shape),
        log_prob=trained.model.log_prob(x),
        train_seconds=trained.train_seconds,
        info=trained.info,
        log_density=lambda x: trained.model.log_prob(x.reshape(-1, problem.dim)),
    )


@method(
    "dpi-ode",
    framework="jax",
    requires=_NEEDS,
    presets={"paper": {**_PAPER, "rtol": 1e-3, "atol": 1e-5}, "fast": {}, "analytic": {"prior": "analytic"}},
    own_steps=True,
)
def dpi_ode(
    problem: Problem,
    key: Key,
    *,
    n: int,
    prior: Literal["ode", "analytic"] = "ode",
    rtol: Positive = 1e-4,
    atol: Positive = 1e-6,
    t0: Inside = 1e-12,
    probes: Count | None = None,
    flow_steps: Count = 4,
    width: Count = 64,
    placed: bool = True,
    steps: Count = 2000,
    batch: Count = 256,
    learning_rate: Positive = 1e-3,
    warmup: Fraction = 0.1,
    decay: Fraction = 0.5,
    clip: NonNegative = 0.0,
) -> Samples:
    """DPI with the exact log density of the probability-flow ODE. Feng et al. 2023 (arXiv 2304.11751).

    Minimises E_q[log q(x) - log p(y | x) - log p(x)] = KL(q || p(. | y)) - log p(y), info['loss'] in nats, over a
    RealNVP. The published figure omits the entropy of the base draw: it is this loss plus (d / 2) (1 + log 2 pi).
    log p(x) is log p_t0(x) by Dopri5 with tolerances rtol and atol; its divergence is exact up to 16 dimensions, from
    16 probes above, or from `probes`. Preset 'paper' has the settings of the authors' two-dimensional demonstration,
    without BatchNorm, which would couple the samples (hours on a CPU); the default, 'fast', is a smaller flow that
    starts at the moments of the prior and learns a hundred times faster: minutes. The first `warmup` of the steps
    raise the learning rate, the last `decay` of them lower it; clip 0 is no clipping. prior 'analytic' replaces the
    ODE by the prior's own log density, which tells the errors of the flow from those of the ODE.
    """
    from methods.probability_flow import OdeDensity
    from methods.variational_training import AnalyticDensity, require_log_prob

    if prior == "analytic":
        require_log_prob(problem)
    density = OdeDensity(rtol, atol, t0, probes) if prior == "ode" else AnalyticDensity()
    settings: dict[str, Any] = {"flow_steps": flow_steps, "width": width, "placed": placed, "steps": steps}
    settings |= {"batch": batch, "learning_rate": learning_rate, "warmup": warmup, "decay": decay, "clip": clip}
    return _fit_flow(problem, key, density, n=n, label="dpi-ode", **settings)


@method("dpi-elbo", framework="jax", requires=_NEEDS, presets={"paper": _PAPER, "fast": {}}, own_steps=True)
def dpi_elbo(
    problem: Problem,
    key: Key,
    *,
    n: int,
    eps: Inside = 1e-3,
    draws: Count = 1,
    flow_steps: Count = 4,
    width: Count = 64,
    placed: bool = True,
    steps: Count = 4000,
    batch: Count = 256,
    learning_rate: Positive = 1e-3,
    warmup: Fraction = 0.1,
    decay: Fraction = 0.5,
    clip: NonNegative = 0.0,
) -> Samples:
    """DPI with the evidence bound in place of the prior's log density. Feng and Bouman 2023 (arXiv 2309.01949).

    `draws` times per image and step, the integral stops at eps; importance-sampled, evenly spread times and a control
    variate (see `methods/elbo.py`). With an exact score the bound is tight, so the optimum is that of dpi-ode, with
    the same hyper-parameters; preset 'paper' has the settings of dpi-ode[paper], for a comparison of the two priors.
    """
    from methods.elbo import ElboDensity

    settings: dict[str, Any] = {"flow_steps": flow_steps, "width": width, "placed": placed, "steps": steps}
    settings |= {"batch": batch, "learning_rate": learning_rate, "warmup": warmup, "decay": decay, "clip": clip}
    return _fit_flow(problem, key, ElboDensity(eps, draws), n=n, label="dpi-elbo", **settings)
