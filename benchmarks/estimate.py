"""How long a task will take, roughly: within a factor of two or three on two cores, corrected while a run goes on."""

from __future__ import annotations

import json

from benchmarks.tasks import Task
from methods import Method
from problems import Family

COMPILE_SECONDS = 3.0
"""Tracing and compiling one sampler; paid once per row and problem."""
_SCORE_SECONDS = 0.1
_FIXED_SECONDS = 15e-9
"""One denoiser evaluation of one sample, its random numbers included: a fixed part, and one per number."""
_NUMBER_SECONDS = {"vector": 4e-9, "image": 18e-9}
_PASSES = {"moves": 8.0, "gradient_steps": 3.0, "denoising_steps": 1.0, "leapfrogs": 2.0, "inner_steps": 0.1}
"""What one of these hyper-parameters adds to every step, in denoiser evaluations."""
_ADAPTIVE_STEPS = 300
"""Of samplers that choose their own: those of the slowest sample, on which the others wait."""
_TORCH = 3.0
"""Eager torch beside compiled JAX on small arrays."""


def estimate_seconds(method: Method, task: Task, family: Family, *, first: bool) -> float:
    """Seconds for sampling and scoring, and for compiling if it is the first of its row and problem.

    A method counts as many evaluations as it has `steps` and corrector steps; each costs as three if the denoiser is
    differentiated, and two more for every further backward pass (`iterations`). Independent runs of particles count all
    of them.
    """
    hyper = json.loads(task.hyper)
    evaluations = 1 + (hyper.get("corrector_steps") or 0)
    once = 3 + 2 * (hyper.get("iterations") or 0) if "differentiable" in method.requires else 1
    passes = evaluations * once + sum(each * (hyper.get(name) or 0) for name, each in _PASSES.items())
    row = family.denoise_seconds or _FIXED_SECONDS + family.dim * _NUMBER_SECONDS[family.kind]
    draws = task.rows * task.instances * (_TORCH if task.framework == "torch" else 1.0)
    steps = _ADAPTIVE_STEPS if "tolerance" in hyper else (hyper.get("steps") or 1) + (hyper.get("warmup") or 0)
    sampling = steps * passes * draws * row
    return sampling + _SCORE_SECONDS + (COMPILE_SECONDS if first else 0.0)
