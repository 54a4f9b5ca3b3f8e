"""The stratified mixture of flows, an extension of DPI for posteriors whose modes are far apart."""

from __future__ import annotations

import math
from typing import Literal

from methods.registry import Count, Fraction, NonNegative, Positive, Samples, method
from problems.arrays import Key
from problems.contract import Problem
from problems.names import UsageError


@method(
    "dpi-mixture",
    framework="jax",
    requires={"differentiable", "likelihood"},
    presets={"ode": {}, "elbo": {"prior": "elbo", "steps": 6000}, "analytic": {"prior": "analytic"}},
    own_steps=True,
)
def dpi_mixture(
    problem: Problem,
    key: Key,
    *,
    n: int,
    prior: Literal["ode", "elbo", "analytic"] = "ode",
    components: Count = 4,
    flow_steps: Count = 2,
    width: Count = 32,
    spread: NonNegative = 0.6,
    start_std: Positive = 0.5,
    anneal: NonNegative = 2.4,
    anneal_share: Fraction = 0.5,
    steps: Count = 3000,
    batch: Count = 512,
    learning_rate: Positive = 1e-3,
    weight_rate: Positive = 0.1,
    restarts: Count = 1,
) -> Samples:
    """DPI with a mixture of RealNVPs, stratified over its components, against an annealed prior.

    Minimises KL(q || p(. | y)) - log p(y), q = sum_k w_k q_k. The prior starts `anneal` of its own standard deviations
    wider, at a later start of the ODE, and sharpens over the first `anneal_share` of the steps: a single flow under
    the reverse KL keeps one mode of several or weighs them wrongly. Of several restarts the one with the lowest
    training bound counts, and all are in the training time. prior: the probability-flow ODE, the evidence bound, or
    the prior's own log density.
    """
    import jax

    from methods.elbo import ElboDensity
    from methods.flow_mixture import MixtureObjective, flow_mixture
    from methods.normalizing_flow import require_even
    from methods.probability_flow import OdeDensity
    from methods.variational_training import AnalyticDensity, Density, Recipe, fit, require_log_prob

    require_even(problem.dim)
    if prior == "analytic":
        require_log_prob(problem)
    if batch < components:
        raise UsageError(f"a batch holds a draw of each component: at least {components}, got {batch}")
    densities: dict[str, Density] = {
        "ode": OdeDensity(1e-4, 1e-6, 1e-12, None),
        "elbo": ElboDensity(1e-3, 1),
        "analytic": AnalyticDensity(),
    }
    objective = MixtureObjective(densities[prior], batch, anneal, anneal_share, weight_rate)
    recipe = Recipe(steps, learning_rate, warmup=0.1, decay=0.5)
    fits = []
    for attempt in range(restarts):
        start_key, train_key, sample_key = jax.random.split(jax.random.fold_in(key, attempt), 3)
        start = flow_mixture(
            start_key,
            problem,
            components=components,
            flow_steps=flow_steps,
            width=width,
            spread=spread,
            start_std=start_std,
        )
        fits.append(fit(objective, start, problem, train_key, recipe, f"dpi-mixture {attempt + 1}/{restarts}"))
    best = min(fits, key=lambda one: one.loss if math.isfinite(one.loss) else math.inf)
    x = best.model.sample(sample_key, n, problem.dim)
    return Samples(
        x.reshape(n, *problem.shape),
        log_prob=best.model.log_prob(x),
        train_seconds=sum(one.train_seconds for one in fits),
        info={**best.info, "compile_seconds": sum(one.compile_seconds for one in fits)},
        log_density=lambda x: best.model.log_prob(x.reshape(-1, problem.dim)),
    )
