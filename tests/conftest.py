"""The settings all tests share."""

from __future__ import annotations

import os

# Programs run once or twice: what their optimisation brings costs more than it saves. JAX reads it at its start, and so
# do the processes that tests start.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=1")

import jax
import pytest
import scipy.linalg  # noqa: F401  (brings its own BLAS, which the limit below must find loaded)
import threadpoolctl
import torch

# References need double precision. Code under test says which dtype it wants, and nothing is promoted silently: a test
# of code that promotes by design (optax) does it within `jax.numpy_dtype_promotion("standard")`.
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

# Small matrices only: with two BLAS threads on a busy machine they take a hundred times as long.
threadpoolctl.threadpool_limits(1, user_api="blas")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Nor does torch have more: before every test and its fixtures, as tests of the runner change it in passing."""
    torch.set_num_threads(1)
