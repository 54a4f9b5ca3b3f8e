"""Planted fault: a constant key instead of the one that is given."""

from functools import partial

import jax
import jax.numpy as jnp

from methods import Samples, method


@method("seed-ignored", framework="jax", requires={"linear", "gaussian_noise"})
def seed_ignored(problem, key, *, n, steps=1000):
    """Annealed Langevin in JAX."""
    key = jax.random.key(0)  # the fault
    return Samples(_sample(problem, key, n, steps), nfe=steps)


@partial(jax.jit, static_argnames=("n", "steps"))
def _sample(problem, key, n, steps):
    operator, noise_std = problem.operator, problem.noise.std

    def langevin(x, row):
        sigma, key = row
        eta = sigma**2 / 9
        pull = operator.adjoint(problem.y[None, :] - operator(x)) / (noise_std**2 + (operator.norm * sigma) ** 2)
        z = jax.random.normal(key, x.shape, x.dtype)
        return x + eta * (problem.prior.score(x, sigma) + pull) + (2 * eta) ** 0.5 * z, None

    sigmas = jnp.geomspace(10.0, 0.03, steps, dtype=problem.y.dtype)
    first, second = jax.random.split(key)
    x = sigmas[0] * jax.random.normal(first, (n, *problem.shape), problem.y.dtype)
    return jax.lax.scan(langevin, x, (sigmas, jax.random.split(second, steps)))[0]
