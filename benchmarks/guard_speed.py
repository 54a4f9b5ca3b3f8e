"""How long a sampler takes, relative to the bare parts that any sampler of this work needs, timed in turn with it.

The bare parts are one jitted scan with as many denoiser evaluations, backward passes (through the residual, so with the
operator and its adjoint) and normal draws as the sampler has. A ratio of the two hardly depends on the machine, and
both are slowed alike when it is busy. What slows the bare parts themselves would pass: they in turn are timed beside
array arithmetic of about their cost, which is written here and has no code in common with what is measured.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from benchmarks.compare_statistics import median_and_error
from benchmarks.devices import device_name, wait
from benchmarks.execute import Programs, execute
from benchmarks.tasks import Task
from benchmarks.work import Work, count_jaxpr, counted
from methods import METHODS
from methods.guidance import denoiser
from methods.integrators import Steps, ancestral_steps
from methods.levels import ddpm_levels
from methods.reverse_sde import start_normal
from problems import load
from problems.arrays import Key, Keys, make_key, normal, scan, split, vjp
from problems.contract import Problem

PROBLEM, N, STEPS, ROUNDS = "gmm25-80-1", 250, 50, 61
ATOMS = 25
"""As many as PROBLEM has components, so that `plain` costs about what its denoiser does."""
ENOUGH, PORTIONS = 0.02, 3
"""On a busy machine so many times ROUNDS are taken, until the standard error of the log ratio is this."""


@dataclass(frozen=True)
class Parts:
    """What one step of a sampler is made of, and how many steps there are."""

    steps: int
    denoised: int
    backward: int
    draws: int


def bare(problem: Problem, key: Key, n: int, parts: Parts) -> Any:
    """A scan that does nothing but these parts, (n, *shape)."""

    def step(x: Any, row: Steps, keys: Keys) -> Any:
        for i in range(parts.denoised):
            pulls = parts.backward // parts.denoised + (i < parts.backward % parts.denoised)
            if not pulls:
                x = x + 1e-6 * denoiser(problem, row.alpha, row.sigma)(x)  # x hardly moves, but all is needed
                continue
            x0_hat, pull = vjp(denoiser(problem, row.alpha, row.sigma), x)
            pulled = problem.operator.adjoint(problem.y[None, :] - problem.operator(x0_hat))
            for _ in range(pulls):
                pulled = pull(pulled)
            x = x + 1e-6 * (x0_hat + pulled)
        for k in keys if parts.draws else ():
            x = 0.5 * x + row.noise_std * normal(k, x.shape, x)
        return x

    first, second = split(key, 2)
    return scan(
        step,
        start_normal(problem, first, n),
        ancestral_steps(ddpm_levels(problem, parts.steps)),
        second,
        max(parts.draws, 1),
    )


def plain(x: Any, atoms: Any, key: Any) -> Any:
    """STEPS times the softmax of the products of x, (n, d), with atoms, (k, d), its gradient, and normal draws."""
    import jax

    def step(x: Any, key: Any) -> tuple[Any, None]:
        mean, pull = jax.vjp(lambda x: jax.nn.softmax(x @ atoms.T) @ atoms, x)
        return 0.5 * x + 1e-6 * (mean + pull(mean)[0]) + jax.random.normal(key, x.shape, x.dtype), None

    return jax.lax.scan(step, x, jax.random.split(key, STEPS))[0]


def sampler(name: str, hyper: dict[str, Any], problem: str, n: int) -> tuple[Callable[..., Any], Problem, Key]:
    """A sampler as a function of a problem and a key, and what to call it with, in JAX."""
    method, instance = METHODS[name], load(problem, 0)
    carried = (instance.oracle() if method.oracle else instance.problem).to("jax")
    return lambda problem, key: method.run(problem, key, n=n, **hyper).x, carried, make_key("jax", [2])


def parts_of(run: Callable[..., Any], problem: Problem, key: Key, n: int, steps: int) -> Parts:
    """The parts of a step of a sampler, as the harness counts them."""
    import jax

    jaxpr = jax.make_jaxpr(run)(counted(problem), key)
    work: Work = count_jaxpr(jaxpr, n)
    draws = _drawn(jaxpr.jaxpr) / (n * problem.dim * steps)
    return Parts(steps, round(work.nfe / steps), round(work.vjp / steps), round(draws))


def interleaved(first: Callable[[], Any], second: Callable[[], Any], rounds: int) -> np.ndarray:
    """Seconds of the two, (rounds, 2), in turn and in alternating order; each is called twice before, unseen."""
    both = (first, second)
    for call in (*both, *both):
        wait("cpu", call())
    found = np.zeros((rounds, 2))
    for i in range(rounds):
        for j in (0, 1) if i % 2 else (1, 0):
            start = time.perf_counter()
            wait("cpu", both[j]())
            found[i, j] = time.perf_counter() - start
    return found


def speed(task: Task) -> dict[str, Any] | None:
    """The processor, the log ratios of a sampler to its bare parts, (rounds,), and the ratio of the two's memory.

    None for a sampler that is no scan over denoiser evaluations, or not plain array arithmetic.
    """
    import jax

    hyper = json.loads(task.hyper)
    if METHODS[task.method].framework != "array" or "steps" not in hyper:
        return None
    run, problem, key = sampler(task.method, hyper, PROBLEM, N)
    parts = parts_of(run, problem, key, N, hyper["steps"])
    if not parts.denoised:
        return None
    programs = [
        jax.jit(f).lower(problem, key).compile() for f in (run, lambda problem, key: bare(problem, key, N, parts))
    ]
    first, second = (partial(program, problem, key) for program in programs)
    needed = [_bytes(program.memory_analysis()) for program in programs]
    return _measured(first, second) | {"memory_ratio": round(needed[0] / needed[1], 4)}


def overhead(task: Task, programs: Programs) -> dict[str, Any]:
    """The same for a task as the harness runs it, relative to the bare compiled sampler."""
    import jax

    run, problem, key = sampler(task.method, json.loads(task.hyper), task.problem, task.n)
    program = jax.jit(run).lower(problem, key).compile()
    return _measured(lambda: execute(task, programs).x, lambda: program(problem, key))


def bare_speed() -> dict[str, Any]:
    """The same for the bare parts, one of each in a step, relative to `plain`."""
    import jax

    problem, parts = load(PROBLEM, 0).problem.to("jax"), Parts(STEPS, 1, 1, 1)
    key, rng = make_key("jax", [2]), np.random.default_rng(0)
    x, atoms = (rng.normal(size=(rows, problem.dim)).astype(np.float32) for rows in (N, ATOMS))
    needed = (x, atoms, jax.random.key(0))
    first = jax.jit(lambda problem, key: bare(problem, key, N, parts)).lower(problem, key).compile()
    second = jax.jit(plain).lower(*needed).compile()
    return _measured(lambda: first(problem, key), lambda: second(*needed))


def _bytes(memory: Any) -> int:
    """What a compiled program needs beside its arguments."""
    return int(memory.temp_size_in_bytes + memory.output_size_in_bytes)


def _measured(first: Callable[[], Any], second: Callable[[], Any]) -> dict[str, Any]:
    """The number of rounds depends on their spread alone, so that it favours no side."""
    ratios: list[float] = []
    for _ in range(PORTIONS):
        ratios += [round(math.log(a / b), 4) for a, b in interleaved(first, second, ROUNDS)]
        if median_and_error(ratios)[1] <= ENOUGH:
            break
    return {"device": device_name("cpu"), "log_ratios": ratios}


def _drawn(jaxpr: Any) -> float:
    """Random numbers that a traced program draws."""
    total = 0.0
    for equation in jaxpr.eqns:
        if equation.primitive.name == "random_bits":
            total += math.prod(equation.outvars[0].aval.shape)
        times = equation.params.get("length", 1) if equation.primitive.name == "scan" else 1
        for inner in equation.params.values():
            inner = getattr(inner, "jaxpr", inner)
            total += times * _drawn(inner) if hasattr(inner, "eqns") else 0.0
    return total
