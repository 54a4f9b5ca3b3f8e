"""What the samplers draw follows the law that they must obey, in JAX and in torch, in float32."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import jax
import numpy as np
import pytest
from scipy.stats import ks_2samp

from problems import Problem, load
from problems.arrays import make_key
from tests.methods import reference_samplers as reference
from tests.methods.affine import Given, Law, torch_law
from tests.methods.cases import WIDE
from tests.methods.configurations import PAIRS, affine, crossed, everyday, labels, rare, seen
from tests.methods.laws import FALSE_ALARM, p_values

FAMILY, N = "linear-gaussian-2", 5000
AFFINE = {label: chosen for label, chosen in labels(steps=25).items() if affine(*chosen) and not chosen[0].point}
COMPILED = {method.name: label for label, (method, _) in reversed(AFFINE.items())}  # one configuration of each method
RULES: list[tuple[str, str, Any]] = [  # what has no closed-form law
    ("dps", "paper", partial(reference.dps, steps=25, scale=2.0, weight="normalised")),
    ("pc-none", "score-sde", partial(reference.pc, steps=25, grid="score-sde", corrector="langevin")),
    ("projection", "snr", partial(reference.projection, steps=25, corrector="langevin")),
    ("langevin-projection", "snr", partial(reference.langevin_projection, steps=25, corrector="langevin")),
]
LEVEL = FALSE_ALARM / (2 * len(AFFINE) + 2 * 2 * len(COMPILED) + 3 * len(RULES))
"""The family: mean and covariance in torch, and of two instances in JAX; three coordinates of the others."""


@cache
def _law(label: str, index: int) -> Law:
    method, hyper = AFFINE[label]
    return torch_law(partial(method.run, **hyper), seen(method, load(FAMILY, index)))


def _single(label: str) -> bool:
    """Guided samplers stand for all every day; `test_registered_methods` has all of them in JAX on torch's noise."""
    return crossed(label) or label.partition("[")[0] not in PAIRS


@cache
def _jitted(*, slow: bool) -> list[dict[str, np.ndarray]]:
    """The samples of two instances by every method that is slow, or is not, from one compilation, as the runner's."""
    traces = []

    def program(problem: Problem, oracle: Problem, key: Any) -> dict[str, Any]:
        traces.append(key)
        chosen = {name: AFFINE[label] for name, label in COMPILED.items() if _single(label) == slow}
        return {name: m.run(oracle if m.oracle else problem, key, n=N, **h).x for name, (m, h) in chosen.items()}

    compiled = jax.jit(program)
    found = []
    with jax.enable_x64(False):
        for index in (0, 1):
            instance = load(FAMILY, index)
            x = compiled(instance.problem.to("jax"), instance.oracle().to("jax"), make_key("jax", [3, index]))
            found.append({name: np.asarray(one) for name, one in x.items()})
    assert len(traces) == 1
    return found


@pytest.mark.parametrize("name", everyday(zip(COMPILED), lambda name: _single(COMPILED[name])))
def test_jax_draws_the_law_of_each_instance(name: str):
    for index, found in enumerate(_jitted(slow=_single(COMPILED[name]))):
        x = found[name]
        assert x.dtype == np.float32
        assert x.shape == (N, 2)
        assert min(p_values(x, *_law(COMPILED[name], index))) > LEVEL


@pytest.mark.parametrize("label", everyday(zip(AFFINE)))
def test_torch_draws_the_law(label: str):
    method, hyper = AFFINE[label]
    x = method.run(seen(method, load(FAMILY, 0)).to("torch"), make_key("torch", [4]), n=N, **hyper).x
    assert min(p_values(x.numpy(), *_law(label, 0))) > LEVEL


@pytest.mark.parametrize(
    "label",
    everyday(
        ((label,) for label, (m, h) in labels(steps=25).items() if not (affine(m, h) or "image" in m.requires)), rare
    ),
)
def test_what_has_no_closed_law_is_not_affine(label: str):
    """Noise halfway between two draws does not lead halfway between two samples; half of a step would."""
    method, hyper = labels(steps=25)[label]
    problem = seen(method, WIDE.instance).to("torch", dtype="float64")
    first, second = np.random.default_rng(18).standard_normal((2, 110, 6, 3))

    def run(noise: np.ndarray) -> np.ndarray:
        return method.run(problem, Given(0, [1], noise), n=6, **hyper).x.numpy()

    middle = 0.5 * (run(first) + run(second))
    assert np.abs(run(0.5 * (first + second)) - middle).max() > 1e-4


@pytest.mark.parametrize(("name", "preset", "write"), RULES)
def test_torch_draws_what_the_formulas_draw(name: str, preset: str, write):
    """Two samples, one from the formulas in NumPy; `test_pathwise` compares them on the same noise."""
    method, hyper = labels(steps=25)[f"{name}[{preset}]"]
    x = method.run(WIDE.problem.to("torch"), make_key("torch", [5]), n=N, **hyper).x.numpy()
    rng = np.random.default_rng(17)
    expected = reference.path(write(WIDE), rng.standard_normal((N, 3)), rng.standard_normal((110, N, 3)))
    for coordinate in range(3):
        assert ks_2samp(x[:, coordinate], expected[:, coordinate]).pvalue > LEVEL
