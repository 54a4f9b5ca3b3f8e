"""What is kept of a finished task: one JSON file, small, that explains itself."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any

from benchmarks.tasks import SCHEMA, STATUSES, Task

_NAN = float("nan")
_TASK_FIELDS = [field.name for field in dataclasses.fields(Task)]


@dataclass(frozen=True)
class Record:
    """A finished task.

    Attributes:
        status: 'ok', 'skipped', 'diverged', 'failed', 'timeout' or 'out_of_memory'; reason: why, in words, or a remark.
        traceback: of a failure.
        metrics: name -> (value, standard error within the run).
        nfe, vjp, operator_calls: per sample. seconds_*: compiling, training, sampling. peak_bytes: memory.
        info: what the method says of itself, for example a training loss.
        calibration: of a task with many instances: the fields of each `scores.Finding`.
        timeout_seconds: the limit that it ran under.
        problems_code, scores_code: digests of the code that made the instance and the metrics.
    """

    task: Task
    status: str
    reason: str = ""
    traceback: str = ""
    metrics: dict[str, tuple[float, float]] = field(default_factory=dict)
    nfe: float = _NAN
    vjp: float = _NAN
    operator_calls: float = _NAN
    seconds_compile: float = _NAN
    seconds_train: float = _NAN
    seconds_sample: float = _NAN
    peak_bytes: int = 0
    info: dict[str, float] = field(default_factory=dict)
    calibration: list[dict[str, Any]] = field(default_factory=list)
    timeout_seconds: float = _NAN
    started_at: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    problems_code: str = ""
    scores_code: str = ""

    @property
    def scored(self) -> bool:
        """Whether there is anything to read off it."""
        return bool(self.metrics or self.calibration)

    def row(self) -> dict[str, Any]:
        """What tables say of a task, beside what was measured: column -> value."""
        task = self.task
        return {
            "problem": task.problem,
            "instance": task.instance,
            "method": task.method,
            "config": task.config,
            "framework": task.framework,
            "repeat": task.repeat,
            "status": self.status,
            "reason": self.reason,
            "n": task.n,
            "nfe": self.nfe,
            "vjp": self.vjp,
            "operator_calls": self.operator_calls,
            "seconds_compile": self.seconds_compile,
            "seconds_train": self.seconds_train,
            "seconds_sample": self.seconds_sample,
            "peak_bytes": self.peak_bytes,
            "device": task.device,
            "threads": task.threads,
            "precision": task.precision,
            "oracle": task.oracle,
            "hyper": task.hyper,
            "versions": json.dumps(self.versions, sort_keys=True),
            "started_at": self.started_at,
            "code": task.code,
        }

    def to_json(self) -> str:
        """The content of the file."""
        content = dataclasses.asdict(self)
        task = content.pop("task")
        return json.dumps({"schema": SCHEMA, "id": self.task.id, **task, **content}, indent=1)

    @classmethod
    def from_json(cls, text: str, expected_id: str) -> Record:
        """Reads a file's content.

        Raises:
            ValueError: with the reason, if it is torn, of another schema, or not the task that its name says.
        """
        try:
            content: Any = json.loads(text)
        except json.JSONDecodeError:
            raise ValueError("torn") from None
        if not isinstance(content, dict) or "schema" not in content:
            raise ValueError("foreign")
        if content["schema"] != SCHEMA:
            raise ValueError(f"of schema {content['schema']}, this program writes {SCHEMA}")
        try:
            content = {"instances": 1, "precision": "float32"} | content  # fields that came later
            task = Task(**{name: content.pop(name) for name in _TASK_FIELDS})
            content["metrics"] = {name: (float(v), float(e)) for name, (v, e) in content["metrics"].items()}
            del content["schema"], content["id"]
            content |= {name: writable(content[name]) for name in ("reason", "traceback") if name in content}
            record = cls(task=task, **content)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise ValueError("foreign") from None
        if record.status not in STATUSES or task.id != expected_id:
            raise ValueError("foreign")
        return record


def writable(text: str) -> str:
    """A text with what no file can hold, surrogates without their other half, as escapes."""
    return text.encode(errors="backslashreplace").decode()
