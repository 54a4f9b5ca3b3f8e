"""A task: plain names and numbers that say everything about one run of one sampler on an instance, or on many."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from problems import seeded_as

SCHEMA = 1
"""Version of the files in a run directory."""

STATUSES = ("ok", "skipped", "diverged", "failed", "timeout", "out_of_memory")


@dataclass(frozen=True)
class Task:
    """One run of one sampler on one instance or several; it can be sent to another process or machine as JSON.

    Attributes:
        config: the row of the table: the method, its preset and the user's overrides, 'dps[paper,steps=500]'.
        framework: 'jax' or 'torch', the one it runs in.
        hyper: every hyper-parameter with its value, as canonical JSON.
        seed: the seed of the whole run; every random stream derives from it and from names.
        code: digest of everything of ours that the samples depend on.
        device: 'cpu' or 'cuda'. threads: CPU threads, which decide the order of sums.
        oracle: the method is given the exact posterior as its prior.
        precision: of products of matrices, 'float32', 'tf32' (a GPU's) or 'bfloat16' (of the project's networks).
        instances: how many it covers, instance .. instance + instances - 1, with n samples each.
    """

    problem: str
    instance: int
    method: str
    config: str
    framework: str
    repeat: int
    n: int
    hyper: str
    seed: int
    device: str
    threads: int
    code: str
    oracle: bool
    instances: int = 1
    precision: str = "float32"

    @property
    def rows(self) -> int:
        """The states of one instance that move at once: n, or those of n independent runs of particles."""
        hyper = json.loads(self.hyper)
        return self.n * (hyper.get("particles") or 1 if hyper.get("runs") == "many" else 1)

    @property
    def id(self) -> str:
        """A digest of every field: two tasks with the same id give the same samples."""
        fields = dict(vars(self))
        for name, usual in (("instances", 1), ("precision", "float32")):  # ids are older than these fields
            if fields[name] == usual:
                del fields[name]
        return digest(fields)

    @property
    def slot(self) -> tuple[str, int, str, str, int, bool]:
        """The place in the table that this task fills; another task with the same slot replaces it."""
        return (self.problem, self.instance, self.config, self.framework, self.repeat, self.instances > 1)

    @property
    def sampler_words(self) -> list[int]:
        """The integers that its sampler is seeded with: names alone, so that adding a method changes no other row.

        Configurations, sizes and frameworks are not among them: two presets of a method meet the same noise.
        """
        return seed_words(self.seed, seeded_as(self.problem), self.instance, "sampler", self.method, self.repeat)


def digest(value: Any) -> str:
    """16 hexadecimal digits of the SHA-256 of a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def seed_words(*names: str | int) -> list[int]:
    """Eight 32-bit integers that depend on every name; 0 is a name like any other."""
    raw = hashlib.sha256(json.dumps(list(names)).encode()).digest()
    return [int.from_bytes(raw[i : i + 4], "little") for i in range(0, 32, 4)]


def canonical(hyper: dict[str, Any]) -> str:
    """Hyper-parameters as JSON with sorted names."""
    return json.dumps(hyper, sort_keys=True)
