"""Numbers that a sampler must have, compared and told for the table of laws; and p-values of a normal law."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.stats import chi2


class Line(NamedTuple):
    """One comparison of a sampler with a law: of its numbers the one that comes closest to being refused."""

    sampler: str
    law: str
    reference: float
    found: float
    allowed: float


TOLD: list[Line] = []
"""The comparisons of the test that runs."""


def named(name: str, preset: str = "default", **hyper: Any) -> str:
    """A sampler as the table of laws names it: its label and what else was set."""
    label = name if preset == "default" else f"{name}[{preset}]"
    values = (f"{value:.4g}" if isinstance(value, float) else str(value) for value in hyper.values())
    return " ".join([label, *map("=".join, zip(hyper, values, strict=True))])


def obeys(sampler: str, law: str, found: Any, reference: Any, allowed: Any) -> None:
    """Numbers, none farther from the reference than is allowed; the arrays broadcast.

    Raises:
        AssertionError: if one is farther away, or is nan.
    """
    found, reference, allowed = map(np.ravel, np.broadcast_arrays(np.asarray(found, float), reference, allowed))
    share = np.nan_to_num(np.abs(found - reference) / allowed, nan=np.inf)
    worst = int(np.argmax(share))
    TOLD.append(Line(sampler, law, float(reference[worst]), float(found[worst]), float(allowed[worst])))
    assert share[worst] <= 1, f"{sampler}, {law}: {found} for {reference}, +- {allowed}"


FALSE_ALARM = 1e-3
"""The chance that a family of tests rejects anything when every law is right."""


def p_values(x: np.ndarray, mean: np.ndarray, cov: np.ndarray) -> tuple[float, float]:
    """Whitened samples (n, d): n |mean|^2 is chi2(d), and n sum_{i<=j} (S_ij - I_ij)^2 / (1 + I_ij) is chi2(d (d+1)/2).

    Raises:
        AssertionError: if the samples move where the law does not (variance below 1e-9 of the largest).
    """
    variances, axes = np.linalg.eigh(cov)
    moves = variances > 1e-9 * variances[-1]
    coordinates = (x.reshape(len(x), -1).astype(float) - mean) @ axes
    assert np.all(np.abs(coordinates[:, ~moves]) < 1e-4 * variances[-1] ** 0.5)
    z = coordinates[:, moves] / variances[moves] ** 0.5
    n, d = z.shape
    excess = z.T @ z / n - np.eye(d)
    upper = np.triu_indices(d)
    spread = n * np.sum(excess[upper] ** 2 / (1 + np.eye(d)[upper]))
    return float(chi2.sf(n * np.sum(z.mean(axis=0) ** 2), d)), float(chi2.sf(spread, d * (d + 1) // 2))
