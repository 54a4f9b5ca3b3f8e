"""Every guidance with every integrator: em-*, pc-* and ancestral-*, * in none, jalal, dps, pigdm, mmps."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

from methods.guidance import GUIDANCES, Guidance
from methods.registry import Count, Method, NonNegative, Samples, keywords, register
from methods.reverse_sde import (
    Corrector,
    continuous_steps,
    ddpm_steps,
    reverse_sde,
    score_sde_steps,
    start_normal,
)
from problems.arrays import Key, split
from problems.contract import Problem


def em(
    problem: Problem,
    key: Key,
    guide: Guidance,
    *,
    n: int,
    steps: Count = 1000,
    grid: Literal["karras", "score-sde"] = "karras",
) -> Samples:
    """Euler-Maruyama on the reverse SDE (Song et al. 2021, arXiv 2011.13456)."""
    first, second = split(key, 2)
    tables = continuous_steps(problem, steps, grid)
    x = reverse_sde(problem, second, start_normal(problem, first, n), tables, "euler-maruyama", guide)
    return Samples(x, nfe=steps)


def pc(
    problem: Problem,
    key: Key,
    guide: Guidance,
    *,
    n: int,
    steps: Count = 1000,
    grid: Literal["karras", "score-sde"] = "karras",
    corrector: Literal["ald", "langevin"] = "ald",
    snr: NonNegative = 0.16,
    corrector_steps: Count = 1,
) -> Samples:
    """Predictor-corrector: Langevin, then Euler-Maruyama (Song et al. 2021, arXiv 2011.13456, algorithm 1)."""
    first, second = split(key, 2)
    tables = continuous_steps(problem, steps, grid)
    rule = Corrector(corrector, snr, corrector_steps)
    x = reverse_sde(problem, second, start_normal(problem, first, n), tables, "euler-maruyama", guide, rule)
    return Samples(x, nfe=steps * (corrector_steps + 1))


def ancestral(
    problem: Problem,
    key: Key,
    guide: Guidance,
    *,
    n: int,
    steps: Count = 1000,
    grid: Literal["ddpm", "score-sde"] = "ddpm",
    variance: Literal["small", "large"] = "small",
) -> Samples:
    """Ancestral sampling (Ho et al. 2020, arXiv 2006.11239); grid 'score-sde' always has the large variance."""
    first, second = split(key, 2)
    tables = ddpm_steps(problem, steps, variance) if grid == "ddpm" else score_sde_steps(problem, steps)
    x = reverse_sde(problem, second, start_normal(problem, first, n), tables, "ancestral", guide)
    return Samples(x, nfe=steps)


def _compose(integrate: Callable[..., Samples], guide: Guidance, own: frozenset[str]) -> Callable[..., Samples]:
    """The sampler that runs an integrator with a guidance; `own` names the guidance's hyper-parameters."""

    def run(problem: Problem, key: Key, *, n: int, **hyper: Any) -> Samples:
        guidance = {name: value for name, value in hyper.items() if name in own}
        rest = {name: value for name, value in hyper.items() if name not in own}
        return integrate(problem, key, partial(guide, **guidance), n=n, **rest)

    run.__doc__ = f"{inspect.getdoc(integrate)}\n\nGuidance: {inspect.getdoc(guide)}"
    return run


_NEEDS = frozenset({"linear", "gaussian_noise"})
_REQUIRES = {
    "none": frozenset[str](),
    "jalal": _NEEDS,
    "dps": _NEEDS | {"differentiable"},
    "pigdm": _NEEDS | {"differentiable", "svd"},
    "mmps": _NEEDS | {"differentiable"},
}

_PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "em": {"score-sde": {"grid": "score-sde"}},
    "pc": {"score-sde": {"grid": "score-sde", "corrector": "langevin"}},
    "ancestral": {"score-sde": {"grid": "score-sde"}},
}
_GUIDANCE_PRESETS = {"mmps": {"paper": {"iterations": 1}}}
_INTEGRATORS: dict[str, Callable[..., Samples]] = {"em": em, "pc": pc, "ancestral": ancestral}

for _prefix, _integrate in _INTEGRATORS.items():
    for _name, _guide in GUIDANCES.items():
        _hyper, _types = keywords(_integrate)
        _own, _own_types = keywords(_guide)
        register(
            Method(
                name=f"{_prefix}-{_name}",
                run=_compose(_integrate, _guide, frozenset(_own)),
                framework="array",
                hyper={name: default for name, default in {**_hyper, **_own}.items() if name != "n"},
                types={name: kind for name, kind in {**_types, **_own_types}.items() if name != "n"},
                presets={
                    "default": {},
                    **_PRESETS[_prefix],
                    **_GUIDANCE_PRESETS.get(_name, {}),
                },
                requires=_REQUIRES[_name],
                oracle=False,
                particle=False,
                summary=f"{(inspect.getdoc(_integrate) or '').splitlines()[0]} Guidance: {_name}.",
            )
        )
