from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

import problems
import scores
from problems.arrays import make_key
from scores import transport
from scores.candidate import Candidate
from scores.directions import projection_directions, sorted_projections

DISTANCES = {"w1": transport.w1, "sw1": transport.sw1, "sw2": transport.sw2, "max_sw2": transport.max_sw2}


def gaussian(build, d, spread=1.0):
    root = np.tril(np.full((d, d), 0.3)) + np.diag(np.linspace(0.5, 1.5, d))
    return build([1.0], np.linspace(-2.0, 3.0, d)[None], [spread**2 * root @ root.T])


def distances(x, instance, reference, names=tuple(DISTANCES)):
    candidate = Candidate(x, instance, reference, 1.0)
    return {name: DISTANCES[name](candidate) for name in names}


@pytest.mark.parametrize("d", [2, 3])
def test_distance_of_a_shift(build, rng, d):
    instance = gaussian(build, d)
    reference = scores.reference(instance, 150, [3])
    shift = rng.standard_normal(d)
    found = distances(rng.permutation(reference.x) + shift, instance, reference)
    along = np.abs(projection_directions(d).astype(float) @ shift)
    assert found["w1"] == pytest.approx(np.linalg.norm(shift), rel=1e-9)
    assert found["sw1"] == pytest.approx(np.mean(along), rel=1e-5)
    assert found["sw2"] == pytest.approx(np.mean(along**2) ** 0.5, rel=1e-5)
    assert found["max_sw2"] == pytest.approx(np.max(along), rel=1e-5)


@pytest.mark.parametrize("d", [2, 8, 80])
def test_sliced_distances_of_a_shift_in_closed_form(build, rng, d):
    """E|theta.delta| = |delta| Gamma(d/2) / (sqrt(pi) Gamma((d+1)/2)); the largest of 1000 is near |delta| at d = 2."""
    instance = gaussian(build, d)
    reference = scores.reference(instance, 40, [3])
    shift = rng.standard_normal(d)
    found = distances(reference.x + shift, instance, reference, ("sw1", "max_sw2"))
    norm = np.linalg.norm(shift)
    expected = norm * math.exp(math.lgamma(d / 2) - math.lgamma((d + 1) / 2)) / math.sqrt(math.pi)
    standard_error = math.sqrt(norm**2 / d - expected**2) / math.sqrt(1000)
    assert abs(found["sw1"] - expected) < 4 * standard_error
    assert found["max_sw2"] <= norm * (1 + 1e-6)
    if d == 2:
        assert found["max_sw2"] > 0.9999 * norm


def test_distance_of_a_scaling(build):
    """x -> c x, c > 1: W1 = (c - 1) E|x| (dual potential |x|), and every slice is scaled by c."""
    instance = build([1.0], [[0.2, -0.4, 0.1]], [np.diag([1.0, 0.3, 2.0])])
    reference = scores.reference(instance, 200, [4])
    found = distances(1.6 * reference.x, instance, reference)
    along = reference.x @ projection_directions(3).astype(float).T
    assert found["w1"] == pytest.approx(0.6 * np.mean(np.linalg.norm(reference.x, axis=1)), rel=1e-9)
    assert found["sw1"] == pytest.approx(0.6 * np.mean(np.abs(along)), rel=1e-5)
    assert found["sw2"] == pytest.approx(0.6 * np.mean(along**2) ** 0.5, rel=1e-5)
    assert found["max_sw2"] == pytest.approx(0.6 * np.max(np.sqrt(np.mean(along**2, axis=0))), rel=1e-5)


def test_distances_are_symmetric_and_vanish_on_the_reference(build, rng):
    instance = gaussian(build, 3)
    reference = scores.reference(instance, 120, [5])
    other = rng.standard_normal((120, 3)) * [0.4, 1.0, 2.0]
    swapped = dataclasses.replace(reference, x=other, projections=sorted_projections(other, reference.origin))
    there, back = distances(other, instance, reference), distances(reference.x, instance, swapped)
    for name in DISTANCES:
        assert there[name] == pytest.approx(back[name], rel=1e-6)
        assert there[name] > 0.1
    itself = distances(rng.permutation(reference.x), instance, reference)
    assert max(itself.values()) < 1e-6


def test_single_precision_does_not_show(build, rng):
    """Samples far from the origin beside their spread: the float32 projections keep five digits of the distance."""
    instance = build([1.0], [[3e4, -1e4, 2e4, 5e3, 7e3]], [np.eye(5) * 0.01])
    reference = scores.reference(instance, 100, [6])
    x = instance.posterior.sample(make_key("numpy", [8]), 100) + 0.02 * rng.standard_normal(5)
    directions = projection_directions(5).astype(float)
    apart = np.sort(directions @ x.T, axis=1) - np.sort(directions @ reference.x.T, axis=1)
    found = distances(x, instance, reference, ("sw1", "max_sw2"))
    assert found["sw1"] == pytest.approx(np.mean(np.abs(apart)), rel=1e-5)
    assert found["max_sw2"] == pytest.approx(np.sqrt(np.max(np.mean(apart**2, axis=1))), rel=1e-5)


def test_enormous_samples_have_an_enormous_distance(build):
    instance = gaussian(build, 2)
    reference = scores.reference(instance, 50, [7])
    x = reference.x.copy()
    x[3] = [3e30, -4e30]
    found = {name: value for name, (value, _) in scores.evaluate(x, instance, reference, data_range=1.0).items()}
    assert found["w1"] == pytest.approx(5e30 / 50, rel=1e-6)
    assert found["max_sw2"] == pytest.approx(5e30 / math.sqrt(50), rel=1e-3)
    assert found["sw1"] == pytest.approx(5e30 / 50 * 2 / math.pi, rel=0.1)


def test_a_solver_that_stops_early_is_an_error(build, monkeypatch):
    instance = gaussian(build, 2)
    reference = scores.reference(instance, 200, [8])
    monkeypatch.setattr(transport, "_PIVOTS", 3)
    with pytest.raises(UserWarning, match="numItermax"):
        distances(reference.x + 1.0, instance, reference, ("w1",))


@pytest.mark.parametrize(
    ("d", "expected"),
    [
        (2, {"w1": (0.149, 0.013), "sw1": (0.0570, 0.0118), "max_sw2": (0.0960, 0.017)}),
        (8, {"sw1": (0.0570, 0.0060), "max_sw2": (0.1405, 0.018)}),
    ],
)
def test_floors_of_the_standard_normal(build, d, expected):
    """Two samples of 1000 from N(0, I_d): mean and sd of one pair, from 100 to 5000 pairs.

    Every direction sees two samples of N(0, 1), so the mean of SW1 is the same at every d: .0570.
    """
    instance = build([1.0], np.zeros((1, d)), [np.eye(d)])
    pairs = []
    for pair in range(16):
        x = instance.posterior.sample(make_key("numpy", [pair, 77]), 1000)
        pairs.append(distances(x, instance, scores.reference(instance, 1000, [pair]), tuple(expected)))
    for name, (mean, std) in expected.items():
        found = [pair[name] for pair in pairs]
        assert abs(np.mean(found) - mean) < 4 * std / math.sqrt(len(pairs))
        assert 0.4 * std < np.std(found) < 2.0 * std


ROWS = {  # W1 and SW1 at n = 1000 against exact draws, with the sd over pairs
    "stratified": ((0.016, 0.002), (0.006, 0.002)),
    "random counts": ((0.027, 0.011), (0.013, 0.007)),
    "equal weights": ((0.267, 0.019), (0.169, 0.012)),
    "prior": ((0.299, 0.030), (0.189, 0.019)),
    "major mode only": ((0.433, 0.019), (0.275, 0.013)),
}


@pytest.mark.parametrize("row", ROWS)
def test_distances_on_the_two_mode_problem(row):
    instance = problems.load("seed2d", 0)
    posterior, key = instance.posterior, make_key("numpy", [12])
    found = []
    for pair in range(6):
        reference = scores.reference(instance, 1000, [pair])
        x = {
            "stratified": lambda: posterior.sample_components(key, np.repeat([0, 1], [696, 304])),
            "random counts": lambda: posterior.sample(key, 1000),
            "equal weights": lambda: posterior.sample_components(key, np.repeat([0, 1], 500)),
            "prior": lambda: instance.problem.prior.sample(key, 1000),
            "major mode only": lambda: posterior.sample_components(key, np.zeros(1000, dtype=int)),
        }[row]()
        found.append(distances(x, instance, reference, ("w1", "sw1")))
    for name, (mean, std) in zip(("w1", "sw1"), ROWS[row], strict=True):
        assert abs(np.mean([pair[name] for pair in found]) - mean) < std
