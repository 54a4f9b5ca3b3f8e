"""The two log densities of a score prior, by ODE and by bound, against exact ones."""

from __future__ import annotations

import itertools
from functools import partial
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multivariate_normal

from methods.elbo import ElboDensity, bound, importance_times
from methods.probability_flow import OdeDensity, exact_trace, hutchinson_trace, log_prob, velocity
from problems import load
from problems.contract import Problem, data, to
from problems.gaussian_mixture import gaussian_mixture
from problems.noise import GaussianNoise
from problems.operators import matrix_operator
from problems.schedules import VP

MEAN = np.array([0.4, -0.7])
COV = np.array([[0.5, 0.3], [0.3, 0.9]])
X = jnp.asarray([[0.1, -0.2], [1.3, 0.4], [-0.9, -1.8]])
# Twice the usual end, so that x_1 is N(0, I) to 1e-4: with the usual one log N(x_1; 0, I) is off by .005 for this mean.
SCHEDULE = to(VP(beta_max=np.array(40.0)), "jax", dtype="float64")


def gaussian() -> Any:
    return to(gaussian_mixture(np.ones(1), MEAN[None], COV[None], (2,)), "jax", dtype="float64")


def mixture_of(d: int) -> Any:
    rng = np.random.default_rng(3)
    factors = rng.standard_normal((3, d, d)) / 2
    covs = factors @ factors.transpose(0, 2, 1) + 0.3 * np.eye(d)
    prior = gaussian_mixture(np.array([0.2, 0.5, 0.3]), rng.standard_normal((3, d)), covs, (d,))
    return to(prior, "jax", dtype="float64")


def problem_of(prior: Any) -> Problem:
    operator = to(matrix_operator(np.ones((1, 2)), (2,)), "jax", dtype="float64")
    noise = to(GaussianNoise(np.array(0.3)), "jax", dtype="float64")
    return Problem(prior, operator, noise, jnp.zeros(1), SCHEDULE, (2,))


# ---- the probability-flow ODE ----


POINTS = [[-0.5, -0.5], [0.0, 0.0], [0.45, 0.6]]


@partial(jax.jit, static_argnames=("rtol", "atol"))
def alone(problem: Problem, points: jax.Array, t0: float, rtol: float, atol: float) -> jax.Array:
    """The ODE's log density of each point, solved alone so that no other decides its steps."""

    def one(x: jax.Array) -> jax.Array:
        return log_prob(problem.prior, problem.schedule, x[None], t0=t0, rtol=rtol, atol=atol)[0]

    return jax.lax.map(one, points)


def seed2d_error(t0: float, rtol: float, atol: float, dtype: str = "float64") -> float:
    """The largest over the points, in nats."""
    problem = load("seed2d", 0).problem.to("jax", dtype=dtype)
    found = alone(problem, jnp.asarray(POINTS, dtype), t0, rtol, atol)
    return float(np.max(np.abs(np.asarray(found) - [2.074146, -22.232707, 1.449146])))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_ode_gives_the_exact_log_density_of_seed2d(dtype: str) -> None:
    assert seed2d_error(1e-12, 1e-5, 1e-7, dtype) < 3e-4


def test_what_the_published_tolerances_and_a_later_start_cost() -> None:
    """The demonstration's 1e-3 and 1e-5 err by up to .007 nats, a start at t = 1e-3 by .26."""
    demonstration = seed2d_error(1e-12, 1e-3, 1e-5)
    later = seed2d_error(1e-3, 1e-5, 1e-7)
    np.testing.assert_allclose([demonstration, later], [0.0066, 0.26], rtol=0.03)


def test_the_ode_gives_the_log_density_of_a_correlated_gaussian() -> None:
    solved = jax.jit(lambda x: log_prob(gaussian(), SCHEDULE, x, t0=1e-12, rtol=1e-5, atol=1e-7))(X)
    np.testing.assert_allclose(solved, multivariate_normal(MEAN, COV).logpdf(X), rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    "adjoint",
    [
        None,
        pytest.param(
            diffrax.BacksolveAdjoint(
                solver=diffrax.Dopri5(), stepsize_controller=diffrax.PIDController(rtol=1e-5, atol=1e-7)
            ),
            marks=pytest.mark.slow,
        ),
    ],
    ids=["recursive checkpoint", "backsolve"],
)
def test_its_gradient_is_the_score(adjoint: Any) -> None:
    prior = mixture_of(2)

    def total(x: jax.Array) -> jax.Array:
        return jnp.sum(log_prob(prior, SCHEDULE, x, t0=1e-12, rtol=1e-5, atol=1e-7, adjoint=adjoint))

    np.testing.assert_allclose(jax.jit(jax.grad(total))(X), prior.score(X, jnp.zeros(())), rtol=0, atol=5e-3)


@pytest.mark.parametrize("t", [1e-4, 0.2, 0.7])
def test_the_divergence_for_a_gaussian_prior_is_closed(t: float) -> None:
    """-beta/2 (d - tr P^-1), P = alpha^2 C + sigma^2 I."""
    at = jnp.asarray(t)
    push = jax.linearize(lambda x: velocity(gaussian(), SCHEDULE, at, x), X)[1]
    p = float(SCHEDULE.alpha(at)) ** 2 * COV + float(SCHEDULE.sigma(at)) ** 2 * np.eye(2)
    expected = -0.5 * (0.1 + 39.9 * t) * (2 - np.trace(np.linalg.inv(p)))
    np.testing.assert_allclose(exact_trace(push, X.shape, X.dtype), np.full(3, expected), rtol=1e-9)


def sign_vectors(n: int, d: int) -> jax.Array:
    """All 2^d, for each of n points: (2^d, n, d)."""
    signs = jnp.asarray(list(itertools.product([-1.0, 1.0], repeat=d)))
    return jnp.broadcast_to(signs[:, None, :], (2**d, n, d))


def test_all_sign_vectors_together_give_the_exact_trace() -> None:
    prior, x = mixture_of(4), jnp.asarray(np.random.default_rng(1).standard_normal((3, 4)))
    push = jax.linearize(lambda x: velocity(prior, SCHEDULE, jnp.asarray(0.3), x), x)[1]
    exact = exact_trace(push, x.shape, x.dtype)
    probes = sign_vectors(3, 4)
    np.testing.assert_allclose(hutchinson_trace(push, probes), exact, rtol=1e-10)
    assert jnp.max(jnp.abs(hutchinson_trace(push, probes[3:4]) - exact)) > 0.01  # a single one does not


def test_probes_reach_the_solve() -> None:
    prior = mixture_of(2)
    solve = jax.jit(lambda probes: log_prob(prior, SCHEDULE, X, t0=1e-12, rtol=1e-5, atol=1e-7, probes=probes))
    exact = prior.log_prob(X)
    np.testing.assert_allclose(solve(sign_vectors(3, 2)), exact, rtol=0, atol=1e-3)
    assert jnp.max(jnp.abs(solve(sign_vectors(3, 2)[:1]) - exact)) > 0.01


@pytest.mark.parametrize("sigma_bar", [0.0, 0.6])
def test_the_training_density_is_that_of_the_noised_prior(sigma_bar: float) -> None:
    density = OdeDensity(rtol=1e-5, atol=1e-7, t0=1e-12, probes=None)
    prior = mixture_of(2)
    found = jax.jit(lambda x: density(problem_of(prior), x, jax.random.key(0), jnp.asarray(sigma_bar)))(X)
    np.testing.assert_allclose(found, prior.log_prob(X, jnp.asarray(sigma_bar)), rtol=0, atol=1e-3)


def test_the_training_density_draws_probes_where_asked_and_in_high_dimension() -> None:
    """Rademacher probes are unbiased: over 64 of them the mean is within 5 standard errors."""
    prior = mixture_of(2)
    density = OdeDensity(rtol=1e-4, atol=1e-6, t0=1e-12, probes=1)
    keys = jax.random.split(jax.random.key(2), 64)
    draws = jax.jit(lambda keys: jax.lax.map(lambda k: density(problem_of(prior), X, k, jnp.zeros(())), keys))(keys)
    stderr = draws.std(axis=0, ddof=1) / 8
    assert jnp.min(stderr) > 1e-3
    assert jnp.all(jnp.abs(draws.mean(axis=0) - prior.log_prob(X)) < 5 * stderr)


# ---- the bound ----


@partial(jax.jit, static_argnames=("eps", "draws"))
def bounds(
    prior: Any, x: jax.Array, keys: jax.Array, eps: float, sigma_bar: float, scale: float, draws: int
) -> jax.Array:
    """The bound at each row of x, (keys, rows), each the mean of 64 estimates."""

    def one(key: jax.Array) -> jax.Array:
        rows = jnp.repeat(x, 64, axis=0)
        values = bound(prior, SCHEDULE, rows, key, eps=eps, draws=draws, sigma_bar=sigma_bar, scale=scale)
        return jnp.mean(values.reshape(-1, 64), axis=1)

    return jax.lax.map(one, keys)


KEYS = jax.random.split(jax.random.key(11), 400)


@pytest.mark.parametrize(
    ("eps", "sigma_bar", "scale", "draws"),
    [(1e-3, 0.0, 0.8, 1), (1e-5, 0.0, 0.3, 1), (1e-3, 0.6, 1e-3, 1), (1e-3, 0.6, 0.8, 3)],
)
def test_with_an_exact_score_the_bound_is_the_log_density(
    eps: float, sigma_bar: float, scale: float, draws: int
) -> None:
    values = bounds(gaussian(), X, KEYS, eps, sigma_bar, scale, draws)
    stderr = values.std(axis=0, ddof=1) / 20
    expected = multivariate_normal(MEAN, COV + sigma_bar**2 * np.eye(2)).logpdf(X)
    assert jnp.max(stderr) < 0.15
    assert jnp.all(jnp.abs(values.mean(axis=0) - expected) < 4 * stderr)


def test_the_offset_pays_for_a_late_stop() -> None:
    """Where the prior is much wider than the noise at eps, p(x | x_eps) is the Gaussian of the offset: no gap is left.

    B(eps) = .21 here, so that every term of the offset counts; at the usual eps it is 1e-4.
    """
    wide = to(gaussian_mixture(np.ones(1), MEAN[None], 900.0 * np.eye(2)[None], (2,)), "jax", dtype="float64")
    values = bounds(wide, 30.0 * X, KEYS, 0.1, 0.0, 30.0, 1)
    stderr = values.std(axis=0, ddof=1) / 20
    expected = multivariate_normal(MEAN, 900.0 * np.eye(2)).logpdf(30.0 * X)
    assert jnp.max(stderr) < 0.008  # a tenth of the offset more or less is .042
    assert jnp.all(jnp.abs(values.mean(axis=0) - expected) < 4 * stderr + 1e-3)


def test_the_control_variate_lowers_the_variance() -> None:
    best, none, all_of_it = (bounds(gaussian(), X, KEYS, 1e-3, 0.0, scale, 1).std() for scale in (0.8, 1e-3, 1e6))
    assert best < 0.7 * min(none, all_of_it)


def test_its_mean_gradient_is_the_score() -> None:
    prior = mixture_of(2)

    def slope(key: jax.Array) -> jax.Array:
        return jax.grad(lambda x: jnp.sum(bound(prior, SCHEDULE, x, key, eps=1e-4, draws=1)))(X)

    slopes = jax.jit(lambda keys: jax.lax.map(slope, keys, batch_size=500))(jax.random.split(jax.random.key(4), 20_000))
    stderr = slopes.std(axis=0, ddof=1) / np.sqrt(20_000)
    exact = prior.score(X, jnp.zeros(()))
    assert jnp.max(stderr) < 0.2 * jnp.max(jnp.abs(exact))
    assert jnp.all(jnp.abs(slopes.mean(axis=0) - exact) < 4 * stderr)


def test_a_wrong_score_lowers_the_bound_on_average() -> None:
    @data
    class Wrong:
        """A prior whose score is a tenth too long."""

        prior: Any

        def score(self, x: Any, sigma: Any) -> Any:
            return 1.1 * self.prior.score(x, sigma)

    to(Wrong(gaussian()), "jax", dtype="float64")  # a pytree from now on
    x = jnp.asarray(np.random.default_rng(0).multivariate_normal(MEAN, COV, 200))
    right = bounds(gaussian(), x, KEYS[:20], 1e-3, 0.0, 0.8, 1).mean(axis=1)
    wrong = bounds(Wrong(gaussian()), x, KEYS[:20], 1e-3, 0.0, 0.8, 1).mean(axis=1)
    difference = right - wrong  # on the same noise
    assert difference.mean() > 5 * difference.std() / np.sqrt(20)


def test_times_have_the_published_density_and_cover_it_evenly() -> None:
    """The cumulative of 1 / (width (1 - e^-b)) is log(e^b - 1), up to scale."""
    low, high = jnp.asarray(1e-4), jnp.asarray(10.05)

    def uniform(times: jax.Array) -> np.ndarray:
        return (np.log(np.expm1(times)) - np.log(np.expm1(low))) / (np.log(np.expm1(high)) - np.log(np.expm1(low)))

    times, width = importance_times(jax.random.key(0), 200, low, high)
    grid = np.geomspace(low, high, 200_001)
    np.testing.assert_allclose(width, np.trapezoid(1 / -np.expm1(-grid), grid), rtol=1e-6)
    for part in (times, times[:50], times[150:]):  # each is even, so that no part of a batch sees one end alone
        np.testing.assert_allclose(np.sort(uniform(part)), (np.arange(len(part)) + 0.5) / len(part), atol=2 / len(part))
    keys = jax.random.split(jax.random.key(1), 2000)
    first = np.sort(uniform(jax.vmap(lambda k: importance_times(k, 3, low, high)[0][1])(keys)))
    assert np.max(np.abs(first - np.arange(2000) / 2000)) < 1.63 / np.sqrt(2000)  # Kolmogorov, 1 %


def test_the_training_bound_is_that_of_the_noised_prior() -> None:
    density = ElboDensity(eps=1e-3, draws=2)
    found = jax.jit(lambda keys: jax.lax.map(lambda k: density(problem_of(gaussian()), X, k, jnp.asarray(0.6)), keys))(
        jax.random.split(jax.random.key(7), 4000)
    )
    stderr = found.std(axis=0, ddof=1) / np.sqrt(4000)
    expected = multivariate_normal(MEAN, COV + 0.36 * np.eye(2)).logpdf(X)
    assert jnp.all(jnp.abs(found.mean(axis=0) - expected) < 4 * stderr)
    assert jnp.max(stderr) < 0.1
