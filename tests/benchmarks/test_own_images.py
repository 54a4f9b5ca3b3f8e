"""A user's own images with a user's own network: named, registered here and in workers, and refused if they misfit."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

import run_benchmark
from benchmarks import plugins
from benchmarks.own_images import with_folders
from benchmarks.store import open_run
from problems import FAMILIES, load
from problems.arrays import make_key
from problems.learned import learned_prior
from problems.mlp import MLP
from problems.names import UsageError
from problems.networks import initial
from problems.weight_files import CARD, save

SIDE = 8
TASKS = ("denoise", "deblur", "inpaint", "superres")


class Own(NamedTuple):
    """A folder of images and a file of weights, and what --problems says of the folder."""

    folder: Path
    prior: Path
    asked: str


def weights(path: Path, side: int, seed: int = 0) -> Path:
    network = initial(MLP(dim=side**2, width=32, blocks=1, embedding=16), seed)
    prior = learned_prior(network, make_key("numpy", [seed]).random((50, side, side)))
    save(path, prior, dict.fromkeys(CARD, "a test"))
    return path


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Own:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "cats"
    folder.mkdir()
    for i, image in enumerate(make_key("numpy", [7]).integers(0, 256, (3, SIDE, SIDE))):
        Image.fromarray(image.astype(np.uint8)).save(folder / f"{i}.png")
    return Own(folder, weights(tmp_path / "prior.safetensors", SIDE), f"folder:{folder}")


def test_a_folder_becomes_four_problems_of_its_images(own: Own) -> None:
    names, files = with_folders(("seed2d", own.asked, "gmm25-8-1"), str(own.prior))
    assert names is not None
    assert (names[0], names[-1], len(files)) == ("seed2d", "gmm25-8-1", 1)
    stem = names[1].rpartition("-")[0]
    assert stem.startswith("folder-cats-")
    assert names[1:-1] == tuple(f"{stem}-{task}" for task in TASKS)
    for i in (0, 2, 4):
        picture = np.asarray(Image.open(own.folder / f"{i % 3}.png")) / 255
        np.testing.assert_allclose(load(names[1], i).x_true, picture, atol=1e-6)
    found = load(names[1], 0)
    assert found.known is None
    assert found.problem.prior.shape == (SIDE, SIDE)
    assert FAMILIES[names[1]].summary == "3 images of cats, all pixels seen, noise std .1"


def test_a_worker_registers_the_same_problems(own: Own) -> None:
    names, files = with_folders((own.asked,), str(own.prior))
    assert names is not None
    before = load(names[2], 1)
    for name in names:
        del FAMILIES[name]
    plugins.load_file(files[0])
    np.testing.assert_array_equal(load(names[2], 1).problem.y, before.problem.y)


def test_other_images_and_other_weights_are_other_problems(own: Own, tmp_path: Path) -> None:
    def named(prior: Path) -> str:
        names, _ = with_folders((own.asked,), str(prior))
        assert names is not None
        for name in names:
            del FAMILIES[name]
        return names[0]

    first = named(own.prior)
    assert named(own.prior) == first
    own.prior.touch()
    assert named(shutil.copy(own.prior, tmp_path / "copy.safetensors")) == first
    assert named(weights(tmp_path / "other.safetensors", SIDE, seed=1)) != first
    Image.fromarray(np.zeros((SIDE, SIDE), np.uint8)).save(own.folder / "1.png")
    assert named(own.prior) != first


def test_a_task_that_the_sides_do_not_allow_is_left_out(own: Own, tmp_path: Path) -> None:
    for image in own.folder.iterdir():
        Image.fromarray(np.zeros((6, 6), np.uint8)).save(image)
    names, _ = with_folders((own.asked,), str(weights(tmp_path / "small.safetensors", 6)))
    assert names is not None
    assert [name.rpartition("-")[2] for name in names] == ["denoise", "deblur", "inpaint"]


def test_what_does_not_go_together_is_refused(own: Own, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cats needs a network that knows such images: --prior SOURCE"):
        with_folders((own.asked,), None)
    with pytest.raises(UsageError, match=r"--prior is of your own images: --problems folder:PATH"):
        with_folders(("seed2d",), str(own.prior))
    with pytest.raises(UsageError, match=r"there is no folder .*/dogs"):
        with_folders((f"folder:{tmp_path / 'dogs'}",), str(own.prior))
    with pytest.raises(
        UsageError, match=r"there is no prior 'absent.pt'; give hf:OWNER/NAME, a folder of diffusers, or"
    ):
        with_folders((own.asked,), "absent.pt")
    larger = weights(tmp_path / "larger.safetensors", 16)
    with pytest.raises(UsageError, match=r"prior for pictures of \(16, 16\), got a problem with \(8, 8\)"):
        with_folders((own.asked,), str(larger))
    Image.fromarray(np.zeros((SIDE, SIDE, 3), np.uint8)).save(own.folder / "0.png")  # of a colour folder two are grey
    with pytest.raises(UsageError, match=r"1.png is grey where colour is asked for"):
        with_folders((own.asked,), str(own.prior))
    assert with_folders(None, None) == (None, [])


def test_a_folder_runs_from_the_command_line(own: Own, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "run"
    words = ["run", "--suite", "images", "--problems", own.asked, "--prior", str(own.prior), "--methods", "ddrm,dps"]
    settings = ["--n", "3", "--instances", "1", "--set", "dps.steps=4", "--set", "ddrm.steps=4", "--workers", "1"]
    monkeypatch.setattr(sys, "argv", ["posterior-bench", *words, *settings, "--out", str(out)])
    with pytest.raises(SystemExit) as end:
        run_benchmark.main()
    assert not end.value.code
    with open_run(out, create=False) as run:
        records = list(run.records.values())
    assert {record.task.problem.rpartition("-")[2] for record in records} == set(TASKS)
    assert {record.status for record in records} <= {"ok", "diverged"}
    assert len(records) == 2 * len(TASKS)
    table = (out / "leaderboard.md").read_text()
    assert "All problems" not in table
    assert "No ranks: the posterior is not known here" in table
