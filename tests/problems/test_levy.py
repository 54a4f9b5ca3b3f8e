"""levy-*: laws, measurements, the denoiser by quadrature, and the chains that posteriors are known by."""

from __future__ import annotations

import itertools
import math

import jax
import numpy as np
import pytest
import scipy.linalg
import scipy.ndimage
import scipy.special
import scipy.stats
import torch

from problems import FAMILIES, levy_laws, load
from problems.arrays import make_key, normal, vjp
from problems.contract import to
from problems.levy import D, chains, noise, operator, prior
from problems.levy_gibbs import ENOUGH, KEPT, MIXED, Reference, _exchanged, _increments, _jumps, mixing, reference
from problems.levy_laws import LAWS, Law
from problems.levy_walk import LevyWalk

CDFS = {
    "laplace": scipy.stats.laplace.cdf,
    "st1": scipy.stats.t(1).cdf,
    "st2": scipy.stats.t(2).cdf,
    "st3": scipy.stats.t(3).cdf,
}
LOWER = np.tril(np.ones((D, D)))


@pytest.fixture
def gaussian(monkeypatch) -> LevyWalk:
    """A walk whose increments are N(0, 1/2), of which all is known."""
    law = Law(
        lambda u: -(u**2) - 0.5 * math.log(math.pi),
        scipy.special.erf,
        lambda key, shape, like: 0.5**0.5 * normal(key, shape, like),
        lambda _, u: 0.5 * np.ones_like(u),
        0.5,
        60.0,
    )
    monkeypatch.setitem(levy_laws.LAWS, "gaussian", law)
    return LevyWalk(np.zeros(D), np.ones(D), np.array(30.0), "gaussian", (D,))


@pytest.mark.parametrize("law", CDFS)
@pytest.mark.parametrize("framework", ["numpy", "torch", "jax"])
def test_increments_have_their_law(law, framework):
    x = np.asarray(to(prior(law), framework, dtype="float64").sample(make_key(framework, [1]), 500))
    assert x.shape == (500, D)
    u = np.diff(x, prepend=0.0, axis=1)
    assert scipy.stats.kstest(u[:, :20].ravel(), CDFS[law]).pvalue > 1e-4
    assert abs(np.corrcoef(np.sign(u[:, 3]), np.sign(u[:, 4]))[0, 1]) < 0.2


@pytest.mark.parametrize("law", CDFS)
def test_densities_are_those_of_scipy(law):
    u = np.array([-30.0, -2.2, -0.1, 0.0, 0.7, 5.0])
    known = scipy.stats.laplace if law == "laplace" else scipy.stats.t(int(law[-1]))
    np.testing.assert_allclose(LAWS[law].log_density(u), known.logpdf(u), rtol=1e-12)
    if np.isfinite(LAWS[law].variance):
        assert LAWS[law].variance == pytest.approx(known.var())


def test_one_step_in_ten_is_a_jump():
    u = np.diff(prior("bl").sample(make_key("numpy", [2]), 2000), prepend=0.0, axis=1)
    jumps = np.abs(u) > 1e-12
    assert abs(jumps.mean() - 0.1) < 5 * 0.3 / u.size**0.5
    assert scipy.stats.kstest(u[jumps], scipy.stats.laplace.cdf).pvalue > 1e-4
    assert LAWS["bl"].variance == pytest.approx(0.1 * 2)


def test_gauss_is_a_gaussian_walk():
    np.testing.assert_allclose(prior("gauss").cov(), 0.25 * LOWER @ LOWER.T, rtol=1e-9)


def test_measurements_are_as_defined():
    x = make_key("numpy", [3]).standard_normal((4, D)).cumsum(axis=1)
    taps = np.exp(-(np.arange(-6, 7) ** 2) / 4)
    expected = scipy.ndimage.convolve1d(x, taps / taps.sum(), axis=1, mode="nearest")
    np.testing.assert_allclose(operator("deconv")(x), expected, atol=1e-12)
    np.testing.assert_allclose(operator("denoise")(x), x, atol=1e-12)
    seen = operator("impute").matrix
    assert seen.shape == (38, D)
    assert set(np.unique(seen)) == {0, 1}
    assert seen[-1, -1] == 1
    np.testing.assert_array_equal(seen @ seen.T, np.eye(38))
    waves = operator("fourier").matrix
    np.testing.assert_allclose(waves @ waves.T, np.eye(len(waves)), atol=1e-12)
    spectrum = np.abs(np.fft.rfft(waves))
    assert np.all(np.sum(spectrum > 1e-9, axis=1) == 1)
    frequencies = set(np.argmax(spectrum, axis=1).tolist())
    assert len(frequencies) == 20
    assert frequencies >= set(range(5))
    assert len(waves) == 2 * len(frequencies) - 1


@pytest.mark.parametrize("law", ["gauss", "bl", "st1"])
def test_half_of_the_signals_have_more_than_25_db(law):
    x = prior(law).sample(make_key("numpy", [4]), 4000)
    power = np.mean((x @ operator("deconv").matrix.T) ** 2, axis=1)
    share = np.mean(power > 10**2.5 * float(noise(law, "deconv").std) ** 2)
    assert abs(share - 0.5) < 5 * 0.5 * (1 / 4000 + 1 / 2000) ** 0.5


@pytest.mark.parametrize("sigma", [0.02, 0.4, 3.0, 40.0, 150.0])
def test_the_quadrature_is_right_where_all_is_gaussian(gaussian, sigma):
    """Also far from what the prior draws; to a hundredth where a cell is as wide as an increment."""
    x = gaussian.sample(make_key("numpy", [5]), 3)
    x = x + sigma * make_key("numpy", [6]).standard_normal(x.shape)
    x[2] += 2 * sigma * np.sin(np.arange(D))
    cov = 0.5 * LOWER @ LOWER.T
    expected = x @ np.linalg.solve(cov + sigma**2 * np.eye(D), cov)
    found = gaussian.denoise(x, np.array(sigma))
    assert np.max(np.abs(found - expected)) < 1e-2 * np.max(np.abs(expected))
    np.testing.assert_allclose(gaussian.score(x, np.array(sigma)), (found - x) / sigma**2, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("sigma", [0.05, 2.0, 60.0])
def test_frameworks_agree_and_the_derivative_is_that_of_differences(law, sigma, relative):
    x = prior(law).sample(make_key("numpy", [7]), 2)
    x = x + sigma * make_key("numpy", [8]).standard_normal(x.shape)
    v, direction = make_key("numpy", [9]).standard_normal((2, *x.shape))
    expected = prior(law).denoise(x, np.array(sigma))
    step = 1e-3 * sigma
    ahead, behind = (prior(law).denoise(x + sign * step * direction, np.array(sigma)) for sign in (1, -1))
    forward = np.sum(v * (ahead - behind), axis=1) / (2 * step)
    for framework, dtype, bound in (("torch", "float32", 3e-3), ("jax", "float32", 3e-3), ("torch", "float64", 1e-9)):
        moved = to(prior(law), framework, dtype=dtype)
        asarray = torch.tensor if framework == "torch" else jax.numpy.asarray
        level = asarray(np.array(sigma, dtype))
        found, pull = vjp(lambda a, own=moved, level=level: own.denoise(a, level), asarray(x.astype(dtype)))
        assert np.max(np.abs(np.asarray(found) - expected)) < bound * sigma
        backward = np.asarray(pull(asarray(v.astype(dtype))))
        assert relative(np.sum(backward * direction, axis=1), forward) < 3e-2
        score = np.asarray(moved.score(asarray(x.astype(dtype)), level))
        assert relative(score, (expected - x) / sigma**2) < 3e-2


@pytest.mark.parametrize("law", CDFS)
def test_the_mass_about_zero_is_that_of_scipy(law):
    a = np.array([1e-4, 0.3, 2.0, 50.0])
    np.testing.assert_allclose(LAWS[law].within(a), CDFS[law](a) - CDFS[law](-a), rtol=1e-9)


@pytest.mark.parametrize(("law", "sigma"), [*((law, 0.7) for law in LAWS), ("st1", 3000.0), ("st2", 200.0)])
def test_the_denoiser_is_the_mean_of_gibbs_chains(law, sigma):
    """Chains know nothing of grids: within 5 standard errors of theirs in all 64 entries."""
    x = prior(law).sample(make_key("numpy", [11]), 1)
    x = x + sigma * make_key("numpy", [12]).standard_normal(x.shape)
    found = reference(LAWS[law], np.eye(D), x[0], sigma, make_key("numpy", [13]))
    error = found.x.std(axis=0) / np.sqrt(np.minimum(found.effective, KEPT))
    assert np.max(np.abs(prior(law).denoise(x, np.array(sigma))[0] - found.x.mean(axis=0)) / error) < 5
    assert np.max(error) < 0.05 * sigma


def test_variances_and_increments_are_gibbs_steps():
    """u from its law, then w | u, then u | w with nothing measured, is a u of that law."""
    nothing = np.zeros((1, 3))
    for law, cdf in CDFS.items():
        key = make_key("numpy", [14])
        u = LAWS[law].sample(key, (20_000, 3), np.zeros(0))
        u = _increments(nothing, np.zeros(1), LAWS[law].variances(key, u), key)
        assert scipy.stats.kstest(u[:, 0], cdf).pvalue > 1e-4, law


def test_increments_given_their_variances_are_gaussian():
    key = make_key("numpy", [15])
    matrix, y = key.standard_normal((2, 3)), np.array([1.3, -0.4])
    w = np.array([0.5, 2.0, 1.2])
    cov = np.linalg.inv(np.diag(1 / w) + matrix.T @ matrix)
    u = _increments(matrix, y, np.tile(w, (40_000, 1)), key)
    mean = cov @ matrix.T @ y
    assert np.all(np.abs(u.mean(axis=0) - mean) < 5 * np.sqrt(np.diag(cov) / len(u)))
    np.testing.assert_allclose(np.cov(u.T), cov, atol=5 * np.max(cov) * (2 / len(u)) ** 0.5)


def test_jumps_are_those_of_enumeration():
    """All 32 patterns of jumps in five increments, by the density of y."""
    key = make_key("numpy", [16])
    matrix, y, w, atom = 2 * key.standard_normal((3, 5)), np.array([2.0, -1.0, 0.5]), key.gamma(1.0, 2.0, 5), 0.7
    patterns = np.array(list(itertools.product((False, True), repeat=5)))
    logs = [
        scipy.stats.multivariate_normal.logpdf(y, np.zeros(3), np.eye(3) + (matrix * (w * b)) @ matrix.T)
        + b.sum() * math.log(1 / atom - 1)
        for b in patterns
    ]
    exact = np.exp(logs - scipy.special.logsumexp(logs))
    draws = np.zeros((3000, 5), dtype=bool)
    for _ in range(20):
        draws = _jumps(atom, matrix, y, np.tile(w, (len(draws), 1)), draws, key)
    found = np.bincount(draws @ (2 ** np.arange(4, -1, -1)), minlength=32)
    assert np.max(exact) < 0.6
    assert np.all(np.abs(found / len(draws) - exact) < 5 * np.sqrt(exact * (1 - exact) / len(draws)) + 1e-3)


def test_mixing_sees_slow_chains_and_chains_apart():
    """Of an autoregressive chain with coefficient .8 the effective size is 1/9 of its length."""
    z = make_key("numpy", [17]).standard_normal((500, 32, 1))
    x = np.zeros_like(z)
    for i in range(1, len(z)):
        x[i] = 0.8 * x[i - 1] + 0.6 * z[i]
    r_hat, effective = mixing(x[100:])
    assert r_hat.item() < 1.03
    assert 0.7 < effective.item() / (400 * 32 / 9) < 1.4
    assert mixing(x + np.arange(32)[:, None] % 2)[0].item() > 1.1  # sqrt(1 + 1/4)


@pytest.mark.parametrize("task", ["denoise", "deconv", "impute", "fourier"])
def test_the_posterior_is_made_when_it_is_asked_for(task, monkeypatch):
    asked, x = [], prior("st2").sample(make_key("numpy", [22]), 50)

    def told(index, law, task, y):
        asked.append((index, law, task, len(y)))
        return Reference(x, np.ones(D), np.ones(D))

    monkeypatch.setattr("problems.levy.chains", told)
    found = load(f"levy-st2-{task}", 5)
    assert not asked
    np.testing.assert_array_equal(found.posterior.component_means, x)
    np.testing.assert_allclose(found.posterior.mean, x.mean(axis=0))
    assert np.isnan(found.log_evidence)
    assert asked == [(5, "st2", task, len(operator(task).matrix))]


def test_gibbs_chains_have_the_gaussian_posterior(gaussian):
    """With a blur, where increments have one variance; means and variances within 5 errors."""
    matrix = operator("deconv").matrix
    y = matrix @ gaussian.sample(make_key("numpy", [18]), 1)[0]
    found = reference(levy_laws.LAWS["gaussian"], matrix, y, 0.3, make_key("numpy", [19]))
    cov = np.linalg.inv(scipy.linalg.inv(0.5 * LOWER @ LOWER.T) + matrix.T @ matrix / 0.09)
    mean, variance = cov @ matrix.T @ y / 0.09, np.diag(cov)
    assert np.all(np.abs(found.x.mean(axis=0) - mean) < 5 * np.sqrt(variance / KEPT))
    assert np.all(np.abs(found.x.var(axis=0) / variance - 1) < 5 * (2 / KEPT) ** 0.5)
    assert np.max(found.r_hat) < MIXED


def test_chains_that_do_not_mix_are_refused(monkeypatch):
    monkeypatch.setattr("problems.levy_gibbs.LONGEST", 300)
    monkeypatch.setattr("problems.levy_gibbs.mixing", lambda chains: (np.array([1.3]), np.array([len(chains)])))
    with pytest.raises(RuntimeError, match=r"32 chains of 625 sweeps have an R-hat of 1.300 and 625 effective draws"):
        reference(LAWS["st3"], np.eye(3), np.zeros(3), 1.0, make_key("numpy", [20]))


def test_places_are_exchanged_by_the_law_of_the_measurement():
    """Two increments of fixed sizes and one measured entry: of the two orders each as often as it is likely."""
    key = make_key("numpy", [21])
    matrix = np.array([[0.9, 0.0]])
    sums = matrix @ np.tril(np.ones((2, 2)))
    u = np.tile([2.0, -1.0], (20_000, 1))
    y = np.array([1.1])
    for _ in range(6):
        u = _exchanged(matrix, sums, y, u, key)
    likely = scipy.stats.norm.pdf(y - 0.9 * np.array([2.0, -1.0]))
    share = np.mean(u[:, 0] == 2.0)
    expected = likely[0] / likely.sum()
    assert abs(share - expected) < 5 * (expected * (1 - expected) / len(u)) ** 0.5
    np.testing.assert_array_equal(np.sort(u, axis=1), np.tile([-1.0, 2.0], (len(u), 1)))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in FAMILIES if name.startswith("levy-") and "gauss" not in name])
def test_chains_are_mixed(name):
    _, law, task = name.split("-")
    for index in (0, 1):
        found = chains(index, law, task, load(name, index).problem.y)
        assert np.max(found.r_hat) < MIXED
        assert np.min(found.effective) > ENOUGH


@pytest.mark.slow
@pytest.mark.parametrize(("law", "task"), [("laplace", "fourier"), ("bl", "deconv"), ("st1", "impute")])
def test_the_truth_is_a_draw_of_the_posterior(law, task):
    """Its ranks in four entries are uniform over instances."""
    ranks = []
    for index in range(100, 160):
        found = load(f"levy-{law}-{task}", index)
        drawn = found.posterior.component_means
        ranks.append(np.mean(drawn < found.x_true, axis=0)[[5, 22, 40, 61]])
    for column in np.transpose(ranks):
        assert scipy.stats.kstest(column, "uniform").pvalue > 1e-4
