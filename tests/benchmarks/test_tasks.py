"""Task ids and seeds: what they depend on, and what not."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from benchmarks.provenance import source_digest
from benchmarks.tasks import Task, canonical, seed_words

TASK = Task(
    problem="seed2d",
    instance=3,
    method="dps",
    config="dps[paper]",
    framework="jax",
    repeat=1,
    n=250,
    hyper=canonical({"steps": 70, "scale": 2.0}),
    seed=0,
    device="cpu",
    threads=2,
    code="0123456789abcdef",
    oracle=False,
)


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Task)])
def test_the_id_depends_on_every_field(name: str) -> None:
    value = getattr(TASK, name)
    changed = not value if isinstance(value, bool) else value + 1 if isinstance(value, int) else value + "x"
    assert dataclasses.replace(TASK, **{name: changed}).id != TASK.id


def test_the_id_is_the_same_on_every_machine() -> None:
    assert TASK.id == "892249e770884b12"


@pytest.mark.parametrize(
    ("name", "value"), [("seed", 1), ("problem", "seed2e"), ("instance", 30), ("method", "em-dps"), ("repeat", 0)]
)
def test_the_noise_depends_on_the_seed_and_the_names(name: str, value: object) -> None:
    other = dataclasses.replace(TASK, **{name: value})  # type: ignore[arg-type]
    assert other.sampler_words != TASK.sampler_words


@pytest.mark.parametrize(("name", "value"), [("config", "dps"), ("n", 999), ("hyper", "{}"), ("framework", "torch")])
def test_two_configurations_of_a_method_meet_the_same_noise(name: str, value: object) -> None:
    assert dataclasses.replace(TASK, **{name: value}).sampler_words == TASK.sampler_words  # type: ignore[arg-type]


def test_zero_is_a_seed_like_any_other() -> None:
    assert len({tuple(seed_words(seed, "a")) for seed in (0, 1, 2, "0", "")}) == 5
    assert len(seed_words(0)) == 8
    assert all(0 <= word < 2**32 for word in seed_words(0))


def test_names_cannot_run_into_each_other() -> None:
    assert seed_words("ab", "c") != seed_words("a", "bc")


def test_the_digest_of_a_folder_sees_names_and_contents_but_not_caches(tmp_path: Path) -> None:
    folder = tmp_path / "code"
    (folder / "__pycache__").mkdir(parents=True)
    (folder / "a.py").write_text("x = 1")
    before = source_digest([folder])
    (folder / "__pycache__" / "a.pyc").write_text("anything")
    (folder / ".a.py.swp").write_text("anything")
    assert source_digest([folder]) == before
    (folder / "a.py").write_text("x = 2")
    changed = source_digest([folder])
    assert changed != before
    (folder / "a.py").rename(folder / "b.py")
    assert source_digest([folder]) not in (before, changed)
