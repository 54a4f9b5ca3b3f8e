"""The run directory: what is written stays whole, what is not ours is told, and two runs do not mix."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.records import Record
from benchmarks.store import RunDirectory, open_run
from benchmarks.tasks import SCHEMA
from problems.names import UsageError
from tests.benchmarks.test_tasks import TASK

NAN = float("nan")
RECORD = Record(
    TASK,
    "diverged",
    reason="4 of 250 samples",
    traceback="Traceback",
    metrics={"sw1": (NAN, NAN), "nonfinite": (0.016, 0.25)},
    nfe=70.0,
    vjp=35.5,
    operator_calls=3.0,
    seconds_compile=1.5,
    seconds_train=0.25,
    seconds_sample=2.5,
    peak_bytes=12345,
    info={"loss": 3.25},
    timeout_seconds=60.0,
    started_at="2025-01-02T03:04:05+00:00",
    versions={"numpy": "2.4"},
    problems_code="aa",
    scores_code="bb",
)


_OPEN: list[RunDirectory] = []


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    while _OPEN:
        _OPEN.pop().close()


def opened(path: Path) -> RunDirectory:
    _OPEN.append(open_run(path, create=True))
    return _OPEN[-1]


def reopened(run: RunDirectory) -> RunDirectory:
    run.close()
    return opened(run.path)


def test_a_record_comes_back_as_it_was_and_its_file_explains_itself(tmp_path: Path) -> None:
    run = opened(tmp_path / "run")
    run.commit(RECORD, {"x": np.arange(6.0, dtype=np.float32).reshape(3, 2)})
    again = reopened(run)
    assert repr(again.records[TASK.id]) == repr(RECORD)
    kept = again.samples(TASK)
    assert kept is not None
    np.testing.assert_array_equal(kept["x"], [[0, 1], [2, 3], [4, 5]])
    content = json.loads((run.path / "tasks" / f"{TASK.id}.json").read_text())
    assert (content["schema"], content["id"], content["problem"], content["config"]) == (
        SCHEMA,
        TASK.id,
        "seed2d",
        "dps[paper]",
    )


def test_a_task_that_fills_the_same_slot_replaces_the_other(tmp_path: Path) -> None:
    run = opened(tmp_path)
    newer = replace(TASK, code="ffff", n=99)
    other = replace(TASK, repeat=2)
    for task in (TASK, other):
        run.commit(Record(task, "ok"), {"x": np.zeros((2, 2))})
    replaced = run.replaced_by(newer)
    assert replaced is not None
    assert replaced.task == TASK
    run.commit(Record(newer, "ok"))
    assert set(reopened(run).records) == {newer.id, other.id}
    assert run.samples(TASK) is None
    assert run.replaced_by(newer) is None


def test_a_slot_filled_twice_by_a_killed_run_is_settled(tmp_path: Path) -> None:
    run = opened(tmp_path)
    newer = replace(TASK, n=99)
    run.commit(Record(TASK, "ok"))
    (tmp_path / "tasks" / f"{newer.id}.json").write_text(Record(newer, "ok").to_json())
    run = reopened(run)
    assert set(run.records) == {TASK.id, newer.id}
    run.settle(newer)
    assert set(reopened(run).records) == {newer.id}


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (f"{TASK.id}.json", RECORD.to_json()[:-40], "is torn"),
        (f"{TASK.id}.json", "", "is torn"),
        (f"{TASK.id}.json", "\xff\xfe", "is torn"),
        (f"{TASK.id}.json", '{"a": 1}', "is foreign"),
        (f"{TASK.id}.json", "[1, 2]", "is foreign"),
        (f"{TASK.id}.json", RECORD.to_json().replace('"instance": 3', '"instance": 4'), "is foreign"),
        (f"{TASK.id}.json", RECORD.to_json().replace('"diverged"', '"fine"'), "is foreign"),
        (
            f"{TASK.id}.json",
            RECORD.to_json().replace('"schema": 1', '"schema": 2'),
            "is of schema 2, this program writes 1",
        ),
        ("notes.txt", "mine", "is foreign"),
        ("0123.json", RECORD.to_json(), "is foreign"),
    ],
)
def test_a_torn_or_foreign_file_is_told_in_one_sentence_and_left_out(
    tmp_path: Path, name: str, content: str, said: str
) -> None:
    run = opened(tmp_path)
    other = replace(TASK, instance=9)
    run.commit(Record(other, "ok"))
    (tmp_path / "tasks" / name).write_bytes(content.encode("latin-1"))
    again = reopened(run)
    assert again.complaints == [f"{tmp_path / 'tasks' / name} {said}; it is left out"]
    assert set(again.records) == {other.id}
    assert (tmp_path / "tasks" / name).exists()


def test_drafts_of_a_killed_run_are_cleared(tmp_path: Path) -> None:
    run = opened(tmp_path)
    draft = tmp_path / "tasks" / f".{TASK.id}.json.tmp"
    draft.write_text("half")
    assert reopened(run).complaints == []
    assert not draft.exists()


def test_torn_samples_are_told_and_left_out(tmp_path: Path) -> None:
    run = opened(tmp_path)
    run.commit(RECORD, {"x": np.zeros((3, 2))})
    path = tmp_path / "samples" / f"{TASK.id}.npz"
    path.write_bytes(path.read_bytes()[:100])
    assert run.samples(TASK) is None
    assert run.complaints == [f"{path} is torn; it is left out"]


def test_arrays_are_taken_up_only_if_made_from_the_same(tmp_path: Path) -> None:
    run = opened(tmp_path)
    run.keep_arrays("floors/a.npz", {"sw1": np.array([0.5, 0.75])}, "digest")
    assert run.kept_arrays("floors/a.npz", "another") is None
    assert run.kept_arrays("floors/b.npz", "digest") is None
    for kept in (run.kept_arrays("floors/a.npz", "digest"), run.kept_arrays("floors/a.npz")):
        assert kept is not None
        assert list(kept) == ["sw1"]
        np.testing.assert_array_equal(kept["sw1"], [0.5, 0.75])


def test_a_directory_that_is_not_a_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(UsageError, match="is not a run directory and not empty; choose another --out"):
        open_run(tmp_path, create=True)
    with pytest.raises(UsageError, match="is not a run directory: it has no folder 'tasks'"):
        open_run(tmp_path / "absent", create=False)
    assert not (tmp_path / "absent").exists()


def test_a_directory_of_another_schema_is_refused(tmp_path: Path) -> None:
    open_run(tmp_path, create=True).close()
    (tmp_path / "run.json").write_text('{"schema": 7}')
    with pytest.raises(UsageError, match="was written in schema 7, this program writes schema 1"):
        open_run(tmp_path, create=True)
    (tmp_path / "run.json").write_text('{"schema')
    run = opened(tmp_path)
    assert run.complaints == [f"{tmp_path / 'run.json'} is torn; it is written anew"]


def test_foreign_files_among_the_tasks_stay_and_are_told(tmp_path: Path) -> None:
    """Only a draft of ours is removed, not what other programs hide there."""
    opened(tmp_path).close()
    (tmp_path / "tasks" / ".ipynb_checkpoints").mkdir()
    (tmp_path / "tasks" / ".hidden").write_text("theirs")
    draft = tmp_path / "tasks" / f".{TASK.id}.json.tmp"
    draft.write_text("half a")
    run = opened(tmp_path)
    names = (".hidden", ".ipynb_checkpoints")
    assert run.complaints == [f"{tmp_path / 'tasks' / name} is foreign; it is left out" for name in names]
    assert (tmp_path / "tasks" / ".hidden").read_text() == "theirs"
    assert not draft.exists()


def test_two_runs_do_not_write_to_one_directory(tmp_path: Path) -> None:
    run = opened(tmp_path)
    with pytest.raises(UsageError, match="another run is writing to"):
        open_run(tmp_path, create=True)
    run.close()
    open_run(tmp_path, create=True).close()


def test_a_disk_that_refuses_is_one_sentence_and_what_was_there_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = opened(tmp_path)
    run.commit(Record(TASK, "ok", reason="first"))

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(UsageError, match=r"cannot write .*: No space left on device; finished tasks are kept"):
        run.commit(Record(TASK, "ok", reason="second"))
    monkeypatch.undo()
    run = reopened(run)
    assert run.records[TASK.id].reason == "first"
    assert list((tmp_path / "tasks").glob(".*")) == []
    monkeypatch.setattr(Path, "unlink", full)
    with pytest.raises(UsageError, match=r"cannot write .*: No space left on device; finished tasks are kept"):
        run.commit(Record(replace(TASK, n=TASK.n + 1), "ok"))
