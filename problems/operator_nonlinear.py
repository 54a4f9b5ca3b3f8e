"""Non-linear measurements of images: Fourier amplitudes, high dynamic range, and a blur seen through a camera.

Each is (n, *shape) -> (n, m), with `pull(x, v)` = J(x)^T v, (n, *shape), where J is the Jacobian at x, and `norm`, a
bound on the largest singular value of any J.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from problems.arrays import Array, namespace
from problems.contract import data, static
from problems.names import UsageError
from problems.operators import FourierFilter


@data
class PhaseRetrieval:
    """y = sqrt(|F P x|^2 + epsilon^2): amplitudes of the centred orthonormal Fourier transform of a padded image.

    P surrounds the image with `pad` zeros on each side. Where the zeros are put changes no amplitude, so that they are
    all appended. The amplitudes at k and -k of a real image are equal, and both are measured, as published. x turned by
    180 degrees has the same amplitudes; so has -x, unless `positive`; so have shifts of x within a border of x that is
    zero, and without padding all circular shifts.

    Attributes:
        epsilon: keeps the gradient defined where an amplitude vanishes; ours.
        pad: pixels. positive: whether x in [-1, 1] is mapped to [0, 1] first. shape: (..., side, side).
    """

    epsilon: Array
    pad: int = static()
    positive: bool = static()
    shape: tuple[int, ...] = static()
    linear = False

    def __call__(self, x: Array) -> Array:
        amplitude = self._amplitude(self._spectrum(x))
        centred = namespace(x).fft.fftshift(amplitude, axes=(-2, -1))
        return namespace(x).reshape(centred, (x.shape[0], -1))

    def pull(self, x: Array, v: Array) -> Array:
        """P^T Re F^H (F P x v / y), times 1/2 where x is mapped to [0, 1]."""
        xp = namespace(x)
        spectrum = self._spectrum(x)
        weight = xp.fft.ifftshift(xp.reshape(v, spectrum.shape), axes=(-2, -1)) / self._amplitude(spectrum)
        whole = xp.fft.ifftn(spectrum * xp.astype(weight, spectrum.dtype), axes=(-2, -1), norm="ortho")
        image = xp.real(whole)[..., : self.shape[-2], : self.shape[-1]]
        return 0.5 * image if self.positive else image

    def symmetries(self, x: Array) -> Array:
        """The images that have the same measurement as x, (n, *shape) -> (k, n, *shape): turned, and negative."""
        xp = namespace(x)
        turned = xp.flip(x, axis=(-2, -1))
        return xp.stack([x, turned] if self.positive else [x, turned, -x, -turned])

    @property
    def norm(self) -> float:
        """1, or 1/2: the transform is orthonormal, and the amplitude moves no further than the spectrum."""
        return 0.5 if self.positive else 1.0

    def _spectrum(self, x: Array) -> Array:
        size = tuple(side + 2 * self.pad for side in self.shape[-2:])
        image = 0.5 * x + 0.5 if self.positive else x
        return namespace(x).fft.fftn(image, s=size, axes=(-2, -1), norm="ortho")

    def _amplitude(self, spectrum: Array) -> Array:
        xp = namespace(spectrum)
        return xp.sqrt(xp.real(spectrum) ** 2 + xp.imag(spectrum) ** 2 + self.epsilon**2)


def phase_retrieval(
    shape: tuple[int, ...], oversample: float = 2.0, *, positive: bool = False, epsilon: float = 1e-4
) -> PhaseRetrieval:
    """Phase retrieval with int(oversample / 8 side) zeros on each side, 64 for side 256.

    Chung et al. 2023 (arXiv 2209.14687): oversample 2, images in [-1, 1]. DAPS (arXiv 2407.01521) and PnP-DM
    (arXiv 2405.18782) map them to [0, 1] first (`positive`); the latter has oversample 4.

    Raises:
        UsageError: for images that are not square, a negative oversampling, or an epsilon that is not positive.
    """
    if len(shape) < 2 or shape[-1] != shape[-2]:
        raise UsageError(f"phase retrieval takes square images, got shape {shape}")
    if not 0 <= oversample < np.inf or not 0 < epsilon < np.inf:
        raise UsageError(f"oversample is at least 0 and epsilon positive, got {oversample:g} and {epsilon:g}")
    return PhaseRetrieval(np.array(epsilon), int(oversample / 8 * shape[-1]), positive, shape)


@data
class HighDynamicRange:
    """y = clip(gain x, -1, 1): an exposure that saturates, for images in [-1, 1].

    DAPS (arXiv 2407.01521) has gain 2. A saturated pixel has gradient zero.
    """

    gain: Array
    shape: tuple[int, ...] = static()
    linear = False

    def __call__(self, x: Array) -> Array:
        xp = namespace(x)
        return xp.clip(self.gain * xp.reshape(x, (x.shape[0], -1)), -1.0, 1.0)

    def pull(self, x: Array, v: Array) -> Array:
        """gain v where the exposure does not saturate."""
        xp = namespace(x)
        slope = self.gain * xp.reshape(v, x.shape)
        return xp.where(xp.abs(self.gain * x) < 1.0, slope, xp.zeros_like(slope))

    @property
    def norm(self) -> Array:
        return self.gain


def high_dynamic_range(shape: tuple[int, ...], gain: float = 2.0) -> HighDynamicRange:
    """High dynamic range of images of a shape.

    Raises:
        UsageError: for a gain that is not positive.
    """
    if not 0 < gain < np.inf:
        raise UsageError(f"the gain is positive and finite, got {gain:g}")
    return HighDynamicRange(np.array(gain), shape)


@data
class CameraBlur:
    """y = tanh(gain B x) / tanh(gain): a linear blur B of the scene, then the S-shaped response of a camera.

    A stand-in of ours for the non-linear blur of Chung et al. 2023, a trained network (BKSE, whose weights are not
    shipped here): smooth, defined for every x, saturating towards white and black, and [-1, 1] -> [-1, 1].

    Attributes:
        blur: a linear operator with `adjoint`, which blurs images in [-1, 1]. gain: how soon the camera saturates.
    """

    blur: Any
    gain: Array
    shape: tuple[int, ...] = static()
    linear = False

    def __call__(self, x: Array) -> Array:
        xp = namespace(x)
        return xp.tanh(self.gain * self.blur(x)) / xp.tanh(self.gain)

    def pull(self, x: Array, v: Array) -> Array:
        """B^T (gain (1 - tanh^2(gain B x)) v / tanh(gain))."""
        xp = namespace(x)
        slope = self.gain * (1.0 - xp.tanh(self.gain * self.blur(x)) ** 2) / xp.tanh(self.gain)
        return self.blur.adjoint(slope * v)

    @property
    def norm(self) -> Array:
        """That of the blur, times the slope at grey, the steepest."""
        return self.gain / namespace(self.gain).tanh(self.gain) * self.blur.norm


def camera_blur(side: int, *, blur_std: float = 3.0, gain: float = 2.0) -> CameraBlur:
    """The stand-in on a grey image, with a circular Gaussian blur of blur_std pixels (3 is that of the linear tasks).

    Raises:
        UsageError: for a standard deviation or a gain that is not positive.
    """
    if not (0 < blur_std < np.inf and 0 < gain < np.inf):
        raise UsageError(f"the standard deviation and the gain are positive and finite, got {blur_std:g} and {gain:g}")
    rows, columns = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None, :]
    transfer = np.exp(-2 * (np.pi * blur_std) ** 2 * (rows**2 + columns**2))
    return CameraBlur(FourierFilter(transfer, (side, side)), np.array(gain), (side, side))
