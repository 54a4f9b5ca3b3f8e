"""What a sampler does with its random numbers: the key alone decides, rows are independent, frameworks agree."""

from __future__ import annotations

import random

import numpy as np

from benchmarks.trial import CHANGED, SIGMAS, N, Trial, Verdicts, change_of_law, fault, fine, host, instance
from benchmarks.watch import Draws, row_by_row
from problems.arrays import Replay, make_key

MANY, FEW = 7, 3
"""Samples of two runs with the same noise."""
ADVICE = "draw with the key: generator=key in torch, jax.random and the key in JAX"


def key(trial: Trial) -> Verdicts:
    """One key, one result; two keys, two independent results; nothing from a global generator."""
    problem = trial.carried(instance())
    before = _global_states()
    one, again = (host(trial.run(problem, trial.key(1), 7).x) for _ in range(2))
    moved = " and ".join(name for name, state in _global_states().items() if state != before[name])
    if not np.allclose(one, again, rtol=0, atol=1e-4 * np.abs(one).max()):
        source = f"the global generator of {moved}" if moved else "elsewhere"
        yield fault(f"two runs with the same key differ: random numbers come from {source}; {ADVICE}")
        return
    first, second = trial.draw(), trial.draw(seed=2)
    correlation = max(_correlation(a, b) for a, b in zip(first.T, second.T, strict=True))
    if np.array_equal(first, second):
        yield fault(f"the seed is ignored: two keys give the same samples; {ADVICE}")
    elif correlation > SIGMAS / N**0.5:
        yield fault(
            "the seed is partly ignored: the samples of two keys have correlation "
            f"{correlation:.2f}, so some random numbers do not depend on the key; {ADVICE}"
        )
    elif moved:
        yield fault(f"draws from the global generator of {moved}; {ADVICE}")
    else:
        yield fine("the key, and nothing else, decides the random numbers")


def rows(trial: Trial) -> Verdicts:
    """Sample i does not depend on the other samples: the same noise with fewer rows, and the scatter of means."""
    if trial.method.particle:
        yield fine("not checked: its samples depend on each other, by design")
        return
    coupled = (
        "the samples are coupled: {}; a norm, step size or statistic is taken over the whole batch instead of per "
        "sample, or all samples share a random number"
    )
    a, b = trial.draw(), trial.draw(seed=2)
    apart = float((np.abs(a.mean(axis=0) - b.mean(axis=0)) / ((a.var(axis=0) + b.var(axis=0)) / N) ** 0.5).max())
    change = _replayed_in_jax(trial) if trial.framework == "jax" else _replayed_in_torch(trial)
    if apart > SIGMAS:
        yield fault(coupled.format(f"the means of two runs lie {apart:.0f} standard errors apart"))
    elif change is not None and change > 1e-3:
        yield fault(
            coupled.format(f"{FEW} samples and the first {FEW} of {MANY} with the same noise differ by {change:.2g}")
        )
    elif (distinct := len(np.unique(a, axis=0))) < N:
        yield fault(coupled.format(f"only {distinct} of {N} samples are distinct, as after resampling"))
    elif _law_depends_on_n(trial, a, b):
        yield fault(coupled.format(f"4 samples at a time follow another law than {N} at a time"))
    elif change is not None:
        yield fine("sample i does not depend on how many samples are drawn with it")
    else:
        yield fine(
            "the noise is not drawn row by row, so it cannot be replayed with fewer samples; "
            f"4 samples at a time follow the same law as {N} at a time"
        )


def _law_depends_on_n(trial: Trial, a: np.ndarray, b: np.ndarray) -> bool:
    """Whether 4 samples at a time follow another law than N at a time (a, b); not asked where every key gives one."""
    if np.array_equal(a, b):
        return False
    return change_of_law(a, np.concatenate([trial.draw(seed=seed, n=4) for seed in range(10, 40)])) > CHANGED


def _replayed_in_torch(trial: Trial) -> float | None:
    """How far FEW samples lie from the first of MANY with the same noise, relative; None if it cannot be replayed."""
    problem, draws = trial.carried(instance()), Draws()
    with draws.kept():
        many = host(trial.run(problem, trial.key(1), MANY).x)
    try:
        with draws.dealt():
            again = host(trial.run(problem, trial.key(1), MANY).x)
        with draws.dealt():
            few = host(trial.run(problem, trial.key(1), FEW).x)
    except (IndexError, RuntimeError):  # other draws, or in another order
        return None
    return _difference(many, few) if draws.all_dealt and _difference(many, again) < 1e-3 else None


def _replayed_in_jax(trial: Trial) -> float | None:
    """The same in JAX, where fewer samples meet the same noise if every draw has the samples in its first dimension."""
    problem, key = trial.carried(instance()), trial.key(1)
    many, few = (host(trial.run(problem, key, n).x) for n in (MANY, FEW))
    change = _difference(many, few)
    if change > 1e-3 and not row_by_row(
        lambda n: lambda: trial.method.run(problem, key, n=n, **trial.hyper).x, MANY, FEW
    ):
        return None
    return change


def _difference(many: np.ndarray, few: np.ndarray) -> float:
    return float(np.abs(many[: len(few)] - few).max() / np.abs(many).max())


def frameworks(trial: Trial) -> Verdicts:
    """Array methods: the same noise gives the same samples in torch and, jitted, in JAX."""
    if trial.method.framework != "array":
        return
    import jax

    noise = make_key("jax", [3])
    in_torch = host(trial.run(trial.carried(instance()), Replay(noise), MANY).x)
    try:
        sampler = jax.jit(lambda problem, noise: trial.run(problem, Replay(noise), MANY).x)
        in_jax = host(sampler(trial.carried(instance(), "jax"), noise))
    except Exception as error:
        first = (str(error).strip().splitlines() or ["no message"])[0]
        yield fault(f"runs in torch, but not in JAX under jit: {type(error).__name__}: {first}")
        return
    # Most rows: a proposal accepted in one framework and rejected in the other is no bug.
    difference = float(np.quantile(np.abs(in_torch - in_jax).max(axis=1), 0.75) / np.abs(in_torch).max())
    if difference < 1e-3:
        yield fine("torch and JAX give the same samples from the same noise")
    else:
        yield fault(f"torch and JAX differ by {difference:.2g} of the largest value on the same noise")


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    spread = a.std() * b.std()
    return float(abs(((a - a.mean()) * (b - b.mean())).mean()) / spread) if spread > 0 else 0.0


def _global_states() -> dict[str, bytes]:
    import torch

    state = np.random.get_state(legacy=False)["state"]  # noqa: NPY002 (the question is whether a sampler draws from it)
    return {
        "torch": torch.get_rng_state().numpy().tobytes(),
        "NumPy": state["key"].tobytes() + str(state["pos"]).encode(),
        "Python": repr(random.getstate()).encode(),
    }
