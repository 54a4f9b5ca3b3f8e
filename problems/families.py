"""The registry of problem families: a family maps an index to an instance, purely."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass

from problems.arrays import Key, make_key
from problems.contract import Instance
from problems.names import UsageError, lookup

TUNING_START = 10_000
"""Indices below score methods; indices from here on are for choosing hyper-parameters."""


@dataclass(frozen=True)
class Family:
    """A family of problem instances.

    Attributes:
        build: index -> Instance, pure: the same index gives the same instance on every machine, to rounding.
        kind: 'vector' or 'image'.
        shape: the shape of one x.
        data_range: the peak-to-peak range that PSNR refers to, in the units of x.
        summary: one line. stresses: what a sampler must get right here, one paragraph.
        provides: what a method may require: 'linear'; 'svd'; 'gaussian_noise' of one standard deviation, on an operator
            whose `norm` is known; 'likelihood', with its gradient; 'differentiable', 'prior_log_prob', 'prior_sample',
            'prior_cov' of the prior; 'posterior', where it is known exactly; 'image'.
        model_truth: whether x_true is drawn from the prior (otherwise reports give calibration no target).
        twin: the problem with the same truths, measurements and posteriors, '' if there is none. Samplers meet the same
            random numbers on both, and are compared with the same draws.
        denoise_seconds: of the denoiser for one x on one core, for estimates of the time, where that takes long.
    """

    name: str
    build: Callable[[int], Instance]
    kind: str
    shape: tuple[int, ...]
    data_range: float
    summary: str
    stresses: str
    provides: frozenset[str]
    model_truth: bool
    denoise_seconds: float | None = None
    twin: str = ""

    @property
    def dim(self) -> int:
        return math.prod(self.shape)


FAMILIES: dict[str, Family] = {}
LINEAR_GAUSSIAN = frozenset(
    {"linear", "svd", "gaussian_noise", "likelihood", "differentiable"}
    | {"prior_log_prob", "prior_sample", "prior_cov", "posterior"}
)


def register(family: Family) -> None:
    """Adds a family; its name must be new."""
    if family.name in FAMILIES:
        raise UsageError(f"problem {family.name!r} is already taken; choose another name")
    FAMILIES[family.name] = family


def seeded_as(name: str) -> str:
    """The name that the random numbers of a problem are derived from: its own, or that of its twin."""
    return (name in FAMILIES and FAMILIES[name].twin) or name


def load(name: str, index: int) -> Instance:
    """The instance of a family: scoring indices are 0 .. TUNING_START - 1, tuning indices follow.

    Raises:
        UsageError: for an unknown family or a negative index.
    """
    family = lookup("problem", name, FAMILIES)
    if index < 0:
        raise UsageError(f"an instance index is 0 or more, got {index} for problem {name!r}")
    return family.build(index)


def instance_key(name: str, index: int, stream: str) -> Key:
    """A NumPy key for one stream ('prior', 'truth', 'noise', 'reference') of one instance, derived from the names."""
    digest = hashlib.sha256(f"{name}/{index}/{stream}".encode()).digest()
    return make_key("numpy", [int.from_bytes(digest[i : i + 4], "little") for i in range(0, 32, 4)])
