"""LPIPS, where the package lpips and the weights that it asks torchvision for are on the disk."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from scores.candidate import Candidate
from scores.registry import metric

LEAST_SIDE = 32
"""Pixels: after four poolings of AlexNet nothing would be left of smaller pictures."""
BACKBONE = "alexnet-owt-7be5be79.pth"
"""What torchvision calls the weights of AlexNet; lpips brings those of its own layers."""


def _applies(candidate: Candidate) -> bool:
    return candidate.x.ndim in (3, 4) and min(candidate.x.shape[-2:]) >= LEAST_SIDE and _network() is not None


@metric("lpips_sample", unit="1", better="lower", applies=_applies, claims=(), exact=False)
def lpips_sample(candidate: Candidate) -> float:
    """LPIPS of one sample against the truth (Zhang et al. 2018, arXiv 1801.03924, AlexNet), mean over the samples.

    Grey pictures are given three times, and values from 0 to the data range become those from -1 to 1. Nothing is
    downloaded.
    """
    import torch

    truth, network = candidate.instance.x_true, _network()

    def prepared(images: np.ndarray) -> Any:
        images = 2 * images / candidate.data_range - 1
        grey = images.ndim == 3
        images = np.repeat(images[:, None], 3, axis=1) if grey else images
        return torch.tensor(images, dtype=torch.float32)

    assert network is not None
    with torch.no_grad():
        return float(network(prepared(candidate.x), prepared(truth[None])).mean())


@cache
def _network() -> Any:
    """The network on the processor; None without the package or its backbone, which would be downloaded."""
    if find_spec("lpips") is None or find_spec("torch") is None:
        return None
    import torch

    if not (Path(torch.hub.get_dir()) / "checkpoints" / BACKBONE).is_file():
        return None
    import lpips

    return lpips.LPIPS(net="alex", verbose=False).eval()
