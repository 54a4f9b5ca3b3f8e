"""One batched task: draws its samples and tests their calibration over the instances."""

from __future__ import annotations

import dataclasses
import datetime
from functools import lru_cache

import numpy as np

import scores
from benchmarks.batches import execute_batch
from benchmarks.execute import Drawn, Programs
from benchmarks.records import Record
from benchmarks.stacks import instances_of
from benchmarks.tasks import Task, seed_words
from benchmarks.verdict import verdict
from problems import FAMILIES, seeded_as


def run_batch(task: Task, programs: Programs) -> tuple[Record, dict[str, np.ndarray]]:
    """Samples and tests; the arrays are the ranks, for pictures. Samples that are not finite are not tested."""
    started_at = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    drawn = execute_batch(task, programs)
    status, reason = _status(task, drawn)
    findings: list[scores.Finding] = []
    ranks: dict[str, np.ndarray] = {}
    if np.isfinite(drawn.x).all():
        findings, ranks = scores.calibrate(
            drawn.x,
            instances_of(task.problem, task.instance, task.instances),
            _directions(task.problem, task.instance, task.instances),
            seed_words=seed_words(task.seed, seeded_as(task.problem), "calibration"),
            model_truth=FAMILIES[task.problem].model_truth,
        )
    work = dataclasses.asdict(drawn.work) if drawn.work else {}
    record = Record(
        task=task,
        status=status,
        reason=reason,
        calibration=[dataclasses.asdict(finding) for finding in findings],
        seconds_compile=drawn.seconds_compile,
        seconds_train=drawn.seconds_train,
        seconds_sample=drawn.seconds_sample,
        peak_bytes=drawn.peak_bytes,
        info=drawn.info,
        started_at=started_at,
        **work,
    )
    return record, ranks


def _status(task: Task, drawn: Drawn) -> tuple[str, str]:
    """That of the worst instance, and on how many others the sampler diverged."""
    instances = instances_of(task.problem, task.instance, task.instances)
    found = [
        verdict(dataclasses.replace(drawn, x=x, log_prob=None), instance.problem.prior)
        for x, instance in zip(drawn.x, instances, strict=True)
    ]
    diverged = [(i, reason) for i, (status, reason) in enumerate(found) if status != "ok"]
    if not diverged:
        return found[0]
    place, reason = diverged[0]
    return "diverged", f"on {len(diverged)} of {task.instances} instances; on {task.instance + place}: {reason}"


@lru_cache(maxsize=1)
def _directions(problem: str, first: int, count: int) -> dict[str, list[np.ndarray]]:
    return scores.directions(instances_of(problem, first, count))
