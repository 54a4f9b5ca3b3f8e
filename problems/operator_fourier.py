"""Fourier coefficients of real images: the frequencies of a mask, as in MRI, or the lowest ones, as in deblurring."""

from __future__ import annotations

import numpy as np

from problems.arrays import Array, namespace
from problems.contract import data, static
from problems.names import UsageError
from problems.operator_svd import Decomposed
from problems.sparse_rows import SparseRows, sparse_rows


@data
class FourierSampling(Decomposed):
    """y = (Re F_k x for every measured frequency k, then Im F_k x for all of them but those with k = -k), flat.

    F is `scale` times the orthonormal transform of an image whose origin is the pixel `origin`. What is left out is
    zero for every real image. The coefficients of k and -k are conjugates, so cos and sin of one of the two are the
    right singular vectors of both, with s / scale = 1 if both are measured, 1 / sqrt(2) if one is; where k = -k there
    is a cosine only, with 1. Complex noise of variance std^2 is GaussianNoise of std / sqrt(2) here.

    Attributes:
        s: (r,), the cosines first, then the sines. analysis: V^T, of the real and imaginary parts of rfft2.
        synthesis: V, into such parts. left: U, one entry in a row. left_transposed: U^T.
    """

    s: Array
    analysis: SparseRows
    synthesis: SparseRows
    left: SparseRows
    left_transposed: SparseRows
    origin: tuple[int, int] = static()
    shape: tuple[int, int] = static()

    @property
    def m(self) -> int:
        return self.left.rows

    def to_right(self, x: Array) -> Array:
        xp = namespace(x)
        moved = xp.roll(x, (-self.origin[0], -self.origin[1]), axis=(-2, -1))
        spectrum = xp.reshape(xp.fft.rfftn(moved, axes=(-2, -1), norm="ortho"), (x.shape[0], -1))
        return self.analysis(xp.concat([xp.real(spectrum), xp.imag(spectrum)], axis=1))

    def from_right(self, c: Array) -> Array:
        xp = namespace(c)
        parts = self.synthesis(c)
        half = parts.shape[1] // 2
        kind = xp.complex64 if c.dtype == xp.float32 else xp.complex128
        spectrum = xp.astype(parts[:, :half], kind) + 1j * xp.astype(parts[:, half:], kind)
        spectrum = xp.reshape(spectrum, (c.shape[0], self.shape[0], -1))
        return xp.roll(xp.fft.irfftn(spectrum, s=self.shape, axes=(-2, -1), norm="ortho"), self.origin, axis=(-2, -1))

    def to_left(self, v: Array) -> Array:
        return self.left_transposed(v)

    def from_left(self, c: Array) -> Array:
        return self.left(c)


def fourier_sampling(mask: np.ndarray) -> FourierSampling:
    """The centred orthonormal transform at the frequencies of a mask.

    Args:
        mask: (h, w), boolean; the frequency zero stands at (h // 2, w // 2), as after fftshift. The order of y is
            that of the mask, row by row.

    Raises:
        UsageError: unless the mask is a boolean image that holds a frequency.
    """
    mask = np.asarray(mask)
    if mask.ndim != 2 or mask.dtype != bool or not mask.any():
        raise UsageError(
            f"a mask of frequencies is (h, w) and boolean with one or more of them True, "
            f"got {mask.dtype} of shape {mask.shape} with {np.count_nonzero(mask)}"
        )
    h, w = mask.shape
    row, column = np.nonzero(mask)
    return _sampled(row - h // 2, column - w // 2, (h, w), (h // 2, w // 2), 1.0)


def low_frequencies(shape: tuple[int, int], keep: int = 8) -> FourierSampling:
    """The entries [:keep, :keep] of the unnormalised transform fft2, the deblurring of Feng et al. 2023 (keep 8).

    These are non-negative frequencies, whose mirror images are not measured while keep <= side / 2. The paper's code
    inverts by filling the rest with zeros. That is half of A^+ everywhere but at zero: A^+ restores the mirror images
    as well, and so doubles all other frequencies (arXiv 2304.11751, `forward_models.py`).

    Raises:
        UsageError: unless 1 <= keep <= both sides.
    """
    h, w = shape
    if not 1 <= keep <= min(h, w):
        raise UsageError(f"the lowest frequencies kept are 1 to {min(h, w)} a side for images {h} x {w}, got {keep}")
    row, column = (i.ravel() for i in np.indices((keep, keep)))
    return _sampled(row, column, (h, w), (0, 0), float(np.sqrt(h * w)))


def _sampled(
    row: np.ndarray, column: np.ndarray, shape: tuple[int, int], origin: tuple[int, int], scale: float
) -> FourierSampling:
    """The operator of distinct frequencies; negative ones count from the end."""
    stored = shape[0] * (shape[1] // 2 + 1)
    place, sign, alone = _stored_place(row, column, shape)
    waves, cosine, times = np.unique(place, return_inverse=True, return_counts=True)
    has_sine = np.ones(len(waves), bool)
    has_sine[cosine[alone]] = False
    sine = len(waves) + np.cumsum(has_sine) - 1  # its number among the right singular vectors, where there is one
    length = np.where(has_sine, np.sqrt(2.0), 1.0)
    r = len(waves) + int(np.count_nonzero(has_sine))
    at = np.concatenate([waves, stored + waves[has_sine]])
    analysis = sparse_rows(np.arange(r), at, np.concatenate([length, length[has_sine]]), (r, 2 * stored))

    # Every stored entry whose frequency or its mirror image is measured: on two columns rfft2 stores both.
    entry = np.arange(stored)
    of, turned, _ = _stored_place(*np.divmod(entry, shape[1] // 2 + 1), shape)
    wave = np.minimum(np.searchsorted(waves, of), len(waves) - 1)
    known = waves[wave] == of
    both = known & has_sine[wave]
    synthesis = sparse_rows(
        np.concatenate([entry[known], stored + entry[both]]),
        np.concatenate([wave[known], sine[wave[both]]]),
        np.concatenate([1.0 / length[wave[known]], turned[both] / np.sqrt(2.0)]),
        (2 * stored, r),
    )

    paired = np.concatenate([cosine, sine[cosine[~alone]]])  # the right singular vector of each entry of y
    times = np.concatenate([times, times[has_sine]])
    u = np.concatenate([np.ones(len(row)), sign[~alone]]) / np.sqrt(times[paired])
    entry, sizes = np.arange(len(paired)), (len(paired), r)
    return FourierSampling(
        s=scale * np.sqrt(times) / np.concatenate([length, length[has_sine]]),
        analysis=analysis,
        synthesis=synthesis,
        left=sparse_rows(entry, paired, u, sizes),
        left_transposed=sparse_rows(paired, entry, u, sizes[::-1]),
        origin=origin,
        shape=shape,
    )


def _stored_place(
    row: np.ndarray, column: np.ndarray, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of k and -k the one that stands for both: its place in a flat rfft2, the sign of Im k there, whether k = -k."""
    row, column = row % shape[0], column % shape[1]
    mirror_row, mirror_column = -row % shape[0], -column % shape[1]
    own = (column < mirror_column) | ((column == mirror_column) & (row <= mirror_row))
    alone = (row == mirror_row) & (column == mirror_column)
    place = np.where(own, row, mirror_row) * (shape[1] // 2 + 1) + np.where(own, column, mirror_column)
    return place, np.where(own, 1.0, -1.0), alone
