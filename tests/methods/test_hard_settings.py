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
from tests.methods.configurations import everyday, fits, labels, rare, seen

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
FAR, FARTHER = 30.0, 300.0
"""How many standard deviations of the prior an entry of a sample may be from its mean; more where steps overshoot."""


def explicit(label: str, method: Method, hyper: dict[str, Any]) -> bool:
    """Whether a configuration follows the gradient of the likelihood of a denoised state with a step of its own.

    Its size is that of the prior's diffusion, and it overshoots from a noise of about its root on.
    """
    return "-dps" in label or method.name == "lgd-mc" or hyper.get("weight") == "likelihood"


def overshoots(label: str, hyper: dict[str, Any], name: str) -> bool:
    """Whether steps that are stable elsewhere are longer than the law that they are in.

    The step of the published grid is not its spacing and goes past the data, which a noise of 1e-4 makes narrow; row
    sums may be far less than the covariance that they stand for; in one dimension the ratio of norms has heavy tails.
    """
    quiet = name.startswith("quiet") and ("[score-sde]" in label or "-tmpd" in label)
    return quiet or (name == "one-dimension" and hyper.get("corrector") == "langevin")


def _drawn(method: Method, hyper: dict[str, Any], instance: Instance) -> tuple[np.ndarray, Any]:
    problem = seen(method, instance)
    x = method.run(problem.to("torch"), make_key("torch", [1]), n=N, **hyper).x.numpy()
    return x, instance.problem.prior


def _distance(x: np.ndarray, prior: Any) -> float:
    """The largest distance of an entry from its mean, in standard deviations of the prior."""
    return float(np.max(np.abs(x - prior.mean) / prior.std))


def _cells() -> list[tuple[str, str]]:
    """Images for the methods that ask for images, vectors for the others."""
    return [
        (label, name)
        for label, (method, _) in CONFIGURATIONS.items()
        for name in SMALL
        if ("image" in method.requires) == ("image" in name)
    ]


@pytest.mark.parametrize(("label", "name"), everyday(_cells(), rare))
def test_small_problems(label: str, name: str):
    method, hyper = CONFIGURATIONS[label]
    x, prior = _drawn(method, hyper, SMALL[name].instance)
    if name.startswith("quiet") and explicit(label, method, hyper):
        status, reason = verdict(SimpleNamespace(x=x, remark=""), prior)
        assert status == "diverged"
        assert reason.startswith(f"{N} of {N} samples (100 %) are ")
    else:
        assert np.isfinite(x).all()
        loose = explicit(label, method, hyper) or overshoots(label, hyper, name)
        assert _distance(x, prior) < (FARTHER if loose else FAR)


LARGE = [
    label
    for label, (method, _) in CONFIGURATIONS.items()
    if fits(method, "seed2d") and (method.max_dim is None or method.max_dim >= 800)
]


@pytest.mark.parametrize("label", everyday(zip(LARGE), rare))
def test_eight_hundred_dimensions(label: str):
    """Few particles; and as many levels as it takes to come down from the diameter of the prior, 80 of its std."""
    method, hyper = CONFIGURATIONS[label]
    own = {"particles": 4, "steps": 500 if "steps_per_level" in hyper else hyper.get("steps")}
    x, prior = _drawn(method, {**hyper, **{k: v for k, v in own.items() if k in hyper}}, load("gmm25-800-2", 0))
    assert np.isfinite(x).all()
    assert _distance(x, prior) < (FARTHER if explicit(label, method, hyper) else FAR)
    assert verdict(SimpleNamespace(x=x, remark=""), prior)[0] == "ok"
