# ruff: noqa: ARG001
"""Samplers for the tests of the runner: known work, and every way to go wrong. A plugin file."""

from __future__ import annotations

import math
import os
import signal
import sys
import time
from typing import NamedTuple

from methods import Samples, method
from problems.arrays import namespace, normal, scan, split, vjp


class Levels(NamedTuple):
    sigma: object


@method("toy", presets={"far": {"shift": 3.0}})
def toy(problem, key, *, n, shift=0.25, steps=7):
    """A shifted prior sample, after steps that do nothing."""
    return Samples(problem.prior.sample(key, n) + shift, nfe=0)


@method("toy-work", requires={"differentiable"})
def toy_work(problem, key, *, n, steps=5):
    """Per step 2 evaluations, 3 backward passes, A and A^T once; before that 1 score and A^+."""
    first, second = split(key, 2)
    x = normal(first, (n, *problem.shape), problem.y)
    x = x + problem.prior.score(x, 0.5 + 0.0 * problem.y[0])
    y = namespace(x).broadcast_to(problem.y[None, :], (n, problem.y.shape[0]))
    x = x + problem.operator.pseudo_inverse(y)

    def step(x, row, keys):
        value, pull = vjp(lambda x: problem.prior.denoise(x, row.sigma), x)
        x = x - 0.1 * pull(value) + 0.1 * pull(x)
        again, pull_again = vjp(lambda x: problem.prior.denoise(x, 2.0 * row.sigma), x)
        return x + 0.1 * pull_again(problem.operator.adjoint(problem.operator(again))) + normal(keys[0], x.shape, x)

    sigma = namespace(x).linspace(1.0, 0.1, steps, dtype=x.dtype)
    return Samples(scan(step, x, Levels(sigma), second), nfe=2 * steps + 1)


@method("toy-touch")
def toy_touch(problem, key, *, n):
    """Everything that a problem has, without random numbers, which take long to compile."""
    prior, operator = problem.prior, problem.operator
    xp = namespace(problem.y)
    sigma = xp.asarray(0.5, dtype=problem.y.dtype)
    x = prior.mean[None] + xp.zeros((n, *problem.shape), dtype=sigma.dtype)
    x = prior.denoise(x, sigma) + prior.score(x, sigma)
    if hasattr(operator, "project_range"):
        x = x + operator.project_range(x)
    x = x + operator.pull(x, operator(x) - problem.y[None, :]) * problem.schedule.alpha(sigma)
    log_prob = problem.log_likelihood(x)
    return Samples(x, log_prob=log_prob + prior.log_prob(x) if hasattr(prior, "log_prob") else log_prob)


@method("toy-nan")
def toy_nan(problem, key, *, n):
    """One number in every third row is not finite."""
    x = problem.prior.sample(key, n)
    xp = namespace(x)
    size = math.prod(x.shape)
    return Samples(xp.where(xp.reshape(xp.arange(size), x.shape) % (3 * (size // n)) == 0, xp.nan, x))


@method("toy-shape")
def toy_shape(problem, key, *, n):
    """Samples along the last axis."""
    return Samples(namespace(problem.y).moveaxis(problem.prior.sample(key, n), 0, -1))


@method("toy-array")
def toy_array(problem, key, *, n):
    """An array instead of Samples."""
    return problem.prior.sample(key, n)


@method("toy-raises", framework="jax")
def toy_raises(problem, key, *, n):
    """An exception with two lines."""
    raise RuntimeError("the first line\nthe second line")


@method("toy-exits", framework="jax")
def toy_exits(problem, key, *, n):
    """Leaves the interpreter."""
    sys.exit(3)


@method("toy-crashes", framework="jax")
def toy_crashes(problem, key, *, n):
    """Dies with its last words on stderr."""
    print("last words", file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.SIGABRT)
    time.sleep(60)


@method("toy-killed", framework="jax")
def toy_killed(problem, key, *, n):
    """Is killed, as the system does when memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


@method("toy-hungry", framework="jax")
def toy_hungry(problem, key, *, n):
    """Has no memory left."""
    raise MemoryError


@method("toy-slow", framework="jax")
def toy_slow(problem, key, *, n, seconds=60.0):
    """Takes its time."""
    print("awake\nasleep", flush=True)
    time.sleep(seconds)
    return Samples(problem.prior.sample(key, n))


@method("toy-needy", requires={"svd"})
def toy_needy(problem, key, *, n):
    """Needs what a problem may lack."""
    return Samples(problem.prior.sample(key, n))


class Poisoned:
    """An object that does something when it is unpickled."""

    def __init__(self, x):
        self.x, self.shape, self.dtype = x, x.shape, x.dtype

    def __array__(self, dtype=None, copy=None):
        return self

    def __reduce__(self):
        return os._exit, (9,)


class PoisonedError(Exception):
    """The same as an exception, which cannot even be read."""

    def __str__(self):
        raise RuntimeError("not to be read")

    def __reduce__(self):
        return os._exit, (9,)


class PoisonedExit(PoisonedError):
    """Whoever reads it leaves."""

    def __str__(self):
        raise SystemExit(9)


class PoisonedText(PoisonedError):
    """Its text is a class of its own."""

    def __str__(self):
        return Text("bad")


class Text(str):
    def splitlines(self, *_):
        raise PoisonedExit


@method("toy-poison", framework="jax")
def toy_poison(problem, key, *, n):
    """Samples of a class of its own."""
    return Samples(Poisoned(problem.prior.sample(key, n)))


@method("toy-poison-error", framework="jax")
def toy_poison_error(problem, key, *, n):
    """An exception of a class of its own."""
    raise PoisonedError


@method("toy-poison-exit", framework="jax")
def toy_poison_exit(problem, key, *, n):
    """An exception that cannot be read for another reason."""
    raise PoisonedExit


@method("toy-poison-text", framework="jax")
def toy_poison_text(problem, key, *, n):
    """An exception whose text cannot be read."""
    raise PoisonedText


@method("toy-dies", framework="jax")
def toy_dies(problem, key, *, n):
    """Leaves without a word."""
    os._exit(7)


@method("toy-segfault", framework="jax")
def toy_segfault(problem, key, *, n):
    """Touches memory that is not there."""
    import ctypes

    ctypes.string_at(0)


@method("toy-eats", framework="jax")
def toy_eats(problem, key, *, n, gigabytes=4):
    """Eats memory, and keeps it."""
    import numpy as np

    kept = [np.ones(2**24) for _ in range(8 * gigabytes)]
    time.sleep(60)
    return Samples(problem.prior.sample(key, n) + len(kept))


called: list = []


@method("toy-late", framework="jax")
def toy_late(problem, key, *, n):
    """Is done, and leaves a thread behind that ends the process once it is called in it again."""
    import threading

    called.append(threading.Event())
    if len(called) == 2:
        called[0].set()
        time.sleep(60)
    threading.Thread(target=lambda: called[0].wait() and os._exit(11), daemon=True).start()
    return Samples(problem.prior.sample(key, n))


@method("toy-brood", framework="jax")
def toy_brood(problem, key, *, n):
    """Starts a process, and does not come back."""
    import subprocess

    child = subprocess.Popen(["sleep", "600"])
    print(child.pid, flush=True)
    time.sleep(60)


@method("toy-until")
def toy_until(problem, key, *, n):
    """Halves a prior sample until it is as small as the measurement says: a loop of unknown length."""
    import jax

    x = 1.0 + problem.prior.sample(key, n)
    limit = 0.1 + namespace(x).abs(problem.y[0])
    return Samples(jax.lax.while_loop(lambda x: namespace(x).max(namespace(x).abs(x)) > limit, lambda x: 0.5 * x, x))


@method("toy-unmappable")
def toy_unmappable(problem, key, *, n):
    """A callback that has no rule for batches."""
    import jax

    x = problem.prior.sample(key, n)
    shape = jax.ShapeDtypeStruct(x.shape, x.dtype)
    return Samples(jax.pure_callback(lambda x: 2.0 * x, shape, x))


@method("toy-untidy", framework="jax")
def toy_untidy(problem, key, *, n):
    """Leaves its process such that nothing is measured in it any more."""
    sys.modules["benchmarks.worker"].evaluate = lambda *_, **__: {}
    return Samples(problem.prior.sample(key, n))
