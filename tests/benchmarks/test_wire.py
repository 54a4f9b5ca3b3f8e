"""What workers send: every kind of value comes back as it was, and nothing else can be sent or read."""

from __future__ import annotations

import io
import json
import pickle
from typing import Any

import numpy as np
import pytest

from benchmarks.records import Record
from benchmarks.wire import packed_reply, unpacked_reply
from benchmarks.worker import Failure
from tests.benchmarks.test_execute import task


class Poisoned:
    """An object that does something when it is unpickled."""

    def __init__(self, x: np.ndarray) -> None:
        self.x, self.shape, self.dtype = x, x.shape, x.dtype

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return self

    def __reduce__(self) -> Any:
        raise AssertionError


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, 3, -0.1, float("inf"), "a\n\u00fc", [], (), {}, [1, (2.5, None)], {"x"}),
        *({"dict": [1]}, {(1, "b"): {"a": ()}}, ["array", "a0"], Failure("failed", "why", "where")),
        Record(task("exact"), "ok", metrics={"sw1": (0.5, 0.25)}, versions={"numpy": "2"}, nfe=3.0, vjp=0.0),
    ],
)
def test_a_value_comes_back_as_it_was(value: Any) -> None:
    found = unpacked_reply(packed_reply(value))
    assert repr(found) == repr(value)
    assert type(found) is type(value)


def test_arrays_come_back_in_their_places() -> None:
    x, y = np.arange(6, dtype=np.float32).reshape(2, 3), np.array([np.nan, 1.0])
    record, arrays = unpacked_reply(packed_reply((np.float64(0.1), {"x": x, "y": [y]})))
    assert record == 0.1
    assert arrays["x"].dtype == np.float32
    np.testing.assert_array_equal(arrays["x"], x)
    np.testing.assert_array_equal(arrays["y"][0], y)


def of_objects(value: Any) -> np.ndarray:
    array = np.empty(1, dtype=object)
    array[0] = value
    return array


@pytest.mark.parametrize(
    "value", [object(), {"x": {1j}}, of_objects(object()), Poisoned(np.ones(2)), [Poisoned(np.ones(2))]]
)
def test_what_is_not_plain_is_refused_where_it_was_made(value: Any) -> None:
    with pytest.raises(TypeError, match="a worker can send numbers, strings, arrays and containers of these, got "):
        packed_reply(value)


def test_a_class_that_passes_for_a_string_arrives_as_one() -> None:
    class Text(str):
        def __reduce__(self) -> Any:
            raise AssertionError

    found = unpacked_reply(packed_reply([Text("a")]))
    assert found == ["a"]
    assert type(found[0]) is str


def forged(tree: Any, **arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays, tree=np.frombuffer(json.dumps(tree).encode(), dtype=np.uint8))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        (["dataclass", "subprocess", "Popen", ["args", "false"]], "subprocess.Popen is not a dataclass of benchmarks"),
        (["dataclass", "benchmarks.store", "RunDirectory", ["path", "x"]], "RunDirectory is not a dataclass"),
        (["dataclass", "benchmarks.worker", "load_file", ["path", "x"]], "load_file is not a dataclass"),
        (["array", "poisoned"], "Object arrays cannot be loaded"),
    ],
)
def test_a_forged_reply_makes_nothing_but_data(tree: Any, said: str) -> None:
    content = forged(tree, poisoned=of_objects(1j))  # an object array is a pickle, whatever it holds
    with pytest.raises(ValueError, match=said):
        unpacked_reply(content)


def test_a_pickle_is_not_read() -> None:
    with pytest.raises(ValueError, match="pickle"):
        unpacked_reply(pickle.dumps(1))
