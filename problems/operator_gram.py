"""The singular value decomposition of any linear operator with few measurements."""

from __future__ import annotations

from typing import Any

import numpy as np

from problems.arrays import Array, namespace
from problems.contract import data, static
from problems.names import UsageError
from problems.operator_svd import Decomposed

LARGEST = 2048
"""Measurements: the decomposition takes seconds and U 32 MB in float64."""
THRESHOLD = 1e-8
"""Eigenvalues of A A^T below this share of the largest are zero: singular values below 1e-4 of the largest.

V^T x = U^T A x / s multiplies the rounding errors of A x by max(s) / s: 1e4 leaves three digits in float32."""
_ROWS_AT_ONCE = 64


@data
class WithGram(Decomposed):
    """A linear operator A with its singular values, from the eigenvectors U of A A^T: V^T x = diag(1 / s) U^T A x.

    No matrix of the size of V is stored. A differs from U diag(s) V^T by what the threshold leaves out, which
    pseudo_inverse, spectral and project_range treat as unmeasured; gram_solve and gram_log_det, which do not divide by
    s, know all eigenvalues.

    Attributes:
        inner: A. u: (m, m), eigenvectors in columns, the first r of which belong to s.
        eigenvalues: (m,), falling and not negative. s: (r,), the roots of those that count as positive.
    """

    inner: Any
    u: Array
    eigenvalues: Array
    s: Array
    shape: tuple[int, ...] = static()

    def __call__(self, x: Array) -> Array:
        return self.inner(x)

    def adjoint(self, v: Array) -> Array:
        return self.inner.adjoint(v)

    @property
    def m(self) -> int:
        return int(self.u.shape[0])

    def to_right(self, x: Array) -> Array:
        return self.to_left(self.inner(x)) / self.s[None, :]

    def from_right(self, c: Array) -> Array:
        return self.inner.adjoint(self.from_left(c / self.s[None, :]))

    def to_left(self, v: Array) -> Array:
        return v @ self.u[:, : self.rank]

    def from_left(self, c: Array) -> Array:
        return c @ self.u[:, : self.rank].T

    def gram_solve(self, v: Array, scale: Array, shift: Array) -> Array:
        return ((v @ self.u) / (scale * self.eigenvalues + shift)[None, :]) @ self.u.T

    def gram_log_det(self, scale: Array, shift: Array) -> Array:
        xp = namespace(self.eigenvalues)
        return xp.sum(xp.log(scale * self.eigenvalues + shift))


def with_gram(inner: Any, threshold: float = THRESHOLD) -> WithGram:
    """The decomposition of a linear operator in NumPy, float64, with at most LARGEST measurements.

    Args:
        inner: has `shape` and `linear`, maps (n, *shape) to (n, m), and back by `adjoint`.
        threshold: the largest eigenvalue of A A^T that is zero, in units of the largest of all; in float64 rounding
            errors of eigenvalues are about 1e-15 in these units.

    Raises:
        UsageError: for an operator that is not linear, has too many measurements, or measures nothing.
    """
    m = _measurements(inner)
    if m > LARGEST:
        raise UsageError(f"singular values from A A^T are for at most {LARGEST} measurements, got {m}")
    units, gram = np.eye(m), np.empty((m, m))
    for start in range(0, m, _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        gram[rows] = inner(inner.adjoint(units[rows]))
    eigenvalues, u = np.linalg.eigh((gram + gram.T) / 2)
    eigenvalues = np.maximum(eigenvalues[::-1], 0.0)
    s = np.sqrt(eigenvalues[eigenvalues > threshold * eigenvalues[0]])
    if not len(s):
        raise UsageError("an operator that measures nothing, A = 0, has no singular values")
    return WithGram(inner, np.ascontiguousarray(u[:, ::-1]), eigenvalues, s, tuple(inner.shape))


def _measurements(inner: Any) -> int:
    if not inner.linear:
        raise UsageError(f"singular values are those of linear operators, got a {type(inner).__name__}")
    return int(inner(np.zeros((1, *inner.shape))).shape[1])
