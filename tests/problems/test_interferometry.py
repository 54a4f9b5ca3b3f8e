"""Which visibilities the telescopes see, by spherical trigonometry and by hand, and their matrix, by sums."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.integrate

from problems.arrays import make_key
from problems.contract import to
from problems.event_horizon import visibilities
from problems.interferometry import (
    DECLINATION_DEGREES,
    NIGHT_JULIAN_DATE,
    RIGHT_ASCENSION_HOURS,
    STATIONS,
    Coverage,
    greenwich_sidereal_hours,
    observe,
    visibility_matrix,
)
from problems.names import UsageError
from problems.noise_diagonal import whitened
from problems.pictures import rings

NIGHT = observe()
WAVELENGTH = 299_792_458.0 / 230e9
MICROARCSECOND = np.pi / (180 * 3600 * 1e6)
NAMES = list(STATIONS)


def baselines(u, v):
    """A coverage of given baselines, in one scan."""
    count = len(u)
    return Coverage(np.zeros(count, int), np.zeros(count, int), np.arange(1, count + 1), u, v, np.ones(count))


def complex_visibilities(matrix, image):
    real, imaginary = np.split(matrix @ image.ravel(), 2)
    return real + 1j * imaginary


def test_sidereal_time_of_an_almanac():
    """Meeus, Astronomical Algorithms (1998), example 12.a: 10 April 1987, 0 h UT, 13 h 10 min 46.3668 s."""
    expected = 13 + 10 / 60 + 46.3668 / 3600
    assert greenwich_sidereal_hours(2446895.5) == pytest.approx(expected, abs=0.1 / 3600)
    later = greenwich_sidereal_hours(2446895.5 + np.array([0.0, 0.25, 1.0]))
    np.testing.assert_allclose(np.diff(later), [6.0164, 18.0493 - 24], atol=1e-3)


def test_one_baseline_by_hand():
    """ALMA to the 30 m telescope when M87 stands over Greenwich: there u is along y, v along -sin d x + cos d z."""
    start = 2457854.5 + (RIGHT_ASCENSION_HOURS - greenwich_sidereal_hours(2457854.5)) / 24.06570982441908
    found = observe(start=start, hours=0.5, every_minutes=60)
    one = (found.first == NAMES.index("ALMA")) & (found.second == NAMES.index("PV"))
    assert np.sum(one) == 1
    x, y, z = 2225061.164 - 5088967.9, -5440057.37 + 301681.6, -2481681.15 - 3825015.8
    declination = np.radians(12 + 23 / 60 + 28.04 / 3600)
    np.testing.assert_allclose(found.u[one], y / WAVELENGTH, rtol=1e-6)
    v = (-np.sin(declination) * x + np.cos(declination) * z) / WAVELENGTH
    np.testing.assert_allclose(found.v[one], v, rtol=1e-6)
    np.testing.assert_allclose(found.u[one], -3.9421e9, rtol=1e-4)
    np.testing.assert_allclose(found.v[one], -4.2543e9, rtol=1e-4)


def test_baselines_are_those_of_stations_turned_into_the_sky():
    """Positions rotated by the sidereal time into the frame of right ascension, and projected there."""
    times = NIGHT_JULIAN_DATE + np.arange(0.0, 9.0, 0.4) / 24
    angle = greenwich_sidereal_hours(times[NIGHT.scan]) * np.pi / 12
    a, d = RIGHT_ASCENSION_HOURS * np.pi / 12, np.radians(DECLINATION_DEGREES)
    positions = np.array([STATIONS[name].position for name in NAMES])
    x, y, z = (positions[NIGHT.first] - positions[NIGHT.second]).T
    turned = np.array([np.cos(angle) * x - np.sin(angle) * y, np.sin(angle) * x + np.cos(angle) * y, z]) / WAVELENGTH
    np.testing.assert_allclose(NIGHT.u, [-np.sin(a), np.cos(a), 0] @ turned, rtol=1e-9, atol=1.0)
    north = [-np.sin(d) * np.cos(a), -np.sin(d) * np.sin(a), np.cos(d)]
    np.testing.assert_allclose(NIGHT.v, north @ turned, rtol=1e-9, atol=1.0)


def test_stations_observe_while_the_source_is_ten_degrees_high():
    """By longitude, latitude and hour angle. M87 never rises at the south pole."""
    x, y, z = np.array([STATIONS[name].position for name in NAMES]).T
    latitude, longitude = np.arctan2(z, np.hypot(x, y)), np.arctan2(y, x)
    declination = np.radians(DECLINATION_DEGREES)
    expected = set()
    for scan, hour in enumerate(np.arange(0.0, 9.0, 0.4)):
        sidereal = greenwich_sidereal_hours(NIGHT_JULIAN_DATE + hour / 24)
        angle = (sidereal - RIGHT_ASCENSION_HOURS) * np.pi / 12 + longitude
        sine = np.sin(latitude) * np.sin(declination) + np.cos(latitude) * np.cos(declination) * np.cos(angle)
        up = np.flatnonzero(np.degrees(np.arcsin(sine)) >= 10)
        expected |= {(scan, i, j) for i in up for j in up if i < j}
    assert set(zip(NIGHT.scan.tolist(), NIGHT.first.tolist(), NIGHT.second.tolist(), strict=True)) == expected
    assert len(NIGHT.scan) == len(expected)
    assert set(NIGHT.first) | set(NIGHT.second) == set(range(8)) - {NAMES.index("SPT")}
    assert len(observe(least_elevation_degrees=30.0).scan) < len(expected) < len(observe(hours=24.0).scan)


def test_the_longest_baseline_is_nearly_the_diameter_of_the_earth():
    """The published coverage of M87 reaches 8.3e9 wavelengths or a little more."""
    longest = np.max(np.hypot(NIGHT.u, NIGHT.v))
    assert 8e9 < longest < 12_742e3 / WAVELENGTH
    assert np.min(np.hypot(NIGHT.u, NIGHT.v)) < 2e6  # two telescopes on one mountain


def test_noise_is_that_of_the_radiometer_equation():
    """ALMA and the SMT, 70 and 14400 Jy: sqrt(70 14400 / (2 2e9 300)) / .88 = 1.0415 mJy."""
    pair = (NIGHT.first == NAMES.index("ALMA")) & (NIGHT.second == NAMES.index("SMT"))
    np.testing.assert_allclose(NIGHT.std[pair], 1.0415e-3, rtol=1e-4)
    quarter = observe(integration_seconds=1200.0, bandwidth_hz=2e9)
    np.testing.assert_allclose(quarter.std, NIGHT.std / 2, rtol=1e-13)


def test_tracks_are_arcs_of_ellipses_that_turn_into_themselves_when_the_stations_change_places():
    backwards = observe(dict(reversed(STATIONS.items())))
    swapped = sorted(zip(NIGHT.scan, -NIGHT.u, -NIGHT.v, strict=True))
    np.testing.assert_allclose(swapped, sorted(zip(backwards.scan, backwards.u, backwards.v, strict=True)), rtol=1e-12)
    declination = np.radians(DECLINATION_DEGREES)
    positions = np.array([STATIONS[name].position for name in NAMES])
    x, y, z = (positions[NIGHT.first] - positions[NIGHT.second]).T / WAVELENGTH
    around = NIGHT.u**2 + ((NIGHT.v - z * np.cos(declination)) / np.sin(declination)) ** 2
    np.testing.assert_allclose(around, x**2 + y**2, rtol=1e-9)


@pytest.mark.parametrize("pulse", ["none", "triangle"])
def test_visibilities_are_sums_over_pixels(pulse):
    """A pixel in row r is north of the centre by (side - 1) / 2 - r pixels; one in column c is as much to the east."""
    side, field = 6, 90.0
    rng = np.random.default_rng(52)
    image = rng.uniform(size=(side, side))
    found = complex_visibilities(visibility_matrix(NIGHT, side, field, pulse), image)
    pixel = field / side * MICROARCSECOND

    def weight(frequency):
        if pulse == "none":
            return 1.0
        return scipy.integrate.quad(lambda t: 2 * (1 - t) * np.cos(2 * np.pi * frequency * pixel * t), 0.0, 1.0)[0]

    for baseline in (0, 40, len(found) - 1):
        u, v = NIGHT.u[baseline], NIGHT.v[baseline]
        total = 0.0
        for r in range(side):
            for c in range(side):
                east, north = (2.5 - c) * pixel, (2.5 - r) * pixel
                total += image[r, c] * np.exp(-2j * np.pi * (u * east + v * north))
        assert found[baseline] == pytest.approx(total * weight(u) * weight(v), rel=1e-9)


def test_on_a_regular_grid_visibilities_are_a_fourier_transform():
    """Baselines at multiples of one cycle per field: numpy's transform, up to the place of the centre."""
    side, field = 8, 128.0
    k, m = (part.ravel() for part in np.meshgrid(np.arange(side), np.arange(side), indexing="ij"))
    unit = 1 / (field * MICROARCSECOND)
    rng = np.random.default_rng(52)
    image = rng.uniform(size=(side, side))
    found = complex_visibilities(visibility_matrix(baselines(m * unit, k * unit), side, field, "none"), image)
    centre = np.exp(-2j * np.pi * (k + m) * 3.5 / side)
    np.testing.assert_allclose(found, centre * np.conj(np.fft.fft2(image)).ravel(), atol=1e-11)


def test_a_baseline_of_no_length_sees_the_flux_and_the_opposite_one_the_conjugate():
    rng = np.random.default_rng(52)
    image = rng.uniform(size=(5, 5))
    matrix = visibility_matrix(baselines(np.array([0.0, 3e9, -3e9]), np.array([0.0, 2e9, -2e9])), 5, 100.0)
    found = complex_visibilities(matrix, image)
    assert found[0] == pytest.approx(np.sum(image), rel=1e-13)
    assert found[1] == pytest.approx(np.conj(found[2]), rel=1e-13)
    assert matrix.dtype == np.float64
    assert matrix.shape == (6, 25)


def test_whitened_visibilities_have_unit_noise():
    matrix = visibility_matrix(observe(every_minutes=240.0), 4, 100.0)
    std = np.tile(observe(every_minutes=240.0).std, 2)
    operator = whitened(matrix, std, (4, 4))
    expected = matrix / std[:, None]
    np.testing.assert_allclose(operator.matrix, expected, atol=1e-9 * np.abs(expected).max())


def test_what_is_lost_in_the_noise_is_not_measured():
    """Singular values from 1e-4 of the largest on are kept, and in float32 the digits of the pseudo-inverse."""
    typical = rings(make_key("numpy", [1]), 30, 16)
    operator = visibilities(typical, 10.0)
    s = np.linalg.svd(operator.matrix, compute_uv=False)
    assert operator.rank < min(operator.matrix.shape)
    assert np.all(operator.s >= 1e-4 * operator.s.max())
    assert np.sum(s > 1e-9 * s[0]) == operator.rank
    x = typical[:3].astype("float32")
    single, double = to(operator, "numpy", dtype="float32"), operator.pseudo_inverse(operator(typical[:3]))
    assert np.max(np.abs(single.pseudo_inverse(single(x)) - double)) < 1e-2 * np.max(np.abs(double))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: observe({"SPT": STATIONS["SPT"], "PV": STATIONS["PV"]}), "no two of the stations SPT, PV see"),
        (
            lambda: observe(least_elevation_degrees=89.0),
            "above 89 degrees in the 9 hours from Julian date 2457854.458",
        ),
        (lambda: observe(hours=0.0), "hours, every_minutes, .* are positive"),
        (lambda: observe(bandwidth_hz=-1.0), "bandwidth_hz and integration_seconds are positive"),
        (lambda: visibility_matrix(NIGHT, 4, 100.0, "square"), "no pixel pulse 'square'; .* none, triangle"),
        (lambda: visibility_matrix(NIGHT, 0, 100.0), "pixels and a field of view, got side 0, 100"),
        (lambda: visibility_matrix(NIGHT, 4, np.inf), "got side 4, inf"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(make, sentence):
    with pytest.raises(UsageError, match=sentence):
        make()
