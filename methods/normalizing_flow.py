"""RealNVP, the normalizing flow of DPI (Dinh et al. 2017, arXiv 1605.08803; Sun and Bouman 2021, arXiv 2010.14462).

A flow maps a base draw z ~ N(0, I) to x. `from_base` samples, `to_base` inverts it; both return the log-determinant
of the map that they apply. Arrays are (n, d), log-determinants (n,); d is even.

The published network has BatchNorm in train mode inside each coupling. It is left out here: it ties the samples of
one batch to each other, which would void every score that assumes independent draws.
"""

from __future__ import annotations

import math
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from problems.arrays import Array, Key
from problems.names import UsageError

INITIAL_STD = 0.05  # of the hidden weights, as published


class ActNorm(eqx.Module):
    """x = z exp(log_scale) - shift, one scalar each for all coordinates, as released."""

    shift: Array
    log_scale: Array

    def from_base(self, z: Array) -> tuple[Array, Array]:
        return z * jnp.exp(self.log_scale) - self.shift, self._log_det(z)

    def to_base(self, x: Array) -> tuple[Array, Array]:
        return (x + self.shift) * jnp.exp(-self.log_scale), -self._log_det(x)

    def _log_det(self, x: Array) -> Array:
        return jnp.full(x.shape[:1], x.shape[1], x.dtype) * self.log_scale


class Coupling(eqx.Module):
    """The first half sets an affine map of the second: x_b = z_b exp(-log_s) - t, log_s in (-1, 1).

    (r, t) = net(z_a), log_s = tanh(r). The last layer starts at zero and is multiplied by exp(3 c), c learned per
    output, so that the coupling starts as the identity and can still grow fast.
    """

    weights: tuple[Array, Array, Array]
    biases: tuple[Array, Array, Array]
    gain: Array

    def from_base(self, z: Array) -> tuple[Array, Array]:
        half = z.shape[1] // 2
        log_s, t = self._scale_and_shift(z[:, :half])
        moved = z[:, half:] * jnp.exp(-log_s) - t
        return jnp.concatenate([z[:, :half], moved], axis=1), -jnp.sum(log_s, axis=1)

    def to_base(self, x: Array) -> tuple[Array, Array]:
        half = x.shape[1] // 2
        log_s, t = self._scale_and_shift(x[:, :half])
        moved = (x[:, half:] + t) * jnp.exp(log_s)
        return jnp.concatenate([x[:, :half], moved], axis=1), jnp.sum(log_s, axis=1)

    def _scale_and_shift(self, kept: Array) -> tuple[Array, Array]:
        hidden = kept
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            hidden = jax.nn.leaky_relu(hidden @ weight + bias[None, :], 0.01)
        out = (hidden @ self.weights[-1] + self.biases[-1][None, :]) * jnp.exp(3 * self.gain)[None, :]
        r, t = jnp.split(out, 2, axis=1)
        return jnp.tanh(r), t


class Reorder(eqx.Module):
    """z = x[:, order]: the flip between couplings and the permutation after a flow step."""

    order: tuple[int, ...] = eqx.field(static=True)

    def from_base(self, z: Array) -> tuple[Array, Array]:
        return z[:, np.argsort(self.order)], jnp.zeros(z.shape[:1], z.dtype)

    def to_base(self, x: Array) -> tuple[Array, Array]:
        return x[:, np.asarray(self.order)], jnp.zeros(x.shape[:1], x.dtype)


class Placement(eqx.Module):
    """x = mean + std (location + z exp(log_scale)), per coordinate: where and how wide the flow starts.

    mean and std, of the prior, are units and stay as they are, so that one learning rate serves problems of any
    scale; location and log_scale are learned with the rest.
    """

    mean: Array
    std: Array
    location: Array
    log_scale: Array

    def from_base(self, z: Array) -> tuple[Array, Array]:
        mean, scale, log_det = self._affine()
        return mean + z * scale, jnp.full(z.shape[:1], log_det)

    def to_base(self, x: Array) -> tuple[Array, Array]:
        mean, scale, log_det = self._affine()
        return (x - mean) / scale, jnp.full(x.shape[:1], -log_det)

    def _affine(self) -> tuple[Array, Array, Array]:
        mean, std = jax.lax.stop_gradient((self.mean, self.std))
        scale = std * jnp.exp(self.log_scale)
        return (mean + std * self.location)[None, :], scale[None, :], jnp.sum(jnp.log(std) + self.log_scale)


class Flow(eqx.Module):
    """Layers in the order data -> base."""

    layers: tuple[ActNorm | Coupling | Reorder | Placement, ...]

    @jax.jit
    def from_base(self, z: Array) -> tuple[Array, Array]:
        """x and log |det dx/dz|."""
        log_det = jnp.zeros(z.shape[:1], z.dtype)
        for layer in reversed(self.layers):
            z, change = layer.from_base(z)
            log_det = log_det + change
        return z, log_det

    def to_base(self, x: Array) -> tuple[Array, Array]:
        """z and log |det dz/dx|."""
        log_det = jnp.zeros(x.shape[:1], x.dtype)
        for layer in self.layers:
            x, change = layer.to_base(x)
            log_det = log_det + change
        return x, log_det

    @jax.jit
    def log_prob(self, x: Array) -> Array:
        """log q(x) in nats, (n,)."""
        z, log_det = self.to_base(x)
        return base_log_prob(z) + log_det


def base_log_prob(z: Array) -> Array:
    """log N(z; 0, I), (n,)."""
    return -0.5 * jnp.sum(z**2, axis=1) - 0.5 * z.shape[1] * math.log(2 * math.pi)


def require_even(d: int) -> None:
    """Raises a UsageError where x cannot be split into two halves."""
    if d % 2:
        raise UsageError(f"a RealNVP couples two halves of x: its dimension must be even, got {d}")


@partial(jax.jit, static_argnames=("d", "flow_steps", "width"))
def real_nvp(key: Key, d: int, *, flow_steps: int, width: int, like: Array, start: Placement | None = None) -> Flow:
    """A RealNVP that starts as the identity (after `start`, where given).

    Per flow step k = 1..flow_steps: twice (ActNorm, coupling, flip), then the fixed permutation of seed k.

    Args:
        key: a JAX key for the hidden weights.
        d: the dimension of x, even.
        flow_steps: the number of flow steps, each with two couplings.
        width: the hidden units of the two hidden layers of a coupling.
        like: an array whose dtype the parameters take.
        start: the layer next to x; None leaves it out, as published.
    """
    layers: list[ActNorm | Coupling | Reorder | Placement] = [] if start is None else [start]
    keys = jax.random.split(key, 2 * flow_steps)
    for k in range(flow_steps):
        for j in range(2):
            layers.append(ActNorm(jnp.zeros((), like.dtype), jnp.zeros((), like.dtype)))
            layers.append(_coupling(keys[2 * k + j], d, width, like))
            layers.append(Reorder(tuple(range(d - 1, -1, -1))))
        layers.append(Reorder(tuple(int(i) for i in np.random.RandomState(k + 1).permutation(d))))
    return Flow(tuple(layers))


def _coupling(key: Key, d: int, width: int, like: Array) -> Coupling:
    first, second = jax.random.split(key)
    half = d // 2
    return Coupling(
        weights=(
            INITIAL_STD * jax.random.normal(first, (half, width), like.dtype),
            INITIAL_STD * jax.random.normal(second, (width, width), like.dtype),
            jnp.zeros((width, 2 * half), like.dtype),
        ),
        biases=(jnp.zeros(width, like.dtype), jnp.zeros(width, like.dtype), jnp.zeros(2 * half, like.dtype)),
        gain=jnp.zeros(2 * half, like.dtype),
    )
