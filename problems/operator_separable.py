"""Linear operators that act on the columns and on the rows of an image, one after the other."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from problems.arrays import Array, namespace
from problems.contract import data, static
from problems.names import UsageError
from problems.operator_svd import Linear
from problems.operators import Matrix, matrix_operator


@data
class Separable(Linear):
    """Y = L X R^T for the image X in every channel; its singular vectors are those of L times those of R.

    x is (n, h, w) or (n, channels, h, w), y is Y flattened in C order, one channel after the other. Channels share
    their singular values, which are all products of one of L and one of R: functions of them are (r_left, r_right).

    Attributes:
        left: L, (a, h), with its decomposition. right: R, (b, w), the same.
    """

    left: Matrix
    right: Matrix
    shape: tuple[int, ...] = static()

    def __call__(self, x: Array) -> Array:
        """(n, *shape) -> (n, m) with m = channels a b."""
        return self._flat(self.left.matrix @ self._images(x) @ self.right.matrix.T)

    def adjoint(self, v: Array) -> Array:
        """A^T v: (n, m) -> (n, *shape)."""
        return self._signal(self.left.matrix.T @ self._measured(v) @ self.right.matrix)

    def pseudo_inverse(self, v: Array) -> Array:
        """A^+ v: (n, m) -> (n, *shape)."""
        within = self.left.u.T @ self._measured(v) @ self.right.u
        return self._signal(self.left.vt.T @ (within / self.singular_values[None]) @ self.right.vt)

    def damped_inverse(self, v: Array, scale: Array, shift: Array) -> Array:
        """A^T (scale A A^T + shift I)^{-1} v, (n, *shape); scale >= 0 and shift > 0 are scalars."""
        s = self.singular_values
        within = self.left.u.T @ self._measured(v) @ self.right.u
        return self._signal(self.left.vt.T @ (within * (s / (scale * s**2 + shift))[None]) @ self.right.vt)

    def gram_solve(self, v: Array, scale: Array, shift: Array) -> Array:
        """(scale A A^T + shift I)^{-1} v, (n, m); scale >= 0 and shift > 0 are scalars."""
        measured = self._measured(v)
        within = self.left.u.T @ measured @ self.right.u
        weights = 1.0 / (scale * self.singular_values**2 + shift)
        solved = self.left.u @ (within * weights[None]) @ self.right.u.T
        if self._unreached:  # else rounding errors would be divided by shift
            solved = solved + (measured - self.left.u @ within @ self.right.u.T) / shift
        return self._flat(solved)

    def gram_log_det(self, scale: Array, shift: Array) -> Array:
        """log det(scale A A^T + shift I)."""
        xp = namespace(self.left.s)
        seen = self.spectral_sum(xp.log(scale * self.singular_values**2 + shift))
        return seen + self._unreached * xp.log(shift) if self._unreached else seen

    def spectral_sum(self, on: Array) -> Array:
        """The sum of on over the right singular vectors of all channels, a scalar."""
        return self._channels * namespace(on).sum(on)

    def spectral(self, x: Array, on: Array, off: Array | float) -> Array:
        """V f V^T x, (n, *shape): right singular vectors times `on`, shaped as singular_values, others times `off`."""
        images = self._images(x)
        within = (self.left.vt @ images @ self.right.vt.T) * (on - off)[None]
        return self._signal(off * images + self.left.vt.T @ within @ self.right.vt)

    def spectral_energy(self, x: Array, on: Array) -> Array:
        """The sum of on_j <v_j, x>^2 over the right singular vectors v_j, (n,)."""
        within = self.left.vt @ self._images(x) @ self.right.vt.T
        return namespace(x).sum(self._flat(within**2 * on[None]), axis=1)

    def project_range(self, x: Array) -> Array:
        """A^+ A x, the part of x that the measurement sees: (n, *shape)."""
        return self.spectral(x, namespace(x).ones_like(self.singular_values), 0.0)

    @property
    def singular_values(self) -> Array:
        """Those above zero, of one channel, (r_left, r_right)."""
        return self.left.s[:, None] * self.right.s[None, :]

    @property
    def norm(self) -> Array:
        """The largest singular value."""
        return self.left.norm * self.right.norm

    @property
    def rank(self) -> int:
        return self._channels * self.left.rank * self.right.rank

    @property
    def _channels(self) -> int:
        return math.prod(self.shape[:-2])

    @property
    def _unreached(self) -> int:
        """The dimension of what y holds beyond the range of A."""
        return self._channels * self.left.u.shape[0] * self.right.u.shape[0] - self.rank

    def _images(self, x: Array) -> Array:
        return namespace(x).reshape(x, (-1, *self.shape[-2:]))

    def _measured(self, v: Array) -> Array:
        return namespace(v).reshape(v, (-1, self.left.u.shape[0], self.right.u.shape[0]))

    def _signal(self, images: Array) -> Array:
        return namespace(images).reshape(images, (-1, *self.shape))

    def _flat(self, images: Array) -> Array:
        return namespace(images).reshape(images, (images.shape[0] // self._channels, -1))


def sides(shape: tuple[int, ...]) -> tuple[int, int]:
    """Height and width of an image (h, w) or (channels, h, w).

    Raises:
        UsageError: for another shape.
    """
    if len(shape) not in (2, 3):
        raise UsageError(f"an image has the shape (h, w) or (channels, h, w), got {shape}")
    return shape[-2], shape[-1]


def separable(left: np.ndarray, right: np.ndarray, shape: tuple[int, ...], rcond: float = 1e-12) -> Separable:
    """The operator of L (a, h) and R (b, w) on images (h, w) or (channels, h, w).

    Singular values of L and of R below rcond times their largest are set to zero, in the operator as well: it has
    exactly the rank that it says, and what is left is a grid of products.

    Raises:
        UsageError: if L and R do not fit the shape.
    """
    if (left.shape[-1], right.shape[-1]) != sides(shape):
        raise UsageError(f"the factors act on {left.shape[-1]} x {right.shape[-1]} pixels, got images of {shape}")
    return Separable(_factor(left, rcond), _factor(right, rcond), shape)


def _factor(matrix: np.ndarray, rcond: float) -> Matrix:
    found = matrix_operator(matrix, (matrix.shape[1],), rcond)
    if found.rank == min(matrix.shape):
        return found
    return dataclasses.replace(found, matrix=(found.u * found.s) @ found.vt)
