"""Suites: which problems meet which methods, at which sizes. TOML files, a user's own like ours."""

from __future__ import annotations

import tomllib
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from problems import Family
from problems.names import UsageError, unknown

FOLDER = Path(__file__).parent / "suites"
Count = Annotated[int, Field(ge=1, strict=True)]
Patterns = Annotated[list[str], Field(min_length=1)]


class Section(BaseModel):
    """A table of the file: keys that do not exist are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Sizes(Section):
    """The sizes of the problems that match; the first matching table counts.

    Attributes:
        problems: glob patterns. max_dim: only problems of at most this dimension.
        n: samples per task. steps: for the methods that have `steps`, except where they have `own_steps`.
        instances: 0 .. instances - 1.
        more_steps: further numbers of steps, each a row of its own like 'dps[steps=20]'.
        budget_seconds: when the tasks of one problem have taken this long, the rest of them are skipped.
    """

    problems: Patterns = ["*"]
    max_dim: Count | None = None
    n: Annotated[int, Field(ge=2, strict=True)]
    steps: Count
    more_steps: list[Count] = []
    instances: Count
    budget_seconds: Annotated[float, Field(gt=0)] = 86400.0

    def match(self, family: Family) -> bool:
        """Whether this table gives the sizes of a family."""
        small = self.max_dim is None or family.dim <= self.max_dim
        return small and any(fnmatchcase(family.name, pattern) for pattern in self.problems)


class Limit(Section):
    """Expensive methods: only on these problems, and only on the first instances.

    Attributes:
        methods: patterns; 'tds' means all its presets, 'tds[one-run]' one, 'tds[default]' the one without a name.
        steps: in place of those of the sizes; 0 leaves the method its own.
        seconds: what one task takes, for the estimate, where that does not follow from its steps.
    """

    methods: Patterns
    problems: Patterns = ["*"]
    instances: Count | None = None
    steps: Annotated[int, Field(ge=0, strict=True)] | None = None
    seconds: Annotated[float, Field(gt=0)] | None = None

    def concerns(self, method: str, preset: str) -> bool:
        """Whether a method with a preset is limited."""
        parts = [pattern.partition("[") for pattern in self.methods]
        return any(
            fnmatchcase(method, name) and (not bracket or fnmatchcase(preset, rest.removesuffix("]")))
            for name, bracket, rest in parts
        )


class Suite(Section):
    """A suite.

    Attributes:
        problems, methods: patterns; a method's preset stands in brackets, 'dps[paper]', 'oracle-*[*]'.
        seed: of every random stream. repeats: independent runs of every task.
        floor_draws: exact samples behind each floor. timeout_seconds: for one task.
        keep_gib: the samples that are kept take at most this much.
        gates: whether a run also tries the metrics on exact and on faulty samples, see `benchmarks.gates`.
        batched: a task covers all instances of a problem, and is scored by the calibration over them.
        guard: a run also takes what `compare` needs, see `benchmarks.guard`.
        sizes, limits: see there.
    """

    summary: str
    problems: Patterns
    methods: Patterns
    seed: Annotated[int, Field(ge=0, strict=True)] = 0
    repeats: Count = 1
    floor_draws: Annotated[int, Field(ge=20, strict=True)] = 20
    timeout_seconds: Annotated[float, Field(gt=0)] = 3600.0
    keep_gib: Annotated[float, Field(ge=0)] = 0.5
    gates: Annotated[bool, Field(strict=True)] = False
    batched: Annotated[bool, Field(strict=True)] = False
    guard: Annotated[bool, Field(strict=True)] = False
    sizes: Annotated[list[Sizes], Field(min_length=1)]
    limits: list[Limit] = []

    def sizes_of(self, family: Family) -> Sizes:
        """The sizes of a family.

        Raises:
            UsageError: if no table of sizes matches it.
        """
        for sizes in self.sizes:
            if sizes.match(family):
                return sizes
        raise UsageError(f"the suite has no [[sizes]] for problem {family.name!r}; add a table without 'problems'")


def suite_names() -> list[str]:
    """The suites that ship."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load_suite(name: str) -> Suite:
    """A suite by its name, or from a path that ends in .toml.

    Raises:
        UsageError: for an unknown name, a file that cannot be read, an unknown key or a value out of range.
    """
    path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    if not name.endswith(".toml") and name not in suite_names():
        raise unknown("suite", name, suite_names())
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read the suite {name}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"the suite {name} is not valid TOML: {error}") from None
    try:
        return Suite.model_validate(content)
    except ValidationError as error:
        raise _explained(name, error) from None


def _explained(name: str, error: ValidationError) -> UsageError:
    """One complaint of pydantic as one sentence: a misspelt key rather than the one that it leaves missing."""
    first: Any = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
    *parents, key = first["loc"]
    if first["type"] == "extra_forbidden":
        tables: dict[str, type[Section]] = {"sizes": Sizes, "limits": Limit}
        table = tables[parents[0]] if parents else Suite
        return unknown(f"key of the suite {name}", str(key), table.model_fields)
    where = ".".join(str(part) for part in first["loc"])
    got = "" if first["type"] == "missing" else f", got {first['input']!r}"
    return UsageError(f"the suite {name}: {where}: {first['msg']}{got}")
