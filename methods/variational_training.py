"""Fitting a density q to a posterior by minimising E_q[log q(x) - log p(y | x) - log p(x)].

With normalised terms this loss is KL(q || p(. | y)) - log p(y). DPI's own figure omits the entropy of the base draw:
it is the loss here plus (d / 2) (1 + log 2 pi).
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import optax
from rich.console import Console
from rich.errors import LiveError
from rich.progress import Progress

from methods.normalizing_flow import base_log_prob
from problems.arrays import Array, Key
from problems.contract import Problem
from problems.names import UsageError

CHUNKS = 50
EVALUATION_BATCHES = 16
EVALUATION_STDERR = 0.005
"""Nats: the standard error at which the loss of a trained model is known well enough."""


class Density(Protocol):
    """The log density of x_0 + sigma_bar z under a problem's prior, or a bound on it. Hashable."""

    def __call__(self, problem: Problem, x: Array, key: Key, sigma_bar: Array) -> Array:
        """(n, *shape) -> (n,), in nats."""


@dataclass(frozen=True)
class AnalyticDensity:
    """The prior's own log density in place of a score-based one: what a method gives when that part is exact."""

    def __call__(self, problem: Problem, x: Array, key: Key, sigma_bar: Array) -> Array:  # noqa: ARG002
        """log density of x_0 + sigma_bar z, (n, *shape) -> (n,), in nats."""
        return problem.prior.log_prob(x, sigma_bar)


def require_log_prob(problem: Problem) -> None:
    """Raises a UsageError where the prior has no log density of its own."""
    if not hasattr(problem.prior, "log_prob"):
        raise UsageError("prior='analytic' needs a prior with a log_prob, which this problem lacks; use prior='ode'")


@dataclass(frozen=True)
class Recipe:
    """How to descend.

    Attributes:
        steps: the number of Adam steps. learning_rate: its plateau.
        warmup: the share of the steps, at the start, over which the rate rises to it linearly.
        decay: the share of the steps, at the end, over which it falls to zero along a cosine; 0 for never.
        clip: the largest norm of a gradient; None for no limit.
    """

    steps: int
    learning_rate: float
    warmup: float = 0.0
    decay: float = 0.0
    clip: float | None = None

    def __post_init__(self) -> None:
        if self.warmup + self.decay > 1:
            raise UsageError(f"warmup and decay are shares of one training, got {self.warmup:g} + {self.decay:g} > 1")

    def schedule(self, plateau: float) -> optax.Schedule:
        """The rate at each step."""
        rising, falling = int(self.warmup * self.steps), int(self.decay * self.steps)
        rates = [
            optax.linear_schedule(0.0, plateau, max(rising, 1)),
            optax.constant_schedule(plateau),
            optax.cosine_decay_schedule(plateau, max(falling, 1)),
        ]
        return optax.join_schedules(rates, [rising, self.steps - falling])

    def adam(self) -> optax.GradientTransformation:
        """Adam with its published defaults, behind the clipping."""
        adam = optax.adam(self.schedule(self.learning_rate))
        return adam if self.clip is None else optax.chain(optax.clip_by_global_norm(self.clip), adam)


@dataclass(frozen=True)
class Fit:
    """A trained model.

    Attributes:
        loss, loss_stderr: of the trained model, from fresh draws, in nats: an upper bound on -log p(y).
        history: the mean loss over each of CHUNKS equal parts of the training.
        train_seconds, compile_seconds: apart; nothing is compiled for a second instance of the same shapes.
    """

    model: Any
    loss: float
    loss_stderr: float
    history: list[float]
    train_seconds: float
    compile_seconds: float

    @property
    def info(self) -> dict[str, float]:
        """What is stored with the samples."""
        return {"loss": self.loss, "loss_stderr": self.loss_stderr, "compile_seconds": self.compile_seconds}


class Objective(Protocol):
    """What is minimised: hashable (a frozen dataclass), so that one compilation serves all instances of a family."""

    def __call__(self, model: Any, problem: Problem, key: Key, progress: Array, /) -> Array:
        """The loss of one batch, progress in [0, 1] being the share of the training that is done."""

    def optimizer(self, recipe: Recipe) -> optax.GradientTransformation:
        """How its gradient is followed."""


@dataclass(frozen=True)
class FlowObjective:
    """E_q[log q(x) - log p(y | x) - log p(x)] for one flow, from `batch` draws."""

    density: Density
    batch: int

    def __call__(self, model: Any, problem: Problem, key: Key, progress: Array) -> Array:
        """The mean over one batch; the prior is not annealed."""
        base_key, prior_key = jax.random.split(key)
        z = jax.random.normal(base_key, (self.batch, problem.dim), problem.y.dtype)
        x, log_det = model.from_base(z)
        x = x.reshape(-1, *problem.shape)
        log_p = self.density(problem, x, prior_key, 0 * progress)
        log_q = base_log_prob(z) - log_det
        return jnp.mean(log_q - problem.log_likelihood(x) - log_p)

    def optimizer(self, recipe: Recipe) -> optax.GradientTransformation:
        """Adam."""
        return recipe.adam()


@partial(jax.jit, static_argnames=("objective", "recipe"))
def _advance(
    objective: Objective, recipe: Recipe, state: tuple[Any, Any, Array, Array], problem: Problem, key: Key, count: Array
) -> tuple[tuple[Any, Any, Array, Array], Array]:
    """`count` steps from state (model, optimizer state, step); and the mean loss on the way."""
    optimizer = objective.optimizer(recipe)

    def body(_: Array, carry: tuple[Any, Any, Array, Array]) -> tuple[Any, Any, Array, Array]:
        model, moments, step, total = carry
        progress = step.astype(total.dtype) / recipe.steps
        loss, slope = jax.value_and_grad(objective)(model, problem, jax.random.fold_in(key, step), progress)
        with jax.numpy_dtype_promotion("standard"):  # Adam mixes its own precisions
            updates, moments = optimizer.update(slope, moments, model)
        return optax.apply_updates(model, updates), moments, step + 1, total + loss

    model, moments, step, total = jax.lax.fori_loop(0, count, body, state)
    return (model, moments, step, jnp.zeros_like(total)), total / jnp.maximum(count, 1).astype(total.dtype)


@partial(jax.jit, static_argnames="objective")
def _evaluate(objective: Objective, model: Any, problem: Problem, key: Key) -> Array:
    """The loss of EVALUATION_BATCHES batches at the end of training, one after the other."""
    keys = jax.random.split(key, EVALUATION_BATCHES)
    return jax.lax.map(lambda k: objective(model, problem, k, jnp.ones((), problem.y.dtype)), keys)


def final_loss(objective: Objective, model: Any, problem: Problem, key: Key, steps: int) -> tuple[float, float]:
    """The loss at the end of training and its standard error, from fresh draws.

    EVALUATION_BATCHES batches at a time, until the error is below EVALUATION_STDERR; at most a quarter as many batches
    as there were steps, for a noisy prior (the evidence bound) would ask for more.
    """
    losses = np.zeros(0)
    for part in range(max(steps // 4 // EVALUATION_BATCHES, 1)):
        more = _evaluate(objective, model, problem, jax.random.fold_in(key, part))
        losses = np.append(losses, np.asarray(more, dtype=np.float64))
        stderr = float(np.std(losses, ddof=1)) / len(losses) ** 0.5
        if stderr <= EVALUATION_STDERR:
            break
    return float(np.mean(losses)), stderr


def fit(objective: Objective, model: Any, problem: Problem, key: Key, recipe: Recipe, label: str) -> Fit:
    """Trains a model; shows a progress bar, named `label`, where stderr is a terminal."""
    training_key, evaluation_key = jax.random.split(key)
    with jax.numpy_dtype_promotion("standard"):
        moments = objective.optimizer(recipe).init(model)
    state = (model, moments, jnp.zeros((), jnp.int32), jnp.zeros((), problem.y.dtype))
    # Placed like what `_advance` returns, for which it would be compiled once more.
    state = jax.device_put(state, problem.y.device)

    started = time.perf_counter()
    state, _ = _advance(objective, recipe, state, problem, training_key, jnp.zeros((), jnp.int32))
    jax.block_until_ready(_evaluate(objective, state[0], problem, evaluation_key))
    compiled = time.perf_counter()

    history = []
    with _progress(label, recipe.steps) as report:
        for i in range(CHUNKS):
            count = (i + 1) * recipe.steps // CHUNKS - i * recipe.steps // CHUNKS
            state, mean = _advance(objective, recipe, state, problem, training_key, jnp.asarray(count, jnp.int32))
            history.append(float(mean))
            report(count, history[-1])
    loss, loss_stderr = final_loss(objective, state[0], problem, evaluation_key, recipe.steps)
    return Fit(
        model=state[0],
        loss=loss,
        loss_stderr=loss_stderr,
        history=history,
        train_seconds=time.perf_counter() - compiled,
        compile_seconds=compiled - started,
    )


@contextlib.contextmanager
def _progress(label: str, steps: int) -> Iterator[Callable[[int, float], None]]:
    """A bar that is told (steps done, their mean loss); silent where there is no terminal or another bar owns it."""
    bar = Progress(console=Console(file=sys.stderr), disable=not sys.stderr.isatty(), transient=True)
    try:
        bar.start()
    except LiveError:
        yield lambda *_: None
        return
    task = bar.add_task(label, total=steps)
    try:
        yield lambda count, loss: bar.update(task, advance=count, description=f"{label} loss {loss:.3f}")
    finally:
        bar.stop()
