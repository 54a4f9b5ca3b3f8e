"""A mixture of normalizing flows q = sum_k w_k q_k, and its stratified training objective."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

from methods.normalizing_flow import Flow, Placement, real_nvp
from methods.variational_training import Recipe
from problems.arrays import Array, Key
from problems.contract import Problem

WEIGHT_CLIP = 20.0
"""Nats: a component that starts where the posterior has no mass must not throw the weights."""


class FlowMixture(eqx.Module):
    """sum_k w_k q_k.

    Attributes:
        flows: one Flow whose parameters are stacked along a first axis, (K, ...). logits: (K,), of the weights.
    """

    flows: Flow
    logits: Array

    @property
    def log_weights(self) -> Array:
        return jax.nn.log_softmax(self.logits)

    @jax.jit
    def log_prob(self, x: Array) -> Array:
        """log q(x) in nats, (n,)."""
        by_component = jax.vmap(lambda flow: flow.log_prob(x))(self.flows)
        return jax.nn.logsumexp(self.log_weights[:, None] + by_component, axis=0)

    def from_base(self, z: Array) -> Array:
        """x of every component, (K, n, d) -> (K, n, d)."""
        return jax.vmap(lambda flow, z: flow.from_base(z)[0])(self.flows, z)

    @partial(jax.jit, static_argnames=("n", "d"))
    def sample(self, key: Key, n: int, d: int) -> Array:
        """n independent draws, (n, d)."""
        label_key, base_key = jax.random.split(key)
        labels = jax.random.categorical(label_key, self.log_weights, shape=(n,))
        z = jax.random.normal(base_key, (n, d), self.logits.dtype)
        every = self.from_base(jnp.broadcast_to(z[None], (self.logits.shape[0], n, d)))
        return every[labels, jnp.arange(n)]


@dataclass(frozen=True)
class MixtureObjective:
    """sum_k w_k E_{q_k}[log q(x) - log p(y | x) - log p(x)], stratified: batch / K draws of every component.

    Every component descends its own term whatever its weight, so that one with a small weight goes on learning, and
    the weights follow the gradient of the whole, rescaled and clipped, which vanishes at the same weights: no mass has
    to cross a gap.

    Attributes:
        density: (problem, x, key, sigma_bar) -> log density of x_0 + sigma_bar z under the prior.
        batch: draws per step over all components.
        anneal: the prior's noise at the start of training, in units of its std; it falls to zero as (1 - u)^2 over the
            first `anneal_share` of the steps. Modes that are far apart are weighed while they are still merged.
        weight_rate: the learning rate of the weights' logits, by plain gradient descent.
    """

    density: Any
    batch: int
    anneal: float
    anneal_share: float
    weight_rate: float

    def __call__(self, mixture: FlowMixture, problem: Problem, key: Key, progress: Array) -> Array:
        """The loss of one batch, with the gradient described above."""
        base_key, prior_key = jax.random.split(key)
        components = mixture.logits.shape[0]
        z = jax.random.normal(base_key, (components, self.batch // components, problem.dim), problem.y.dtype)
        flat = mixture.from_base(z).reshape(-1, problem.dim)
        x = flat.reshape(-1, *problem.shape)
        left = jnp.maximum(self.anneal_share - progress, 0) / max(self.anneal_share, 1e-9)
        scale = jnp.sqrt(jnp.mean(problem.prior.std**2))
        log_p = self.density(problem, x, prior_key, self.anneal * scale * left**2)
        # The gradient of log q(x) with respect to its own parameters has mean zero: only the path through x counts
        # (Roeder et al. 2017, arXiv 1703.09194), which leaves no noise once q is the posterior.
        fixed = jax.lax.stop_gradient(mixture)
        excess = fixed.log_prob(flat) - problem.log_likelihood(x) - log_p
        by_component = jnp.mean(excess.reshape(components, -1), axis=1)
        loss = jnp.exp(fixed.log_weights) @ by_component
        # d loss / d logit_k = w_k (term_k - loss); without the factor w_k a small weight can still recover.
        pull = jnp.clip(jax.lax.stop_gradient(by_component - loss), -WEIGHT_CLIP, WEIGHT_CLIP)
        surrogate = jnp.sum(by_component) + pull @ mixture.logits
        return jax.lax.stop_gradient(loss - surrogate) + surrogate

    def optimizer(self, recipe: Recipe) -> optax.GradientTransformation:
        """Adam for the flows, gradient descent for the weights."""

        def labels(mixture: FlowMixture) -> FlowMixture:
            return FlowMixture(jax.tree.map(lambda _: "flows", mixture.flows), "weights")

        weights = optax.sgd(recipe.schedule(self.weight_rate))
        return optax.partition({"flows": recipe.adam(), "weights": weights}, labels)


@partial(jax.jit, static_argnames=("components", "flow_steps", "width"))
def flow_mixture(
    key: Key, problem: Problem, *, components: int, flow_steps: int, width: int, spread: float, start_std: float
) -> FlowMixture:
    """RealNVPs at N(prior mean, (spread prior std)^2), each start_std prior stds wide, with equal weights."""
    like = problem.y
    mean, std = problem.prior.mean.reshape(-1), problem.prior.std.reshape(-1)

    def one(key: Key) -> Flow:
        place, weights = jax.random.split(key)
        location = spread * jax.random.normal(place, mean.shape, like.dtype)
        start = Placement(mean, std, location, jnp.full_like(std, jnp.log(start_std)))
        return real_nvp(weights, problem.dim, flow_steps=flow_steps, width=width, like=like, start=start)

    flows = jax.vmap(one)(jax.random.split(key, components))
    return FlowMixture(flows, jnp.zeros(components, like.dtype))
