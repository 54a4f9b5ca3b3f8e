"""Training learns: a known answer where there is one, less error elsewhere; stopped and continued, the same weights."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from PIL import Image

from benchmarks import train_prior
from benchmarks.prior_data import Pictures, digits, pictures_of
from benchmarks.prior_pictures import decibels
from benchmarks.prior_quality import LEVELS, gain, held_out_loss, samples
from benchmarks.prior_training import (
    UNIFORM_SHARE,
    Recipe,
    Training,
    checkpoint,
    matching_loss,
    noise_levels,
)
from problems.arrays import make_key
from problems.contract import to
from problems.gaussian_mixture import gaussian_mixture
from problems.learned import SIGMA_MAX, SIGMA_MIN, LearnedPrior, learned_prior
from problems.mlp import MLP
from problems.names import UsageError
from problems.networks import initial
from problems.unet import UNet

SMALL = MLP(dim=64, width=48, blocks=2, embedding=24)


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@dataclass(frozen=True)
class Linear:
    """F = x W + b, whatever the noise level."""

    dim: int

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {"map.weight": (self.dim, self.dim), "map.bias": (self.dim,)}

    def forward(self, p: Mapping[str, Any], x: Any, noise_level: Any) -> Any:  # noqa: ARG002
        return x @ p["map.weight"] + p["map.bias"][None]


def trained(architecture: Any, pictures: np.ndarray, recipe: Recipe) -> LearnedPrior:
    training = Training(learned_prior(initial(architecture, recipe.seed), pictures), pictures, recipe)
    while len(training.losses) < recipe.steps:
        training.step()
    return training.prior()


def test_a_linear_network_trained_on_gaussian_data_is_the_wiener_denoiser():
    """At one noise level; the others would need another matrix."""
    rng, sigma = np.random.default_rng(1), 0.6
    root = np.array([[0.5, 0.0, 0.0], [0.6, 0.8, 0.0], [-0.3, 0.4, 0.2]])
    points = np.array([1.0, -2.0, 0.5]) + rng.standard_normal((4000, 3)) @ root.T
    recipe = Recipe(steps=1500, batch=256, rate=0.03, decay=0.0, sigma_min=sigma, sigma_max=sigma)
    learned = trained(Linear(3), points, recipe)
    exact = gaussian_mixture(np.ones(1), points.mean(axis=0)[None], np.cov(points.T)[None], (3,))
    x = points[:500] + sigma * rng.standard_normal((500, 3))
    error = learned.denoise(x, sigma) - exact.denoise(x, np.array(sigma))
    isotropic = replace(learned, weights=replace(learned.weights, flat=0 * learned.weights.flat)).denoise(x, sigma)
    assert np.std(error) < 0.02 * np.std(isotropic - exact.denoise(x, np.array(sigma))) + 0.01
    assert np.std(isotropic - exact.denoise(x, np.array(sigma))) > 0.1


def test_training_lowers_the_loss_on_held_out_digits_below_that_of_a_gaussian():
    data = digits()
    network = MLP(dim=64, width=128, blocks=3)
    learned = trained(network, data.train, Recipe(steps=1200, rate=3e-3, seed=2))
    untrained = learned_prior(initial(network, 2), data.train)
    before, after = (held_out_loss(prior, data.held_out, 0) for prior in (untrained, learned))
    assert before == pytest.approx(1, abs=0.05)
    assert after < 0.70  # that of a Gaussian with the moments of the training pictures is .71
    found = gain(learned, data.train, data.held_out, 0)
    middle = (LEVELS > 0.1) & (LEVELS < 0.6)
    assert np.all(decibels(found)[middle] > 0.3)
    variances = np.linalg.eigvalsh(np.cov(data.train.reshape(len(data.train), -1).T))[:, None]
    wiener = np.sqrt(np.mean(variances * LEVELS**2 / (variances + LEVELS**2), axis=0))
    np.testing.assert_allclose(found.gaussian, wiener, rtol=0.05)
    deviation = np.sqrt(np.mean((data.held_out - data.train.mean(axis=0)) ** 2))
    np.testing.assert_allclose(found.gaussian[-1], deviation, rtol=0.02)
    np.testing.assert_allclose(found.learned[-1], deviation, rtol=0.05)
    drawn = samples(learned, 16, seed=0, steps=20)
    assert drawn.shape == (16, 8, 8)
    assert np.abs(drawn.mean(axis=0) - data.train.mean(axis=0)).mean() < 0.15
    assert 0.3 < drawn.std(axis=0).mean() / data.train.std(axis=0).mean() < 1.7


@pytest.mark.parametrize("architecture", [SMALL, UNet(widths=(8, 16), groups=4)], ids=["mlp", "unet"])
def test_a_resumed_training_is_the_uninterrupted_one(architecture, tmp_path):
    pictures = digits().train[:200]
    start = learned_prior(initial(architecture, 1), pictures)
    recipe = Recipe(steps=14, batch=16, seed=1)
    whole = Training(start, pictures, recipe)
    first = Training(start, pictures, recipe)
    for k in range(14):
        whole.step()
        if k < 6:
            first.step()
    first.save(tmp_path / "checkpoint.pt", "some digits")
    second = Training(start, pictures, recipe)
    second.step()  # what it did before is forgotten
    second.resume(tmp_path / "checkpoint.pt", "some digits")
    for _ in range(8):
        second.step()
    assert second.losses == whole.losses
    np.testing.assert_array_equal(second.prior().weights.flat, whole.prior().weights.flat)
    assert np.any(whole.prior().weights.flat != first.prior().weights.flat)


def test_the_gaussian_of_few_pictures_denoises_nearly_as_that_of_many():
    """With fewer pictures than entries the sample covariance has directions without variance."""
    family = Pictures(*(load_digits_model(k, n) for k, n in ((0, 40), (1, 300))), "draws", "CC0")
    start = learned_prior(initial(SMALL, 0), family.train)
    few = gain(start, family.train, family.held_out, 0).gaussian
    many = gain(start, load_digits_model(2, 4000), family.held_out, 0).gaussian
    assert np.all(few < 1.6 * many)
    assert few[0] == pytest.approx(LEVELS[0], rel=0.1)


def load_digits_model(seed: int, n: int) -> np.ndarray:
    from problems import load

    return load("digits-inpaint-model", 0).problem.prior.sample(make_key("numpy", [77, seed]), n).astype(np.float32)


def test_the_seed_decides_all():
    pictures = digits().train[:100]
    one, again, other = (
        trained(SMALL, pictures, Recipe(steps=3, batch=8, seed=seed)).weights.flat for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, again)
    assert np.mean(one != other) > 0.5


def test_a_checkpoint_of_another_training_is_refused(tmp_path):
    pictures = digits().train[:100]
    start, path = learned_prior(initial(SMALL, 0), pictures), tmp_path / "checkpoint.pt"
    Training(start, pictures, Recipe(steps=3)).save(path, "digits")
    with pytest.raises(UsageError, match="with data digits and not pears; seed 0 and not 4; give another --out"):
        Training(start, pictures, Recipe(steps=3, seed=4)).resume(path, "pears")
    wider = learned_prior(initial(replace(SMALL, width=50), 0), pictures)
    with pytest.raises(UsageError, match=r"with network \{.*48.*\} and not \{.*50"):
        Training(wider, pictures, Recipe(steps=3)).resume(path, "digits")


class Hostile:
    """Unpickled freely it would leave a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_a_checkpoint_with_code_in_it_is_refused(tmp_path):
    left, path = tmp_path / "left", tmp_path / "checkpoint.pt"
    torch.save({"settings": Hostile(left)}, path)
    with pytest.raises(UsageError, match="cannot read the checkpoint"):
        checkpoint(path)
    path.write_bytes(pickle.dumps(Hostile(left)))
    with pytest.raises(UsageError, match="cannot read the checkpoint"):
        checkpoint(path)
    assert not left.exists()
    torch.save({"settings": "{}"}, path)
    with pytest.raises(UsageError, match="is no checkpoint of a training"):
        checkpoint(path)


def test_a_rate_that_is_far_too_high_is_told():
    pictures = digits().train[:100]
    with pytest.raises(UsageError, match=r"the loss of step \d+ is (nan|inf): try a lower --rate than 1e\+30"):
        trained(SMALL, pictures, Recipe(steps=20, rate=1e30))


def test_the_rate_rises_and_falls():
    recipe = Recipe(steps=1000, rate=2.0)
    rates = [recipe.rate_at(step) for step in range(1000)]
    assert rates[0] == pytest.approx(0.1, rel=1e-3)
    assert rates[9] == pytest.approx(1.0, rel=1e-3)
    assert max(rates) == pytest.approx(2.0, rel=5e-3)
    assert rates[500] == pytest.approx(1.0)
    assert 0 < rates[999] < 1e-4
    assert Recipe(steps=1).rate_at(0) == Recipe(steps=1).rate


def test_noise_levels_are_log_normal_with_uniform_tails():
    deviation, recipe = torch.tensor(0.3), Recipe(steps=1)
    found = [noise_levels(make_key("torch", [k]), 40, recipe, deviation) for k in range(500)]
    levels = np.log(torch.cat(found).numpy().astype(float))
    low, high = np.log(SIGMA_MIN), np.log(SIGMA_MAX)
    assert levels.min() >= low - 1e-5
    assert levels.max() <= high + 1e-5
    normal = scipy.stats.norm(np.log(0.6 * 0.3), 1.2)
    for place in np.linspace(low + 0.1, high - 0.1, 12):
        expected = UNIFORM_SHARE * (place - low) / (high - low) + (1 - UNIFORM_SHARE) * normal.cdf(place)
        assert np.mean(levels < place) == pytest.approx(expected, abs=0.01)
    spread = np.array([np.mean(np.log(one.numpy())) for one in found]).std()
    assert spread < 0.5 * levels.std() / np.sqrt(40), "a batch covers the levels evenly"


def test_the_loss_is_the_published_one():
    """Eq. 8 with lambda(sigma) = (sigma^2 + sigma_data^2) / (sigma sigma_data)^2, for the same draws."""
    pictures = digits().train[:40].astype(float)
    start = initial(SMALL, 3)
    weights = replace(start, flat=start.flat + 0.1 * np.random.default_rng(0).standard_normal(start.flat.shape))
    prior: Any = to(learned_prior(weights, pictures), "torch", dtype="float64")
    clean, recipe = torch.tensor(pictures) - prior.mean, Recipe(steps=1, sigma_min=0.2, sigma_max=2.0)
    key = make_key("torch", [5])
    sigma = noise_levels(key, 40, recipe, prior.sigma_data)[:, None, None]
    x = clean + sigma * torch.randn(40, 8, 8, generator=key, dtype=torch.float64)
    error = prior.denoise(x + prior.mean, sigma[:, 0, 0]) - prior.mean - clean
    weight = (sigma**2 + prior.sigma_data**2) / (sigma * prior.sigma_data) ** 2
    found = matching_loss(prior.weights, clean, make_key("torch", [5]), prior.sigma_data, recipe)
    np.testing.assert_allclose(float(found), float(torch.mean(weight * error**2)), rtol=1e-10)


def images(folder: Path, sizes: list[tuple[int, int]], mode: str = "L") -> Path:
    """Images of (width, height), each of one shade."""
    folder.mkdir()
    for k, size in enumerate(sizes):
        Image.new(mode, size, k if mode == "L" else (k, 2 * k, 3 * k)).save(folder / f"{k:03d}.png")
    return folder


def test_a_folder_of_images_is_read(tmp_path):
    found = pictures_of(str(images(tmp_path / "grey", [(6, 4)] * 30)), licence="CC0")
    assert (found.train.shape, found.held_out.shape) == ((27, 4, 6), (3, 4, 6))
    assert found.train.dtype == np.float32
    np.testing.assert_allclose(found.held_out[:, 0, 0] * 255, [9, 19, 29], rtol=1e-6)
    np.testing.assert_allclose(found.train[:3, 0, 0] * 255, [0, 1, 2], rtol=1e-6)
    assert found.licence == "CC0"
    assert found.described.startswith("images in the folder grey; 27 for training, each 4x6, digest ")
    coloured = pictures_of(str(images(tmp_path / "colours", [(6, 4)] * 30, "RGB")), colour=True)
    assert coloured.shape == (3, 4, 6)
    np.testing.assert_allclose(coloured.train[5, :, 1, 1] * 255, [5, 10, 15], rtol=1e-6)


def test_squares_are_cut_out_of_images_of_any_size(tmp_path):
    folder = tmp_path / "cut"
    images(folder, [(9, 6), (2, 2), (5, 12)] * 5)
    values = np.arange(6 * 9, dtype=np.uint8).reshape(6, 9)
    Image.fromarray(values).save(folder / "000.png")
    found = pictures_of(str(folder), crop=4)
    assert len(found.train) + len(found.held_out) == 5 * (2 + 0 + 3)
    np.testing.assert_allclose(found.train[1] * 255, values[:4, 4:8], rtol=1e-6)
    with pytest.raises(UsageError, match=r"no image in .* has a square of 40 x 40 pixels"):
        pictures_of(str(folder), crop=40)


@pytest.mark.parametrize(("count", "held_out"), [(1, {0}), (5, {4}), (25, {9, 19})])
def test_squares_of_one_image_are_trained_on_or_held_out(tmp_path, count, held_out):
    """But of an image that is alone: its last rows are held out."""
    images(tmp_path / "cut", [(24, 40)] * count)
    found = pictures_of(str(tmp_path / "cut"), crop=4)
    shades = [{round(255 * float(square[0, 0])) for square in part} for part in (found.train, found.held_out)]
    assert shades[1] == held_out
    assert (shades[0] & shades[1] == set()) == (count > 1)
    assert len(found.held_out) == (6 if count == 1 else 60 * len(held_out))


def test_squares_of_few_images_leave_enough_to_train_on(tmp_path):
    images(tmp_path / "two", [(4, 4), (40, 40)])
    with pytest.raises(UsageError, match="has its squares in one image of 2, which is held out; give more images"):
        pictures_of(str(tmp_path / "two"), crop=4)


def test_an_array_is_read(tmp_path):
    values = np.random.default_rng(0).random((40, 5))
    np.save(tmp_path / "x.npy", values)
    np.testing.assert_allclose(pictures_of(str(tmp_path / "x.npy")).train[0], values[0], rtol=1e-6)
    np.save(tmp_path / "bytes.npy", (255 * values).astype(np.uint8))
    np.testing.assert_allclose(pictures_of(str(tmp_path / "bytes.npy")).train[0], values[0], atol=1 / 255)


def test_pictures_that_cannot_be_used_are_refused(tmp_path):
    def refused(words: str, source: Path | str, **options: Any) -> None:
        with pytest.raises(UsageError, match=words):
            pictures_of(str(source), **options)

    refused("no training set 'digit'; did you mean 'digits'.* or give a folder of images or a .npy file", "digit")
    refused("'digits' is a named set: --crop and --colour are for folders", "digits", crop=4)
    (tmp_path / "empty").mkdir()
    refused("there is no image in .*empty; known endings are .png", tmp_path / "empty")
    mixed = images(tmp_path / "mixed", [(6, 4)] * 25 + [(7, 4)])
    refused(r"differ in size, 000.png of 6 x 4 pixels and 025.png of 7 x 4 pixels; cut squares", mixed)
    refused("has 5 pictures; training takes 20 or more", images(tmp_path / "few", [(6, 4)] * 5))
    grey = images(tmp_path / "grey", [(6, 4)] * 25)
    refused("000.png is grey where colour is asked for", grey, colour=True)
    (grey / "007.png").write_bytes((grey / "007.png").read_bytes()[:40])
    refused(r"cannot read the image .*007.png", grey)
    deep = images(tmp_path / "deep", [(6, 4)] * 25)
    Image.fromarray(np.full((4, 6), 3000, dtype=np.uint16)).save(deep / "003.png")
    refused(r"003.png has more than 8 bits per pixel", deep)
    np.save(tmp_path / "text.npy", np.array([["a"]]))
    refused("should hold real or unsigned numbers", tmp_path / "text.npy")
    np.save(tmp_path / "nan.npy", np.full((30, 2), np.nan))
    refused("has values that are not finite", tmp_path / "nan.npy")
    np.save(tmp_path / "none.npy", np.zeros((0, 3)))
    refused("has 0 pictures; training takes 20 or more", tmp_path / "none.npy")
    (tmp_path / "no.npy").write_text("a text")
    refused("cannot read an array from", tmp_path / "no.npy")


def test_digits_are_split_as_the_mixture_was():
    from problems.digits import _shipped

    data = digits()
    _, test, tune = _shipped()
    np.testing.assert_array_equal(data.held_out, tune.astype(np.float32))
    known = {picture.tobytes() for picture in data.train}
    assert np.mean([picture.tobytes() in known for picture in test.astype(np.float32)]) < 0.01


@pytest.mark.parametrize(
    ("shape", "options", "expected"),
    [
        ((7,), {}, MLP(7)),
        ((8, 8), {}, UNet(widths=(32, 40))),
        ((30, 20), {}, UNet(widths=(32, 40))),
        ((32, 32), {}, UNet()),
        ((28, 28), {"patch": 4}, UNet(widths=(32,), patch=4)),
        ((8, 8), {"network": "unet", "widths": "8,16"}, UNet(widths=(8, 16))),
        ((32, 32), {"attention": True, "patch": 2, "blocks": 2}, UNet(blocks=2, attention=True, patch=2)),
        ((3, 32, 32), {}, UNet(channels=3)),
        ((32, 32), {"network": "mlp", "widths": "20", "blocks": 3}, MLP(1024, 20, 3)),
    ],
)
def test_the_network_is_the_one_that_the_options_name(shape, options, expected):
    plain = {"network": "auto", "widths": None, "blocks": None, "attention": False, "patch": 1}
    assert train_prior.architecture_for(shape, **{**plain, **options}) == expected


def refusal(capsys: Any, *words: str) -> str:
    """What is said on stderr by a command that fails with exit code 2."""
    with pytest.raises(SystemExit) as end:
        train_prior.main(list(words))
    assert end.value.code == 2
    return capsys.readouterr().err


def test_wrong_options_are_refused_in_one_sentence(capsys, tmp_path):
    out = ("--out", str(tmp_path / "out"))
    assert "--minutes and --steps both say" in refusal(capsys, "digits", "--minutes", "1", "--steps", "3", *out)
    assert "whole numbers separated by commas, got '8,x'" in refusal(capsys, "digits", "--widths", "8,x", *out)
    assert "an MLP has one width" in refusal(capsys, "digits", "--network", "mlp", "--attention", *out)
    assert "multiples of 16, got the shape (8, 8)" in refusal(
        capsys, "digits", "--network", "unet", "--widths", "8,8,8,8,8", *out
    )
    assert refusal(capsys, "pears", *out).startswith("error: no training set 'pears'")
    if not torch.cuda.is_available():
        assert "torch sees no CUDA device" in refusal(capsys, "digits", "--device", "cuda", *out)
    assert not (tmp_path / "out").exists()
    (tmp_path / "out").write_text("a file")
    assert "cannot write the folder" in refusal(capsys, "digits", *out)


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as end:
        train_prior.main(list(words))
    return int(end.value.code or 0)


def test_the_command_writes_all_and_goes_on_where_it_stopped(tmp_path, monkeypatch, capsys):

    from problems.weight_files import load

    options = ("digits", "--steps", "12", "--batch", "16", "--widths", "8", "--seed", "3")
    assert run(*options, "--out", str(tmp_path / "whole")) == 0
    names = {"prior.safetensors", "card.md", "loss.png", "gain.png", "samples.png", "checkpoint.pt"}
    assert {file.name for file in (tmp_path / "whole").iterdir()} == names
    prior, card = load(tmp_path / "whole" / "prior.safetensors")
    assert prior.weights.architecture == UNet(widths=(8,))
    assert card["licence"] == "CC BY 4.0"
    assert card["data"] == digits().described
    assert card["command"] == ("python -m benchmarks.train_prior digits --widths 8 --batch 16 --seed 3 --steps 12")
    text = (tmp_path / "whole" / "card.md").read_text()
    assert card["digest"] in text
    assert "held-out" in text

    step, taken = Training.step, []

    def interrupted(training: Training) -> float:
        if len(taken) == 7:
            raise KeyboardInterrupt
        taken.append(0)
        return step(training)

    monkeypatch.setattr(train_prior, "SAVE_SECONDS", 0.0)
    monkeypatch.setattr(Training, "step", interrupted)
    assert run(*options, "--out", str(tmp_path / "parts")) == 130
    assert "the same command goes on" in capsys.readouterr().out
    monkeypatch.setattr(Training, "step", step)
    assert run(*options, "--out", str(tmp_path / "parts")) == 0
    assert "goes on after step 7 of 12" in capsys.readouterr().out
    assert load(tmp_path / "parts" / "prior.safetensors")[1]["digest"] == card["digest"]


def test_minutes_become_steps_that_a_second_run_keeps(tmp_path, monkeypatch):

    options = ("digits", "--network", "mlp", "--widths", "16", "--batch", "8", "--out", str(tmp_path))
    assert run(*options, "--minutes", "0.01") == 0
    steps = json.loads(checkpoint(tmp_path / "checkpoint.pt")["settings"])["steps"]
    assert steps > 20
    monkeypatch.setattr(train_prior, "steps_in", None)  # is not asked again
    assert run(*options, "--minutes", "0.02") == 0
    assert len(checkpoint(tmp_path / "checkpoint.pt")["losses"]) == steps


def test_a_bar_is_shown_on_a_terminal_and_lines_elsewhere(tmp_path, monkeypatch):
    import io

    from rich.console import Console

    monkeypatch.setattr(train_prior, "_PLAIN_SECONDS", 0.0)
    pictures = digits().train[:50]
    for terminal in (True, False):
        console = Console(file=io.StringIO(), force_terminal=terminal, width=90)
        training = Training(learned_prior(initial(SMALL, 0), pictures), pictures, Recipe(steps=3, batch=8))
        train_prior.descend(training, tmp_path / "checkpoint.pt", "x", console)
        text = console.file.getvalue()  # type: ignore[attr-defined]
        assert "loss " in text
        assert ("step 3/3" in text) is not terminal


def test_vectors_have_a_sheet_of_samples_as_well():
    from benchmarks.prior_pictures import sample_sheet

    rng = np.random.default_rng(0)
    for shape in ((7,), (5, 6), (3, 5, 6), (2, 5, 6)):
        figure = sample_sheet(rng.random((16, *shape)), rng.random((20, *shape)))
        drawn = [axes for part in figure.subfigs for axes in part.axes]
        assert len(drawn) == 32
        assert all(len(axes.lines) + len(axes.images) == 1 for axes in drawn)


def test_pictures_are_described_by_what_they_are():
    data = Pictures(np.zeros((3, 2, 2), np.float32), np.zeros((1, 2, 2), np.float32), "squares", "CC0")
    other = replace(data, train=data.train + 1)
    assert data.described.startswith("squares; 3 for training, each 2x2, digest ")
    assert data.described != other.described
