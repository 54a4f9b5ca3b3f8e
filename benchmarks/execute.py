"""Runs one task: carries the problem to a framework, compiles, counts the work, draws the samples, takes the time."""

from __future__ import annotations

import json
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from benchmarks.chunked import Chunked
from benchmarks.devices import chunk_bytes, peak_bytes, reset_peak, return_freed_memory, wait
from benchmarks.provenance import thread_count
from benchmarks.stacks import Stack, chunks, over_instances, stacked
from benchmarks.tasks import Task, seed_words
from benchmarks.work import UnknownLength, Work, count_jaxpr, counted, work_of
from methods import METHODS, Samples
from problems import Instance, Problem, load, seeded_as
from problems.arrays import Key, make_key
from problems.contract import to
from problems.learned import in_bfloat16

Run = Callable[[Problem, Key], Samples]


@dataclass(frozen=True)
class Drawn:
    """The samples of a task and what they cost.

    Attributes:
        x: (n, *shape), float64 of the sampler's float32. log_prob: (n,) or None.
        exact_x: (n, *shape), draws of the exact posterior, and exact_log_prob: (n,), the method's log density there;
            both None for a method without one.
        work: counted by the harness, else by the method, else None. remark: what to say about it, or ''.
        seconds_compile: of the harness's compilation, or 'compile_seconds' in the method's own info.
        peak_bytes: see `devices.peak_bytes`; for a compiled program on a GPU what that program needs.
        info: the method's other named scalars.
    """

    x: np.ndarray
    log_prob: np.ndarray | None
    work: Work | None
    remark: str
    seconds_compile: float
    seconds_train: float
    seconds_sample: float
    peak_bytes: int
    info: dict[str, float]
    exact_x: np.ndarray | None = None
    exact_log_prob: np.ndarray | None = None


@dataclass(frozen=True)
class Program:
    """A sampler ready to run, with its work (None: not known) and the seconds that making it took.

    device_bytes: what it needs on a GPU, 0 if that is not known beforehand.
    """

    run: Run
    work: Work | None
    seconds: float
    device_bytes: int = 0


@dataclass
class Programs:
    """Programs by what they depend on: the instances of a family share one.

    Attributes:
        size: how many are kept. made: how many were made.
    """

    size: int = 128
    made: int = 0
    _kept: OrderedDict[Any, Program] = field(default_factory=OrderedDict)
    _charged: set[Any] = field(default_factory=set)
    _wanted: deque[set[Any]] = field(default_factory=lambda: deque(maxlen=2))

    def get(self, task: Task, problem: Problem | Stack, key: Key) -> tuple[Program, float]:
        """The program of a task, and the seconds that it took to make on the first call that uses it, then 0.

        For a stack of problems, with a key for each, it is the program that runs them at once.
        """
        signature = _signature(task, problem)
        program = self._kept.get(signature) or self._make(signature, task, problem, key)
        seconds = 0.0 if signature in self._charged else program.seconds
        self._charged.add(signature)
        return program, seconds

    def compile(self, tasks: list[Task]) -> None:
        """Compiles the programs of several tasks at once, one per CPU; one that fails is left to its own task.

        Those that neither these nor the tasks of the call before need are given up: a worker meets one problem after
        the other, at most two at a time, and a program takes some 8 MiB.
        """
        missing: dict[Any, tuple[Task, Any, Key]] = {}
        wanted = {_signature(task, None) for task in tasks if task.framework != "jax"}
        for task in tasks:
            if task.framework == "jax" and METHODS[task.method].compiled:
                with suppress(ValueError):  # instances that cannot be stacked: they run one by one
                    problem, key = _inputs(task)
                    missing.setdefault(_signature(task, problem), (task, problem, key))

        def compile_one(signature: Any) -> None:
            task, problem, key = missing[signature]
            with suppress(Exception):
                self._make(signature, task, problem, key)

        self._wanted.append(wanted | set(missing))
        for signature in self._kept.keys() - set().union(*self._wanted):
            del self._kept[signature]
            self._charged.discard(signature)
        with ThreadPoolExecutor(thread_count()) as pool:
            list(pool.map(compile_one, [signature for signature in missing if signature not in self._kept]))
        return_freed_memory()

    def _make(self, signature: Any, task: Task, problem: Problem | Stack, key: Key) -> Program:
        self.made += 1
        program = self._kept[signature] = _make(task, problem, key)
        if len(self._kept) > self.size:
            self._charged.discard(self._kept.popitem(last=False)[0])
        return program


@lru_cache(maxsize=4)
def instance_of(problem: str, index: int) -> Instance:
    """An instance, kept because all methods meet it one after the other."""
    return load(problem, index)


def execute(task: Task, programs: Programs) -> Drawn:
    """Draws the samples of a task.

    Raises:
        ValueError, TypeError: if the method returns something else than n real samples of the problem's shape.
        Exception: whatever the method raises.
    """
    problem = _carried(task)
    program, seconds_compile = programs.get(task, problem, _key(task))
    reset_peak(task.device)
    wait(task.device, problem)
    start = time.perf_counter()
    samples = program.run(problem, _key(task))
    wait(task.device, samples.x, samples.log_prob)
    lost = getattr(program.run, "seconds_lost", 0.0)
    seconds = time.perf_counter() - start - lost
    peak = program.device_bytes or peak_bytes(task.device, task.framework)
    work, remark = judged(program.work, samples)
    info = {name: float(value) for name, value in samples.info.items()}
    exact_x, exact_log_prob, complaint = _asked_at_exact_draws(samples, task)
    compiled, train = info.pop("compile_seconds", 0.0), float(samples.train_seconds)
    return Drawn(
        x=host(samples.x),
        log_prob=None if samples.log_prob is None else host(samples.log_prob),
        work=work,
        remark="; ".join(filter(None, (remark, complaint, getattr(program.run, "remark", "")))),
        seconds_compile=seconds_compile + compiled + lost,
        seconds_train=train,
        seconds_sample=max(seconds - train - compiled, 0.0),
        peak_bytes=peak,
        info=info,
        exact_x=exact_x,
        exact_log_prob=exact_log_prob,
    )


def _asked_at_exact_draws(samples: Samples, task: Task) -> tuple[np.ndarray | None, np.ndarray | None, str]:
    """Exact draws, the same for all methods, and the method's log density there; or what is wrong with that.

    A density that fails costs no samples.
    """
    if samples.log_density is None:
        return None, None, ""
    posterior = instance_of(task.problem, task.instance).posterior
    if posterior is None:
        return None, None, ""
    key = make_key("numpy", seed_words(task.seed, seeded_as(task.problem), task.instance, "exact draws"))
    x = posterior.sample(key, task.n).astype(np.float32)
    try:
        log_prob = host(samples.log_density(to(x, task.framework, device=task.device)))
    except Exception as error:
        return None, None, f"its log_density raises {type(error).__name__}: {error}"
    if log_prob.shape != (task.n,):
        return None, None, f"its log_density has the shape {log_prob.shape}, expected {(task.n,)}"
    return x.astype(np.float64), log_prob, ""


def _carried(task: Task) -> Problem:
    """What the sampler of a task is given."""
    return _moved(task.problem, task.instance, task.oracle, task.framework, task.device, task.precision)


@lru_cache(maxsize=4)
def _moved(problem: str, index: int, oracle: bool, framework: str, device: str, precision: str) -> Problem:
    instance = instance_of(problem, index)
    moved = (instance.oracle() if oracle else instance.problem).to(framework, device=device)
    return in_bfloat16(moved) if precision == "bfloat16" else moved


def _inputs(task: Task) -> tuple[Any, Key]:
    """What a task's program is made for: its problem and key, or the first chunk of its instances."""
    if task.instances == 1:
        return _carried(task), _key(task)
    stack, keys = stacked(task)
    places = chunks(task)[0]
    return stack.part(places), keys[places]


def _key(task: Task) -> Key:
    return make_key(task.framework, task.sampler_words, task.device)


def _sampler(task: Task) -> Run:
    """problem, key -> Samples, checked."""
    method = METHODS[task.method]
    hyper = method.configure("default", json.loads(task.hyper))

    def run(problem: Problem, key: Key) -> Samples:
        samples = method.run(problem, key, n=task.n, **hyper)
        _check(samples, (task.n, *problem.shape))
        return samples

    return run


def _check(samples: Any, expected: tuple[int, ...]) -> None:
    if not isinstance(samples, Samples):
        raise TypeError(f"a sampler returns Samples, got {type(samples).__name__}")
    shape = tuple(getattr(samples.x, "shape", ()))
    if shape != expected:
        raise ValueError(f"expected samples of shape {expected}, got {shape}")
    if samples.log_prob is not None and tuple(samples.log_prob.shape) != expected[:1]:
        raise ValueError(f"expected log_prob of shape {expected[:1]}, got {tuple(samples.log_prob.shape)}")
    if "complex" in str(samples.x.dtype):
        raise ValueError(f"expected real samples, got {samples.x.dtype}")


def _make(task: Task, problem: Problem | Stack, key: Key) -> Program:
    if isinstance(problem, Stack):
        return _compiled_stack(_sampler(task), problem, key, task)
    if task.framework == "torch":
        return _counted_in_torch(problem, key, task)
    if not METHODS[task.method].compiled:  # it compiles what it wants, when it wants
        return Program(_sampler(task), None, 0.0)
    return _compiled(problem, key, task)


def _compiled(problem: Problem, key: Key, task: Task) -> Program:
    """One trace serves both: the work is read off it, and it is compiled."""
    import jax

    start = time.perf_counter()
    wrap: Callable[[Problem], Problem] = counted
    try:
        traced = jax.jit(_sampler(task)).trace(wrap(problem), key)
    except Exception:  # perhaps it looks at the type of its prior; if it fails without the marks too, that is told
        wrap = _unmarked
        traced = jax.jit(_sampler(task)).trace(problem, key)
    work = None
    with suppress(UnknownLength):
        work = count_jaxpr(traced.jaxpr, task.n) if wrap is counted else None

    arguments = 0

    def make(part: Task) -> tuple[Run, int]:
        nonlocal arguments
        whole = traced if part is task else jax.jit(_sampler(part)).trace(wrap(problem), key)
        program = whole.lower().compile()
        arguments, needed = _needed(program)
        return lambda problem, key: program(wrap(problem), key), needed

    run = Chunked(task, make, chunk_bytes(task.device))
    needed = arguments + run.needed if task.device == "cuda" else 0
    return Program(run, work, time.perf_counter() - start, needed)


def _compiled_stack(run: Run, stack: Stack, keys: Key, task: Task) -> Program:
    """The sampler mapped over the instances of a stack; its work is read off a trace of the first one alone."""
    import jax

    start = time.perf_counter()
    work = None
    with suppress(Exception):
        first = stack.one(tuple(leaf[0] for leaf in stack.varying))
        work = count_jaxpr(jax.jit(run).trace(counted(first), keys[0]).jaxpr, task.n)
    program = jax.jit(over_instances(run)).lower(stack, keys).compile()
    needed = sum(_needed(program)) if task.device == "cuda" else 0
    return Program(program, work, time.perf_counter() - start, needed)


def _needed(program: Any) -> tuple[int, int]:
    """The bytes of a compiled program's arguments, and those that it needs beside; 0 if the compiler does not tell."""
    memory = program.memory_analysis()
    if not memory:
        return 0, 0
    return memory.argument_size_in_bytes, memory.output_size_in_bytes + memory.temp_size_in_bytes


def _unmarked(problem: Problem) -> Problem:
    return problem


def _counted_in_torch(problem: Problem, key: Key, task: Task) -> Program:
    """A call of its own with the marks in place, which also warms up; the one that is timed has none."""
    import torch

    torch.set_num_threads(thread_count())
    start = time.perf_counter()
    run = Chunked(task, lambda part: (_sampler(part), 0), chunk_bytes(task.device))
    try:
        work = _work_in_torch(run, problem, key, task.n)
    except Exception:  # as in `_compiled`: the real run tells what is wrong
        work = None
    return Program(run, work, time.perf_counter() - start)


def _work_in_torch(run: Chunked, problem: Problem, key: Key, n: int) -> Work:
    """The work of a call for which the memory sufficed: what was done before it was full is not counted."""
    while True:
        rows: Counter[str] = Counter()
        at_once = run.rows
        run(counted(problem, rows), key)
        if run.rows == at_once:
            return work_of(rows, n)


def judged(work: Work | None, samples: Samples) -> tuple[Work | None, str]:
    """The harness's count, checked against the method's own; the method's own where there is no other."""
    nan = float("nan")
    own = {name: nan if value is None else float(value) for name, value in (("nfe", samples.nfe), ("vjp", samples.vjp))}
    if work is None:
        if samples.nfe is None:
            return None, "the work was not counted"
        return Work(own["nfe"], own["vjp"], nan), "nfe and vjp as the method reports them"
    wrong = [
        f"{name} {value:g} (counted {getattr(work, name):g})"
        for name, value in own.items()
        if abs(value - getattr(work, name)) > 1e-6 * max(value, 1.0)
    ]
    return work, f"the method reports {' and '.join(wrong)}" if wrong else ""


def host(x: Any) -> np.ndarray:
    """An array of any framework as NumPy's float64."""
    if hasattr(x, "detach"):
        x = x.detach().cpu()
    return np.asarray(x, dtype=np.float64)


def _signature(task: Task, problem: Problem | Stack | None) -> Any:
    """What a program depends on; in JAX the problem counts by its tree, static fields, shapes and dtypes alone."""
    names = (task.method, task.hyper, task.n, task.framework, task.device, task.code, task.precision)
    if task.framework != "jax":
        return *names, task.problem
    import jax

    leaves, tree = jax.tree_util.tree_flatten(problem)
    return *names, tree, tuple((tuple(leaf.shape), str(leaf.dtype)) for leaf in leaves)
