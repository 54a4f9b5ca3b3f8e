"""What the regression gate needs of a run beside its results: guard.json, taken by the run itself."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks import guard_moments, guard_speed
from benchmarks.compare_snapshot import BARE, GUARD_FILE, GUARD_SCHEMA, HARNESS, HARNESS_METHOD
from benchmarks.executor import Executor
from benchmarks.plan import Plan
from benchmarks.plugins import guest
from benchmarks.progress import Reporter
from benchmarks.provenance import source_digest, versions
from benchmarks.store import RunDirectory
from benchmarks.tasks import Task, canonical, digest
from benchmarks.worker import Failure
from methods import METHODS
from problems import FAMILIES

_SECONDS = 2.0
"""What one part takes, for the estimate."""


def take_guard(plan: Plan, run: RunDirectory, executor: Executor, tell: Reporter) -> None:
    """Takes the parts that are missing or outdated, each written before the next begins.

    A part that fails is kept with its reason: a method that no longer runs has got worse. The file says from the start
    which parts are wanted and of which start of the run it is, so that a half-finished one is known.
    """
    jobs = _jobs(plan)
    held = _held(run.path / GUARD_FILE)
    parts = {name: held[name] for name, job in jobs.items() if held.get(name, {}).get("made_from") == _made_from(job)}
    missing = {name: job for name, job in jobs.items() if name not in parts}
    started = json.loads((run.path / "run.json").read_text(encoding="utf-8"))["created_at"]

    def write() -> None:
        content = {"schema": GUARD_SCHEMA, "started": started, "wanted": list(jobs), "parts": parts}
        run.write(GUARD_FILE, json.dumps(content, indent=1).encode())

    write()
    tell.start(len(missing), _SECONDS * len(missing))
    try:
        if missing:
            tell.begin("compiling for the guard")
            moments = [job[1] for job in missing.values() if job[0] == "guard_moments"]
            ours = [task for task in moments if not guest(task.method)]
            executor.call("compile", ours, timeout_seconds=plan.timeout_seconds)
        for name, job in missing.items():
            tell.begin(f"guard: {name}")
            visitor = guest(job[1].method) if job[1:] else ""
            outcome = executor.call(*job, timeout_seconds=plan.timeout_seconds, guest=visitor)
            if isinstance(outcome, Failure):
                tell.say(f"guard: {name}: {outcome.reason}")
                outcome = {"failed": outcome.reason}
            parts[name] = {"made_from": _made_from(job), "outcome": outcome}
            write()
            tell.advance(_SECONDS, ran=True)
    finally:
        tell.stop()


def _jobs(plan: Plan) -> dict[str, tuple[Any, ...]]:
    """Part -> job and arguments: 'values', 'moments|dps|linear-gaussian-2/0', 'speed|dps'."""
    first: dict[str, Task] = {}
    for planned in plan.tasks:
        if not planned.skip and not METHODS[planned.task.method].particle:
            first.setdefault(planned.task.config, planned.task)
    jobs: dict[str, tuple[Any, ...]] = {"values": ("guard_values",)}
    for config, task in first.items():
        for problem, instances in guard_moments.PROBLEMS.items():
            if METHODS[task.method].requires <= FAMILIES[problem].provides:
                few = _with_steps(task, guard_moments.STEPS, problem=problem, n=guard_moments.DRAWS)
                for index in range(instances):
                    jobs[f"moments|{config}|{problem}/{index}"] = ("guard_moments", replace(few, instance=index))
    for config, task in first.items():
        jobs[f"speed|{config}"] = ("guard_speed", _with_steps(task, guard_speed.STEPS, instance=0))
    for task in list(first.values())[:1]:
        jobs[f"speed|{HARNESS}"] = ("guard_overhead", _harness_task(task))
        jobs[f"speed|{BARE}"] = ("guard_bare",)
    return jobs


def _harness_task(task: Task) -> Task:
    """The same whatever is selected: a short run, so that what the harness adds shows."""
    hyper = canonical(METHODS[HARNESS_METHOD].configure(overrides={"steps": guard_speed.STEPS}))
    small = replace(task, problem=guard_speed.PROBLEM, instance=0, n=guard_speed.N, hyper=hyper, framework="jax")
    return replace(small, method=HARNESS_METHOD, config=HARNESS_METHOD, oracle=True)


def _with_steps(task: Task, steps: int, **changes: Any) -> Task:
    hyper = json.loads(task.hyper)
    return replace(task, hyper=canonical({**hyper, "steps": steps} if "steps" in hyper else hyper), **changes)


def _made_from(job: tuple[Any, ...]) -> str:
    return digest([_code(), job[0], *(task.id for task in job[1:])])


@cache
def _code() -> str:
    """Digest of our code and of the libraries that moments and speeds depend on."""
    here = Path(__file__).parent
    files = [
        *sorted(here.glob("guard*.py")),
        *(here / f"{name}.py" for name in ("execute", "chunked", "work", "devices")),
    ]
    ours = source_digest([*files, here.parent / "problems", here.parent / "methods"])
    return digest([ours, versions()])


def _held(path: Path) -> dict[str, Any]:
    """The parts of an earlier run; none if the file is not there, torn or of another schema."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return content["parts"] if content["schema"] == GUARD_SCHEMA else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
