"""Particle methods: resampling, the evidence, and the laws that they tend to as particles grow.

The limits are exact for a Gaussian prior, discretisation included (`particle_laws`). K errors are allowed everywhere.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import t

from methods import METHODS, fps, importance, mcgdiff, smc, tds
from methods.particles import Cloud, choose, cloud_of, evidence, resample
from problems.arrays import Replay, make_key
from problems.noise import GaussianNoise
from tests.methods.affine import sampler
from tests.methods.cases import WIDE, Case, case
from tests.methods.laws import named, obeys
from tests.methods.particle_laws import Law, of_fps, of_mcgdiff, of_tds, seen_early

K = 4.0
"""Standard errors: a normal number goes beyond with chance 6e-5."""
PARTICLE = {
    f"{name}[{preset}]": (name, preset)
    for name, one in METHODS.items()
    if "runs" in one.hyper
    for preset in one.presets
}
# Far from where the chains start, so that weights matter.
CASE = case(
    [[1.7, -1.1, 2.4]],
    [[[1.3, 0.9, -0.2], [0.9, 0.9, 0.3], [-0.2, 0.3, 2.7]]],
    [[0.8, -0.3, 1.1], [0.2, 1.4, -0.5]],
    [0.9, -0.6],
    0.5,
)
MILD = replace(CASE, noise_std=2.0)
STEPS = 160
"""Of tds. With fewer its evidence has a heavy tail: over 100 000 runs of 4 particles Z / p(y) has the tail index 2.1
with 80 steps, where the error of its mean cannot be told, and 3.6 with 160."""
CHAIN, CHAIN_EVIDENCE = of_tds(CASE, STEPS)
POSTERIOR: Law = (CASE.instance.posterior.mean, CASE.instance.posterior.cov())
LIMITS: list[tuple[str, dict[str, Any], Law, float | None]] = [
    ("tds", {"steps": STEPS, "particles": 32}, CHAIN, CHAIN_EVIDENCE),
    ("smc", {"steps": 20, "particles": 96}, POSTERIOR, CASE.instance.log_evidence),
    ("sir", {"particles": 1500}, POSTERIOR, CASE.instance.log_evidence),
    ("mcgdiff", {"steps": 40, "particles": 256}, *seen_early(CASE, 40, 1e-4)),
    ("mcgdiff", {"steps": 40, "particles": 96, "eta": 0.8, "kappa": 0.05}, *seen_early(CASE, 40, 0.05, 0.8)),
    ("fps", {"steps": 40, "particles": 96}, of_fps(CASE, 40, 0.95), None),
    ("fps", {"steps": 30, "particles": 64, "c": 0.6}, of_fps(CASE, 30, 0.6), None),
]
"""Sampler, hyper-parameters, its law with many particles, and the log evidence of the model that it discretises."""


def _carried(framework: str, values: np.ndarray, dtype: str = "float64") -> Any:
    if framework == "numpy":
        return values.astype(dtype)
    if framework == "torch":
        return torch.tensor(values, dtype=getattr(torch, dtype))
    import jax

    return jax.numpy.asarray(values, dtype)


def _logits(runs: int, particles: int) -> np.ndarray:
    """Uneven, some of them zero weights."""
    logits = 2.0 * np.random.default_rng(3).standard_normal((runs, particles))
    logits[:, ::5] = -np.inf
    return logits.reshape(-1)


@pytest.mark.parametrize("framework", ["numpy", "torch", "jax"])
def test_offspring_are_the_floor_or_the_ceiling_of_their_expectation(framework: str):
    cloud = Cloud(40, 13, 1)
    logits = _logits(cloud.runs, cloud.particles)
    drawn = resample(cloud, _carried(framework, logits), make_key(framework, [1]))
    weights = np.exp(logits.reshape(cloud.runs, -1))
    expected = cloud.particles * (weights / weights.sum(axis=1, keepdims=True)).reshape(-1)
    counts = np.bincount(np.asarray(drawn.index), minlength=cloud.rows)
    assert np.all(counts >= np.floor(expected - 1e-9))
    assert np.all(counts <= np.ceil(expected + 1e-9))
    in_logs = logsumexp(logits.reshape(cloud.runs, -1), axis=1) - math.log(cloud.particles)
    np.testing.assert_allclose(np.asarray(drawn.log_mean), in_logs, rtol=1e-12)


def test_offspring_are_unbiased():
    """A systematic count is its floor, or one more with the chance of the remainder. False alarm 26 x 6e-5."""
    runs, logits = 40_000, _logits(1, 13)
    weights = np.exp(logits) / np.exp(logits).sum()
    for cloud, draw, expected in (
        (Cloud(runs, 13, 1), resample, 13 * weights),
        (Cloud(runs, 13, 1), choose, weights),
    ):
        index = draw(cloud, np.tile(logits, runs), make_key("numpy", [2])).index
        counts = np.bincount(index % 13, minlength=13) / runs
        remainder = expected - np.floor(expected)
        error = (remainder * (1 - remainder) / runs) ** 0.5
        np.testing.assert_array_less(np.abs(counts - expected), K * error + 1e-12)


def test_runs_never_mix():
    """Every row comes from its own run, and what one run weighs is nothing to the others."""
    cloud = Cloud(30, 13, 4)
    logits = _logits(30, 13)
    louder = logits.copy()
    louder[5 * 13 : 6 * 13] = louder[5 * 13 : 6 * 13][::-1] + 900.0
    for draw, count in ((resample, 13), (choose, 4)):
        first, second = (draw(cloud, one, make_key("numpy", [4])) for one in (logits, louder))
        np.testing.assert_array_equal(first.index // 13, np.repeat(np.arange(30), count))
        same = np.arange(30) != 5
        np.testing.assert_array_equal(first.index.reshape(30, -1)[same], second.index.reshape(30, -1)[same])
        np.testing.assert_array_equal(first.log_mean[same], second.log_mean[same])
        assert np.any(first.index != second.index)


@pytest.mark.parametrize("framework", ["numpy", "torch", "jax"])
def test_a_run_without_any_weight_keeps_its_particles(framework: str):
    """All weights zero: equal ones, evidence zero. A weight that is not a number is none, and nobody knows the sum."""
    logits = _logits(3, 6).reshape(3, 6)
    logits[1] = -np.inf
    logits[2, [1, 3]] = np.nan
    drawn = resample(Cloud(3, 6, 1), _carried(framework, logits.reshape(-1)), make_key(framework, [5]))
    index, log_mean = np.asarray(drawn.index).reshape(3, 6), np.asarray(drawn.log_mean)
    np.testing.assert_array_equal(index[1], np.arange(6, 12))
    assert log_mean[1] == -np.inf
    assert not np.isin(index[2], [13, 15]).any()
    assert np.isnan(log_mean[2])
    assert np.isfinite(log_mean[0])


@pytest.mark.parametrize("runs", [1, 3])
def test_the_evidence_of_runs_without_any_weight_is_zero(runs: int):
    assert float(evidence(_carried("torch", np.full(runs, -np.inf)))["log_evidence"]) == -np.inf


class Highest(Replay):
    """Uniform numbers that are the last below 1."""

    def rows(self, draw: Any, shape: tuple[int, ...]) -> np.ndarray:  # noqa: ARG002
        return np.full(shape, np.float32(1) - np.float32(2.0**-24))


def test_rounding_draws_no_particle_without_weight():
    """(63 + u) / 64 of the total is the total in float32, and the last particles weigh nothing."""
    logits = np.zeros(64, np.float32)
    logits[60:] = -np.inf
    index = resample(Cloud(1, 64, 1), logits, Highest(0)).index
    assert index.max() == 59


@pytest.mark.parametrize("label", PARTICLE)
@pytest.mark.parametrize("n", [1, 3])
def test_as_many_samples_as_were_asked_for(label: str, n: int):
    """A single run of many particles still gives one sample."""
    name, preset = PARTICLE[label]
    steps = {"steps": 5} if "steps" in METHODS[name].hyper else {}
    x = sampler(name, preset, **steps)(WIDE.problem.to("torch"), make_key("torch", [1]), n=n).x
    assert x.shape == (n, 3)


def test_many_runs_share_nothing_and_one_run_shares_ancestors():
    """Of one run some samples are equal where the last step, resampling, is uneven and draws no noise."""
    assert cloud_of(7, "many", 5) == Cloud(7, 5, 1)
    assert cloud_of(7, "one", 5) == Cloud(1, 7, 7)
    for name in ("sir", "tds", "fps"):
        steps = {"steps": 20} if "steps" in METHODS[name].hyper else {}
        draws = (
            sampler(name, preset, **steps)(CASE.problem.to("torch"), make_key("torch", [6]), n=150).x
            for preset in ("default", "one-run")
        )
        many, one = (len(torch.unique(x, dim=0)) for x in draws)
        assert many == 150
        assert 1 < one < 140


def test_the_evidence_of_runs():
    logs = np.array([-700.3, -702.0, -699.1, -np.inf, -701.4])
    values = np.exp(logs + 700.0)
    found = evidence(logs)
    assert found["log_evidence"] == pytest.approx(np.log(values.mean()) - 700.0)
    assert found["log_evidence_stderr"] == pytest.approx(values.std(ddof=1) / values.mean() / 5**0.5)
    alone = evidence(logs[:1])
    assert alone["log_evidence"] == pytest.approx(-700.3)
    assert np.isnan(alone["log_evidence_stderr"])


def test_the_evidence_and_its_error_in_closed_form():
    """One draw of the prior a run: E w^k is a Gaussian integral. False alarm 3e-3 + 6e-5."""
    problem, runs = MILD.problem, 50_000
    mean, cov = MILD.matrix @ MILD.means[0], MILD.matrix @ MILD.covs[0] @ MILD.matrix.T
    one, two, three, four = (np.exp(_log_power(MILD, mean, cov, k)) for k in (1, 2, 3, 4))
    assert np.log(one) == pytest.approx(MILD.instance.log_evidence)
    variance = two - one**2
    fourth = four - 4 * one * three + 6 * one**2 * two - 3 * one**4
    info = sampler("sir", particles=1)(problem.to("torch", dtype="float64"), make_key("torch", [7]), n=runs).info
    stderr = (variance / runs) ** 0.5 / one
    assert abs(info["log_evidence"] - np.log(one)) < 3 * stderr
    found = (float(info["log_evidence_stderr"]) / stderr) ** 2 - 1  # of the variance, relative to it
    assert abs(found) < K * ((fourth / variance**2 - 1) / runs) ** 0.5 + 2 * stderr


def _log_power(one: Case, mean: np.ndarray, cov: np.ndarray, k: int) -> float:
    """log E N(y; A x, s^2 I)^k = log (2 pi s^2)^(m (1 - k) / 2) k^(-m / 2) N(y; mean, cov + s^2 / k I)."""
    m, variance = len(one.y), one.noise_std**2
    innovation = cov + variance / k * np.eye(m)
    off = one.y - mean
    log_normal = -0.5 * (off @ np.linalg.solve(innovation, off) + np.linalg.slogdet(2 * np.pi * innovation)[1])
    return 0.5 * m * ((1 - k) * np.log(2 * np.pi * variance) - np.log(k)) + log_normal


def _whitened(x: np.ndarray, law: Law) -> np.ndarray:
    return np.linalg.solve(np.linalg.cholesky(law[1]), (x - law[0]).T).T


def _moments(x: np.ndarray, law: Law) -> tuple[np.ndarray, np.ndarray]:
    """First and second moments of whitened samples less those of N(0, I), and their standard deviations."""
    z = _whitened(x, law)
    upper = np.triu_indices(z.shape[1])
    products = (z[:, :, None] * z[:, None, :])[:, *upper] - np.eye(z.shape[1])[upper]
    return np.hstack([z, products]), np.hstack([np.ones(z.shape[1]), (1 + np.eye(z.shape[1])[upper]) ** 0.5])


def _draw(name: str, n: int, seed: int, **hyper: Any) -> Any:
    return sampler(name, **hyper)(CASE.problem.to("torch", dtype="float64"), make_key("torch", [seed]), n=n)


def _errors(x: torch.Tensor, law: Law) -> np.ndarray:
    """How many standard errors the mean and the covariance of independent samples are off."""
    moments, spread = _moments(x.numpy(), law)
    return moments.mean(axis=0) / spread * len(x) ** 0.5


@pytest.mark.parametrize(("n", "crowding"), [(1000, 1), pytest.param(4000, 4, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("name", "hyper", "law", "log_evidence"), LIMITS)
def test_the_law_and_the_evidence_of_many_particles(
    name: str, hyper, law: Law, log_evidence: float | None, n: int, crowding: int
):
    """Mean and covariance of n samples: false alarm 9 x 6e-5, and 3e-3 of the evidence.

    The bias of so many particles is less than two errors: at 8000 samples it shows, and falls as particles grow. The
    evidence of tds is that of its chain, not the exact.
    """
    hyper = {**hyper, "particles": crowding * hyper["particles"]}
    samples, told = _draw(name, n, 8, **hyper), named(name, **hyper)
    obeys(told, "law of its chain given y, in whitened standard errors", _errors(samples.x, law), 0.0, K)
    if log_evidence is not None:
        error = float(samples.info["log_evidence_stderr"])
        assert error < 0.03
        obeys(told, "evidence of its chain", float(samples.info["log_evidence"]), log_evidence, 3 * error)


def test_one_run_of_fps_scatters_about_its_path_alone():
    """As the filter does; over many runs, with a path each, a little more. False alarm 6 x 6e-5."""
    runs, cov = 16, of_fps(CASE, 40, 0.95, one_path=True)[1]
    of_each = [np.cov(_draw("fps", 1000, seed, steps=40, runs="one").x.numpy().T) for seed in range(runs)]
    found = np.array(of_each).mean(axis=0)
    error = np.std(of_each, axis=0, ddof=1) / runs**0.5
    obeys("fps[one-run]", "covariance of its filter given one path of y", found, cov, t.isf(3e-5, runs - 1) * error)
    assert np.trace(of_fps(CASE, 40, 0.95)[1]) > 1.04 * np.trace(found)


@pytest.mark.parametrize(
    ("name", "hyper", "law"),
    [
        ("tds", {"steps": STEPS}, CHAIN),
        ("smc", {"steps": 8, "moves": 1}, POSTERIOR),
        ("sir", {}, POSTERIOR),
        ("mcgdiff", {"steps": 40}, of_mcgdiff(CASE, 40, 1e-4, twice=False)),
        ("fps", {"steps": 30}, of_fps(CASE, 30, 0.95)),
    ],
)
def test_the_error_falls_as_particles_grow(name: str, hyper, law: Law):
    """The norm of what the nine moments are off in standard errors, 3 of a right law, at 1, 4 and 32 particles."""
    one, few, many = (
        float(np.linalg.norm(_errors(_draw(name, 2000, 9, particles=particles, **hyper).x, law)))
        for particles in (1, 4, 32)
    )
    assert one > 12
    assert many < few < one
    assert many < one / 3


@pytest.fixture
def evidence_of_each(monkeypatch) -> None:
    """Samplers tell the estimate of every run instead of their mean."""
    for module in (tds, smc, importance, mcgdiff):
        monkeypatch.setattr(module, "evidence", lambda logs: {"each": logs})


@pytest.mark.usefixtures("evidence_of_each")
@pytest.mark.parametrize(
    ("name", "hyper", "law", "log_evidence"),
    [
        ("tds", {"steps": STEPS, "particles": 8}, CHAIN, CHAIN_EVIDENCE),
        ("sir", {"particles": 200}, POSTERIOR, CASE.instance.log_evidence),
        ("smc", {"steps": 20, "moves": 1, "particles": 4}, POSTERIOR, CASE.instance.log_evidence),
        ("mcgdiff", {"steps": 40, "particles": 16}, *seen_early(CASE, 40, 1e-4)),
    ],
)
def test_weighted_by_its_evidence_every_run_is_exact(name: str, hyper, law: Law, log_evidence: float):
    """E Z = p(y) and E Z f(x) = p(y) E f(x | y) at any number of particles: one wrong weight shows.

    The steps of smc are those of a pilot: would they follow a run's own particles, its evidence were biased. False
    alarm 3e-3 of the evidence, 9 x 6e-5 of the moments.
    """
    n = 6000
    samples = _draw(name, n, 10, **hyper)
    weights, told = np.exp(samples.info["each"].numpy() - log_evidence), named(name, **hyper)
    obeys(told, "mean evidence of runs, relative", weights.mean(), 1.0, 3 * weights.std() / n**0.5)
    moments, _ = _moments(samples.x.numpy(), law)
    mean = (weights[:, None] * moments).mean(axis=0) / weights.mean()
    error = (weights[:, None] * (moments - mean)).std(axis=0) / weights.mean() / n**0.5
    obeys(told, "moments weighted by the evidence of each run", mean, 0.0, K * error)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("noise_std", [1e-4, 10.0])
@pytest.mark.parametrize("label", PARTICLE)
def test_log_weights_are_finite(label: str, noise_std: float, dtype: str, monkeypatch):
    name, preset = PARTICLE[label]
    seen: list[torch.Tensor] = []

    def spied(draw: Any) -> Any:
        def record(cloud: Cloud, log_weights: Any, key: Any) -> Any:
            seen.append(log_weights)
            return draw(cloud, log_weights, key)

        return record

    for module in (tds, smc, importance, mcgdiff, fps):
        for draw in ("resample", "choose"):
            if hasattr(module, draw):
                monkeypatch.setattr(module, draw, spied(getattr(module, draw)))
    problem = replace(CASE.problem, noise=GaussianNoise(np.array(noise_std))).to("torch", dtype=dtype)
    steps = {"steps": 30} if "steps" in METHODS[name].hyper else {}
    samples = sampler(name, preset, **steps)(problem, make_key("torch", [12]), n=20)
    assert len(seen) == 1 + steps.get("steps", 0) * (2 if name == "smc" else 1)  # its pilot
    assert all(torch.isfinite(one).all() for one in seen)
    assert torch.isfinite(samples.x).all()
    assert preset == "one-run" or all(torch.isfinite(value) for value in samples.info.values())
