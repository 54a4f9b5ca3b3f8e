"""A run directory: finished tasks written atomically, found again by a second run."""

from __future__ import annotations

import fcntl
import io
import json
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import IO, Any
from zipfile import BadZipFile

import numpy as np

from benchmarks.records import Record
from benchmarks.tasks import SCHEMA, Task
from problems.names import UsageError

_FOLDERS = ("tasks", "samples", "floors", "pictures", "gates")
_MADE_FROM = "made_from"


class RunDirectory:
    """The files of one run; see `open_run`. Only one process writes to it at a time: leave it with `close` or `with`.

    Attributes:
        records: the finished tasks by id.
        complaints: one sentence for each file that was left out, and why.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records: dict[str, Record] = {}
        self.complaints: list[str] = []
        self._by_slot: dict[tuple[Any, ...], set[str]] = {}
        self._lock: IO[str] | None = None

    def __enter__(self) -> RunDirectory:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, name: str, content: bytes) -> None:
        """Writes a file whole or not at all.

        Raises:
            UsageError: if the disk is full, read-only or otherwise refuses.
        """
        target = self.path / name
        draft = target.with_name(f".{target.name}.tmp")
        try:
            with draft.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(target)
        except OSError as error:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
            raise _refused(target, error) from None

    def commit(self, record: Record, arrays: dict[str, np.ndarray] | None = None) -> None:
        """Keeps a finished task, and its samples if given; what filled its slot before is removed."""
        task = record.task
        if arrays:
            self.write(f"samples/{task.id}.npz", packed(arrays))
        self.write(f"tasks/{task.id}.json", record.to_json().encode())
        self._enter(record)
        self.settle(task)

    def settle(self, task: Task) -> None:
        """Removes what else fills the slot of a finished task."""
        for stale in self._by_slot[task.slot] - {task.id}:
            self._remove(stale)

    def samples(self, task: Task) -> dict[str, np.ndarray] | None:
        """What was kept of a task: 'x' and, of a method with a density, 'log_prob', 'exact_x', 'exact_log_prob'.

        None if nothing was kept, or it cannot be read.
        """
        return self._arrays(f"samples/{task.id}.npz")

    def keep_arrays(self, name: str, arrays: dict[str, np.ndarray], made_from: str) -> None:
        """Keeps arrays that can be made again, with the digest of what they were made from."""
        self.write(name, packed({**arrays, _MADE_FROM: np.array(made_from)}))

    def kept_arrays(self, name: str, made_from: str | None = None) -> dict[str, np.ndarray] | None:
        """What `keep_arrays` kept; None if it is not there, or was made from something else than `made_from`."""
        arrays = self._arrays(name)
        if arrays is None or _MADE_FROM not in arrays:
            return None
        return arrays if str(arrays.pop(_MADE_FROM)) == made_from or made_from is None else None

    def replaced_by(self, task: Task) -> Record | None:
        """The finished task that has the slot of this one, but another id."""
        others = [self.records[one] for one in self._by_slot.get(task.slot, ()) if one != task.id]
        return others[0] if others else None

    def close(self) -> None:
        """Lets another process write."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _arrays(self, name: str) -> dict[str, np.ndarray] | None:
        try:
            with (self.path / name).open("rb") as file, np.load(file) as kept:
                return {key: kept[key] for key in kept.files}
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, EOFError, BadZipFile):
            self.complaints.append(f"{self.path / name} is torn; it is left out")
            return None

    def _enter(self, record: Record) -> None:
        self.records[record.task.id] = record
        self._by_slot.setdefault(record.task.slot, set()).add(record.task.id)

    def _remove(self, task_id: str) -> None:
        record = self.records.pop(task_id)
        self._by_slot[record.task.slot].discard(task_id)
        for name in (f"tasks/{task_id}.json", f"samples/{task_id}.npz"):
            try:
                (self.path / name).unlink(missing_ok=True)
            except OSError as error:
                raise _refused(self.path / name, error) from None

    def _claim(self) -> None:
        """Takes the lock: two runs must not write to one directory."""
        self._lock = (self.path / ".lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UsageError(f"another run is writing to {self.path}; wait for it, or choose another --out") from None

    def _read_tasks(self) -> None:
        for path in sorted((self.path / "tasks").iterdir()):
            if re.fullmatch(r"\.[0-9a-f]{16}\.json\.tmp", path.name):
                path.unlink()  # a draft that a killed run left behind
                continue
            try:
                if not re.fullmatch(r"[0-9a-f]{16}\.json", path.name):
                    raise ValueError("foreign")
                self._enter(Record.from_json(path.read_text(encoding="utf-8"), path.stem))
            except (ValueError, OSError) as error:
                reason = "torn" if isinstance(error, UnicodeDecodeError) else str(error)
                self.complaints.append(f"{path} is {reason}; it is left out")


def open_run(path: Path, *, create: bool) -> RunDirectory:
    """Opens a run directory for writing.

    Raises:
        UsageError: if it is missing, of another schema, not a run directory, in use, or cannot be written.
    """
    if not create and not (path / "tasks").is_dir():
        raise UsageError(f"{path} is not a run directory: it has no folder 'tasks'")
    run = RunDirectory(path)
    try:
        foreign = path.is_dir() and any(not p.name.startswith(".") for p in path.iterdir())
        if foreign and not (path / "tasks").is_dir():
            raise UsageError(f"{path} is not a run directory and not empty; choose another --out")
        path.mkdir(parents=True, exist_ok=True)
        _check_schema(run)
        run._claim()
        for folder in _FOLDERS:
            (path / folder).mkdir(exist_ok=True)
        run._read_tasks()
    except BaseException as error:
        run.close()
        if isinstance(error, OSError):
            raise _refused(path, error) from None
        raise
    return run


def packed(arrays: dict[str, np.ndarray]) -> bytes:
    """The content of an .npz file."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def floor_file(task: Task) -> str:
    """Where the floor of a task's instance is kept."""
    return f"floors/{task.problem}-{task.instance}-{task.n}.npz"


def _check_schema(run: RunDirectory) -> None:
    try:
        content = json.loads((run.path / "run.json").read_text(encoding="utf-8"))
        schema = content["schema"]
    except FileNotFoundError:
        return
    except (ValueError, TypeError, KeyError):
        run.complaints.append(f"{run.path / 'run.json'} is torn; it is written anew")
        return
    if schema != SCHEMA:
        raise UsageError(
            f"{run.path} was written in schema {schema}, this program writes schema {SCHEMA}; choose another --out"
        )


def _refused(path: Path, error: OSError) -> UsageError:
    return UsageError(f"cannot write {path}: {error.strerror}; finished tasks are kept")
