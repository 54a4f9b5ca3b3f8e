"""Fixed directions along which samples are compared; the same for every method and for the floor."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np

from problems.arrays import make_key
from problems.operators import FourierFilter, Matrix
from scores.pairs import SINGLE_PRECISION_LIMIT

PROJECTIONS = 1000
SUBSPACE_DIRECTIONS = 64
BANDS = {"low": (0.0, 1 / 3), "mid": (1 / 3, 2 / 3), "high": (2 / 3, 2.0)}
"""Bands of spatial frequency of images, from and below what fraction of the Nyquist frequency of an axis.

The corners of the spectrum, up to sqrt(2) of it, are in the last."""
_PROJECTION_STREAM, _NULL_STREAM, _RANGE_STREAM = 1, 2, 3


@cache
def projection_directions(d: int) -> np.ndarray:
    """PROJECTIONS random unit vectors, (PROJECTIONS, d) float32: a function of d alone."""
    drawn = make_key("numpy", [_PROJECTION_STREAM, d]).standard_normal((PROJECTIONS, d))
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


def sorted_projections(flat: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """Samples (n, d), seen from `origin` (d,), along the fixed directions, each row sorted: (PROJECTIONS, n).

    In float32 (the sort is several times faster): with the posterior mean as the origin the error is about 1e-7 of
    the spread. Samples too large for the square of a float32 keep float64.
    """
    centred = flat - origin
    if np.max(np.abs(centred)) < SINGLE_PRECISION_LIMIT:
        centred = centred.astype(np.float32)
    along = projection_directions(flat.shape[1]) @ centred.T
    along.sort(axis=1)
    return along


def range_directions(operator: Any) -> np.ndarray:
    """Orthonormal directions in range(A^T), (k, d).

    All right singular vectors of a matrix; of a filter, which has full rank, SUBSPACE_DIRECTIONS of its cosines; of any
    other, random ones, k <= SUBSPACE_DIRECTIONS. None of what is not linear, as none of the null space: what it sees
    depends on x.
    """
    d = math.prod(operator.shape)
    if not operator.linear:
        return np.zeros((0, d))
    if isinstance(operator, FourierFilter):
        return _cosines(operator.shape[0])
    if isinstance(operator, Matrix):
        return np.asarray(operator.vt)
    drawn = make_key("numpy", [_RANGE_STREAM, d]).standard_normal((min(SUBSPACE_DIRECTIONS, operator.rank), d))
    return _orthonormal(_seen(operator, drawn))


def null_directions(operator: Any) -> np.ndarray:
    """Orthonormal directions in the null space of A, (k, d): random, k <= SUBSPACE_DIRECTIONS; k = 0 at full rank."""
    d = math.prod(operator.shape)
    if not operator.linear or isinstance(operator, FourierFilter) or operator.rank == d:
        return np.zeros((0, d))
    k = min(SUBSPACE_DIRECTIONS, d - operator.rank)
    drawn = make_key("numpy", [_NULL_STREAM, d]).standard_normal((d, k)).T
    return _orthonormal(drawn - _seen(operator, drawn))


def _seen(operator: Any, rows: np.ndarray) -> np.ndarray:
    """The part of rows (k, d) in range(A^T)."""
    return np.asarray(operator.project_range(rows.reshape(-1, *operator.shape))).reshape(rows.shape)


def _orthonormal(rows: np.ndarray) -> np.ndarray:
    """An orthonormal basis of the span of rows (k, d)."""
    return np.linalg.qr(rows.T)[0].T


@cache
def band_directions(shape: tuple[int, int], band: str) -> np.ndarray:
    """Orthonormal cosines (DCT-II) of an image shape whose frequency lies in one of the BANDS, (k, d).

    Coefficient (u, v) has the frequency hypot(u / rows, v / columns) in units of the Nyquist frequency. At most
    SUBSPACE_DIRECTIONS, spread evenly over the band sorted by frequency.
    """
    low, high = BANDS[band]
    u, v = (i.ravel() for i in np.indices(shape))
    frequency = np.hypot(u / shape[0], v / shape[1])
    order = np.lexsort((v, u, frequency))
    order = order[(frequency[order] >= low) & (frequency[order] < high)]
    chosen = order[np.linspace(0, len(order) - 1, min(SUBSPACE_DIRECTIONS, len(order))).astype(int)]
    rows, columns = (_dct(side) for side in shape)
    return np.einsum("ki,kj->kij", rows[u[chosen]], columns[v[chosen]]).reshape(len(chosen), shape[0] * shape[1])


def _dct(side: int) -> np.ndarray:
    """The orthogonal DCT-II matrix: one frequency per row."""
    waves = np.cos(np.pi * np.outer(np.arange(side), np.arange(side) + 0.5) / side)
    return waves / np.linalg.norm(waves, axis=1, keepdims=True)


@cache
def _cosines(side: int) -> np.ndarray:
    """cos(2 pi k.r / side), normalised, for wave vectors k spread evenly over the modes sorted by |k|, (k, side^2)."""
    row, column = (i.ravel() for i in np.indices((side, side // 2 + 1)))
    once = (column % (side / 2) != 0) | (row <= side // 2)  # on the self-conjugate columns k and -k are one cosine
    row, column = row[once], column[once]
    order = np.lexsort((column, row, np.hypot(np.minimum(row, side - row), column)))
    chosen = order[np.linspace(0, len(order) - 1, min(SUBSPACE_DIRECTIONS, len(order))).astype(int)]
    phase = np.multiply.outer(row[chosen], np.arange(side))[:, :, None]
    phase = phase + np.multiply.outer(column[chosen], np.arange(side))[:, None, :]
    waves = np.cos(2 * np.pi * phase / side).reshape(len(chosen), -1)
    return waves / np.linalg.norm(waves, axis=1, keepdims=True)
