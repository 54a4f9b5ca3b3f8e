"""Linear operators with orthogonal rows, which are their own singular vectors."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from problems.arrays import Array, namespace
from problems.contract import data, static
from problems.operator_svd import Decomposed


@data
class OrthogonalRows(Decomposed):
    """What A A^T = diag(s^2) implies: the right singular vectors are the rows of A over their lengths s, and U is I.

    For an operator that says what A x and A^T v are.

    Attributes:
        s: (m,), all positive, in the order of y.
    """

    s: Array
    shape: tuple[int, ...] = static()

    @abstractmethod
    def __call__(self, x: Array) -> Array:
        """(n, *shape) -> (n, m)."""

    @abstractmethod
    def adjoint(self, v: Array) -> Array:
        """A^T v: (n, m) -> (n, *shape)."""

    @property
    def m(self) -> int:
        return self.rank

    def to_right(self, x: Array) -> Array:
        return self(x) / self.s[None, :]

    def from_right(self, c: Array) -> Array:
        return self.adjoint(c / self.s[None, :])

    def to_left(self, v: Array) -> Array:
        return v

    def from_left(self, c: Array) -> Array:
        return c


def positions(kept: np.ndarray, size: int) -> np.ndarray:
    """Where in `kept` each of 0 .. size - 1 stands, len(kept) if nowhere, (size,)."""
    position = np.full(size, len(kept))
    position[kept] = np.arange(len(kept))
    return position


def placed(v: Array, position: Array) -> Array:
    """v[:, position], and 0 where position is v.shape[1]: the adjoint of keeping some columns of (n, size), (n, size).

    By a gather, because the array API standard has no scatter.
    """
    xp = namespace(v)
    return xp.take(xp.concat([v, xp.zeros_like(v[:, :1])], axis=1), position, axis=1)
