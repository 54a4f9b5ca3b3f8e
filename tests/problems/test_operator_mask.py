"""Masks, grey from colour, and Walsh-Hadamard sensing: against their matrix, and what they show and hide."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg

from problems.arrays import make_key
from problems.names import UsageError
from problems.operator_hadamard import hadamard_sensing, walsh_hadamard
from problems.operator_mask import HIDDEN, box, colour, half, identity, masked, random_pixels
from tests.problems.dense import agrees_in_all_frameworks, close, every_law, matrix_of, obeys

RNG = np.random.default_rng(14)
OPERATORS = {
    "identity": identity((3, 4)),
    "half": half((3, 5, 4), "left"),
    "box": box((6, 8), make_key("numpy", [1])),
    "random": random_pixels((2, 4, 5), make_key("numpy", [2]), 0.7),
    "uneven channels": masked(RNG.uniform(size=(3, 2, 4)) < 0.4, (3, 2, 4)),
    "vector": random_pixels((9,), make_key("numpy", [3]), 0.5),
    "colour": colour((3, 4, 5)),
    "sensing": hadamard_sensing((4, 8), make_key("numpy", [4])),
    "sensing, in colour": hadamard_sensing((3, 4, 4), make_key("numpy", [5]), ratio=3),
}


def shown(operator) -> np.ndarray:
    """Which entries of x a mask shows."""
    return operator.project_range(np.ones((1, *operator.shape)))[0] == 1


@every_law
@pytest.mark.parametrize("name", OPERATORS)
def test_it_does_what_its_matrix_does(name, law):
    obeys(OPERATORS[name], law)


@pytest.mark.parametrize("name", ["random", "colour", "sensing, in colour"])
def test_every_row_may_have_a_weight_of_its_own(name):
    operator = OPERATORS[name]
    a, rng = matrix_of(operator), np.random.default_rng(3)
    x, on = rng.standard_normal((3, *operator.shape)), rng.uniform(size=operator.rank)
    vt = a / np.linalg.norm(a, axis=1, keepdims=True)
    flat = x.reshape(3, -1)
    expected = -0.4 * flat + flat @ ((vt.T * (on + 0.4)) @ vt)
    close(operator.spectral(x, on, -0.4), expected.reshape(x.shape))
    close(operator.spectral_energy(x, on), (flat @ vt.T) ** 2 @ on)


@pytest.mark.parametrize("name", ["random", "colour", "sensing, in colour"])
def test_torch_and_jax_compute_what_numpy_does(name):
    agrees_in_all_frameworks(OPERATORS[name])


def test_a_mask_shows_entries_as_they_are_and_in_their_order():
    x = RNG.standard_normal((2, 3, 4, 4))
    seen = RNG.uniform(size=(4, 4)) < 0.5
    assert np.array_equal(masked(seen, (3, 4, 4))(x), x[:, :, seen].reshape(2, -1))
    assert np.array_equal(identity((3, 4, 4))(x), x.reshape(2, -1))


@pytest.mark.parametrize(
    ("hidden", "rows", "columns"),
    [
        ("lower", slice(0, 3), slice(None)),
        ("upper", slice(2, 5), slice(None)),
        ("left", slice(None), slice(2, 4)),
        ("right", slice(None), slice(0, 2)),
    ],
)
def test_a_half_is_hidden(hidden, rows, columns):
    """Of five rows two are hidden: the one in the middle is seen."""
    x = RNG.standard_normal((2, 3, 5, 4))
    assert np.array_equal(half((3, 5, 4), hidden)(x), x[:, :, rows, columns].reshape(2, -1))


def test_the_box_of_dps():
    """128 x 128 of 256 x 256 pixels, at least 16 from the border, in all channels (arXiv 2209.14687)."""
    for word in range(5):
        seen = shown(box((2, 256, 256), make_key("numpy", [word])))
        assert np.array_equal(seen[0], seen[1])
        rows, columns = (np.flatnonzero(~seen[0].all(axis=axis)) for axis in (1, 0))
        for hidden in (rows, columns):
            assert len(hidden) == 128
            assert hidden[0] >= 16
            assert hidden[-1] <= 256 - 17
        assert np.count_nonzero(~seen[0]) == 128**2


def test_the_box_may_be_at_every_place_alike():
    places = np.zeros((4, 3))
    for word in range(600):
        seen = shown(box((10, 8), make_key("numpy", [word]), size=0.5, margin=0.1))
        row, column = (np.flatnonzero(~seen.all(axis=axis))[0] for axis in (1, 0))
        places[row - 1, column - 1] += 1
    assert np.all(np.abs(places - 50) < 5 * 50**0.5)


def test_random_pixels_hide_their_share_anywhere():
    share = {name: shown(random_pixels((256, 256), make_key("numpy", [6]), hidden)) for name, hidden in HIDDEN.items()}
    assert {name: round(1 - seen.mean(), 4) for name, seen in share.items()} == {"dps": 0.92, "daps": 0.7, "ddrm": 0.5}
    often = np.mean([shown(random_pixels((3, 5), make_key("numpy", [word]), 0.4)) for word in range(600)], axis=0)
    assert np.all(np.abs(often - 0.6) < 5 * (0.24 / 600) ** 0.5)


def test_channels_lose_the_same_pixels():
    seen = shown(random_pixels((3, 8, 8), make_key("numpy", [7])))
    assert np.array_equal(seen, np.broadcast_to(seen[0], seen.shape))


def test_grey_is_the_mean_over_channels():
    x = RNG.standard_normal((2, 3, 4, 5))
    operator = OPERATORS["colour"]
    close(operator(x), ((x[:, 0] + x[:, 1] + x[:, 2]) / 3).reshape(2, -1))
    close(operator.singular_values, np.full(20, 3**-0.5))
    grey = RNG.standard_normal((2, 1, 4, 5)) * np.ones((1, 3, 1, 1))
    close(operator.pseudo_inverse(operator(grey)), grey)


@pytest.mark.parametrize("d", [1, 2, 8, 64])
def test_the_transform_is_that_of_sylvesters_matrix(d):
    v = RNG.standard_normal((3, d))
    close(walsh_hadamard(v), v @ scipy.linalg.hadamard(d) / d**0.5)
    close(walsh_hadamard(walsh_hadamard(v)), v)


def test_sensing_keeps_some_coefficients_of_every_channel():
    plain = hadamard_sensing((2, 4, 8), make_key("numpy", [8]), ratio=4, flip=False)
    assert len(plain.kept) == 8
    rows = scipy.linalg.hadamard(32)[plain.kept] / 32**0.5
    close(matrix_of(plain), np.kron(np.eye(2), rows))
    flipped = hadamard_sensing((2, 4, 8), make_key("numpy", [8]), ratio=4)
    assert set(flipped.signs) == {-1.0, 1.0}
    close(matrix_of(flipped), np.kron(np.eye(2), rows * flipped.signs))


@pytest.mark.parametrize("ratio", [1, 2, 5])
def test_sensing_measures_one_of_ratio_coefficients(ratio):
    operator = hadamard_sensing((3, 8, 8), make_key("numpy", [9]), ratio)
    assert operator.rank == 3 * (64 // ratio)
    assert np.all(np.diff(operator.kept) > 0)


def test_signs_and_coefficients_are_drawn_evenly():
    drawn = [hadamard_sensing((4, 4), make_key("numpy", [word])) for word in range(600)]
    often = np.bincount(np.concatenate([one.kept for one in drawn]), minlength=16) / 600
    assert np.all(np.abs(often - 0.25) < 5 * (0.1875 / 600) ** 0.5)
    assert np.all(np.abs(np.mean([one.signs for one in drawn], axis=0)) < 5 / 600**0.5)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: masked(np.ones((3, 4)), (3, 4)), "boolean"),
        (lambda: masked(np.ones((4, 3), bool), (3, 4)), r"has the shape \(3, 4\)"),
        (lambda: masked(np.zeros((3, 4), bool), (3, 4)), "shows something, got 0"),
        (lambda: half((4, 4), "top"), "no half 'top'; there are: left, lower, right, upper"),
        (lambda: half((4,)), r"got \(4,\)"),
        (lambda: box((8, 8), make_key("numpy", [0]), size=0.9, margin=0.25), "do not fit into 8 pixels"),
        (lambda: box((8, 8), make_key("numpy", [0]), size=0.0), "do not fit"),
        (lambda: box((8, 8), make_key("numpy", [0]), margin=-0.2), "do not fit"),
        (lambda: random_pixels((4, 4), make_key("numpy", [0]), 1.0), "from 0 to below 1, got 1 of 16"),
        (lambda: random_pixels((4, 4), make_key("numpy", [0]), -0.5), "got -0.5"),
        (lambda: colour((8, 8)), r"\(channels, h, w\), got \(8, 8\)"),
        (lambda: hadamard_sensing((6, 8), make_key("numpy", [0])), r"2\^k pixels .* got 48"),
        (lambda: hadamard_sensing((4, 4), make_key("numpy", [0]), 17), "got 16 and 17"),
        (lambda: hadamard_sensing((4, 4), make_key("numpy", [0]), 0), "got 16 and 0"),
    ],
)
def test_bad_input_is_refused(build, message):
    with pytest.raises(UsageError, match=message):
        build()
