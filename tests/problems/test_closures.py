"""Closure quantities: what they do not see, how many there are, and their Jacobian."""

from __future__ import annotations

from math import comb

import jax
import numpy as np
import pytest

from problems.arrays import vjp
from problems.contract import to
from problems.interferometry import STATIONS, observe, visibility_matrix
from problems.names import UsageError
from problems.operator_closure import Closures, closure_phases, log_closure_amplitudes, quadrangles, triangles

COVERAGE = observe(hours=8.0, every_minutes=80.0)
THREE, FOUR = triangles(COVERAGE), quadrangles(COVERAGE)
SIDE = 7
RNG = np.random.default_rng(71)
IMAGES = RNG.uniform(0.05, 1.0, (3, SIDE, SIDE))
OPERATOR = Closures(visibility_matrix(COVERAGE, SIDE, 90.0), THREE, FOUR, (SIDE, SIDE))
C, Q = len(THREE), len(FOUR)


def closed(images):
    """Phasors of the closure phases, and log closure amplitudes."""
    seen = OPERATOR.visibilities(images)
    return np.exp(1j * closure_phases(seen, THREE)), log_closure_amplitudes(seen, FOUR)


def stations_per_scan():
    return [
        len(set(COVERAGE.first[COVERAGE.scan == s]) | set(COVERAGE.second[COVERAGE.scan == s]))
        for s in np.unique(COVERAGE.scan)
    ]


def test_the_sets_are_minimal_and_complete():
    """Per scan (n - 1)(n - 2) / 2 phases and n (n - 3) / 2 amplitudes, all independent: what n gains leave."""
    counts = stations_per_scan()
    assert len(set(counts)) > 2
    assert sum(comb(n - 1, 2) for n in counts) == C == np.linalg.matrix_rank(THREE)
    assert sum(n * (n - 3) // 2 for n in counts if n > 3) == Q == np.linalg.matrix_rank(FOUR)
    for s, n in zip(np.unique(COVERAGE.scan), counts, strict=True):
        here = COVERAGE.scan == s
        assert np.sum(np.any(THREE[:, here] != 0, axis=1)) == comb(n - 1, 2)
        assert np.sum(np.any(FOUR[:, here] != 0, axis=1)) == max(0, n * (n - 3) // 2)


def test_triangles_and_quadrangles_go_round_stations_of_one_scan():
    """A phase closes: each station is entered and left once. Of four moduli each station has one above, one below."""
    for signs, size in ((THREE, 3), (FOUR, 4)):
        assert np.all(np.sum(signs != 0, axis=1) == size)
        for row in signs:
            used = np.flatnonzero(row)
            assert len(set(COVERAGE.scan[used])) == 1
            ends = np.zeros(len(STATIONS))
            np.add.at(ends, COVERAGE.first[used], row[used])
            np.add.at(ends, COVERAGE.second[used], row[used] * (1 if size == 4 else -1))
            np.testing.assert_array_equal(ends, 0.0)


def test_a_closure_phase_and_amplitude_by_hand():
    real, imaginary = np.split(OPERATOR.visibilities(IMAGES), 2, axis=1)
    seen = real + 1j * imaginary
    where = {key: b for b, key in enumerate(zip(COVERAGE.scan, COVERAGE.first, COVERAGE.second, strict=True))}
    scan = next(s for s in np.unique(COVERAGE.scan) if (s, 0, 1) in where and (s, 2, 3) in where)

    def value(i, j):
        return seen[:, where[scan, i, j]]

    first = int(np.flatnonzero(THREE[:, where[scan, 0, 1]])[0])
    expected = np.angle(value(0, 1) * value(1, 2) * np.conj(value(0, 2)))
    found = closure_phases(OPERATOR.visibilities(IMAGES), THREE)
    np.testing.assert_allclose(found[:, first], expected, atol=1e-12)
    assert np.max(np.abs(found)) <= np.pi
    ratio = np.abs(value(0, 3) * value(1, 2) / (value(1, 3) * value(0, 2)))
    log_ratios = log_closure_amplitudes(OPERATOR.visibilities(IMAGES), FOUR)
    assert np.min(np.max(np.abs(log_ratios - np.log(ratio)[:, None]), axis=0)) < 1e-12


def test_closures_do_not_see_the_gains_of_stations():
    """Another complex gain for each station in each scan, moduli from .2 to 5."""
    real, imaginary = np.split(OPERATOR.visibilities(IMAGES), 2, axis=1)
    rng = np.random.default_rng(52)
    gains = np.exp(rng.uniform(-1.6, 1.6, (99, 8)) + 2j * np.pi * rng.uniform(size=(99, 8)))
    changed = (real + 1j * imaginary) * gains[COVERAGE.scan, COVERAGE.first]
    changed = changed * np.conj(gains[COVERAGE.scan, COVERAGE.second])
    stacked = np.concatenate([changed.real, changed.imag], axis=1)
    phasors, amplitudes = closed(IMAGES)
    assert np.max(np.abs(stacked - OPERATOR.visibilities(IMAGES))) > 1
    np.testing.assert_allclose(np.exp(1j * closure_phases(stacked, THREE)), phasors, atol=1e-9)
    np.testing.assert_allclose(log_closure_amplitudes(stacked, FOUR), amplitudes, atol=1e-9)


def test_closures_do_not_see_the_flux_or_the_place():
    inner = np.zeros((1, SIDE, SIDE))
    rng = np.random.default_rng(52)
    inner[:, 2:5, 1:5] = rng.uniform(0.1, 1.0, (1, 3, 4))
    phasors, amplitudes = closed(inner)
    for twin in (3.7 * inner, np.roll(inner, (2, -1), axis=(1, 2))):
        found = closed(twin)
        np.testing.assert_allclose(found[0], phasors, atol=1e-9)
        np.testing.assert_allclose(found[1], amplitudes, atol=1e-9)
    assert np.max(np.abs(closed(inner[:, ::-1])[0] - phasors)) > 0.1


def test_flux_and_centre_of_light_tell_what_closures_do_not():
    image = np.zeros((1, SIDE, SIDE))
    image[0, 2, 5], image[0, 4, 1] = 3.0, 1.0
    np.testing.assert_allclose(OPERATOR(image)[0, C + Q :], [4.0, 2.5, 4.0], rtol=1e-13)
    np.testing.assert_allclose(OPERATOR(IMAGES).shape, (3, C + Q + 3))
    uniform = OPERATOR(np.full((1, SIDE, SIDE), 0.1))[0, C + Q :]
    np.testing.assert_allclose(uniform, [4.9, 3.0, 3.0], rtol=1e-12)


def test_pull_is_the_transposed_jacobian():
    rng = np.random.default_rng(52)
    v, along, step = rng.standard_normal((3, C + Q + 3)), rng.standard_normal(IMAGES.shape), 1e-7
    pushed = OPERATOR(IMAGES + step * along) - OPERATOR(IMAGES - step * along)
    pushed[:, :C] -= 2 * np.pi * np.round(pushed[:, :C] / (2 * np.pi))
    expected = np.sum(pushed / (2 * step) * v, axis=1)
    assert OPERATOR.linear is False
    np.testing.assert_allclose(np.sum(OPERATOR.pull(IMAGES, v) * along, axis=(1, 2)), expected, rtol=1e-5)


def evaluate(operator, x, v):
    """A(x), and J^T v by automatic differentiation and by `pull`."""
    value, pull = vjp(operator, x)
    return value, pull(v), operator.pull(x, v)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-10), ("float32", 1e-2)])
@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_frameworks_agree_and_differentiate_to_pull(framework, dtype, tolerance, relative):
    """In JAX compiled, the operator an argument. Small visibilities have lost digits in float32."""
    v = np.random.default_rng(52).standard_normal((3, C + Q + 3))
    there = [to(part, framework, dtype=dtype) for part in (OPERATOR, IMAGES, v)]
    value, differentiated, pulled = (jax.jit(evaluate) if framework == "jax" else evaluate)(*there)
    assert np.asarray(value).dtype == np.asarray(pulled).dtype == dtype
    turned = np.asarray(value)[:, :C] - OPERATOR(IMAGES)[:, :C]
    assert np.max(np.abs(np.sin(turned / 2))) < tolerance
    assert relative(value[:, C:], OPERATOR(IMAGES)[:, C:]) < tolerance
    assert relative(differentiated, OPERATOR.pull(IMAGES, v)) < tolerance
    assert relative(pulled, OPERATOR.pull(IMAGES, v)) < tolerance


def test_fewer_stations_have_no_closures():
    pair = {name: STATIONS[name] for name in ("ALMA", "LMT")}
    with pytest.raises(UsageError, match="closure phases need three stations in one scan"):
        triangles(observe(pair))
    three = {name: STATIONS[name] for name in ("ALMA", "LMT", "SMT")}
    assert len(triangles(observe(three))) > 0
    with pytest.raises(UsageError, match="closure amplitudes need four stations in one scan"):
        quadrangles(observe(three))
