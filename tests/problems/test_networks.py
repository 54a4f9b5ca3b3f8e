"""A network computes the same in NumPy, torch and JAX, forward and backward, and JAX compiles it once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from problems.arrays import vjp
from problems.contract import to
from problems.mlp import MLP
from problems.names import UsageError
from problems.networks import Weights, apply, initial, joined
from problems.unet import UNet

CASES = {
    "grey": (UNet(widths=(8, 12, 4), groups=4, embedding=10), (8, 12)),
    "colour": (UNet(channels=3, widths=(6, 9), groups=3, blocks=2, attention=True, patch=2), (3, 12, 8)),
    "one level": (UNet(widths=(8,), groups=2, attention=True), (5, 7)),
    "vector": (MLP(dim=5, width=12, blocks=2, embedding=9), (5,)),
    "digits": (MLP(dim=64, width=16, blocks=3), (8, 8)),
}
QUICKLY_COMPILED = {"xla_backend_optimization_level": 0}  # here optimisation takes longer than what it saves
N = 3


def generic(architecture: Any, seed: int = 1) -> Weights:
    """Weights with every entry moved: those that start at zero would hide errors."""
    start = initial(architecture, seed)
    moved = np.random.default_rng(seed).standard_normal(start.flat.shape)
    return replace(start, flat=start.flat + 0.3 * moved / np.sqrt(20))


def drawn(shape: tuple[int, ...], seed: int = 2) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((N, *shape)), rng.standard_normal((N, *shape))


def pulled(weights: Weights, x: Any, level: Any, v: Any) -> tuple[Any, Any]:
    """The output and J^T v."""
    value, pull = vjp(lambda x: apply(weights, x, level), x)
    return value, pull(v)


@pytest.mark.parametrize(
    ("name", "dtype", "tolerance", "levels"),
    [(name, "float64", 1e-10, [0.3, -0.9, 1.3]) for name in CASES]
    + [(name, "float32", 1e-4, -1.2) for name in ("grey", "digits")],
)
def test_the_frameworks_agree_forward_and_backward(name, dtype, tolerance, levels, relative):
    architecture, shape = CASES[name]
    x, v = drawn(shape)
    weights = generic(architecture)
    assert np.std(apply(weights, x, np.array(0.4))) > 0.05
    single = [np.asarray(a, dtype=dtype) for a in (x, levels, v)]
    compiled = jax.jit(pulled, compiler_options=QUICKLY_COMPILED)
    in_torch = pulled(to(weights, "torch", dtype=dtype), *map(torch.tensor, single))
    in_jax = compiled(to(weights, "jax", dtype=dtype), *map(jnp.asarray, single))
    expected = apply(weights, x, np.asarray(levels))
    assert expected.shape == x.shape
    for found in (in_torch, in_jax):
        assert all(np.asarray(array).dtype == dtype for array in found)
        assert relative(found[0], expected) < tolerance
    assert relative(in_jax[1], in_torch[1]) < tolerance


@pytest.mark.parametrize("name", CASES)
def test_the_derivative_is_that_of_the_reference(name):
    """Backward in torch against differences of the NumPy path, along one direction."""
    architecture, shape = CASES[name]
    weights, (x, v) = generic(architecture), drawn(shape, 7)
    direction, step, level = drawn(shape, 8)[0], 1e-5, np.array(0.2)
    ahead, behind = (apply(weights, x + sign * step * direction, level) for sign in (1, -1))
    carried = to(weights, "torch", dtype="float64")
    found = pulled(carried, torch.tensor(x), torch.tensor(0.2, dtype=torch.float64), torch.tensor(v))[1]
    slope = np.sum(np.asarray(found) * direction)
    np.testing.assert_allclose(slope, np.sum(v * (ahead - behind)) / (2 * step), rtol=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_rows_are_independent_of_each_other(name):
    architecture, shape = CASES[name]
    weights, (x, _) = generic(architecture), drawn(shape)
    levels = np.array([0.3, -0.9, 1.3])
    together = apply(weights, x, levels)
    for i in range(N):
        np.testing.assert_allclose(apply(weights, x[i : i + 1], levels[i]), together[i : i + 1], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_every_array_of_weights_is_used(name):
    architecture, shape = CASES[name]
    weights: Any = to(generic(architecture), "torch", dtype="float64")
    flat = weights.flat.clone().requires_grad_(True)
    x, v = (torch.tensor(a) for a in drawn(shape))
    output = apply(replace(weights, flat=flat), x, torch.tensor([0.3, -0.9, 1.3], dtype=torch.float64))
    (gradient,) = torch.autograd.grad(torch.sum(output * v), flat)
    for array, slope in Weights(gradient, architecture).named().items():
        # What is added to all keys alike changes no attention.
        everywhere = slope.ndim == 1 and array != "attention.inner.bias"
        assert float(slope.abs().min() if everywhere else slope.abs().max()) > 0, array


def test_jax_compiles_once_for_all_weights_and_levels_of_an_architecture():
    traces = []

    def traced(weights: Weights, x: Any, level: Any) -> Any:
        traces.append(weights)
        return apply(weights, x, level)

    compiled = jax.jit(traced, compiler_options=QUICKLY_COMPILED)
    x = jnp.asarray(drawn((8, 8))[0])
    outputs = []
    for seed, level in ((1, 0.1), (2, 0.1), (2, -0.3)):
        architecture = UNet(widths=(4, 8), groups=2, embedding=6)  # equal, not the same
        outputs.append(compiled(to(generic(architecture, seed), "jax", dtype="float64"), x, jnp.asarray(level)))
    assert len(traces) == 1
    assert float(jnp.min(jnp.abs(outputs[0] - outputs[1]).max())) > 1e-3
    assert float(jnp.min(jnp.abs(outputs[1] - outputs[2]).max())) > 1e-3


def test_a_network_starts_at_zero_from_its_seed():
    architecture = UNet()
    first, again, other = (initial(architecture, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.flat, again.flat)
    assert np.mean(first.flat != other.flat) > 0.6
    small, shape = CASES["grey"]
    assert np.all(apply(initial(small, 0), drawn(shape)[0], np.array(0.3)) == 0)
    for name, array in first.named().items():
        if name.endswith((".outer.weight", "head.weight")) or not name.endswith(".weight"):
            assert np.all(array == 0), name
        else:
            inputs = array[0].size if array.ndim == 4 else len(array)
            assert np.std(array) * np.sqrt(inputs) == pytest.approx(1, abs=5 / np.sqrt(array.size)), name


def test_the_default_u_net_has_a_quarter_of_a_million_weights():
    assert initial(UNet(), 0).flat.size == pytest.approx(250_000, rel=0.03)


@pytest.mark.parametrize("name", CASES)
def test_the_vector_is_the_named_arrays_in_order(name):
    weights = generic(CASES[name][0])
    named = weights.named()
    assert list(named) == list(weights.architecture.shapes)
    np.testing.assert_array_equal(np.concatenate([a.ravel() for a in named.values()]), weights.flat)
    np.testing.assert_array_equal(joined(dict(reversed(named.items())), weights.architecture).flat, weights.flat)


def test_a_shifted_picture_gives_a_shifted_output_away_from_the_border():
    """By as many pixels as the coarsest level has in one: the norms too see the same numbers in another order."""
    weights = generic(UNet(widths=(4, 8), groups=2))
    x = np.zeros((2, 96, 96))
    x[0, 44:52, 44:52] = x[1, 46:54, 42:50] = drawn((8, 8))[0][0]
    first, second = apply(weights, x, np.array(0.1))
    np.testing.assert_allclose(second[32:68, 28:64], first[30:66, 30:66], rtol=0, atol=1e-12)
    assert np.ptp(first[30:66, 30:66]) > 0.1


@pytest.mark.parametrize(
    ("architecture", "shape", "words"),
    [
        (UNet(), (30, 32), r"grey pictures with sides that are multiples of 4, got the shape \(30, 32\)"),
        (UNet(), (3, 32, 32), r"grey pictures .* got the shape \(3, 32, 32\)"),
        (UNet(patch=2), (4, 12), r"multiples of 8, got the shape \(4, 12\)"),
        (UNet(channels=3), (32, 32), r"pictures of 3 channels .* got the shape \(32, 32\)"),
        (UNet(), (64,), r"got the shape \(64,\)"),
        (MLP(dim=64), (8, 9), r"x of 64 entries, got the shape \(8, 9\)"),
    ],
)
def test_pictures_that_do_not_fit_are_refused(architecture, shape, words):
    with pytest.raises(UsageError, match=words):
        apply(initial(architecture, 0), np.zeros((2, *shape)), np.array(0.0))


@pytest.mark.parametrize(
    "wrong", [{"widths": (12, 20)}, {"widths": ()}, {"channels": 0}, {"blocks": 0}, {"patch": 0}, {"groups": 0}]
)
def test_architectures_that_cannot_be_are_refused(wrong):
    with pytest.raises(UsageError, match="sizes of a U-Net are 1 or more, and its groups divide its widths"):
        UNet(**wrong)


def test_an_mlp_without_width_is_refused():
    with pytest.raises(UsageError, match="sizes of an MLP are 1 or more"):
        MLP(dim=3, width=0)


def test_the_noise_level_is_told_finely(relative):
    """Levels a tenth of an e-fold apart are told apart, and none is another's alias over the range of training."""
    weights, (x, _) = generic(MLP(dim=5, width=12, blocks=2)), drawn((5,))
    levels = np.arange(np.log(0.005), np.log(200.0), 0.1) / 4
    outputs = np.array([apply(weights, x, np.array(level)).ravel() for level in levels])
    apart = np.linalg.norm(outputs[:, None] - outputs[None], axis=-1)[~np.eye(len(levels), dtype=bool)]
    assert apart.min() > 1e-3
    assert relative(outputs[1:], outputs[:-1]) < 0.5
