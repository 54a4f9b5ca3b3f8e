"""Closure quantities of visibilities, which no gain of a station changes, and the measurement made of them.

A station multiplies its visibilities by a complex gain that nobody knows: V_ij -> g_i conj(g_j) V_ij. The phase of
V_ij V_jk conj(V_ik) and the modulus of V_ik V_jo / (V_jk V_io) do not depend on the gains, nor on the total flux, nor
on where the image stands in the field (Thompson, Moran and Swenson 2017, chapter 10). Every set here is a matrix of
signs, (number of closures, b), which acts on the phases or on the log amplitudes of the b baselines.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from problems.arrays import Array, linspace, namespace
from problems.contract import data, static
from problems.interferometry import Coverage
from problems.names import UsageError

_Signed = tuple[list[int], list[int]]


def triangles(coverage: Coverage) -> np.ndarray:
    """The signs of a minimal set of closure phases, (c, b): +1, +1 and -1 at the baselines of each triangle.

    In each scan the triangles of its first station with every pair of others: (n - 1)(n - 2) / 2 of n stations. All
    other closure phases of the scan are sums of these.

    Raises:
        UsageError: if three stations never observe together.
    """
    found: list[_Signed] = []
    for number, (reference, *others) in _scans(coverage):
        pairs = [(i, j) for a, i in enumerate(others) for j in others[a + 1 :]]
        found += [([number[reference, i], number[i, j]], [number[reference, j]]) for i, j in pairs]
    return _signs(found, coverage, "closure phases need three stations in one scan")


def quadrangles(coverage: Coverage) -> np.ndarray:
    """The signs of a minimal set of log closure amplitudes, (q, b): two +1 and two -1 in each row.

    In each scan, station by station: the fourth and every later one, k, adds |V_ik V_jo| / |V_jk V_io| for all
    neighbours i, j among the earlier, where o is another of these: n (n - 3) / 2 of n stations in all.

    Raises:
        UsageError: if four stations never observe together.
    """
    found: list[_Signed] = []
    for number, members in _scans(coverage):
        for place in range(3, len(members)):
            k = members[place]
            for a in range(place - 1):
                i, j, o = members[a], members[a + 1], members[0 if a else 2]
                found.append(([number[i, k], number[j, o]], [number[j, k], number[i, o]]))
    return _signs(found, coverage, "closure amplitudes need four stations in one scan")


def _scans(coverage: Coverage) -> Iterator[tuple[np.ndarray, list[int]]]:
    """For each scan, the number of the baseline between two stations, in either order, and its stations in order."""
    stations = int(np.max(coverage.second)) + 1
    for scan in np.unique(coverage.scan):
        here = np.flatnonzero(coverage.scan == scan)
        first, second = coverage.first[here], coverage.second[here]
        number = np.zeros((stations, stations), np.int64)
        number[first, second] = number[second, first] = here
        yield number, np.union1d(first, second).tolist()


def _signs(found: list[_Signed], coverage: Coverage, lacking: str) -> np.ndarray:
    if not found:
        raise UsageError(lacking)
    signs = np.zeros((len(found), len(coverage.scan)))
    for row, (plus, minus) in zip(signs, found, strict=True):
        row[plus], row[minus] = 1.0, -1.0
    return signs


def closure_phases(visibilities: Array, signs: Array) -> Array:
    """In radians, from -pi to pi, (n, c), of visibilities (n, 2 b): real parts, then imaginary parts."""
    xp = namespace(visibilities)
    real, imaginary = _parts(visibilities, signs)
    phases = xp.atan2(imaginary, real) @ signs.T
    return phases - 2 * math.pi * xp.round(phases / (2 * math.pi))


def log_closure_amplitudes(visibilities: Array, signs: Array) -> Array:
    """The logarithms of the closure amplitudes, (n, q), of visibilities (n, 2 b); infinite where one vanishes."""
    real, imaginary = _parts(visibilities, signs)
    return 0.5 * namespace(visibilities).log(real**2 + imaginary**2) @ signs.T


def _parts(visibilities: Array, signs: Array) -> tuple[Array, Array]:
    b = signs.shape[1]
    return visibilities[:, :b], visibilities[:, b:]


@data
class Closures:
    """y = (closure phases, log closure amplitudes, total flux, row and column of the centre of light), (n, c + q + 3).

    The last three are what closures cannot tell: the sum of the pixels, and the mean of the row and of the column
    number, each pixel weighted with its flux. Infinite or undefined for a dark image, and where a visibility vanishes.

    Attributes:
        matrix: (2 b, side^2), of `visibility_matrix`. triangles: (c, b). quadrangles: (q, b).
    """

    matrix: Array
    triangles: Array
    quadrangles: Array
    shape: tuple[int, int] = static()
    linear = False

    def __call__(self, x: Array) -> Array:
        seen = self.visibilities(x)
        flux, row, column = self._light(x)
        phases = closure_phases(seen, self.triangles)
        amplitudes = log_closure_amplitudes(seen, self.quadrangles)
        light = [flux[:, None], row[:, None], column[:, None]]
        return namespace(x).concat([phases, amplitudes, *light], axis=1)

    def visibilities(self, x: Array) -> Array:
        """Real parts, then imaginary parts, (n, 2 b)."""
        return namespace(x).reshape(x, (x.shape[0], -1)) @ self.matrix.T

    def pull(self, x: Array, v: Array) -> Array:
        """J(x)^T v, (n, side, side), where J is the Jacobian at x."""
        xp = namespace(x)
        c, q = self.triangles.shape[0], self.quadrangles.shape[0]
        real, imaginary = _parts(self.visibilities(x), self.triangles)
        power = real**2 + imaginary**2
        phase, amplitude = v[:, :c] @ self.triangles / power, v[:, c : c + q] @ self.quadrangles / power
        along = [amplitude * real - phase * imaginary, amplitude * imaginary + phase * real]
        flux, row, column = self._light(x)
        places = self._places(x)
        from_row = (v[:, c + q + 1] / flux)[:, None] * (places[None, :] - row[:, None])
        from_column = (v[:, c + q + 2] / flux)[:, None] * (places[None, :] - column[:, None])
        light = v[:, c + q, None, None] + from_row[:, :, None] + from_column[:, None, :]
        return xp.reshape(xp.concat(along, axis=1) @ self.matrix, x.shape) + light

    def _places(self, x: Array) -> Array:
        return linspace(0.0, self.shape[0] - 1.0, self.shape[0], x)

    def _light(self, x: Array) -> tuple[Array, Array, Array]:
        xp = namespace(x)
        flux, places = xp.sum(x, axis=(1, 2)), self._places(x)
        return flux, xp.sum(x, axis=2) @ places / flux, xp.sum(x, axis=1) @ places / flux
