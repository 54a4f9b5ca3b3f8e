"""Planted regressions: a copy of the tree with one edit, the ci suite on it, and what `compare` says. Minutes each.

The baseline is taken from the unchanged copy first, on this machine.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

import run_benchmark

ROOT = Path(run_benchmark.__file__).parent
TREE = ("benchmarks", "methods", "problems", "scores", "reports", "run_benchmark.py", "pyproject.toml")


class Edit(NamedTuple):
    """What is replaced in which file, and what compare must name."""

    file: str
    old: str
    new: str
    method: str
    named: str


EDITS = {
    "a coefficient 4 % off": Edit(
        "methods/residual_step.py",
        "shift = scale * pull",
        "shift = 1.04 * scale * pull",
        "dps",
        "WORSE    dps on linear-gaussian-2/0 [moments]",
    ),
    "a schedule's index off by one": Edit(
        "methods/levels.py",
        "visited = np.array([count * i // steps for i",
        "visited = np.array([count * (i + 1) // steps - 1 for i",
        "ancestral-pigdm",
        "WORSE    grid ancestral_steps small, VP(0.1, 20): noise_std [values]",
    ),
    "float32 in a posterior's log density": Edit(
        "problems/shared_mixture.py",
        "quadratic = xp.sum(offset * self._precision(offset, sigma), axis=-1)",
        "quadratic = xp.sum(xp.astype(offset * self._precision(offset, sigma), xp.float32), axis=-1)",
        "exact",
        "WORSE    gmm25-80-1: posterior log density [values]",
    ),
    "an extra denoiser call per step": Edit(
        "methods/residual_step.py",
        "    residual = problem.y",
        "    x0_hat = x0_hat + 0.0 * denoiser(problem, row.alpha, row.sigma)(x)\n    residual = problem.y",
        "dps",
        "WORSE    dps on seed2d [work]: per sample nfe 100 -> 200",
    ),
    # A product with 230 more columns takes as long as 30 % of a step of 250 samples in 80 dimensions.
    "a slowdown by 30 %": Edit(
        "methods/residual_step.py",
        "    return advance(",
        "    flat = namespace(x).reshape(x0_hat, (x.shape[0], -1))\n"
        "    wasted = 1e-12 * namespace(x).sum(flat @ flat[:230].T, axis=1)\n"
        "    shift = shift + namespace(x).reshape(wasted, (x.shape[0],) + (1,) * (x.ndim - 1))\n"
        "    return advance(",
        "dps",
        "WORSE    dps [speed]: time over the reference workload",
    ),
}


def copied(path: Path) -> Path:
    for name in TREE:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, path / name, ignore=shutil.ignore_patterns("__pycache__", "published"))
        else:
            shutil.copy(ROOT / name, path / name)
    return path


def called(tree: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "run_benchmark.py", *words]
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    return subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the unchanged tree."""
    tree = copied(tmp_path_factory.mktemp("unchanged"))
    end = called(tree, "run", "--suite", "ci", "--out", "runs/base")
    assert end.returncode == 0, end.stdout + end.stderr
    return tree / "runs" / "base"


@pytest.mark.slow
@pytest.mark.parametrize("name", EDITS)
def test_a_planted_regression_is_found_and_named(name: str, baseline: Path, tmp_path: Path) -> None:
    edit, tree = EDITS[name], copied(tmp_path)
    text = (tree / edit.file).read_text(encoding="utf-8")
    assert text.count(edit.old) == 1
    (tree / edit.file).write_text(text.replace(edit.old, edit.new), encoding="utf-8")
    assert called(tree, "run", "--suite", "ci", "--methods", edit.method).returncode == 0
    end = called(tree, "compare", "runs/ci", str(baseline))
    assert end.returncode == 1, end.stdout + end.stderr
    assert edit.named in end.stdout


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_an_unchanged_tree_passes_with_the_same_and_with_fresh_keys(seed: int, baseline: Path, tmp_path: Path) -> None:
    tree = copied(tmp_path)
    assert called(tree, "run", "--suite", "ci", "--seed", str(seed)).returncode == 0
    end = called(tree, "compare", "runs/ci", str(baseline))
    assert end.returncode == 0, end.stdout + end.stderr
    assert ("every sample differs" in end.stdout) == (seed == 1)


@pytest.mark.parametrize("name", EDITS)
def test_what_is_edited_is_there(name: str) -> None:
    """So that the slow tests do not rot unseen."""
    assert (ROOT / EDITS[name].file).read_text(encoding="utf-8").count(EDITS[name].old) == 1
