"""Hard settings give numbers: quiet and loud noise, a matrix of deficient rank, one dimension, many, no residual."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks.verdict import verdict
from methods import Method
from problems import Instance, load
from problems.arrays import make_key
from tests.methods.cases import IMAGE, LG1, MIXTURE, WIDE, Case
from tests.methods.configurations import fits, labels, seen

N = 4
CONFIGURATIONS = labels(steps=25)
SMALL: dict[str, Case] = {
    "quiet": replace(WIDE, noise_std=1e-4),
    "quiet-mixture": replace(MIXTURE, noise_std=1e-4),
    "quiet-image": replace(IMAGE, noise_std=1e-4),
    "loud": replace(WIDE, noise_std=10.0),
    "loud-image": replace(IMAGE, noise_std=10.0),
    "deficient": replace(MIXTURE, matrix=np.outer([1.0, 2.0, -0.5], [1.0, 0.4, -0.7]), y=np.array([0.4, 0.9, -0.2])),
    "one-dimension": LG1,
    "no-residual": replace(WIDE, y=WIDE.matrix @ WIDE.means[0]),
}


def explicit(label: str, method: Method, hyper: dict[str, Any]) -> bool:
    """Whether a configuration follows the gradient of the likelihood of a denoised state with a step of its own.

    Its size is that of the prior's diffusion, and it overshoots from a noise of about its root on.
    """
    return "-dps" in label or method.name == "lgd-mc" or hyper.get("weight") == "likelihood"


def _drawn(method: Method, hyper: dict[str, Any], instance: Instance) -> tuple[np.ndarray, Any]:
    problem = seen(method, instance)
    x = method.run(problem.to("torch"), make_key("torch", [1]), n=N, **hyper).x.numpy()
    return x, problem.prior


@pytest.mark.parametrize("label", CONFIGURATIONS)
def test_small_problems(label: str):
    method, hyper = CONFIGURATIONS[label]
    for name, case in SMALL.items():
        if ("image" in method.requires) != ("image" in name):
            continue
        x, prior = _drawn(method, hyper, case.instance)
        if name.startswith("quiet") and explicit(label, method, hyper):
            status, reason = verdict(SimpleNamespace(x=x, remark=""), prior)
            assert status == "diverged"
            assert reason.startswith(f"{N} of {N} samples (100 %) are ")
        else:
            assert np.isfinite(x).all()
            assert np.abs(x).max() < 300.0


@pytest.mark.parametrize("label", [label for label, (method, _) in CONFIGURATIONS.items() if fits(method, "seed2d")])
def test_eight_hundred_dimensions(label: str):
    method, hyper = CONFIGURATIONS[label]
    few = {**hyper, "particles": 4} if "particles" in hyper else hyper
    x, prior = _drawn(method, few, load("gmm25-800-2", 0))
    assert np.isfinite(x).all()
    assert verdict(SimpleNamespace(x=x, remark=""), prior)[0] == "ok"
