"""The flow and the mixture of flows: both directions, log-determinants, and the gradient that trains the weights."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multivariate_normal

from methods.flow_mixture import FlowMixture, MixtureObjective, flow_mixture
from methods.normalizing_flow import ActNorm, Coupling, Flow, Placement, Reorder, base_log_prob, real_nvp, require_even
from methods.variational_training import AnalyticDensity
from problems import Problem, load
from problems.names import UsageError

D = 6


@jax.jit
def generic(flow: Flow, key: jax.Array, size: float = 0.3) -> Flow:
    """The flow with every parameter moved: at its start it is the identity, which hides errors."""
    leaves, tree = jax.tree.flatten(flow)
    keys = jax.random.split(key, len(leaves))
    moved = [leaf + size * jax.random.normal(k, leaf.shape, leaf.dtype) for leaf, k in zip(leaves, keys, strict=True)]
    return jax.tree.unflatten(tree, moved)


def placed(d: int) -> Placement:
    mean, std = jnp.linspace(-1.0, 2.0, d), jnp.linspace(0.4, 1.7, d)
    return Placement(mean, std, jnp.linspace(0.3, -0.2, d), jnp.linspace(-0.5, 0.1, d))


@pytest.fixture(scope="module")
def flow() -> Flow:
    start = real_nvp(jax.random.key(1), D, flow_steps=3, width=7, like=jnp.zeros(()), start=placed(D))
    return generic(start, jax.random.key(2))


Z = np.random.default_rng(0).standard_normal((5, D))


def test_the_inverse_undoes_the_flow(flow: Flow) -> None:
    x, forward = jax.jit(Flow.from_base)(flow, jnp.asarray(Z))
    z, backward = jax.jit(Flow.to_base)(flow, x)
    assert jnp.max(jnp.abs(x - Z)) > 0.1
    np.testing.assert_allclose(z, Z, rtol=0, atol=1e-10)
    np.testing.assert_allclose(backward, -forward, rtol=0, atol=1e-10)


def test_log_determinants_are_those_of_the_jacobian(flow: Flow) -> None:
    def row(z: jax.Array) -> jax.Array:
        return flow.from_base(z[None])[0][0]

    expected = jnp.linalg.slogdet(jax.jit(jax.vmap(jax.jacfwd(row)))(jnp.asarray(Z)))[1]
    np.testing.assert_allclose(flow.from_base(jnp.asarray(Z))[1], expected, rtol=0, atol=1e-9)


def test_the_density_is_that_of_the_base_under_the_change_of_variables(flow: Flow) -> None:
    x, log_det = flow.from_base(jnp.asarray(Z))
    base = multivariate_normal(np.zeros(D)).logpdf(Z)
    np.testing.assert_allclose(base_log_prob(jnp.asarray(Z)), base, rtol=1e-12)
    np.testing.assert_allclose(flow.log_prob(x), base - log_det, rtol=0, atol=1e-9)


def test_layers_are_the_published_ones() -> None:
    z = jnp.asarray(Z[:, :4])
    norm = ActNorm(jnp.asarray(0.3), jnp.asarray(-0.7))
    np.testing.assert_allclose(norm.from_base(z)[0], z * np.exp(-0.7) - 0.3)
    rng = np.random.default_rng(1)
    shapes = [(2, 5), (5, 5), (5, 4)]
    weights = [rng.standard_normal(shape) for shape in shapes]
    biases = [rng.standard_normal(shape[1]) for shape in shapes]
    gain = rng.standard_normal(4) / 3
    coupling = Coupling(tuple(map(jnp.asarray, weights)), tuple(map(jnp.asarray, biases)), jnp.asarray(gain))
    hidden = np.asarray(z[:, :2])
    for w, b in zip(weights[:2], biases[:2], strict=True):
        linear = hidden @ w + b
        hidden = np.where(linear > 0, linear, 0.01 * linear)
    r, t = np.split((hidden @ weights[2] + biases[2]) * np.exp(3 * gain), 2, axis=1)
    expected = np.concatenate([z[:, :2], z[:, 2:] * np.exp(-np.tanh(r)) - t], axis=1)
    np.testing.assert_allclose(coupling.from_base(z)[0], expected, rtol=1e-12)
    np.testing.assert_array_equal(Reorder((2, 0, 3, 1)).to_base(z)[0], z[:, jnp.asarray([2, 0, 3, 1])])


def test_per_step_two_couplings_and_a_permutation_of_its_own_seed() -> None:
    layers = real_nvp(jax.random.key(0), D, flow_steps=2, width=3, like=jnp.zeros(())).layers
    assert [type(layer) for layer in layers] == 2 * (2 * [ActNorm, Coupling, Reorder] + [Reorder])
    assert layers[2] == Reorder((5, 4, 3, 2, 1, 0))
    for k, at in ((1, 6), (2, 13)):
        assert layers[at] == Reorder(tuple(np.random.RandomState(k).permutation(D).tolist()))


def test_at_the_start_it_is_the_base_or_its_placement() -> None:
    at = jnp.asarray(Z)
    plain = real_nvp(jax.random.key(0), D, flow_steps=2, width=3, like=jnp.zeros(()))
    np.testing.assert_allclose(plain.log_prob(at), multivariate_normal(np.zeros(D)).logpdf(Z), rtol=1e-12)
    start = placed(D)
    moved = real_nvp(jax.random.key(0), D, flow_steps=2, width=3, like=jnp.zeros(()), start=start)
    std = start.std * np.exp(start.log_scale)
    law = multivariate_normal(start.mean + start.std * start.location, np.diag(std**2))
    np.testing.assert_allclose(moved.log_prob(at), law.logpdf(Z), rtol=1e-12)


def test_parameters_take_the_dtype_of_the_problem() -> None:
    flow = real_nvp(jax.random.key(0), D, flow_steps=1, width=3, like=jnp.zeros((), jnp.float32))
    assert {leaf.dtype for leaf in jax.tree.leaves(flow)} == {np.dtype("float32")}


def test_an_odd_dimension_is_refused() -> None:
    with pytest.raises(UsageError, match="its dimension must be even, got 3"):
        require_even(3)


# ---- the mixture ----


@pytest.fixture(scope="module")
def problem() -> Problem:
    return load("seed2d", 0).problem.to("jax", dtype="float64")


@pytest.fixture(scope="module")
def mixture(problem: Problem) -> FlowMixture:
    start = flow_mixture(jax.random.key(5), problem, components=3, flow_steps=1, width=4, spread=0.7, start_std=0.4)
    return FlowMixture(generic(start.flows, jax.random.key(6), 0.05), jnp.asarray([0.4, -0.9, 0.1]))


def components(mixture: FlowMixture) -> list[Flow]:
    return [jax.tree.map(lambda leaf, k=k: leaf[k], mixture.flows) for k in range(len(mixture.logits))]


def test_the_mixture_density_is_the_weighted_sum(mixture: FlowMixture) -> None:
    x = jnp.asarray(Z[:, :2])
    weights = np.exp([0.4, -0.9, 0.1]) / np.sum(np.exp([0.4, -0.9, 0.1]))
    density = jax.jit(Flow.log_prob)
    expected = sum(w * np.exp(density(flow, x)) for w, flow in zip(weights, components(mixture), strict=True))
    np.testing.assert_allclose(jax.jit(FlowMixture.log_prob)(mixture, x), np.log(expected), rtol=1e-10)


def test_draws_follow_the_mixture(mixture: FlowMixture) -> None:
    n = 40_000
    x = jax.jit(lambda q: q.sample(jax.random.key(3), n, 2))(mixture)
    parts = jax.jit(FlowMixture.from_base)(mixture, jax.random.normal(jax.random.key(4), (3, n, 2)))
    weights = np.exp(np.asarray(mixture.log_weights))
    for moment in (lambda v: v, lambda v: v**2, lambda v: v[..., :1] * v[..., 1:]):
        ours, each = np.asarray(moment(x)), np.asarray(moment(parts))
        stderr = np.sqrt(ours.var(axis=0) / n + (weights[:, None] ** 2 * each.var(axis=1) / n).sum(axis=0))
        assert np.all(np.abs(ours.mean(axis=0) - weights @ each.mean(axis=1)) < 5 * stderr)


def population_loss(mixture: FlowMixture, problem: Problem) -> jax.Array:
    """The loss without Monte Carlo: a sum over a grid that holds all of q."""
    axis = jnp.linspace(-2.5, 2.5, 1001)  # fine: the leaky ReLU has kinks
    grid = jnp.stack(jnp.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    log_q = mixture.log_prob(grid)
    excess = log_q - problem.log_likelihood(grid) - problem.prior.log_prob(grid)
    return jnp.sum(jnp.exp(log_q) * excess) * (axis[1] - axis[0]) ** 2


def test_value_and_gradient_are_those_of_the_exact_loss(mixture: FlowMixture, problem: Problem) -> None:
    """The weights' gradient is the exact one without its factor w_k; so is each component's (term by term)."""
    value, slope = jax.jit(jax.value_and_grad(population_loss))(mixture, problem)
    objective = MixtureObjective(AnalyticDensity(), batch=600, anneal=0.0, anneal_share=0.5, weight_rate=0.1)
    keys = jax.random.split(jax.random.key(8), 400)
    one = jnp.ones(())
    draw = jax.jit(jax.vmap(lambda key: jax.value_and_grad(objective)(mixture, problem, key, one)))
    values, slopes = draw(keys)
    assert np.abs(values.mean() - value) < 4 * values.std() / 20
    weights = np.exp(np.asarray(mixture.log_weights))

    def compare(drawn: jax.Array, exact: jax.Array) -> None:
        drawn = np.asarray(drawn) * weights.reshape(-1, *[1] * (drawn.ndim - 2))
        stderr = drawn.std(axis=0) / 20
        assert np.all(np.abs(drawn.mean(axis=0) - exact) < 5 * stderr + 1e-8)

    assert np.abs(slope.logits).min() > 0.01
    compare(slopes.logits, slope.logits)
    jax.tree.map(compare, slopes.flows, slope.flows)


def test_a_mixture_that_equals_the_posterior_has_no_gradient_noise(problem: Problem) -> None:
    """Without data the posterior is the prior, two Gaussians: each draw has the same loss and gradient zero."""
    prior = problem.prior
    spread = Placement(jnp.zeros((2, 2)), jnp.ones((2, 2)), prior.component_means, jnp.full((2, 2), jnp.log(0.1)))
    mixture = FlowMixture(Flow((spread,)), prior.log_weights)

    class Free:
        """The problem without its data."""

        y, dim, shape = problem.y, problem.dim, problem.shape
        prior = problem.prior

        def log_likelihood(self, x: jax.Array) -> jax.Array:
            return jnp.full(x.shape[0], -1.25)

    objective = MixtureObjective(AnalyticDensity(), batch=20, anneal=0.0, anneal_share=0.5, weight_rate=0.1)
    value, slope = jax.jit(jax.value_and_grad(lambda q: objective(q, Free(), jax.random.key(0), jnp.ones(()))))(mixture)
    np.testing.assert_allclose(value, 1.25, rtol=1e-9)
    assert max(float(jnp.max(jnp.abs(leaf))) for leaf in jax.tree.leaves(slope)) < 1e-7


def test_the_prior_is_annealed_to_itself(mixture: FlowMixture, problem: Problem) -> None:
    """sigma_bar = anneal * prior std * (1 - progress / share)^2."""

    def loss(progress: jax.Array, gain: float) -> jax.Array:
        def density(_problem: Problem, x: jax.Array, _key: jax.Array, sigma_bar: jax.Array) -> jax.Array:
            return jnp.full(x.shape[0], gain * sigma_bar)

        objective = MixtureObjective(density, batch=6, anneal=3.0, anneal_share=0.4, weight_rate=0.1)
        return objective(mixture, problem, jax.random.key(0), progress)

    seen = jax.jit(jax.vmap(lambda progress: loss(progress, 0.0) - loss(progress, 1.0)))(
        jnp.asarray([0, 0.1, 0.4, 0.9])
    )
    std = np.sqrt(0.25 + 0.01)
    np.testing.assert_allclose(seen, [3.0 * std, 3.0 * std * 0.75**2, 0.0, 0.0], rtol=1e-9, atol=1e-12)
