"""Names typed by a user: one sentence when they do not exist."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import TypeVar

T = TypeVar("T")


class UsageError(ValueError):
    """A mistake of the user, told in one sentence: what was expected, what came, what exists."""


def unknown(kind: str, name: str, names: Iterable[str]) -> UsageError:
    """The error for a name that is not among `names`, with the nearest one, or those that are equally near."""
    known = sorted(names)
    nearness = {one: difflib.SequenceMatcher(None, one, name).ratio() for one in known}
    near = [one for one in known if nearness[one] == max(nearness.values()) >= 0.5]
    hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ";"
    return UsageError(f"no {kind} {name!r}{hint} there are: {', '.join(known) or 'none'}")


def lookup(kind: str, name: str, table: Mapping[str, T]) -> T:
    """table[name], or a UsageError that names the nearest key."""
    if name not in table:
        raise unknown(kind, name, table)
    return table[name]
