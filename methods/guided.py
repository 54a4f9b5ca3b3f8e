"""Every guidance with every integrator: em-*, pc-*, reverse-diffusion-*, ancestral-*, ddim-*, ode-* and pf-ode-*."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

from methods.guidance import GUIDANCES, NEEDS, Guidance, backward_passes
from methods.integrators import ancestral_steps, continuous_steps, ddim_steps, reverse_diffusion_steps
from methods.levels import ScheduleName, ddpm_levels, on_schedule, score_sde_levels
from methods.probability_flow_heun import heun
from methods.registry import Count, Fraction, Method, NonNegative, Positive, Samples, keywords, register
from methods.reverse_sde import Corrector, reverse_sde, start_normal
from problems.arrays import Key, split
from problems.contract import Problem
from problems.names import UsageError


def em(
    problem: Problem,
    key: Key,
    guide: Guidance,
    *,
    n: int,
    steps: Count = 1000,
    grid: Literal["karras", "score-sde"] = "karras",
    schedule: ScheduleName = "vp",
) -> Samples:
    """Euler-Maruyama on the reverse SDE (Song et al. 2021, arXiv 2011.13456).

    grid 'score-sde' is the published one, whose spacing is not its step; 'karras' has the levels of Karras et al. 2022,
    the steps that lie between them, and ends at the data.
    """
    first, second = split(key, 2)
    problem = on_schedule(problem, schedule)
    tables = continuous_steps(problem, steps, grid)
    return Samples(reverse_sde(problem, second, start_normal(problem, first, n), tables, guide), nfe=steps)


def pc(
    problem: Problem,
    key: Key,
    guide: Guidance,
    *,
    n: int,
    steps: Count = 1000,
    grid: Literal["karras", "score-sde"] = "karras",
    schedule: ScheduleName = "vp",
    predictor: Literal["euler-maruyama", "reverse-diffusion"] = "euler-maruyama",
    corrector: Literal["ald", "langevin"] = "ald",
    snr: NonNegative = 0.16,
    corrector_steps: Count = 1,
) -> Samples:
    """Predictor-corrector: Langevin, then the predictor (Song et al. 2021, arXiv 2011.13456).

    In the order of the released code; algorithm 1 has the predictor first. predictor 'reverse-diffusion' has levels of
    its own, the published ones, whatever the grid.

    Raises:
        UsageError: for that predictor on a sub-VP schedule, whose published step is that of Euler-Maruyama.
    """
    euler = predictor == "euler-maruyama"
    if schedule == "subvp" and not euler:
        raise UsageError(
            "predictor 'reverse-diffusion' is of the schedules 'vp' and 've'; for 'subvp' use predictor "
            "'euler-maruyama', with grid 'score-sde' as published"
        )
    first, second = split(key, 2)
    problem = on_schedule(problem, schedule)
    tables = (
        continuous_steps(problem, steps, grid) if euler else reverse_diffusion_steps(score_sde_levels(problem, steps))
    )
    rule = Corrector(corrector, snr, corrector_steps)
    x = reverse_sde(problem, second, start_normal(problem, first, n), tables, guide, rule)
    return Samples(x, nfe=steps * (corrector_steps + 1))


def reverse_diffusion(
    problem: Problem,
    key: Key,
    guide: Guidance,
    *,
    n: int,
    steps: Count = 1000,
    grid: Literal["ddpm", "score-sde"] = "ddpm",
    schedule: Literal["vp", "ve"] = "vp",
) -> Samples:
    """The forward step discretised in reverse (Song et al. 2021, arXiv 2011.13456, appendix E)."""
    first, second = split(key, 2)
    problem = on_schedule(problem, schedule)
    tables = reverse_diffusion_steps(_levels(problem, steps, grid, schedule))
    return Samples(reverse_sde(problem, second, start_normal(problem, first, n), tables, guide), nfe=steps)


def ancestral(
    problem: Problem,
    key: Key,
    guide: Guidance,
    *,
    n: int,
    steps: Count = 1000,
    grid: Literal["ddpm", "score-sde"] = "ddpm",
    schedule: Literal["vp", "ve"] = "vp",
    variance: Literal["small", "large"] = "small",
) -> Samples:
    """Ancestral sampling (Ho et al. 2020, arXiv 2006.11239; of a VE schedule, arXiv 2011.13456, appendix F).

    variance 'small' is that of the next state given this one and x_0, 'large' is beta, that of the forward step. grid
    'score-sde' always has the large variance on a VP schedule: its levels are not those of its beta.
    """
    first, second = split(key, 2)
    problem = on_schedule(problem, schedule)
    published = grid == "score-sde" and schedule == "vp"
    tables = ancestral_steps(_levels(problem, steps, grid, schedule), "large" if published else variance)
    return Samples(reverse_sde(problem, second, start_normal(problem, first, n), tables, guide), nfe=steps)


def ddim(
    problem: Problem,
    key: Key,
    guide: Guidance,
    *,
    n: int,
    steps: Count = 1000,
    eta: Fraction = 0.0,
    schedule: Literal["vp", "ve"] = "vp",
) -> Samples:
    """DDIM (Song et al. 2021, arXiv 2010.02502): deterministic for eta = 0, the ancestral step for eta = 1."""
    first, second = split(key, 2)
    problem = on_schedule(problem, schedule)
    tables = ddim_steps(_levels(problem, steps, "ddpm", schedule), eta)
    return Samples(reverse_sde(problem, second, start_normal(problem, first, n), tables, guide), nfe=steps)


def ode(problem: Problem, key: Key, guide: Guidance, *, n: int, steps: Count = 500) -> Samples:
    """The probability-flow ODE by Heun's method (Karras et al. 2022, arXiv 2206.00364, algorithm 1)."""
    first, second = split(key, 2)
    return Samples(heun(problem, second, start_normal(problem, first, n), steps, guide), nfe=2 * steps - 1)


def pf_ode(problem: Problem, key: Key, guide: Guidance, *, n: int, tolerance: Positive = 1e-5) -> Samples:
    """The probability-flow ODE by an adaptive method (Song et al. 2021, arXiv 2011.13456, section 4.3).

    Tsit5 in the logarithm of sigma / alpha, with steps of each sample's own; nfe is the mean over samples of what the
    solver says that it took.
    """
    from methods.adaptive_ode import adaptive

    x, evaluations = adaptive(problem, start_normal(problem, split(key, 2)[0], n), guide, tolerance)
    nfe = evaluations.sum() / n
    return Samples(x, nfe=nfe, vjp=nfe * backward_passes(guide))


def _levels(problem: Problem, steps: int, grid: str, schedule: str) -> Any:
    """The DDPM levels are of a VP schedule; a VE schedule has those of score-based models alone."""
    return ddpm_levels(problem, steps) if grid == "ddpm" and schedule == "vp" else score_sde_levels(problem, steps)


def _compose(integrate: Callable[..., Samples], guide: Guidance, own: frozenset[str]) -> Callable[..., Samples]:
    """The sampler that runs an integrator with a guidance; `own` names the guidance's hyper-parameters."""

    def run(problem: Problem, key: Key, *, n: int, **hyper: Any) -> Samples:
        guidance = {name: value for name, value in hyper.items() if name in own}
        rest = {name: value for name, value in hyper.items() if name not in own}
        return integrate(problem, key, partial(guide, **guidance), n=n, **rest)

    run.__doc__ = f"{inspect.getdoc(integrate)}\n\nGuidance: {inspect.getdoc(guide)}"
    return run


_PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "em": {"score-sde": {"grid": "score-sde"}, "ve": {"schedule": "ve"}, "subvp": {"schedule": "subvp"}},
    "pc": {
        "score-sde": {"grid": "score-sde", "corrector": "langevin"},
        "ve": {"schedule": "ve", "predictor": "reverse-diffusion", "corrector": "langevin"},
        "subvp": {"schedule": "subvp"},
    },
    "reverse-diffusion": {"score-sde": {"grid": "score-sde"}, "ve": {"schedule": "ve", "grid": "score-sde"}},
    "ancestral": {
        "score-sde": {"grid": "score-sde", "variance": "large"},
        "ve": {"schedule": "ve", "grid": "score-sde"},
        "large": {"variance": "large"},
    },
    "ddim": {"stochastic": {"eta": 0.85}, "ve": {"schedule": "ve"}},
    "ode": {},
    "pf-ode": {},
}
_GUIDANCE_PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "pigdm": {"calibrated": {"prior_std": None}},
    "mmps": {"paper": {"iterations": 1}, "gmres": {"solver": "gmres"}},
}
INTEGRATORS: dict[str, Callable[..., Samples]] = {
    "em": em,
    "pc": pc,
    "reverse-diffusion": reverse_diffusion,
    "ancestral": ancestral,
    "ddim": ddim,
    "ode": ode,
    "pf-ode": pf_ode,
}

for _prefix, _integrate in INTEGRATORS.items():
    for _name, _guide in GUIDANCES.items():
        _hyper, _types = keywords(_integrate)
        _own, _own_types = keywords(_guide)
        register(
            Method(
                name=f"{_prefix}-{_name}",
                run=_compose(_integrate, _guide, frozenset(_own)),
                framework="jax" if _prefix == "pf-ode" else "array",
                compiled=True,
                hyper={name: default for name, default in {**_hyper, **_own}.items() if name != "n"},
                types={name: kind for name, kind in {**_types, **_own_types}.items() if name != "n"},
                presets={
                    "default": {},
                    **_PRESETS[_prefix],
                    **_GUIDANCE_PRESETS.get(_name, {}),
                },
                requires=NEEDS[_name],
                oracle=False,
                particle=False,
                summary=f"{(inspect.getdoc(_integrate) or '').splitlines()[0]} Guidance: {_name}.",
            )
        )
