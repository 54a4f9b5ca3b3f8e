"""The likelihood of closures: its law, gradient and draws, and its variances against noisy visibilities."""

from __future__ import annotations

import jax
import numpy as np
import pytest
import scipy.integrate
import scipy.stats

from problems.arrays import make_key, vjp
from problems.contract import to
from problems.interferometry import observe, visibility_matrix
from problems.names import UsageError
from problems.noise_closure import FLUX_STD, closure_noise
from problems.operator_closure import closure_phases, log_closure_amplitudes, quadrangles, triangles

COVERAGE = observe(hours=5.0, every_minutes=100.0)
THREE, FOUR = triangles(COVERAGE), quadrangles(COVERAGE)
C, Q = len(THREE), len(FOUR)
RNG = np.random.default_rng(81)
IMAGE = RNG.uniform(0.0, 1.0, 36)
SEEN = visibility_matrix(COVERAGE, 6, 80.0) @ IMAGE
MODULI = np.hypot(*np.split(SEEN, 2))
SNR = RNG.uniform(30.0, 60.0, len(MODULI))
NOISE = closure_noise(SEEN, MODULI / SNR, THREE, FOUR, flux_std=0.4, centre_std=0.7)
WIDE = closure_noise(SEEN, MODULI / 1.5, THREE, FOUR, flux_std=0.4, centre_std=0.7)
NOISES = {"narrow": (NOISE, 0.05), "wide": (WIDE, 1.0)}
each = pytest.mark.parametrize("name", NOISES)


def pair(name):
    """A measurement and three predictions near it, compared to the noise."""
    rng = np.random.default_rng(52)
    size = NOISES[name][1] * rng.standard_normal((4, C + Q + 3))
    return size[0], size[1:]


def test_the_variances_are_sums_over_baselines():
    """The sum of 1 / SNR^2 over three or four baselines."""
    phase_var = np.array([np.sum(1 / SNR[row != 0] ** 2) for row in THREE])
    log_var = np.array([np.sum(1 / SNR[row != 0] ** 2) for row in FOUR])
    np.testing.assert_allclose(1 / NOISE.concentration, phase_var, rtol=1e-12)
    np.testing.assert_allclose(NOISE.linear_std, [*np.sqrt(log_var), 0.4, 0.7, 0.7], rtol=1e-12)


def test_the_variances_are_those_of_closures_of_noisy_visibilities():
    """To first order in 1 / SNR, at least 30 here; and closures that share a baseline are correlated, as is said."""
    n = 20_000
    std = np.tile(MODULI / SNR, 2)
    rng = np.random.default_rng(52)
    noisy = SEEN + std * rng.standard_normal((n, len(SEEN)))
    turned = closure_phases(noisy, THREE) - closure_phases(SEEN[None], THREE)
    phases = turned - 2 * np.pi * np.round(turned / (2 * np.pi))
    amplitudes = log_closure_amplitudes(noisy, FOUR) - log_closure_amplitudes(SEEN[None], FOUR)
    tolerance = 5 / np.sqrt(2 * n) + 3 / 30**2
    np.testing.assert_allclose(phases.std(axis=0), NOISE.concentration**-0.5, rtol=tolerance)
    np.testing.assert_allclose(amplitudes.std(axis=0), NOISE.linear_std[:Q], rtol=tolerance)
    assert np.max(np.abs(np.corrcoef(phases, rowvar=False) - np.eye(C))) > 0.2


@each
def test_phases_are_von_mises_and_the_others_normal(name):
    noise = NOISES[name][0]
    y, ax = pair(name)
    phases = scipy.stats.vonmises.logpdf(y[:C], noise.concentration, ax[:, :C]).sum(axis=1)
    others = scipy.stats.norm.logpdf(y[C:], ax[:, C:], noise.linear_std).sum(axis=1)
    np.testing.assert_allclose(noise.log_likelihood(y, ax), phases + others, rtol=1e-10)


def test_the_density_of_a_phase_has_integral_one_and_period_two_pi():
    y, ax = pair("wide")

    def density(turn):
        moved = y.copy()
        moved[0] = turn
        return np.exp(WIDE.log_likelihood(moved, ax[:1])[0] - reference)

    reference = WIDE.log_likelihood(y, ax[:1])[0]
    # The other data contribute a factor, which one known value of the density of this phase gives.
    factor = np.exp(-scipy.stats.vonmises.logpdf(y[0], WIDE.concentration[0], ax[0, 0]))
    assert scipy.integrate.quad(density, 0.3, 0.3 + 2 * np.pi)[0] == pytest.approx(factor, rel=1e-9)
    assert density(0.3) == pytest.approx(density(0.3 + 2 * np.pi), rel=1e-12)


def test_half_the_published_misfit_and_the_published_weight_of_the_flux():
    """2 (1 - cos) / s^2 is a chi-square; the flux enters as (sum - target)^2 with weight 1."""
    noise = closure_noise(SEEN, MODULI / SNR, THREE, FOUR)
    y, ax = pair("narrow")
    misfit = np.sum(2 * (1 - np.cos(y[:C] - ax[:, :C])) * noise.concentration, axis=1)
    misfit += np.sum(((y[C:] - ax[:, C:])[:, :Q] / noise.linear_std[:Q]) ** 2, axis=1)
    light = y[C + Q :] - ax[:, C + Q :]
    loss = 0.5 * misfit + light[:, 0] ** 2 + 0.5 * (light[:, 1] ** 2 + light[:, 2] ** 2)
    found = noise.log_likelihood(y, ax)
    np.testing.assert_allclose(found - found[0], loss[0] - loss, rtol=1e-9)
    assert noise.linear_std[Q] == FLUX_STD


@each
def test_the_score_is_the_gradient_of_the_log_likelihood(name):
    noise = NOISES[name][0]
    y, ax = pair(name)
    step, found = 1e-6, noise.score(y, ax)
    for j, unit in enumerate(np.eye(C + Q + 3)):
        slope = noise.log_likelihood(y, ax + step * unit) - noise.log_likelihood(y, ax - step * unit)
        np.testing.assert_allclose(found[:, j], slope / (2 * step), rtol=1e-5, atol=1e-3)


def evaluate(noise, y, ax, ones):
    """The log likelihood, its gradient by automatic differentiation, and the score."""
    value, pull = vjp(lambda at: noise.log_likelihood(y, at), ax)
    return value, pull(ones), noise.score(y, ax)


@each
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-11), ("float32", 1e-5)])
@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_frameworks_agree_and_differentiate_to_the_score(name, framework, dtype, tolerance, relative):
    """In JAX compiled, the noise an argument."""
    noise = NOISES[name][0]
    y, ax = pair(name)
    there = [to(part, framework, dtype=dtype) for part in (noise, y, ax, np.ones(3))]
    value, gradient, score = (jax.jit(evaluate) if framework == "jax" else evaluate)(*there)
    assert np.asarray(value).dtype == np.asarray(score).dtype == dtype
    assert relative(value, noise.log_likelihood(y, ax)) < tolerance
    assert relative(gradient, noise.score(y, ax)) < tolerance
    assert relative(score, noise.score(y, ax)) < tolerance


@each
def test_draws_have_the_stated_law(name):
    noise, n = NOISES[name][0], 4000
    rng = np.random.default_rng(52)
    ax = np.concatenate([rng.uniform(-np.pi, np.pi, C), rng.standard_normal(Q + 3)])
    drawn = noise.sample(make_key("numpy", [7]), np.repeat(ax[None], n, axis=0))
    assert drawn.shape == (n, C + Q + 3)
    assert np.max(np.abs(drawn[:, :C])) <= np.pi
    turned = drawn[:, :C] - ax[:C]
    turned -= 2 * np.pi * np.round(turned / (2 * np.pi))
    pvalues = [
        scipy.stats.kstest(turned[:, t], scipy.stats.vonmises(noise.concentration[t]).cdf).pvalue for t in range(C)
    ]
    standard = (drawn[:, C:] - ax[C:]) / noise.linear_std
    pvalues += [scipy.stats.kstest(standard[:, t], "norm").pvalue for t in range(Q + 3)]
    assert min(pvalues) > 1e-4 / len(pvalues)


@pytest.mark.parametrize("kind", ["torch", "jax", "replay"])
def test_closures_are_drawn_in_numpy_alone(kind):
    with pytest.raises(ValueError, match="closure phases are drawn with a key of NumPy"):
        NOISE.sample(make_key(kind, [1]), np.zeros((1, C + Q + 3)))


@pytest.mark.parametrize(
    ("seen", "std", "widths"),
    [
        (np.zeros_like(SEEN), MODULI, {}),
        (SEEN, 0.0 * MODULI, {}),
        (SEEN, MODULI, {"flux_std": 0.0}),
        (SEEN, MODULI, {"centre_std": -1.0}),
        (SEEN * np.nan, MODULI, {}),
    ],
)
def test_bad_input_is_refused_in_a_sentence(seen, std, widths):
    with pytest.raises(UsageError, match="visibilities that are not zero, and standard deviations that are positive"):
        closure_noise(seen, std, THREE, FOUR, **widths)
