"""A batch gives what its instances give alone, whether they run at once or one after the other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import benchmarks.stacks
from benchmarks.batches import execute_batch
from benchmarks.execute import Drawn, Programs, execute
from benchmarks.stacks import chunks, instances_of, stacked
from benchmarks.tasks import Task
from problems import FAMILIES
from tests.benchmarks.test_execute import task as single


def task(method: str, problem: str, instances: int = 3, framework: str = "jax", **hyper: Any) -> Task:
    return replace(single(method, problem, framework, n=5, **hyper), instance=2, instances=instances)


def alone(batch: Task) -> list[Drawn]:
    programs = Programs()
    return [execute(replace(batch, instance=batch.instance + i, instances=1), programs) for i in range(batch.instances)]


def assert_same(batch: Drawn, single: list[Drawn]) -> None:
    """To float32 rounding, which a few steps amplify; another key or another problem differs by far more."""
    expected = np.stack([one.x for one in single])
    assert batch.x.shape == expected.shape
    np.testing.assert_allclose(batch.x, expected, rtol=0, atol=2e-3 * np.abs(expected).max())
    assert np.abs(expected[0] - expected[1]).max() > 0.05 * np.abs(expected).max()
    assert {one.work for one in single} == {batch.work}
    assert {one.remark for one in single} == {batch.remark}


@pytest.mark.parametrize(
    ("method", "problem", "hyper"),
    [
        ("exact", "gmm25-8-2", {}),
        ("em-mmps", "gmm25-8-2", {"steps": 4}),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (
                ("prior", "linear-gaussian-2", {}),
                ("oracle-ode", "digits-superres-model", {"steps": 3}),
                ("ancestral-pigdm", "digits-inpaint-model", {"steps": 3}),
                ("pc-jalal", "seed2d", {"steps": 4}),
                ("dps", "linear-gaussian-16", {"steps": 4}),
                ("annealed-langevin", "gaussian-field-16", {"steps": 5}),
                ("projection", "gmm25-8-1", {"steps": 4}),
            )
        ),
    ],
)
def test_the_samples_of_a_batch_are_those_of_its_instances(method: str, problem: str, hyper: dict[str, Any]) -> None:
    batch, programs = task(method, problem, **hyper), Programs()
    assert_same(execute_batch(batch, programs), alone(batch))
    assert programs.made == 1


def test_torch_runs_one_instance_after_the_other() -> None:
    batch, programs = task("em-pigdm", "seed2d", framework="torch", steps=4), Programs()
    assert_same(execute_batch(batch, programs), alone(batch))


@pytest.mark.usefixtures("toys")
@pytest.mark.parametrize(("method", "made"), [("toy-until", 1), ("toy-unmappable", 1)])
def test_loops_and_samplers_that_do_not_trace_in_a_batch(method: str, made: int) -> None:
    """A loop that ends later in one instance than in another; and a sampler that looks at its values."""
    batch, programs = task(method, "gmm25-8-1"), Programs()
    drawn = execute_batch(batch, programs)
    assert_same(drawn, alone(batch))
    assert programs.made - (method == "toy-unmappable") == made


@pytest.mark.usefixtures("toys")
def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five instances in chunks of two: the last one is filled up, and one program serves all."""
    batch = task("toy-touch", "gmm25-8-1", instances=5)
    whole = execute_batch(batch, Programs())
    monkeypatch.setattr(benchmarks.stacks, "MEMORY_BYTES", 2 * 4 * 16 * 5 * 8 * 25)
    assert [place.tolist() for place in chunks(batch)] == [[0, 1], [2, 3], [4, 4]]
    programs = Programs()
    parts = execute_batch(batch, programs)
    assert programs.made == 1
    np.testing.assert_allclose(parts.x, whole.x, rtol=1e-5, atol=1e-5)
    assert parts.log_prob is not None
    assert parts.log_prob.shape == (5, 5)
    np.testing.assert_allclose(parts.log_prob, [one.log_prob for one in alone(batch)], rtol=1e-4)


@pytest.mark.usefixtures("toys")
def test_programs_of_batches_are_compiled_ahead() -> None:
    batch, programs = task("toy-touch", "gmm25-8-1"), Programs()
    programs.compile([batch])
    assert programs.made == 1
    assert execute_batch(batch, programs).seconds_compile > 0
    assert execute_batch(batch, programs).seconds_compile == 0
    assert programs.made == 1


def test_only_what_differs_is_stacked() -> None:
    """All digits of a task share prior and operator; what is put together again is the instance's problem."""
    stack, keys = stacked(task("dps", "digits-inpaint-model"))
    assert [leaf.shape for leaf in stack.varying] == [(3, 32)]
    assert len(keys) == 3
    second = stack.one(tuple(leaf[1] for leaf in stack.varying))
    expected = instances_of("digits-inpaint-model", 2, 3)[1].problem
    np.testing.assert_allclose(second.y, expected.y, rtol=1e-6)
    np.testing.assert_allclose(second.prior.component_means, expected.prior.component_means, rtol=1e-6, atol=1e-12)
    assert second.shape == expected.shape


@pytest.mark.usefixtures("toys")
def test_instances_of_different_shapes_run_one_after_the_other() -> None:
    family = FAMILIES["seed2d"]
    FAMILIES["ragged"] = replace(
        family, name="ragged", build=lambda i: FAMILIES["gmm25-8-1" if i % 2 else "gmm25-8-2"].build(i)
    )
    with pytest.raises(ValueError, match="shape"):
        stacked(task("toy-touch", "ragged"))
    batch = task("toy-touch", "ragged")
    np.testing.assert_allclose(
        execute_batch(batch, Programs()).x, [one.x for one in alone(batch)], rtol=1e-6, atol=1e-6
    )


def test_a_fault_of_the_sampler_is_told_as_it_is(toys: Path) -> None:  # noqa: ARG001
    with pytest.raises(ValueError, match=r"expected samples of shape \(5, 8\)"):
        execute_batch(task("toy-shape", "gmm25-8-1"), Programs())
