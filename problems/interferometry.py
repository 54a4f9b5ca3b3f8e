"""The Event Horizon Telescope of April 2017: which visibilities of M87 it sees, how noisy, and their matrix.

A baseline (i, j) is the vector from station j to station i, projected on the sky, in wavelengths: u towards the east,
v towards the north. Its visibility is V = sum_p x_p exp(-2 pi i (u l_p + v m_p)), (l, m) the angles of pixel p to the
east and to the north of the centre of the image, x_p the flux of the pixel in Jy. Everything is synthetic but the
geometry and the sensitivities.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from problems.names import UsageError, lookup


class Station(NamedTuple):
    """A telescope: its geocentric position in metres, and its system equivalent flux density in Jy."""

    position: tuple[float, float, float]
    sefd: float


# Positions and flux densities: the table of eht-imaging (Chael et al. 2018, arXiv 1803.07088), arrays/EHT2017_m87.txt
# at commit 6b1bcb9; the two polarisations of the SMA (5600 and 6500 Jy) averaged. Other tables put the 30 m telescope
# 4 m to the south, which is a millionth of a baseline.
STATIONS = {
    "ALMA": Station((2225061.164, -5440057.37, -2481681.15), 70.0),
    "APEX": Station((2225039.53, -5441197.63, -2479303.36), 4900.0),
    "LMT": Station((-768713.9637, -5988541.7982, 2063275.9472), 3600.0),
    "SMT": Station((-1828796.2, -5054406.8, 3427865.2), 14400.0),
    "JCMT": Station((-5464584.68, -2493001.17, 2150653.98), 10000.0),
    "SMA": Station((-5464523.4, -2493147.08, 2150611.75), 6050.0),
    "PV": Station((5088967.9, -301681.6, 3825015.8), 3600.0),
    "SPT": Station((0.01, 0.01, -6359609.7), 16900.0),
}

RIGHT_ASCENSION_HOURS = 12 + 30 / 60 + 49.42 / 3600
DECLINATION_DEGREES = 12 + 23 / 60 + 28.04 / 3600
LIGHT_METRES_PER_SECOND = 299_792_458.0
DIGITISATION_EFFICIENCY = 0.88  # two bits per sample (Thompson, Moran and Swenson 2017, chapter 8)
RADIANS_PER_MICROARCSECOND = np.pi / 180 / 3600e6
NIGHT_JULIAN_DATE = 2457854.5 - 1 / 24
"""23:00 UT on 10 April 2017, the start of the night that `observe` has by default; ours."""


@dataclass(frozen=True, eq=False)
class Coverage:
    """The baselines of an observation, scan by scan, each (b,); stations and scans by number, first < second.

    Attributes:
        u, v: in wavelengths. std: of the real part, and of the imaginary part, of the visibility, in Jy.
    """

    scan: np.ndarray
    first: np.ndarray
    second: np.ndarray
    u: np.ndarray
    v: np.ndarray
    std: np.ndarray


def greenwich_sidereal_hours(julian_date: np.ndarray) -> np.ndarray:
    """Greenwich mean sidereal time in hours, of UT1 (which the civil time UTC follows to .9 s).

    The approximation of the US Naval Observatory, good to .1 s in this century.
    """
    return (18.697374558 + 24.06570982441908 * (np.asarray(julian_date) - 2451545.0)) % 24.0


def directions(julian_date: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """East and north on the sky at the source, and the source, as unit vectors that turn with the Earth: (k, 3) each.

    The frame of the station positions: x towards Greenwich on the equator, z towards the north pole.
    """
    hour_angle = (greenwich_sidereal_hours(julian_date) - RIGHT_ASCENSION_HOURS) * np.pi / 12
    sin_h, cos_h, none = np.sin(hour_angle), np.cos(hour_angle), np.zeros_like(hour_angle)
    sin_d, cos_d = np.sin(np.radians(DECLINATION_DEGREES)), np.cos(np.radians(DECLINATION_DEGREES))
    east = np.stack([sin_h, cos_h, none], axis=-1)
    north = np.stack([-sin_d * cos_h, sin_d * sin_h, none + cos_d], axis=-1)
    return east, north, np.stack([cos_d * cos_h, -cos_d * sin_h, none + sin_d], axis=-1)


def observe(
    stations: dict[str, Station] = STATIONS,
    *,
    start: float = NIGHT_JULIAN_DATE,
    hours: float = 9.0,
    every_minutes: float = 24.0,
    frequency_hz: float = 230e9,
    bandwidth_hz: float = 2e9,
    integration_seconds: float = 300.0,
    least_elevation_degrees: float = 10.0,
) -> Coverage:
    """The baselines of a night: at each scan, all pairs of stations that see the source high enough.

    std = sqrt(SEFD_i SEFD_j / (2 bandwidth time)) / .88, the radiometer equation (Thompson, Moran and Swenson 2017,
    chapter 6), of one polarisation in one of the two bands of 2 GHz, over a scan averaged as a whole. The night, the
    scans and their length are ours. Elevations are above the plane normal to the geocentric position, within .2 degrees
    of the horizon; no refraction, no change of the opacity, no precession since J2000 (.24 degrees).

    Raises:
        UsageError: if no two stations see the source, or a duration, width or frequency is not positive.
    """
    if not min(hours, every_minutes, frequency_hz, bandwidth_hz, integration_seconds) > 0:
        raise UsageError("hours, every_minutes, frequency_hz, bandwidth_hz and integration_seconds are positive")
    positions = np.array([one.position for one in stations.values()])
    sefd = np.array([one.sefd for one in stations.values()])
    east, north, source = directions(start + np.arange(0.0, hours, every_minutes / 60) / 24)
    zenith = positions / np.linalg.norm(positions, axis=1, keepdims=True)
    up = source @ zenith.T >= np.sin(np.radians(least_elevation_degrees))  # (scans, stations)
    first, second = np.triu_indices(len(positions), 1)
    scan, pair = np.nonzero(up[:, first] & up[:, second])
    if len(scan) == 0:
        raise UsageError(
            f"no two of the stations {', '.join(stations)} see the source above {least_elevation_degrees:g} degrees "
            f"in the {hours:g} hours from Julian date {start:.3f}"
        )
    first, second = first[pair], second[pair]
    baseline = (positions[first] - positions[second]) * frequency_hz / LIGHT_METRES_PER_SECOND
    noise = np.sqrt(sefd[first] * sefd[second] / (2 * bandwidth_hz * integration_seconds)) / DIGITISATION_EFFICIENCY
    u, v = np.sum(baseline * east[scan], axis=1), np.sum(baseline * north[scan], axis=1)
    return Coverage(scan, first, second, u, v, noise)


def _triangle(cycles: np.ndarray) -> np.ndarray:
    return np.sinc(cycles) ** 2


PULSES: dict[str, Callable[[np.ndarray], np.ndarray]] = {"none": np.ones_like, "triangle": _triangle}


def visibility_matrix(
    coverage: Coverage, side: int, field_microarcseconds: float, pulse: str = "triangle"
) -> np.ndarray:
    """The visibilities of a square image as a real matrix: real parts of all baselines, then imaginary parts.

    Row 0 of the image is its northern edge, column 0 its eastern edge, as on the sky. `pulse` is the shape of a pixel:
    'none', a point in its centre; 'triangle', linear interpolation between the centres.

    Returns:
        (2 b, side^2), from Jy per pixel to Jy.

    Raises:
        UsageError: for another pulse, or a size that is not positive.
    """
    shape_of = lookup("pixel pulse", pulse, PULSES)
    if side < 1 or not 0 < field_microarcseconds < np.inf:
        raise UsageError(f"an image has pixels and a field of view, got side {side}, {field_microarcseconds:g}")
    pixel = field_microarcseconds * RADIANS_PER_MICROARCSECOND / side
    places = (0.5 * (side - 1) - np.arange(side)) * pixel  # from north to south, and from east to west
    rows = np.exp(-2j * np.pi * coverage.v[:, None] * places) * shape_of(coverage.v * pixel)[:, None]
    columns = np.exp(-2j * np.pi * coverage.u[:, None] * places) * shape_of(coverage.u * pixel)[:, None]
    matrix = (rows[:, :, None] * columns[:, None, :]).reshape(len(rows), side**2)
    return np.concatenate([matrix.real, matrix.imag])
