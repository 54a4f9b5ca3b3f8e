"""What a method declares is true: its needs, its work, its hyper-parameters."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Annotated, Any, get_args, get_origin

import numpy as np
import pytest
import torch

from methods import METHODS, Method
from methods.levels import langevin_levels
from methods.registry import REQUIREMENTS
from problems import Problem
from problems.names import UsageError
from tests.methods.affine import Given
from tests.methods.cases import IMAGE, MIXTURE
from tests.methods.configurations import everyday, labels, rare, seen

N = 6
CONFIGURATIONS = labels(steps=24)
EVERYDAY = everyday(zip(CONFIGURATIONS), rare)
METHOD_NAMES = [label for label in CONFIGURATIONS if "[" not in label]
NOISE = np.random.default_rng(13).standard_normal((110, N, 3))


def suited(method: Method) -> Problem:
    """What the runner would give it: a mixture in three dimensions, or a small image."""
    return seen(method, (IMAGE if "image" in method.requires else MIXTURE).instance)


def _torch(problem: Problem) -> Problem:
    return problem.to("torch", dtype="float64")


class Only:
    """An object without some of its parts: asking for one is an error that names it."""

    def __init__(self, inner: Any, missing: set[str]) -> None:
        self._inner, self._missing = inner, missing

    def __getattr__(self, name: str) -> Any:
        if name in self._missing:
            raise PermissionError(name)
        return getattr(self._inner, name)

    def __call__(self, x: Any) -> Any:
        return self._inner(x)


class Opaque(Only):
    """A prior whose denoiser and score cannot be differentiated."""

    def denoise(self, x: Any, sigma: Any) -> Any:
        if x.requires_grad:
            raise PermissionError("differentiable")
        return self._inner.denoise(x, sigma)

    def score(self, x: Any, sigma: Any) -> Any:
        if x.requires_grad:
            raise PermissionError("differentiable")
        return self._inner.score(x, sigma)


SVD = {
    *("damped_inverse", "gram_solve", "gram_log_det", "pseudo_inverse", "project_range", "singular_values"),
    *("spectral", "spectral_sum", "spectral_energy"),
}
NEEDS = set(REQUIREMENTS) - {"image"}
USED = {
    "svd": "|".join(sorted(SVD)),
    "likelihood": "log_likelihood|score",
    "differentiable": "differentiable|does not require grad",
    "prior_log_prob": "log_prob|responsibilities|log_weights",
    "prior_sample": "sample",
    "prior_cov": "cov",
}
"""What the errors name that each lack ends in."""


def _lacking(problem: Problem, needs: set[str]) -> Problem:
    """The problem without what the needs stand for; without a linear operator there is no measurement at all."""
    prior, operator, noise, y = problem.prior, problem.operator, problem.noise, problem.y
    if "differentiable" in needs:
        prior = Opaque(prior, set())
    if "prior_sample" in needs:
        prior = Only(prior, {"sample", "sample_components"})
    if "prior_cov" in needs:
        prior = Only(prior, {"cov"})
    if "prior_log_prob" in needs:
        prior = Only(prior, {"log_prob", "responsibilities", "log_weights"})
    if "svd" in needs and operator is not None:
        operator = Only(operator, SVD)
    if "linear" in needs and operator is not None:
        operator = Only(operator, {"adjoint"})
    if "gaussian_noise" in needs and operator is not None:
        operator, noise = Only(operator, {"norm"}), Only(noise, {"std"})
    if "likelihood" in needs and noise is not None:
        noise = Only(noise, {"log_likelihood", "score"})
    if {"linear", "gaussian_noise", "likelihood"} <= needs:
        operator, noise, y = None, None, None
    return replace(problem, prior=prior, operator=operator, noise=noise, y=y)


@pytest.mark.parametrize("label", EVERYDAY)
def test_what_a_method_does_not_require_it_does_not_use(label: str):
    method, hyper = CONFIGURATIONS[label]
    problem = _torch(suited(method))
    lacking = _lacking(problem, NEEDS - method.requires - ({"prior_sample"} if method.oracle else set()))
    found, expected = (method.run(p, Given(0, [1], NOISE), n=N, **hyper).x for p in (lacking, problem))
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


ASSUMED = {"linear", "gaussian_noise", "image"}
"""Needs that may also be assumptions: a projection never asks for noise_std, and holds for noise that is small.

A posterior is what oracles are given as prior, so that they cannot lack it."""


@pytest.mark.parametrize(
    ("name", "need"),
    [(name, need) for name in METHOD_NAMES for need in sorted(METHODS[name].requires - ASSUMED - {"posterior"})],
)
def test_what_a_method_requires_it_uses(name: str, need: str):
    """With one of its presets."""
    said = []
    for method, hyper in (CONFIGURATIONS[label] for label in CONFIGURATIONS if label.partition("[")[0] == name):
        try:
            method.run(_lacking(_torch(suited(method)), {need}), Given(0, [1], NOISE), n=N, **hyper)
        except (PermissionError, RuntimeError) as error:
            said.append(str(error))
    assert any(re.search(USED[need], one) for one in said)


class Counting:
    """A prior that counts its evaluations and the backward passes through them, for each of N samples."""

    def __init__(self, inner: Any) -> None:
        self._inner, self.evaluations, self.passes = inner, 0.0, 0.0

    def _watched(self, x: torch.Tensor) -> torch.Tensor:
        self.evaluations += x.shape[0] / N
        counter = self

        class Watch(torch.autograd.Function):
            @staticmethod
            def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:  # noqa: ARG004
                return x.clone()

            @staticmethod
            def backward(ctx: Any, *gradients: torch.Tensor) -> Any:  # noqa: ARG004
                counter.passes += gradients[0].shape[0] / N
                return gradients[0]

        return Watch.apply(x)

    def denoise(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        return self._inner.denoise(self._watched(x), sigma)

    def score(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        return self._inner.score(self._watched(x), sigma)

    def log_prob(self, x: torch.Tensor, *args: Any) -> torch.Tensor:
        return self._inner.log_prob(self._watched(x), *args)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def _passes_per_evaluation(label: str, hyper: dict[str, Any]) -> int:
    """Of a guidance: one for the gradient, and one for every product with the covariance."""
    if "mmps" in label:
        return hyper["iterations"] + 1
    return 2 if "tmpd" in label else int("dps" in label or "pigdm" in label)


@pytest.mark.parametrize("label", EVERYDAY)
def test_the_work_a_method_claims_is_the_work_it_does(label: str):
    method, hyper = CONFIGURATIONS[label]
    problem = _torch(suited(method))
    prior = Counting(problem.prior)
    samples = method.run(replace(problem, prior=prior), Given(0, [1], NOISE), n=N, **hyper)
    assert samples.nfe == pytest.approx(prior.evaluations)
    expected = _passes_per_evaluation(label, hyper) * prior.evaluations if samples.vjp is None else samples.vjp
    assert prior.passes == pytest.approx(expected)


def bounds(kind: Any) -> list[tuple[str, Any]]:
    """The ends 'gt', 'ge', 'lt' and 'le' of an annotation, also inside a union; none of a choice of names."""
    if get_origin(kind) is not Annotated:
        return [bound for part in get_args(kind) for bound in bounds(part)]
    ends = [(end, getattr(one, end, None)) for one in get_args(kind)[1:] for end in ("gt", "ge", "lt", "le")]
    return [(end, edge) for end, edge in ends if edge is not None]


def whole(kind: Any) -> bool:
    """Whether the numbers of an annotation are integers."""
    return kind is int or any(whole(part) for part in get_args(kind))


def outside(kind: Any) -> list[Any]:
    """Values that an annotation refuses: just beyond each of its bounds, far beyond it, and of another type."""
    values: list[Any] = [object(), "no such name", math.nan]
    values += [2.5] if whole(kind) else []
    for end, edge in bounds(kind):
        side = -1 if end in ("gt", "ge") else 1
        beyond = edge + side if whole(kind) else math.nextafter(edge, side * math.inf)
        values += [edge if end in ("gt", "lt") else beyond, edge + 3 * side]
    return values


@pytest.mark.parametrize(
    ("name", "hyper", "values"),
    [
        ("mgdm", "steps", [3, 901]),
        ("mgdm", "denoising_steps", [1]),
        ("projection", "corrector_steps", [-1]),
        ("snips", "sigma_min", [0.0, -3.0, math.inf]),
        ("dpi-ode", "probes", [0, 2.5]),
        ("ddrm", "eta", [math.nextafter(0.0, -1.0), math.nextafter(1.0, 2.0)]),
        ("nuts", "acceptance", [0.0, 1.0]),
    ],
)
def test_what_is_outside_follows_from_the_annotation(name: str, hyper: str, values: list[Any]):
    found = outside(METHODS[name].types[hyper])
    assert [value for value in values if value not in found] == []


@pytest.mark.parametrize("name", METHODS)
def test_values_out_of_range_are_refused_by_name(name: str):
    """And every number has a range."""
    method = METHODS[name]
    for hyper, kind in method.types.items():
        assert bounds(kind) or type(method.hyper[hyper]) in (bool, str)
        for value in outside(kind):
            with pytest.raises(UsageError, match=rf"{name}: {hyper} is out of range"):
                method.configure("default", {hyper: value})


@pytest.mark.parametrize("name", METHODS)
def test_the_ends_of_a_range_are_accepted(name: str):
    method = METHODS[name]
    for hyper, kind in method.types.items():
        for end, edge in bounds(kind):
            if end in ("ge", "le"):
                assert method.configure("default", {hyper: edge})[hyper] == edge


def test_a_predictor_is_refused_on_a_schedule_that_it_is_not_of():
    method = METHODS["pc-mmps"]
    hyper = method.configure("subvp", {"predictor": "reverse-diffusion"})
    with pytest.raises(UsageError, match="for 'subvp' use predictor 'euler-maruyama'"):
        method.run(_torch(MIXTURE.problem), None, n=N, **hyper)


@pytest.mark.parametrize("bound", [{"sigma_max": 1e-3}, {"sigma_min": 1e3}])
def test_levels_do_not_rise_where_one_end_is_given(bound: dict[str, float]):
    levels = langevin_levels(MIXTURE.problem, 5, 1, **{"sigma_max": None, "sigma_min": None, **bound}).sigma
    np.testing.assert_allclose(levels, *bound.values(), rtol=1e-12)


def test_levels_that_rise_are_refused():
    method, hyper = CONFIGURATIONS["annealed-langevin"]
    with pytest.raises(UsageError, match=r"sigma_max is at least sigma_min, got 0\.5 < 0\.6"):
        method.run(_torch(MIXTURE.problem), None, n=N, **{**hyper, "sigma_max": 0.5, "sigma_min": 0.6})


@pytest.mark.parametrize("label", EVERYDAY)
@pytest.mark.parametrize("steps", [1, 2, 7, 20])
def test_few_steps_give_numbers_and_cost_what_they_claim(steps: int, label: str):
    """However coarse its grid, a sampler may be wrong but not undefined."""
    method, hyper = CONFIGURATIONS[label]
    problem = _torch(suited(method))
    prior = Counting(problem.prior)
    least = dict(bounds(method.types.get("steps"))).get("ge", 1)
    few = {**hyper, "steps": max(steps, least)} if "steps" in hyper else hyper
    samples = method.run(replace(problem, prior=prior), Given(0, [1], NOISE), n=N, **few)
    assert bool(torch.isfinite(samples.x).all())
    assert samples.nfe == pytest.approx(prior.evaluations)
    assert samples.nfe > 0 or "steps" not in hyper or label == "tv"


@pytest.mark.parametrize("name", METHOD_NAMES)
def test_unknown_names_are_refused_with_the_nearest(name: str):
    method = METHODS[name]
    with pytest.raises(
        UsageError,
        match=f"no hyper-parameter of {name} 'step'.*"
        + ("did you mean 'steps'" if "steps" in method.hyper else "there are: "),
    ):
        method.configure("default", {"step": 10})
    with pytest.raises(UsageError, match=f"no preset of {name} 'defualt'; did you mean 'default'"):
        method.configure("defualt")
    for preset in method.presets:
        assert set(method.configure(preset)) == set(method.hyper)


@pytest.mark.parametrize("name", METHOD_NAMES)
def test_every_hyper_parameter_is_annotated_and_every_method_is_told_in_a_line(name: str):
    method: Method = METHODS[name]
    assert set(method.types) == set(method.hyper)
    assert 10 < len(method.summary) <= 120
    assert method.summary.endswith(".")
