"""What a worker sends back, as plain bytes: JSON and arrays, so that nothing that a plugin made is ever unpickled."""

from __future__ import annotations

import dataclasses
import importlib
import io
import json
from typing import Any

import numpy as np

_TREE = "tree"
_HOME = "benchmarks."


def packed_reply(value: Any) -> bytes:
    """An .npz file of a value: None, numbers, strings, arrays, our dataclasses, and containers of these.

    Raises:
        TypeError: for anything else, for example an object of a plugin's own class.
    """
    arrays: dict[str, np.ndarray] = {}
    tree = json.dumps(_tree(value, arrays)).encode()
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays, **{_TREE: np.frombuffer(tree, dtype=np.uint8)})
    return buffer.getvalue()


def unpacked_reply(content: bytes) -> Any:
    """The value of `packed_reply`, made of plain Python types, arrays and our dataclasses, whatever the content says.

    Raises:
        ValueError, TypeError, KeyError: if the content is not one that `packed_reply` makes.
    """
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return _value(json.loads(arrays[_TREE].tobytes()), arrays)


def _tree(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """The value with each container as a list that begins with its kind, and each array taken out."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic) and not value.dtype.hasobject:
        return _tree(value.item(), arrays)
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        arrays[name := f"a{len(arrays)}"] = value
        return ["array", name]
    if isinstance(value, dict):
        return ["dict", *([_tree(k, arrays), _tree(v, arrays)] for k, v in value.items())]
    for kind in (list, tuple, set):
        if isinstance(value, kind):
            return [kind.__name__, *(_tree(one, arrays) for one in value)]
    cls = type(value)
    if dataclasses.is_dataclass(value) and cls.__module__.startswith(_HOME):
        fields = [[f.name, _tree(getattr(value, f.name), arrays)] for f in dataclasses.fields(value)]
        return ["dataclass", cls.__module__, cls.__qualname__, *fields]
    raise TypeError(f"a worker can send numbers, strings, arrays and containers of these, got {cls.__name__}")


def _value(tree: Any, arrays: Any) -> Any:
    if not isinstance(tree, list):
        return tree
    kind, *rest = tree
    if kind == "array":
        return arrays[rest[0]]
    if kind == "dict":
        return {_value(k, arrays): _value(v, arrays) for k, v in rest}
    if kind == "dataclass":
        module, name, *fields = rest
        return _dataclass(module, name)(**{field: _value(v, arrays) for field, v in fields})
    return {"list": list, "tuple": tuple, "set": set}[kind](_value(one, arrays) for one in rest)


def _dataclass(module: str, name: str) -> Any:
    """A dataclass of this package: a reply names it, and must not be able to name anything else."""
    found = getattr(importlib.import_module(module), name, None) if module.startswith(_HOME) else None
    if not (isinstance(found, type) and dataclasses.is_dataclass(found)):
        raise ValueError(f"{module}.{name} is not a dataclass of {_HOME.rstrip('.')}")
    return found
