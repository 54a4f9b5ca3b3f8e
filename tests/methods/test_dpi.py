"""Deep probabilistic imaging end to end: what is fitted, reported and refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from methods import METHODS, Samples, variational_training
from methods.variational_training import (
    EVALUATION_STDERR,
    FlowObjective,
    Recipe,
    _advance,
    _progress,
    final_loss,
    fit,
)
from problems import Instance, load
from problems.names import UsageError
from tests.methods.laws import named, obeys

NAMES = ("dpi-ode", "dpi-elbo", "dpi-mixture")


@pytest.fixture(autouse=True)
def _single() -> Iterator[None]:
    """As users run it."""
    with jax.enable_x64(False):
        yield


def run(name: str, instance: Instance, n: int, seed: int = 0, **hyper: Any) -> Samples:
    method = METHODS[name]
    hyper = {"components": 2, **hyper} if name == "dpi-mixture" else hyper
    return method.run(instance.problem.to("jax"), jax.random.key(seed), n=n, **method.configure("default", hyper))


SMALL = {"steps": 40, "batch": 24, "flow_steps": 1, "width": 8}


@pytest.mark.parametrize(
    ("name", "hyper"),
    [
        pytest.param("dpi-ode", {"prior": "analytic", "steps": 1500}, marks=pytest.mark.slow),
        pytest.param(
            "dpi-ode",
            {"steps": 600, "batch": 128, "width": 32, "flow_steps": 2, "learning_rate": 3e-3},
            marks=pytest.mark.slow,
        ),
        ("dpi-elbo", {"steps": 3000, "width": 32, "flow_steps": 2}),
        pytest.param("dpi-mixture", {"prior": "analytic", "steps": 1000, "components": 2}, marks=pytest.mark.slow),
    ],
    ids=["analytic", "ode", "elbo", "mixture"],
)
def test_a_gaussian_posterior_is_reached(name: str, hyper: dict[str, Any]) -> None:
    instance = load("linear-gaussian-2", 3)
    drawn = run(name, instance, 20_000, **hyper)
    x = np.asarray(drawn.x, dtype=np.float64)
    posterior = instance.posterior
    told, widest = named(name, **{key: hyper[key] for key in ("prior", "steps") if key in hyper}), posterior.std.max()
    obeys(told, "posterior mean", x.mean(axis=0), posterior.mean, 0.03 * widest)
    obeys(told, "posterior covariance", np.cov(x.T), posterior.cov(), 0.05 * widest**2)
    regret = np.asarray(drawn.log_prob, dtype=np.float64) - posterior.log_prob(x)  # its mean is KL(q || posterior)
    assert regret.mean() > -0.002
    obeys(told, "KL(q || posterior)", regret.mean(), 0.0, 0.01)
    bound = drawn.info["loss"] + instance.log_evidence
    obeys(told, "loss less -log p(y)", bound, regret.mean(), 0.005 + 4 * drawn.info["loss_stderr"])
    assert float(drawn.train_seconds) > 0
    assert drawn.info["compile_seconds"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("prior", ["ode", "elbo"])
def test_the_mixture_weighs_the_modes_of_seed2d(prior: str) -> None:
    """Of the five seeds, at least four: loss within .03 nats of -log p(y), heavy weight within .03 of .6956."""
    instance = load("seed2d", 0)
    passed, weights = 0, []
    for seed in range(5):
        method = METHODS["dpi-mixture"]
        drawn = method.run(instance.problem.to("jax"), jax.random.key(seed), n=20_000, **method.configure(prior))
        x = np.asarray(drawn.x, dtype=np.float64)
        weight = instance.posterior.responsibilities(x)[:, 0].mean()
        weights.append(weight)
        passed += abs(drawn.info["loss"] - 0.243753) < 0.03 and abs(weight - 0.6956) < 0.03
    assert passed >= 4
    obeys(
        named("dpi-mixture", prior),
        "weight of the heavier mode, median of five seeds",
        np.median(weights),
        0.6956,
        0.03,
    )


@pytest.mark.parametrize(
    "name", ["dpi-elbo", *(pytest.param(name, marks=pytest.mark.slow) for name in ("dpi-ode", "dpi-mixture"))]
)
def test_a_key_gives_its_draws_and_row_i_does_not_know_of_the_others(name: str) -> None:
    """And what is compiled for the first of these runs, outside of its training time, serves them all."""
    instance, compiled = load("seed2d", 0), _advance._cache_size()
    runs = [run(name, instance, n, seed, **SMALL) for n, seed in ((8, 0), (8, 0), (4, 0), (8, 1))]
    first, again, fewer, other = (np.asarray(one.x) for one in runs)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_allclose(fewer, first[:4], rtol=1e-5)
    assert np.abs(other - first).min() > 1e-6
    run(name, load("seed2d", 5), 3, **SMALL)
    assert _advance._cache_size() == compiled + 1
    assert float(runs[0].train_seconds) < 0.5 * runs[0].info["compile_seconds"]


@pytest.mark.parametrize("name", NAMES)
def test_the_density_is_known_everywhere_and_is_that_of_the_draws(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the model as it starts: its density integrates to 1 over the plane, and holds for images as well."""
    untrained = lambda _, model, *rest: variational_training.Fit(model, 0.0, 0.0, [], 0.0, 0.0)  # noqa: ARG005, E731
    monkeypatch.setattr(variational_training, "fit", untrained)
    drawn = run(name, load("seed2d", 0), 9, **SMALL)
    np.testing.assert_allclose(drawn.log_density(drawn.x), drawn.log_prob, rtol=1e-5, atol=1e-5)
    side, step = np.linspace(-4, 4, 321, dtype=np.float32, retstep=True)
    points = jnp.asarray(np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2))
    assert float(np.sum(np.exp(drawn.log_density(points)), dtype=np.float64)) * step**2 == pytest.approx(1, abs=0.01)
    drawn = run(name, load("digits-denoise", 0), 3, **SMALL)
    np.testing.assert_allclose(drawn.log_density(drawn.x), drawn.log_prob, rtol=1e-5)


@pytest.mark.slow
def test_of_several_restarts_the_lowest_bound_counts_and_all_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bounds are planted, so that the best fit is neither the first nor the last."""
    fits: list[variational_training.Fit] = []

    def planted(*args: Any) -> variational_training.Fit:
        trained = fit(*args)
        fits.append(replace(trained, loss=(2.0, 1.0, 3.0)[len(fits)]))
        return fits[-1]

    monkeypatch.setattr(variational_training, "fit", planted)
    drawn = run("dpi-mixture", load("seed2d", 0), 3, restarts=3, prior="analytic", **SMALL)
    assert drawn.info["loss"] == 1.0
    np.testing.assert_array_equal(drawn.log_prob, fits[1].model.log_prob(drawn.x))
    np.testing.assert_array_equal(drawn.log_density(drawn.x), drawn.log_prob)
    assert np.all(np.asarray(drawn.log_prob) != np.asarray(fits[0].model.log_prob(drawn.x)))
    assert drawn.train_seconds == sum(one.train_seconds for one in fits)
    assert drawn.info["compile_seconds"] == sum(one.compile_seconds for one in fits)


@dataclass(frozen=True)
class Noisy:
    """A loss of 3 nats, known up to noise of the given spread."""

    std: float

    def __call__(self, model: Any, problem: Any, key: Any, progress: Any) -> Any:  # noqa: ARG002
        return 3.0 + self.std * jax.random.normal(key)


@pytest.mark.parametrize(
    ("std", "steps", "batches"),
    [(0.01, 4000, 16), (0.2, 40_000, 0.2**2 / EVALUATION_STDERR**2), (1.0, 4000, 992), (1.0, 8, 16)],
    ids=["quiet", "until-it-is-known", "a-quarter-of-the-steps", "few-steps"],
)
def test_the_final_loss_is_as_precise_as_the_training_affords(std: float, steps: int, batches: float) -> None:
    problem = load("seed2d", 0).problem.to("jax")
    loss, stderr = final_loss(Noisy(std), None, problem, jax.random.key(2), steps)
    assert abs(stderr / (std / batches**0.5) - 1) < 2.4 / (2 * batches - 2) ** 0.5  # 2.4 errors of an estimated std
    assert abs(loss - 3.0) < 4 * stderr


def test_the_learning_rate_rises_holds_and_falls() -> None:
    rate = Recipe(steps=1000, learning_rate=0.5, warmup=0.1, decay=0.4).schedule(0.5)
    found = [float(rate(jnp.asarray(step))) for step in (0, 50, 100, 400, 600, 800, 1000)]
    np.testing.assert_allclose(found, [0, 0.25, 0.5, 0.5, 0.5, 0.25, 0], atol=1e-6)
    constant = Recipe(steps=10, learning_rate=0.5).schedule(0.5)
    np.testing.assert_allclose([float(constant(jnp.asarray(step))) for step in (0, 5, 9)], 0.5)


def test_clipping_bounds_the_gradient_that_adam_sees() -> None:
    slope = jnp.asarray([30.0, 40.0])
    clipped, free = (Recipe(steps=10, learning_rate=0.1, clip=clip).adam() for clip in (2.0, None))
    for optimizer, expected in ((clipped, slope / 25), (free, slope)):
        with jax.numpy_dtype_promotion("standard"):
            state = optimizer.update(slope, optimizer.init(slope), slope)[1]
        moment = next(leaf.mu for leaf in jax.tree.leaves(state, is_leaf=is_adam) if is_adam(leaf))
        np.testing.assert_allclose(moment, 0.1 * expected, rtol=1e-6)


def is_adam(node: Any) -> bool:
    return isinstance(node, optax.ScaleByAdamState)


def test_the_loss_is_the_kl_divergence_less_the_log_evidence() -> None:
    """For q = N(0, I): E[log q - log p(y | x) - log p(x)], in closed form for a Gaussian problem."""
    from methods.normalizing_flow import real_nvp
    from methods.variational_training import AnalyticDensity

    instance = load("linear-gaussian-2", 3)
    problem = instance.problem.to("jax")
    flow = real_nvp(jax.random.key(0), 2, flow_steps=1, width=4, like=problem.y)
    objective = FlowObjective(AnalyticDensity(), batch=2000)
    keys = jax.random.split(jax.random.key(1), 100)
    values = jax.jit(jax.vmap(lambda key: objective(flow, problem, key, jnp.zeros(()))))(keys)
    mean, precision = instance.posterior.mean, np.linalg.inv(instance.posterior.cov())
    kl = 0.5 * (np.trace(precision) + mean @ precision @ mean - 2 - np.linalg.slogdet(precision)[1])
    assert abs(values.mean() - (kl - instance.log_evidence)) < 4 * values.std() / 10


def test_the_published_settings() -> None:
    paper = METHODS["dpi-ode"].configure("paper")
    published = {"flow_steps": 8, "width": 128, "steps": 12001, "batch": 2560, "learning_rate": 1e-5, "clip": 0.0}
    published |= {"warmup": 0.0, "decay": 0.0, "rtol": 1e-3, "atol": 1e-5, "t0": 1e-12, "prior": "ode", "placed": False}
    assert {name: paper[name] for name in published} == published


def test_no_bar_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with _progress("dpi", 10) as report:
        report(5, 1.5)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("name", NAMES)
def test_odd_dimensions_are_refused_in_one_sentence(name: str) -> None:
    odd = replace(load("linear-gaussian-2", 0).problem.to("jax"), shape=(3,))
    with pytest.raises(UsageError, match="dimension must be even, got 3"):
        METHODS[name].run(odd, jax.random.key(0), n=2, **METHODS[name].configure())


@pytest.mark.parametrize("name", ["dpi-ode", "dpi-mixture"])
def test_an_analytic_prior_needs_a_log_density(name: str) -> None:
    bare = replace(load("seed2d", 0).problem.to("jax"), prior=object())
    with pytest.raises(UsageError, match="needs a prior with a log_prob"):
        METHODS[name].run(bare, jax.random.key(0), n=2, **METHODS[name].configure("analytic"))


def test_shares_of_the_training_that_overlap_are_refused() -> None:
    with pytest.raises(UsageError, match=r"shares of one training, got 0\.7 \+ 0\.4 > 1"):
        run("dpi-ode", load("seed2d", 0), 2, warmup=0.7, decay=0.4)


def test_a_restart_that_diverged_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    losses = iter([float("nan"), 1.0])
    monkeypatch.setattr(variational_training, "fit", lambda *args: replace(fit(*args), loss=next(losses)))
    assert run("dpi-mixture", load("seed2d", 0), 3, restarts=2, prior="analytic", **SMALL).info["loss"] == 1.0


def test_a_batch_smaller_than_the_mixture_is_refused() -> None:
    with pytest.raises(UsageError, match="at least 4, got 3"):
        run("dpi-mixture", load("seed2d", 0), 2, batch=3, components=4)
