"""Samples in chunks of rows, where all at once would take too much memory.

The samples of a method whose rows do not interact are independent: some at a time, each time with another key, have the
same law. Programs tell what they need before they run; what does not tell, or needs more, is halved when the memory is
full.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.tasks import Task
from methods import METHODS, Samples
from problems import Problem
from problems.arrays import Key, namespace, split

Run = Callable[[Problem, Key], Samples]
Make = Callable[[Task], tuple[Run, int]]
"""A task -> its sampler, and the bytes that it needs beside its arguments; 0 if nobody knows."""


def can_be_split(task: Task) -> bool:
    """Whether the rows of a task's samples do not see each other: neither particles nor a fit to all of them."""
    method = METHODS[task.method]
    return method.framework == "array" and not method.particle


class Chunked:
    """A sampler that draws as many rows at a time as memory allows.

    Attributes:
        rows: at a time. needed: the bytes that a program of so many needs beside its arguments.
        remark: what is to be said of it, or ''.
        seconds_lost: of the last call, until the memory was full and what fits had been made.
    """

    def __init__(self, task: Task, make: Make, limit_bytes: int) -> None:
        """Halves the rows until a program says that it needs at most `limit_bytes`."""
        self._task, self._make = task, make
        self.rows, self.remark, self.seconds_lost = task.n, "", 0.0
        self._run, self.needed = make(task)
        while self.needed > limit_bytes and self._may_halve():
            self._halve()

    def __call__(self, problem: Problem, key: Key) -> Samples:
        """The samples; when the memory is full, those of half as many rows at a time."""
        start, self.seconds_lost = time.perf_counter(), 0.0
        while True:
            try:
                if self.rows == self._task.n:
                    return self._run(problem, key)
                keys = split(key, self._task.n // self.rows)
                return joined([self._run(problem, own) for own in keys])
            except Exception as error:
                if not starved(error, str(error)) or not self._may_halve():
                    raise
            self._halve()
            self.seconds_lost = time.perf_counter() - start

    def _may_halve(self) -> bool:
        return self.rows % 2 == 0 and can_be_split(self._task)

    def _halve(self) -> None:
        self.rows //= 2
        self.remark = f"drawn in chunks of {self.rows} samples, as all at once would take too much memory"
        self._run, self.needed = self._make(dataclasses.replace(self._task, n=self.rows))


def joined(chunks: list[Samples]) -> Samples:
    """The samples of several calls as those of one; named scalars are averaged."""
    first = chunks[0]
    concat = namespace(first.x).concat
    log_prob: Any = None
    if first.log_prob is not None:
        log_prob = concat([chunk.log_prob for chunk in chunks])
    info = {name: float(np.mean([float(chunk.info[name]) for chunk in chunks])) for name in first.info}
    return dataclasses.replace(first, x=concat([chunk.x for chunk in chunks]), log_prob=log_prob, info=info)


def starved(error: BaseException, text: str) -> bool:
    """Whether an error, or its text, says that memory is full."""
    told = ("resource_exhausted", "out of memory", "can't allocate memory")
    return isinstance(error, MemoryError) or any(words in text.lower() for words in told)
