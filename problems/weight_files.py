"""Learned priors on disk: a safetensors file, whose header says what the network is and where it comes from.

The file holds arrays alone, so that reading one runs no code. Its header is the card: the architecture, the training
data and its licence, the command that made it, and a digest of the arrays.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from problems.learned import LearnedPrior
from problems.mlp import MLP
from problems.names import UsageError, lookup
from problems.networks import Architecture, joined
from problems.unet import UNet

ARCHITECTURES: dict[str, type[Any]] = {"unet": UNet, "mlp": MLP}
CARD = ("data", "command", "licence")
"""What the header tells beside 'architecture' and 'digest'."""
_OWN = ("architecture", "digest")
_STATISTICS = ("mean", "std", "diameter", "sigma_data")
_BEFORE = "data."
"""Before the name of a statistic, which is told apart by it from the network's arrays."""


def save(path: Path, prior: LearnedPrior, card: Mapping[str, str]) -> None:
    """Writes a prior of NumPy arrays as float32, with a card of at least the entries CARD.

    Raises:
        UsageError: if the card lacks an entry.
    """
    from safetensors.numpy import save as serialised

    lacking = [name for name in CARD if name not in card]
    if lacking:
        raise UsageError(f"a card of weights tells {', '.join(CARD)}; this one lacks {', '.join(lacking)}")
    arrays = {**prior.weights.named(), **{_BEFORE + name: getattr(prior, name) for name in _STATISTICS}}
    arrays = {name: np.asarray(array, dtype=np.float32, order="C") for name, array in arrays.items()}
    own = {"architecture": described(prior.weights.architecture), "digest": digest(arrays)}
    path.write_bytes(serialised(arrays, metadata={**card, **own}))


def load(path: Path) -> tuple[LearnedPrior, dict[str, str]]:
    """The prior of a file, NumPy float64, and its card.

    Raises:
        UsageError: for a file that is missing, broken or changed, or whose arrays do not fit its architecture.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            card = dict(file.metadata() or {})
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (it is no mapping)
    except (OSError, SafetensorError, TypeError) as error:
        raise UsageError(f"cannot read weights from {path}: {error}") from None
    lacking = [name for name in (*_OWN, *CARD) if name not in card]
    if lacking:
        raise UsageError(f"{path} is no file of train_prior: its header lacks {', '.join(lacking)}")
    architecture = architecture_of(card["architecture"], path)
    _refuse_misfits(path, arrays, architecture)
    architecture.check(tuple(arrays[_BEFORE + "mean"].shape))
    if digest(arrays) != card["digest"]:
        raise UsageError(f"{path} was changed: its header has the digest {card['digest']}, its arrays {digest(arrays)}")
    statistics = {name: np.asarray(arrays[_BEFORE + name], dtype=np.float64) for name in _STATISTICS}
    return LearnedPrior(weights=joined(arrays, architecture), **statistics), card


def digest(arrays: Mapping[str, np.ndarray]) -> str:
    """16 hexadecimal digits over names, shapes and contents."""
    total = hashlib.sha256()
    for name in sorted(arrays):
        total.update(f"{name} {arrays[name].dtype} {arrays[name].shape}\0".encode())
        total.update(np.asarray(arrays[name], order="C").tobytes())
    return total.hexdigest()[:16]


def described(architecture: Architecture) -> str:
    """An architecture in JSON."""
    kind = next(name for name, cls in ARCHITECTURES.items() if type(architecture) is cls)
    return json.dumps({"kind": kind, **dataclasses.asdict(architecture)})  # type: ignore[call-overload]


def architecture_of(text: str, source: Path | str) -> Any:
    """The architecture that `described` has written; `source` is named in what goes wrong.

    Raises:
        UsageError: if the text is something else.
    """
    try:
        fields = json.loads(text)
        kind = fields.pop("kind")
    except (ValueError, AttributeError, KeyError, TypeError):
        raise UsageError(f"{source} names no architecture, but {text!r}") from None
    cls = lookup(f"architecture in {source}", str(kind), ARCHITECTURES)
    known = {field.name for field in dataclasses.fields(cls)}
    odd = [name for name, value in fields.items() if name not in known or not _whole(value)]
    if odd:
        raise UsageError(f"{source} has an architecture {kind!r} that is unknown here, with {', '.join(sorted(odd))}")
    try:
        return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()})
    except TypeError as error:
        raise UsageError(f"{source} has an incomplete architecture {kind!r}: {error}") from None


def _whole(value: Any) -> bool:
    """Whether it is a whole number, or true or false, or a list of these."""
    return all(isinstance(one, int) for one in value) if isinstance(value, list) else isinstance(value, int)


def _refuse_misfits(path: Path, arrays: Mapping[str, np.ndarray], architecture: Architecture) -> None:
    """Raises a UsageError that names the arrays that are missing, unknown, of another shape, or not finite."""
    expected = dict(architecture.shapes)
    shape = tuple(arrays[_BEFORE + "mean"].shape) if _BEFORE + "mean" in arrays else ()
    expected |= {_BEFORE + "mean": shape, _BEFORE + "std": shape, _BEFORE + "diameter": (), _BEFORE + "sigma_data": ()}
    there = [name for name in expected if name in arrays]
    kinds = {
        "missing": [name for name in expected if name not in arrays],
        "unknown": [name for name in arrays if name not in expected],
        "of another type than float32": [name for name in there if arrays[name].dtype != np.float32],
        "of another shape": [
            f"{name} {tuple(arrays[name].shape)} for {expected[name]}"
            for name in there
            if tuple(arrays[name].shape) != expected[name]
        ],
    }
    kinds["not finite"] = [name for name in there if not np.all(np.isfinite(arrays[name].astype(np.float64)))]
    wrong = [f"{kind}: {_few(names)}" for kind, names in kinds.items() if names]
    if wrong:
        raise UsageError(f"the arrays in {path} do not fit its architecture; {'; '.join(wrong)}")


def _few(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
