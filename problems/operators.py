"""Linear operators: a dense matrix with its singular value decomposition, and a filter in Fourier space."""

from __future__ import annotations

from typing import Any

import numpy as np

from problems.arrays import Array, namespace
from problems.contract import data, static
from problems.operator_svd import Decomposed, Linear


@data
class Matrix(Decomposed):
    """y = A x with A = U diag(s) V^T of shape (m, d), acting on x flattened in C order.

    Attributes:
        matrix: (m, d). u: (m, r). s: (r,), all positive. vt: (r, d); r is the rank of A.
    """

    matrix: Array
    u: Array
    s: Array
    vt: Array
    shape: tuple[int, ...] = static()

    def __call__(self, x: Array) -> Array:
        return self._flat(x) @ self.matrix.T

    def adjoint(self, v: Array) -> Array:
        return self._signal(v @ self.matrix)

    @property
    def m(self) -> int:
        return int(self.u.shape[0])

    def to_right(self, x: Array) -> Array:
        return self._flat(x) @ self.vt.T

    def from_right(self, c: Array) -> Array:
        return self._signal(c @ self.vt)

    def to_left(self, v: Array) -> Array:
        return v @ self.u

    def from_left(self, c: Array) -> Array:
        return c @ self.u.T

    def _flat(self, x: Array) -> Array:
        return namespace(x).reshape(x, (x.shape[0], -1))

    def _signal(self, flat: Array) -> Array:
        return namespace(flat).reshape(flat, (flat.shape[0], *self.shape))


def matrix_operator(matrix: np.ndarray, shape: tuple[int, ...], rcond: float = 1e-12) -> Matrix:
    """The operator of a matrix (m, d) on signals of the given shape; singular values below rcond * max are zero."""
    u, s, vt = np.linalg.svd(matrix, full_matrices=False)
    keep = s > rcond * s[0]
    return Matrix(matrix=matrix, u=u[:, keep], s=s[keep], vt=vt[keep], shape=shape)


@data
class FourierFilter(Linear):
    """Circular convolution of a square image: y = F^{-1} diag(transfer) F x, transfer real, positive and even.

    A is symmetric with singular values `transfer`; y is the flattened image.

    Attributes:
        transfer: (side, side // 2 + 1), in the layout of rfft2.
    """

    transfer: Array
    shape: tuple[int, int] = static()

    def __call__(self, x: Array) -> Array:
        return self._filter(x, self.transfer)

    def adjoint(self, v: Array) -> Array:
        return self._image(self._filter(v, self.transfer))

    def pseudo_inverse(self, v: Array) -> Array:
        return self._image(self._filter(v, 1.0 / self.transfer))

    def damped_inverse(self, v: Array, scale: Array, shift: Array) -> Array:
        return self._image(self._filter(v, self.transfer / (scale * self.transfer**2 + shift)))

    def gram_solve(self, v: Array, scale: Array, shift: Array) -> Array:
        return self._filter(v, 1.0 / (scale * self.transfer**2 + shift))

    def gram_log_det(self, scale: Array, shift: Array) -> Array:
        return self.spectral_sum(namespace(self.transfer).log(scale * self.transfer**2 + shift))

    def spectral_sum(self, on: Array) -> Array:
        return self._over_frequencies(on[None])[0]

    def spectral(self, x: Array, on: Array, off: Array | float) -> Array:  # noqa: ARG002
        return fourier_multiply(x, on)

    def spectral_energy(self, x: Array, on: Array) -> Array:
        xp = namespace(x)
        spectrum = xp.fft.rfftn(x, axes=(-2, -1), norm="ortho")
        return self._over_frequencies((xp.real(spectrum) ** 2 + xp.imag(spectrum) ** 2) * on[None])

    def project_range(self, x: Array) -> Array:
        return x

    @property
    def singular_values(self) -> Array:
        return self.transfer

    @property
    def norm(self) -> Array:
        return namespace(self.transfer).max(self.transfer)

    @property
    def rank(self) -> int:
        return self.shape[0] * self.shape[1]

    def _over_frequencies(self, values: Array) -> Array:
        """Sums (n, side, side // 2 + 1) over all frequencies: most columns stand for their mirror image as well."""
        xp = namespace(values)
        columns = xp.sum(values, axis=1)
        twice = 2.0 * xp.sum(columns, axis=1) - columns[:, 0]
        return twice - columns[:, -1] if self.shape[1] % 2 == 0 else twice

    def _filter(self, v: Array, multiplier: Array) -> Array:
        filtered = fourier_multiply(namespace(v).reshape(v, (v.shape[0], *self.shape)), multiplier)
        return namespace(v).reshape(filtered, (v.shape[0], -1))

    def _image(self, flat: Array) -> Array:
        return namespace(flat).reshape(flat, (flat.shape[0], *self.shape))


def fourier_multiply(x: Array, multiplier: Array) -> Array:
    """F^{-1} diag(multiplier) F x over the last two axes; the multiplier has the layout of rfft2."""
    xp = namespace(x)
    fft: Any = xp.fft
    side = x.shape[-1]
    spectrum = fft.rfftn(x, axes=(-2, -1))
    return fft.irfftn(spectrum * xp.astype(multiplier, spectrum.dtype)[None, :, :], s=(side, side), axes=(-2, -1))
