"""What the samples of a task say about its status."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.execute import Drawn

FAR = 1000.0
"""Diameters of the prior beyond which a sampler has diverged; a posterior sample is within one or two."""


def verdict(drawn: Drawn, prior: Any) -> tuple[str, str]:
    """Status and reason: samples that are not finite, or absurdly far, are counted, never dropped or repaired.

    Whether an unstable step overflows or ends before it does is an accident of the number of steps and of the dtype;
    both are 'diverged'.
    """
    n = len(drawn.x)
    with np.errstate(over="ignore", invalid="ignore"):
        distance = np.linalg.norm((drawn.x - prior.mean).reshape(n, -1), axis=1)
    told = {
        "are not finite": ~np.isfinite(drawn.x.reshape(n, -1)).all(axis=1),
        f"are farther than {FAR:g} diameters of the prior from its mean": distance > FAR * float(prior.diameter),
    }
    for words, where in told.items():
        if bad := int(where.sum()):
            return "diverged", f"{bad} of {n} samples ({100 * bad / n:.3g} %) {words}"
    return "ok", drawn.remark
