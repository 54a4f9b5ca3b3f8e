"""How long a task will take, roughly: within a factor of two or three on two cores, corrected while a run goes on."""

from __future__ import annotations

import json

from benchmarks.tasks import Task
from methods import Method
from problems import Family

COMPILE_SECONDS = 1.0
"""Tracing and compiling one sampler; paid once per row and problem."""
_SCORE_SECONDS = 0.1
_FIXED_SECONDS = 15e-9
"""One denoiser evaluation of one sample, its random numbers included: a fixed part, and one per number."""
_NUMBER_SECONDS = {"vector": 4e-9, "image": 18e-9}
_TORCH = 3.0
"""Eager torch beside compiled JAX on small arrays."""


def estimate_seconds(method: Method, task: Task, family: Family, *, first: bool) -> float:
    """Seconds for sampling and scoring, and for compiling if it is the first of its row and problem.

    A method counts as many evaluations as it has `steps` and corrector steps; each costs as three if the denoiser is
    differentiated, and one more for every further backward pass (`iterations`). Independent runs of particles count all
    of them.
    """
    hyper = json.loads(task.hyper)
    evaluations = 1 + (hyper.get("corrector_steps") or 0)
    passes = evaluations * (3 + (hyper.get("iterations") or 0) if "differentiable" in method.requires else 1)
    row = _FIXED_SECONDS + family.dim * _NUMBER_SECONDS[family.kind]
    draws = task.rows * task.instances * (_TORCH if task.framework == "torch" else 1.0)
    sampling = ((hyper.get("steps") or 1) + (hyper.get("warmup") or 0)) * passes * draws * row
    return sampling + _SCORE_SECONDS + (COMPILE_SECONDS if first else 0.0)
