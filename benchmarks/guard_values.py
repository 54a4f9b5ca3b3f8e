"""What no random number enters, in float64 NumPy: densities, denoisers, operators, schedules and time grids.

A subject is a problem, a schedule or a time grid; each quantity of it is a few numbers. Where it is an array, they are
its products with fixed waves, so that no entry can change unseen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from methods.integrators import Steps, ancestral_steps, continuous_steps, ddim_steps, reverse_diffusion_steps
from methods.levels import ddpm_levels, karras_levels, score_sde_levels
from problems import FAMILIES, Instance, load

STEPS = 50
TIMES = np.array([1e-3, 0.03, 0.25, 0.7, 1.0])
SIGMAS = (0.05, 0.6)
_WAVES = 3

Values = dict[str, dict[str, list[float]]]
GRIDS: dict[str, Callable[[Any], Steps]] = {
    "continuous_steps karras": lambda problem: continuous_steps(problem, STEPS),
    "continuous_steps score-sde": lambda problem: continuous_steps(problem, STEPS, "score-sde"),
    "reverse_diffusion_steps": lambda problem: reverse_diffusion_steps(score_sde_levels(problem, STEPS)),
    "ancestral_steps small": lambda problem: ancestral_steps(ddpm_levels(problem, STEPS)),
    "ancestral_steps large": lambda problem: ancestral_steps(ddpm_levels(problem, STEPS), "large"),
    "ddim_steps": lambda problem: ddim_steps(ddpm_levels(problem, STEPS, "quadratic"), 0.5),
}


def values() -> Values:
    """Subject -> quantity -> numbers, over the registries."""
    found: Values = {}
    for name in FAMILIES:
        instance = load(name, 0)
        problem, schedule = instance.problem, instance.problem.schedule
        found[name] = _of_instance(instance)
        kind = f"{type(schedule).__name__}({schedule.beta_min:g}, {schedule.beta_max:g})"
        if f"schedule {kind}" in found:
            continue
        found[f"schedule {kind}"] = {
            what: np.asarray(getattr(schedule, what)(TIMES)).tolist() for what in ("alpha", "sigma", "beta", "time")
        }
        problem = problem.to("numpy", dtype="float64")
        found[f"grid karras_levels, {kind}"] = {"levels": _waves(karras_levels(problem, STEPS))}
        for grid, make in GRIDS.items():
            rows = make(problem)._asdict()
            found[f"grid {grid}, {kind}"] = {column: _waves(value) for column, value in rows.items()}
    return found


def _of_instance(instance: Instance) -> dict[str, list[float]]:
    problem, x_true = instance.problem, instance.x_true
    shift = 0.1 * np.sin(np.arange(1, 2 * x_true.size + 1)).reshape(2, *x_true.shape)
    x = x_true[None] + shift
    ax, v = problem.operator(x), np.cos(np.arange(1.0, len(problem.y) + 1))[None]
    found = {
        "y": _waves(problem.y),
        **{f"prior denoised at sigma {sigma:g}": _waves(problem.prior.denoise(x, np.array(sigma))) for sigma in SIGMAS},
        "operator": _waves(ax),
        "adjoint": _waves(problem.operator.pull(x[:1], v)),
        "log likelihood": problem.log_likelihood(x).tolist(),
    }
    if not hasattr(problem.prior, "log_prob"):  # a posterior of draws, or none
        return found
    posterior = instance.posterior
    return found | {
        "log evidence": [float(instance.log_evidence)],
        "posterior log density": posterior.log_prob(x).tolist(),
        "posterior score": _waves(posterior.score(x, np.array(SIGMAS[0]))),
        "posterior mean": _waves(posterior.mean),
        "posterior std": _waves(posterior.std),
        "prior log density": problem.prior.log_prob(x).tolist(),
    }


def _waves(values: Any) -> list[float]:
    """Products of an array with waves of several frequencies, divided by its size."""
    flat = np.ravel(np.asarray(values, dtype=np.float64))
    index = np.arange(1, flat.size + 1)
    return [float(flat @ np.cos(0.7 * k * index + k)) / flat.size for k in range(1, _WAVES + 1)]
