"""A sparse matrix as arrays of indices and weights, so that it travels and acts like any other data."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from problems.arrays import Array, Keys, namespace, scan
from problems.contract import data

NO_DRAWS = Keys(None, None, 0)


class Entries(NamedTuple):
    """One entry of every row: its column and its value, (rows,) each."""

    index: Array
    weight: Array


@data
class SparseRows:
    """Entry j of the product is the sum over i of weight[i, j] x[index[i, j]].

    The transpose is another such table: adding into places is not in the array API standard, reading from them is.

    Attributes:
        index, weight: (k, rows), k the largest number of entries in a row; shorter rows end in weights of zero.
    """

    index: Array
    weight: Array

    def __call__(self, x: Array) -> Array:
        """(n, columns) -> (n, rows)."""
        xp = namespace(x)

        def add(total: Array, entries: Entries, _: Keys) -> Array:
            return total + xp.take(x, entries.index, axis=1) * entries.weight[None, :]

        # Not all at once: for (n, k, rows) numbers there may be no room, and writing them takes five times as long.
        nothing = xp.zeros_like(x[:, :1]) * xp.zeros_like(self.weight[:1, :])
        return scan(add, nothing, Entries(self.index, self.weight), NO_DRAWS, draws=0)

    @property
    def rows(self) -> int:
        return int(self.index.shape[1])


def sparse_rows(row: np.ndarray, column: np.ndarray, value: np.ndarray, shape: tuple[int, int]) -> SparseRows:
    """The matrix of a shape with value[i] at (row[i], column[i]); values of one place are added."""
    from scipy.sparse import coo_array

    table = coo_array((value, (row, column)), shape=shape).tocsr()
    counts = np.diff(table.indptr)
    owner = np.repeat(np.arange(shape[0]), counts)
    place = np.arange(len(owner)) - np.repeat(table.indptr[:-1], counts)
    index = np.zeros((max(int(counts.max()), 1), shape[0]), np.int64)
    weight = np.zeros(index.shape)
    index[place, owner], weight[place, owner] = table.indices, table.data
    return SparseRows(index, weight)
