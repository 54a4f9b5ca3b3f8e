"""Every problem computes the same in NumPy float64, torch and JAX, and JAX compiles once for all instances."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from problems import load
from problems.arrays import Replay, make_key
from problems.contract import Problem
from tests.problems.closed import KNOWN, MODELLED

PHOTOS = ("denoise", "deblur", "inpaint", "superres")
DIFFUSED = [name for name in MODELLED if name != "gaussian-field-64-inpaint"]
"""Of the posterior of a field behind a mask the log density is known without noise alone."""

SIGMAS = (0.002, 0.05, 0.6, 5.0, 150.0)
"""From the lowest noise level of a sampler to sigma / alpha at t = 1."""

N = 6
TOLERANCE = {"float64": 1e-10, "float32": 1e-5}
SENSITIVE = {
    "atoms-blackhole-closure": 10.0,
    **dict.fromkeys(("gmm-bipsda-xray", "gmm-bipsda-phase"), 10.0),
    **dict.fromkeys(
        ("gaussian-field-128", "gaussian-field-64-inpaint", *(f"photos-16-{what}" for what in PHOTOS)), 3.0
    ),
}
"""In what proportion rounding errors grow. Closures divide by visibilities, some of them small beside the flux. Where
draws stand for a posterior, x at sigma = .002 is near one of them, and the score is their difference over sigma^2. In
256 and more dimensions log densities are hundreds of nats. Behind a mask equations are solved by iterations."""
QUICKLY_COMPILED = {"xla_backend_optimization_level": 0}  # here optimisation takes longer than what it saves


def evaluate(problem: Problem, x: Any, v: Any, z: Any, labels: Any, sigma: Any) -> dict[str, Any]:
    """What a sampler may call: x (N, *shape), v (N, m), z a key that gives its draws, labels (N,), a noise level."""
    prior, operator = problem.prior, problem.operator
    found = {
        "denoise": prior.denoise(x, sigma),
        "score": prior.score(x, sigma),
        "log_prob": prior.log_prob(x, sigma),
        "responsibilities": prior.responsibilities(x, sigma),
        "sample_components": prior.sample_components(z, labels),
    }
    if operator is not None:
        found |= {
            "log_likelihood": problem.log_likelihood(x),
            "likelihood_score": problem.likelihood_score(x),
            "operator": operator(x),
            "pull": operator.pull(x, v),
        }
    if operator is not None and operator.linear:
        found |= {
            "adjoint": operator.adjoint(v),
            "pseudo_inverse": operator.pseudo_inverse(v),
            "damped_inverse": operator.damped_inverse(v, sigma**2, sigma**2),
            "gram_solve": operator.gram_solve(v, sigma**2, sigma**2),
            "project_range": operator.project_range(x),
            "norm": operator.norm,
        }
    return found


def inputs(problem: Problem, sigma: float, dtype: str) -> tuple[np.ndarray, ...]:
    key = make_key("numpy", [8, int(1000 * sigma)])
    x = problem.prior.sample(key, N) + sigma * key.standard_normal((N, *problem.shape))
    v = key.standard_normal((N, 1 if problem.y is None else len(problem.y)))
    drawn = x, v, key.standard_normal((N, problem.dim)), np.array(sigma)
    x, v, z, level = (a.astype(dtype) for a in drawn)
    return x, v, z, np.arange(N) * 7 % problem.prior.log_weights.shape[0], level


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", DIFFUSED)
def test_torch_and_jax_compute_what_numpy_does(name, dtype, instance, given, relative):
    """Prior and operator, and the posterior in the place of the prior; one compilation for all instances and levels."""
    traces = []

    def both(problem: Problem, oracle: Problem, first: Any, second: Any) -> Any:
        traces.append(problem)
        return [evaluate(p, x, v, given(z), *rest) for p, (x, v, z, *rest) in ((problem, first), (oracle, second))]

    compiled = jax.jit(both, compiler_options=QUICKLY_COMPILED)
    for index, sigmas in ((0, SIGMAS), (7, (0.2,))):
        chosen = instance(name, index)
        problems = chosen.problem, chosen.oracle()
        in_torch, in_jax = ([p.to(framework, dtype=dtype) for p in problems] for framework in ("torch", "jax"))
        for sigma in sigmas:
            cases = [inputs(problem, sigma, dtype) for problem in problems]
            doubled = [[a.astype("float64") if a.dtype == dtype else a for a in case] for case in cases]
            tensors = [[torch.tensor(a) for a in case] for case in cases]
            expected = both(*problems, *doubled)
            for found in (both(*in_torch, *tensors), compiled(*in_jax, *jax.tree.map(jnp.asarray, cases))):
                for role, one, other in zip(("prior", "posterior"), found, expected, strict=True):
                    assert one.keys() == other.keys()
                    for what, value in one.items():
                        case = f"{what} of the {role} at sigma {sigma}, instance {index}, {type(value)}"
                        assert np.asarray(value).dtype == dtype, case
                        assert relative(value, other[what]) < SENSITIVE.get(name, 1.0) * TOLERANCE[dtype], case
    traced = [problem for problem in traces if isinstance(problem.schedule.beta_min, jax.core.Tracer)]
    assert len(traced) == 1, "another instance or noise level is compiled anew"


LAWS = {type(load(name, 0).posterior): name for name in reversed(KNOWN)}  # the first family of each class


def describe(law: Any, raw_key: Any) -> dict[str, Any]:
    """What is asked of a law outside a sampler's loop."""
    names = ("mean", "std", "diameter", "component_means")
    found = {"sample": law.sample(Replay(raw_key), N)} | {name: getattr(law, name) for name in names}
    return found | {"cov": law.cov()} if hasattr(law, "cov") else found


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", LAWS.values(), ids=[law.__name__ for law in LAWS])
def test_laws_are_described_alike(name, dtype, instance, relative):
    raw_key, oracle = make_key("jax", [21]), instance(name, 3).oracle()
    expected = describe(oracle.prior, raw_key)
    compiled = jax.jit(describe, compiler_options=QUICKLY_COMPILED)
    in_torch = describe(oracle.to("torch", dtype=dtype).prior, raw_key)
    in_jax = compiled(oracle.to("jax", dtype=dtype).prior, raw_key)
    for what, value in expected.items():
        for found in (in_torch[what], in_jax[what]):
            assert np.asarray(found).dtype == dtype, what
            assert relative(found, value) < SENSITIVE.get(name, 1.0) * TOLERANCE[dtype], what
