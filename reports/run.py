"""A run directory, read: its long table, its floors, and the samples and pictures stored for the figures."""

from __future__ import annotations

import json
import re
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

SCHEMA = 1
TASK = ["problem", "instance", "method", "config", "framework", "repeat"]
NEEDED = [
    *TASK,
    *("metric", "value", "status", "reason", "n", "nfe", "vjp", "seconds_compile", "seconds_train", "seconds_sample"),
    *("peak_bytes", "device", "threads", "oracle"),
]
FLOOR_COLUMNS = ["problem", "instance", "n", "metric", "draw", "value"]

Arrays = dict[str, np.ndarray]


class RunError(ValueError):
    """A directory that cannot be reported on, told in one sentence."""


@dataclass(frozen=True)
class Run:
    """The stored results of a run.

    Attributes:
        directory: where they lie.
        info: run.json.
        results: the long table, one row per (task, metric); a task without metrics has one row with metric ''.
        floors: one row per (problem, instance, n, metric, draw) of fresh exact samples; empty if none were stored.
    """

    directory: Path
    info: dict[str, Any]
    results: pd.DataFrame
    floors: pd.DataFrame

    def pictures(self) -> dict[str, tuple[int, Arrays]]:
        """problem -> (instance, arrays) for the lowest instance whose picture can be read."""
        found: dict[str, list[int]] = {}
        for path in sorted((self.directory / "pictures").glob("*.npz")):
            if match := re.fullmatch(r"(.+)-(\d+)", path.stem):
                found.setdefault(match[1], []).append(int(match[2]))
        chosen: dict[str, tuple[int, Arrays]] = {}
        for problem, instances in found.items():
            for instance in sorted(instances):
                arrays = read_arrays(self.directory / "pictures" / f"{problem}-{instance}.npz")
                if arrays is not None:
                    chosen[problem] = (instance, arrays)
                    break
        return chosen

    def samples(self, problem: str, instance: int, method: str, config: str, framework: str) -> np.ndarray | None:
        """The stored samples of the first repeat of a task, (n, *shape), or None if they were not kept."""
        for path in self._sample_files.get((problem, instance, method, config, framework), []):
            arrays = read_arrays(path)
            if arrays is not None and "x" in arrays:
                return arrays["x"]
        return None

    @cached_property
    def _sample_files(self) -> dict[tuple[str, int, str, str, str], list[Path]]:
        files: dict[tuple[str, int, str, str, str], list[tuple[int, Path]]] = {}
        for path in sorted((self.directory / "samples").glob("*.npz")):
            try:
                task = json.loads((self.directory / "tasks" / f"{path.stem}.json").read_text())
                problem, instance, method, config, framework, repeat = (task[name] for name in TASK)
            except (OSError, ValueError, KeyError, TypeError):
                continue  # samples without a readable task belong to no row; the panel says that there are none
            key = (problem, int(instance), method, config, framework)
            files.setdefault(key, []).append((int(repeat), path))
        return {key: [path for _, path in sorted(found)] for key, found in files.items()}


def foreign_truths(info: dict[str, Any], problem: str) -> bool:
    """Whether the truths of a problem are not drawn from its prior, so that an exact sampler need not be calibrated."""
    return problem in info.get("foreign_truths", ())


def posterior_known(info: dict[str, Any], problem: str) -> bool:
    """Whether the posterior of a problem is known exactly; it is where run.json does not say."""
    return "posterior" in info.get("problems", {}).get(problem, {}).get("provides", ("posterior",))


def read_run(directory: Path) -> Run:
    """Reads run.json, results.parquet and floors.parquet.

    Raises:
        RunError: if one of the first two is absent, torn, or of another schema.
    """
    missing = [name for name in ("run.json", "results.parquet") if not (directory / name).is_file()]
    if missing:
        raise RunError(f"{directory} is not a finished run directory: it has no {' and no '.join(missing)}")
    try:
        info = json.loads((directory / "run.json").read_text())
        schema = info["schema"]
    except (ValueError, KeyError, TypeError):
        raise RunError(f"{directory / 'run.json'} is torn: expected JSON with a field 'schema'") from None
    if schema != SCHEMA:
        raise RunError(f"{directory} has results of schema {schema!r}; this version reads schema {SCHEMA}")
    results = read_table(directory / "results.parquet", NEEDED)
    floor_path = directory / "floors.parquet"
    floors = read_table(floor_path, FLOOR_COLUMNS) if floor_path.is_file() else pd.DataFrame(columns=FLOOR_COLUMNS)
    return Run(directory=directory, info=info, results=results, floors=floors)


def read_table(path: Path, columns: list[str]) -> pd.DataFrame:
    """A Parquet table that has these columns.

    Raises:
        RunError: if it has not, or cannot be read.
    """
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read as a table: {str(error).splitlines()[0]}") from None
    absent = [name for name in columns if name not in table.columns]
    if absent:
        raise RunError(f"{path} lacks the columns {', '.join(absent)}")
    return table


def read_arrays(path: Path) -> Arrays | None:
    """The arrays of an .npz file; None if it cannot be read."""
    try:
        with np.load(path) as stored:
            return {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        return None
