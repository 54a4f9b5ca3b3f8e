"""A learned prior is its network in the published preconditioning: where the network is known, so is the denoiser."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist

from problems.arrays import namespace, vjp
from problems.contract import Problem, to
from problems.gaussian_mixture import GaussianMixture, gaussian_mixture
from problems.learned import SIGMA_MAX, SIGMA_MIN, LearnedPrior, in_bfloat16, learned_prior, preconditioning
from problems.mlp import MLP
from problems.networks import Weights, initial, joined
from problems.schedules import VP
from problems.unet import UNet

D = 4
SIGMAS = (0.006, 0.05, 0.7, 9.0, 150.0)
QUICKLY_COMPILED = {"xla_backend_optimization_level": 0}  # here optimisation takes longer than what it saves
CARRIERS = {"numpy": np.asarray, "torch": torch.tensor, "jax": jnp.asarray}


@dataclass(frozen=True)
class Wiener:
    """The linear network with which the preconditioned denoiser is that of a Gaussian: F = Q diag(g(sigma)) Q^T."""

    sigma_data: float

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {"q.weight": (D, D), "variances.weight": (D,)}

    def forward(self, p: Mapping[str, Any], x: Any, noise_level: Any) -> Any:
        xp = namespace(x)
        variance = xp.exp(4.0 * xp.reshape(noise_level, (-1, 1))) ** 2
        total = variance + self.sigma_data**2
        wiener = p["variances.weight"][None] / (p["variances.weight"][None] + variance)
        g = (wiener - self.sigma_data**2 / total) * total / (xp.sqrt(variance) * self.sigma_data)
        return ((x @ p["q.weight"]) * g) @ p["q.weight"].T


@pytest.fixture(scope="module")
def wiener() -> tuple[LearnedPrior, GaussianMixture]:
    rng = np.random.default_rng(4)
    q = np.linalg.qr(rng.standard_normal((D, D)))[0]
    variances, mean = np.array([0.02, 0.3, 1.0, 2.5]), rng.standard_normal(D)
    cov = (q * variances) @ q.T
    weights = joined({"q.weight": q, "variances.weight": variances}, Wiener(0.8))
    prior = LearnedPrior(weights, mean, np.sqrt(np.diag(cov)), np.array(5.0), np.array(0.8))
    return prior, gaussian_mixture(np.ones(1), mean[None], cov[None], (D,))


def trained_looking(shape: tuple[int, ...], seed: int = 3) -> LearnedPrior:
    """A network with all weights moved, and the statistics of made-up pictures."""
    architecture: Any = UNet(widths=(8, 12), groups=4) if len(shape) == 2 else MLP(dim=D, width=12, blocks=2)
    weights = initial(architecture, seed)
    rng = np.random.default_rng(seed)
    moved = replace(weights, flat=weights.flat + 0.05 * rng.standard_normal(weights.flat.shape))
    return learned_prior(moved, 0.4 + 0.3 * rng.standard_normal((20, *shape)))


@pytest.mark.parametrize("framework", CARRIERS)
@pytest.mark.parametrize("sigma", SIGMAS)
def test_a_linear_network_gives_the_wiener_denoiser(framework, sigma, wiener, relative):
    learned, exact = wiener
    x = exact.sample(np.random.default_rng(1), 5) + sigma * np.random.default_rng(2).standard_normal((5, D))
    carried, put = to(learned, framework, dtype="float64"), CARRIERS[framework]
    assert relative(carried.denoise(put(x), put(np.array(sigma))), exact.denoise(x, np.array(sigma))) < 1e-10
    assert relative(carried.score(put(x), put(np.array(sigma))), exact.score(x, np.array(sigma))) < 1e-9


@pytest.mark.parametrize("sigma", SIGMAS)
def test_a_network_that_is_zero_is_an_isotropic_gaussian(sigma, relative):
    rng = np.random.default_rng(5)
    pictures = rng.uniform(size=(30, 8, 8)) + rng.uniform(size=(8, 8))
    prior = learned_prior(initial(UNet(widths=(8,), groups=2), 0), pictures)
    deviation = np.sqrt(pictures.var(axis=0).mean())
    x = rng.standard_normal((4, 8, 8))
    shrunk = deviation**2 / (deviation**2 + sigma**2) * (x - pictures.mean(axis=0))
    assert relative(prior.denoise(x, sigma), pictures.mean(axis=0) + shrunk) < 1e-12
    assert relative(prior.score(x, sigma), (pictures.mean(axis=0) - x) / (deviation**2 + sigma**2)) < 1e-12


def test_the_preconditioning_has_its_published_property():
    """For data of that deviation the input has unit variance, the target too, and `skip` makes `out` smallest."""
    sigma_data = 0.37
    for sigma in SIGMAS:
        c = preconditioning(np.array(sigma), np.array(sigma_data))
        assert c.into**2 * (sigma**2 + sigma_data**2) == pytest.approx(1)
        assert (1 - c.skip) ** 2 * sigma_data**2 + c.skip**2 * sigma**2 == pytest.approx(c.out**2)
        assert -(1 - c.skip) * sigma_data**2 + c.skip * sigma**2 == pytest.approx(0, abs=1e-12)
        assert c.noise == pytest.approx(np.log(sigma) / 4)


@pytest.mark.parametrize("shape", [(8, 8), (D,)])
def test_the_limits_are_the_mean_and_the_picture_itself(shape):
    """Whatever the network says, its part vanishes with sigma and stays within sigma_data for ever larger sigma."""
    prior = trained_looking(shape)
    rng = np.random.default_rng(6)
    x, z = prior.mean + 0.3 * rng.standard_normal((3, *shape)), rng.standard_normal((3, *shape))
    for sigma in (1e-3, 1e-5, 1e-7):
        assert np.abs(prior.denoise(x, sigma) - x).max() < 10 * sigma
    np.testing.assert_array_equal(prior.denoise(x, 0.0), prior.mean + (x - prior.mean))
    untrained = replace(prior, weights=replace(prior.weights, flat=0 * prior.weights.flat))
    for sigma in (1e2, 1e4, 1e6):
        assert np.abs(untrained.denoise(x + sigma * z, sigma) - prior.mean).max() < 5 / sigma
        assert np.abs(prior.denoise(x + sigma * z, sigma) - prior.mean).max() < 10 * prior.sigma_data


@pytest.mark.parametrize("shape", [(8, 8), (D,)])
def test_the_score_is_tweedies(shape, relative):
    prior = trained_looking(shape)
    for sigma in SIGMAS:
        x = prior.mean + sigma * np.random.default_rng(7).standard_normal((3, *shape))
        assert relative(prior.score(x, sigma), (prior.denoise(x, sigma) - x) / sigma**2) < 1e-9


def everything(prior: LearnedPrior, x: Any, sigma: Any, v: Any) -> tuple[Any, Any, Any]:
    """Denoised, score, and J^T v of the denoiser."""
    value, pull = vjp(lambda x: prior.denoise(x, sigma), x)
    return value, prior.score(x, sigma), pull(v)


@pytest.mark.parametrize("shape", [(8, 8), (D,)])
def test_frameworks_agree_in_single_precision_down_to_the_least_noise(shape, relative):
    prior = trained_looking(shape)
    rng, compiled = np.random.default_rng(8), jax.jit(everything, compiler_options=QUICKLY_COMPILED)
    for sigma in SIGMAS:
        x, v = prior.mean + sigma * rng.standard_normal((3, *shape)), rng.random((3, *shape))
        single = [np.asarray(a, dtype="float32") for a in (x, sigma, v)]
        host = single[0].astype(float)
        expected = prior.denoise(host, sigma), prior.score(host, sigma)
        in_torch = everything(to(prior, "torch"), *map(torch.tensor, single))
        in_jax = compiled(to(prior, "jax"), *map(jnp.asarray, single))
        for found in (in_torch, in_jax):
            assert all(np.asarray(array).dtype == np.float32 for array in found)
            for one, reference in zip(found, expected, strict=False):
                assert relative(one, reference) < 1e-4
        assert relative(in_jax[2], in_torch[2]) < 1e-4


@pytest.mark.parametrize("framework", CARRIERS)
def test_a_noise_level_is_a_number_an_array_or_one_per_row(framework):
    prior, put = to(trained_looking((D,)), framework, dtype="float64"), CARRIERS[framework]

    def both(prior: LearnedPrior, x: Any, sigma: Any) -> tuple[Any, Any]:
        return prior.denoise(x, sigma), prior.score(x, sigma)

    evaluate = jax.jit(both, compiler_options=QUICKLY_COMPILED) if framework == "jax" else both
    x, sigmas = np.random.default_rng(9).random((3, D)), np.array([0.1, 0.6, 3.0])
    by_row = [np.asarray(one) for one in evaluate(prior, put(x), put(sigmas))]
    for i, sigma in enumerate(sigmas):
        for level in (float(sigma), put(np.array(sigma))):
            for one, rows in zip(evaluate(prior, put(x), level), by_row, strict=True):
                np.testing.assert_allclose(np.asarray(one)[i], rows[i], rtol=1e-9)


def test_beyond_its_training_the_network_is_told_the_nearest_level():
    for outside, nearest in ((SIGMA_MIN / 7, SIGMA_MIN), (SIGMA_MAX * 3, SIGMA_MAX)):
        assert preconditioning(np.array(outside), np.array(0.3)).noise == pytest.approx(np.log(nearest) / 4)


def test_statistics_are_those_of_the_pictures():
    rng = np.random.default_rng(10)
    pictures = rng.gamma(2.0, 0.3, (50, 4, 4))
    pictures[:, 0, 0] = 0.25  # a pixel that never changes
    prior = learned_prior(initial(UNet(widths=(4,), groups=2), 0), pictures)
    assert prior.shape == (4, 4)
    np.testing.assert_allclose(prior.mean, pictures.mean(axis=0))
    assert prior.std[0, 0] == SIGMA_MIN
    np.testing.assert_allclose(prior.std.ravel()[1:], pictures.std(axis=0).ravel()[1:])
    np.testing.assert_allclose(prior.sigma_data**2, np.mean(pictures.std(axis=0) ** 2))
    assert 0.9 < prior.diameter / pdist(pictures.reshape(50, -1)).max() <= 1 + 1e-12


def test_the_diameter_of_points_on_a_line_is_its_length():
    points = np.outer(np.linspace(-1.0, 2.0, 31), [0.6, 0.8])
    assert learned_prior(initial(MLP(dim=2), 0), points).diameter == pytest.approx(3.0)


def test_it_knows_no_density_and_no_draws():
    prior = trained_looking((D,))
    assert not any(hasattr(prior, name) for name in ("log_prob", "sample", "cov"))


def test_two_priors_of_one_architecture_share_a_program():
    """As the prior of a problem, which is an argument of what is compiled."""
    traces = []

    def score(problem: Problem, x: Any, t: Any) -> Any:
        traces.append(problem)
        return problem.prior.score(x, problem.schedule.sigma(t))

    compiled, x = (
        jax.jit(score, compiler_options=QUICKLY_COMPILED),
        jnp.asarray(np.random.default_rng(11).random((2, 8, 8)), dtype="float32"),
    )
    found = []
    for seed in (1, 2):
        problem = Problem(trained_looking((8, 8), seed), None, None, np.zeros(1), VP(), (8, 8)).to("jax")
        assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(problem))
        found.append(compiled(problem, x, jnp.asarray(0.4, dtype="float32")))
    assert len(traces) == 1
    assert float(jnp.abs(found[0] - found[1]).max()) > 1e-2


def test_weights_of_another_framework_are_the_same_numbers():
    prior = trained_looking((8, 8))
    single = {framework: to(prior, framework).weights for framework in CARRIERS}
    assert all(isinstance(weights, Weights) for weights in single.values())
    for weights in single.values():
        np.testing.assert_array_equal(np.asarray(weights.flat), prior.weights.flat.astype("float32"))
        assert weights.architecture is prior.weights.architecture


@pytest.mark.parametrize("framework", ["torch", "jax"])
@pytest.mark.parametrize("architecture", [MLP(64, 32, 2), UNet(widths=(16, 24), attention=True)], ids=["mlp", "unet"])
def test_products_in_bfloat16_keep_eight_bits(framework, architecture):
    """The denoiser and its derivative, in float32 again; a prior that is no network is left as it is."""
    rng = np.random.default_rng(12)
    network = initial(architecture, 3)
    weights = replace(network, flat=network.flat + 0.05 * rng.standard_normal(network.flat.shape))
    prior = learned_prior(weights, rng.random((50, 8, 8)))
    problem = Problem(prior, None, None, np.zeros(1), VP(), (8, 8)).to(framework)
    low = in_bfloat16(problem)
    x, v = (CARRIERS[framework](rng.random((4, 8, 8)).astype("float32")) for _ in range(2))

    def both(problem: Problem) -> list[np.ndarray]:
        value, pull = vjp(lambda x: problem.prior.denoise(x, 0.3), x)
        return [np.asarray(value), np.asarray(pull(v))]

    for found, exact in zip(both(low), both(problem), strict=True):
        assert found.dtype == np.float32
        assert 1e-4 < np.std(found - exact) / np.std(exact) < 10 * 2**-9  # the rounding of one product
    other = replace(problem, prior=gaussian_mixture(np.ones(1), np.zeros((1, D)), np.eye(D)[None], (D,)))
    assert in_bfloat16(other) is other
