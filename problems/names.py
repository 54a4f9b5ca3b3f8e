"""Names typed by a user: one sentence when they do not exist."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import TypeVar

T = TypeVar("T")


class UsageError(ValueError):
    """A mistake of the user, told in one sentence: what was expected, what came, what exists."""


def unknown(kind: str, name: str, names: Iterable[str]) -> UsageError:
    """The error for a name that is not among `names`, with the nearest one."""
    known = sorted(names)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ";"
    return UsageError(f"no {kind} {name!r}{hint} there are: {', '.join(known) or 'none'}")


def lookup(kind: str, name: str, table: Mapping[str, T]) -> T:
    """table[name], or a UsageError that names the nearest key."""
    if name not in table:
        raise unknown(kind, name, table)
    return table[name]
