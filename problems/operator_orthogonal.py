"""Linear operators with orthogonal rows, which are their own singular vectors."""

from __future__ import annotations

import numpy as np

from problems.arrays import Array, namespace
from problems.contract import data, static


@data
class OrthogonalRows:
    """What A A^T = diag(s^2) implies: the right singular vectors are the rows of A over their lengths s, and U is I.

    For an operator that says what A x and A^T v are.

    Attributes:
        s: (m,), all positive, in the order of y.
    """

    s: Array
    shape: tuple[int, ...] = static()
    linear = True

    def __call__(self, x: Array) -> Array:
        """(n, *shape) -> (n, m)."""
        raise NotImplementedError

    def adjoint(self, v: Array) -> Array:
        """A^T v: (n, m) -> (n, *shape)."""
        raise NotImplementedError

    def pseudo_inverse(self, v: Array) -> Array:
        """A^+ v: (n, m) -> (n, *shape)."""
        return self.adjoint(v / self.s[None, :] ** 2)

    def gram_solve(self, v: Array, scale: Array, shift: Array) -> Array:
        """(scale A A^T + shift I)^{-1} v, (n, m); scale >= 0 and shift > 0 are scalars."""
        return v / (scale * self.s**2 + shift)[None, :]

    def gram_log_det(self, scale: Array, shift: Array) -> Array:
        """log det(scale A A^T + shift I)."""
        return self.spectral_sum(namespace(self.s).log(scale * self.s**2 + shift))

    def spectral_sum(self, on: Array) -> Array:
        """The sum of on_j over the right singular vectors, a scalar."""
        return namespace(on).sum(on)

    def spectral(self, x: Array, on: Array, off: Array | float) -> Array:
        """V f V^T x, (n, *shape): right singular vectors times `on`, shaped as singular_values, others times `off`."""
        return off * x + self.adjoint(self(x) * ((on - off) / self.s**2)[None, :])

    def spectral_energy(self, x: Array, on: Array) -> Array:
        """The sum of on_j <v_j, x>^2 over the right singular vectors v_j, (n,)."""
        return self(x) ** 2 @ (on / self.s**2)

    def project_range(self, x: Array) -> Array:
        """A^+ A x, the part of x that the measurement sees: (n, *shape)."""
        return self.pseudo_inverse(self(x))

    @property
    def singular_values(self) -> Array:
        """(m,)."""
        return self.s

    @property
    def norm(self) -> Array:
        """The largest singular value."""
        return namespace(self.s).max(self.s)

    @property
    def rank(self) -> int:
        return int(self.s.shape[0])


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
