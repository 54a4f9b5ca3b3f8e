"""Weights survive the disk, and a file that is not what it should be is refused in one sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from problems.learned import LearnedPrior, learned_prior
from problems.mlp import MLP
from problems.names import UsageError
from problems.networks import initial
from problems.unet import UNet
from problems.weight_files import architecture_of, described, digest, load, save

CARD = {"data": "made-up pictures", "command": "python -m something --steps 3", "licence": "CC0"}
UNET = UNet(widths=(4, 8), groups=2, attention=True)


def prior_of(architecture: Any, shape: tuple[int, ...]) -> LearnedPrior:
    return learned_prior(initial(architecture, 5), np.random.default_rng(0).random((9, *shape)))


@pytest.fixture
def written(tmp_path: Path) -> Path:
    save(tmp_path / "prior.safetensors", prior_of(UNET, (8, 8)), CARD)
    return tmp_path / "prior.safetensors"


def changed(path: Path, arrays: dict[str, Any] | None = None, card: dict[str, Any] | None = None) -> Path:
    """The file with some arrays and entries of the header replaced, or dropped where None; its digest is kept up."""
    from safetensors import safe_open
    from safetensors.numpy import load_file, save_file

    with safe_open(path, framework="numpy") as file:
        header = file.metadata()
    content = {**load_file(path), **(arrays or {})}
    content = {name: array for name, array in content.items() if array is not None}
    header = {**header, "digest": digest(content), **(card or {})}
    save_file(content, path, metadata={name: text for name, text in header.items() if text is not None})
    return path


@pytest.mark.parametrize(
    ("architecture", "shape"),
    [(UNET, (8, 12)), (UNet(channels=3, widths=(4,), groups=4), (3, 5, 5)), (MLP(7, 6), (7,))],
)
def test_a_prior_comes_back_in_single_precision(architecture, shape, tmp_path):
    prior = prior_of(architecture, shape)
    save(tmp_path / "x.safetensors", prior, {**CARD, "seed": "7"})
    back, card = load(tmp_path / "x.safetensors")
    assert back.weights.architecture == architecture
    assert back.shape == shape
    for name in ("mean", "std", "diameter", "sigma_data"):
        array = getattr(back, name)
        assert (array.dtype, array.shape) == (np.float64, getattr(prior, name).shape)
        np.testing.assert_array_equal(array, np.float32(getattr(prior, name)))
    np.testing.assert_array_equal(back.weights.flat, prior.weights.flat.astype("float32"))
    assert back.weights.flat.dtype == np.float64
    assert CARD.items() < card.items()
    assert card["seed"] == "7"
    assert len(card["digest"]) == 16
    np.testing.assert_allclose(back.denoise(prior.mean[None], 0.3), prior.denoise(prior.mean[None], 0.3), rtol=1e-4)


def test_an_incomplete_card_is_not_written(tmp_path):
    with pytest.raises(UsageError, match="this one lacks command, licence"):
        save(tmp_path / "x.safetensors", prior_of(UNET, (8, 8)), {"data": "some"})


def test_missing_unknown_and_misshapen_arrays_are_named(written):
    arrays = {
        "stem.bias": None,
        "another": np.zeros(2, np.float32),
        "head.bias": np.zeros(3, np.float32),
        "last.norm.gain": np.full(4, np.nan, np.float32),
        "data.diameter": np.zeros(()),
    }
    with pytest.raises(UsageError) as error:
        load(changed(written, arrays))
    assert str(error.value) == (
        f"the arrays in {written} do not fit its architecture; missing: stem.bias; unknown: another; of another type "
        "than float32: data.diameter; of another shape: head.bias (3,) for (1,); not finite: last.norm.gain"
    )


def test_weights_of_another_architecture_are_refused(written):
    other = described(UNet(widths=(4, 8, 8), groups=2))
    with pytest.raises(UsageError, match=r"missing: down\.2\.0\.norm\.gain, .* and \d+ more; unknown: attention"):
        load(changed(written, card={"architecture": other}))


def test_a_network_that_does_not_take_the_pictures_it_was_trained_on_is_refused(written):
    arrays = {name: np.zeros((7, 8), np.float32) for name in ("data.mean", "data.std")}
    with pytest.raises(UsageError, match=r"sides that are multiples of 2, got the shape \(7, 8\)"):
        load(changed(written, arrays))


def test_a_changed_number_is_found(written):
    with pytest.raises(UsageError, match="was changed: its header has the digest 0123, its arrays"):
        load(changed(written, card={"digest": "0123"}))


def test_a_file_without_a_card_is_refused(written):
    with pytest.raises(UsageError, match="no file of train_prior: its header lacks command, licence"):
        load(changed(written, card={"command": None, "licence": None}))


def test_broken_and_missing_files_are_refused(written):
    with pytest.raises(UsageError, match=r"cannot read weights from .*none"):
        load(written.with_name("none.safetensors"))
    written.write_bytes(written.read_bytes()[:-40])
    with pytest.raises(UsageError, match="cannot read weights from"):
        load(written)
    written.write_text("a text")
    with pytest.raises(UsageError, match="cannot read weights from"):
        load(written)


@pytest.mark.parametrize("architecture", [UNET, UNet(), MLP(3), MLP(5, 6, 7, 8)])
def test_an_architecture_is_read_as_it_was_written(architecture):
    assert architecture_of(described(architecture), "x") == architecture


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("no json", "x names no architecture, but 'no json'"),
        ("[1]", "names no architecture"),
        ('{"dim": 3}', "names no architecture"),
        ('{"kind": "unit"}', "no architecture in x 'unit'; did you mean 'unet'"),
        ('{"kind": "mlp", "dim": 3, "depth": 2}', "unknown here, with depth"),
        ('{"kind": "mlp", "dim": "3"}', "unknown here, with dim"),
        ('{"kind": "mlp"}', "incomplete architecture 'mlp'"),
        (json.dumps({"kind": "unet", "widths": [4, 5]}), "sizes of a U-Net"),
    ],
)
def test_other_texts_are_no_architecture(text, words):
    with pytest.raises(UsageError, match=words):
        architecture_of(text, "x")


def test_the_digest_depends_on_names_shapes_and_contents():
    arrays = {"a": np.arange(6.0, dtype="float32"), "b": np.zeros(2, "float32")}
    others = [
        {"a": arrays["a"].reshape(2, 3), "b": arrays["b"]},
        {"c": arrays["a"], "b": arrays["b"]},
        {"a": arrays["a"] + 1, "b": arrays["b"]},
        {"a": arrays["a"].astype("float64"), "b": arrays["b"]},
    ]
    assert len({digest(one) for one in (arrays, *others)}) == 5
    assert digest(arrays) == digest(dict(reversed(arrays.items())))
