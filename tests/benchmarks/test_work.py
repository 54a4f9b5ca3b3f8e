"""The harness's counts against counts known from the code of the sampler."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from benchmarks.work import UnknownLength, Work, count_jaxpr, counted, work_of
from methods import METHODS, Samples
from problems import load
from problems.arrays import make_key, vjp

N = 6


def in_jax(run: Any, n: int = N, problem: str = "linear-gaussian-16") -> Work:
    import jax

    carried = load(problem, 0).problem.to("jax")
    return count_jaxpr(jax.make_jaxpr(run)(counted(carried), make_key("jax", [1])), n)


def in_torch(run: Any, n: int = N, problem: str = "linear-gaussian-16") -> Work:
    rows: Counter[str] = Counter()
    run(counted(load(problem, 0).problem.to("torch"), rows), make_key("torch", [1]))
    return work_of(rows, n)


@pytest.mark.parametrize("count", [in_jax, in_torch])
@pytest.mark.parametrize("steps", [3, 5])
@pytest.mark.usefixtures("toys")
def test_evaluations_backward_passes_and_operator_calls_of_a_scan_are_counted(count: Any, steps: int) -> None:
    work = count(lambda problem, key: METHODS["toy-work"].run(problem, key, n=N, steps=steps))
    assert work == Work(nfe=2 * steps + 1, vjp=3 * steps, operator_calls=2 * steps + 1)


@pytest.mark.parametrize("count", [in_jax, in_torch])
def test_a_row_is_the_unit_so_k_copies_of_the_batch_count_k_times_and_one_row_counts_little(count: Any) -> None:
    def run(problem: Any, key: Any) -> Samples:
        x = problem.prior.sample(key, 3 * N)
        return Samples(problem.prior.denoise(x, 0.0 * x[0, 0] + 0.3), nfe=problem.operator(x[:1])[0, 0])

    assert count(run) == Work(nfe=3, vjp=0, operator_calls=1 / N)


def test_the_derivative_of_log_prob_counts_as_an_evaluation_and_a_backward_pass_in_both_frameworks() -> None:
    def run(problem: Any, key: Any) -> Samples:
        x = problem.prior.sample(key, N)
        value, pull = vjp(problem.prior.log_prob, x)
        return Samples(pull(value))

    assert in_jax(run) == in_torch(run) == Work(nfe=1, vjp=1, operator_calls=0)


def test_a_backward_pass_through_the_operator_is_a_call_of_its_adjoint() -> None:
    def run(problem: Any, key: Any) -> Samples:
        x = problem.prior.sample(key, 1)
        value, pull = vjp(lambda x: problem.operator(problem.prior.denoise(x, x[0, 0] * 0 + 1)), x)
        return Samples(pull(value))

    assert in_jax(run, n=1) == in_torch(run, n=1) == Work(nfe=1, vjp=1, operator_calls=2)


def test_forward_mode_and_vectorised_probes_count_every_row() -> None:
    import jax

    def run(problem: Any, key: Any) -> Samples:
        x = problem.prior.sample(key, N)
        probes = jax.random.normal(key, (4, *x.shape), dtype=x.dtype)
        sigma = jax.numpy.asarray(0.7, dtype=x.dtype)
        tangents = jax.vmap(lambda v: jax.jvp(lambda x: problem.prior.denoise(x, sigma), (x,), (v,))[1])(probes)
        rows = jax.vmap(lambda one: problem.prior.denoise(one[None], sigma)[0])(x)
        return Samples(tangents.sum(0) + rows)

    assert in_jax(run) == Work(nfe=2, vjp=4, operator_calls=0)


def test_of_the_branches_of_a_condition_the_dearest_counts() -> None:
    import jax

    def run(problem: Any, key: Any) -> Samples:
        x = problem.prior.sample(key, N)
        one = jax.numpy.asarray(1.0, dtype=x.dtype)

        def twice(x: Any) -> Any:
            return problem.prior.denoise(problem.prior.denoise(x, one), one)

        return Samples(jax.lax.cond(x[0, 0] > 0, twice, lambda x: problem.prior.denoise(x, one), x))

    assert in_jax(run) == Work(nfe=2, vjp=0, operator_calls=0)


def test_a_loop_of_unknown_length_is_not_guessed() -> None:
    import jax

    def run(problem: Any, key: Any) -> Samples:
        x = problem.prior.sample(key, N)
        one = jax.numpy.asarray(1.0, dtype=x.dtype)
        return Samples(jax.lax.while_loop(lambda x: x[0, 0] < 5, lambda x: x + problem.prior.denoise(x, one), x))

    with pytest.raises(UnknownLength):
        in_jax(run)


def test_the_marks_change_neither_the_samples_nor_what_else_the_problem_has() -> None:
    import jax
    import numpy as np

    problem, key = load("seed2d", 3).problem.to("jax"), make_key("jax", [5])
    run = jax.jit(lambda problem, key: METHODS["dps"].run(problem, key, n=N, steps=20).x)
    np.testing.assert_array_equal(run(problem, key), run(counted(problem), key))
    assert counted(problem).prior.diameter == problem.prior.diameter
    assert counted(problem).operator.rank == problem.operator.rank
    assert counted(load("seed2d", 3).oracle().to("jax")).operator is None
