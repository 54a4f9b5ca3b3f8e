"""Runs a task of many instances: all at once where the sampler can be mapped over them, else one after the other."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import numpy as np

from benchmarks.devices import peak_bytes, reset_peak, wait
from benchmarks.execute import Drawn, Program, Programs, execute, host, judged
from benchmarks.stacks import Stack, chunks, stacked
from benchmarks.tasks import Task
from benchmarks.work import Work
from methods import METHODS
from problems.arrays import Key


def execute_batch(task: Task, programs: Programs) -> Drawn:
    """Draws the samples of all instances of a task: x is (instances, n, *shape), log_prob (instances, n) or None.

    Array methods in JAX run under `vmap`, compiled once, in chunks of modest memory; instance i meets the noise of its
    own task, so its samples are the same to rounding. The rest, and what does not trace under `vmap`, runs one
    instance after the other. Seconds are those of all instances; the work is per sample.

    Raises:
        Exception: whatever the method raises.
    """
    if task.framework == "jax" and METHODS[task.method].compiled:
        try:
            stack, keys = stacked(task)
            places = chunks(task)
            program, seconds = programs.get(task, stack.part(places[0]), keys[places[0]])
        except Exception:  # not to be mapped, or at fault: run alone, it says which
            return _one_by_one(task, programs)
        return _at_once(task, program, seconds, stack, keys, places)
    return _one_by_one(task, programs)


def _at_once(
    task: Task, program: Program, seconds_compile: float, stack: Stack, keys: Key, places: list[np.ndarray]
) -> Drawn:
    reset_peak(task.device)
    parts: list[Any] = []
    start = time.perf_counter()
    for place in places:
        samples: Any = program.run(stack.part(place), keys[place])  # type: ignore[arg-type]
        wait(task.device, samples.x, samples.log_prob)
        parts.append(samples)
    seconds = time.perf_counter() - start
    peak = program.device_bytes or peak_bytes(task.device, task.framework)
    own = {name: _mean([getattr(part, name) for part in parts], task.instances) for name in ("nfe", "vjp")}
    first = dataclasses.replace(parts[0], **own)
    work, remark = judged(program.work, first)
    log_prob = None if first.log_prob is None else _joined([part.log_prob for part in parts], task.instances)
    info = {name: float(np.mean(_joined([p.info[name] for p in parts], task.instances))) for name in first.info}
    return Drawn(
        x=_joined([part.x for part in parts], task.instances),
        log_prob=log_prob,
        work=work,
        remark=remark,
        seconds_compile=seconds_compile,
        seconds_train=0.0,
        seconds_sample=seconds,
        peak_bytes=peak,
        info=info,
    )


def _one_by_one(task: Task, programs: Programs) -> Drawn:
    alone = dataclasses.replace(task, instances=1)
    drawn = [execute(dataclasses.replace(alone, instance=task.instance + i), programs) for i in range(task.instances)]
    densities = [one.log_prob for one in drawn if one.log_prob is not None]
    works = [dataclasses.astuple(one.work) for one in drawn if one.work is not None]
    return dataclasses.replace(
        drawn[0],
        work=Work(*np.mean(works, axis=0).tolist()) if len(works) == len(drawn) else None,
        x=np.stack([one.x for one in drawn]),
        log_prob=np.stack(densities) if len(densities) == len(drawn) else None,
        seconds_compile=sum(one.seconds_compile for one in drawn),
        seconds_train=sum(one.seconds_train for one in drawn),
        seconds_sample=sum(one.seconds_sample for one in drawn),
        peak_bytes=max(one.peak_bytes for one in drawn),
        info={name: float(np.mean([one.info[name] for one in drawn])) for name in drawn[0].info},
    )


def _joined(parts: list[Any], count: int) -> np.ndarray:
    """The chunks one after the other, without what filled the last one up."""
    return np.concatenate([host(part) for part in parts])[:count]


def _mean(counted: list[Any], count: int) -> float | None:
    """A method's own count, the mean over instances: where steps adapt to the problem they differ."""
    return None if counted[0] is None else float(np.mean(_joined(counted, count)))
