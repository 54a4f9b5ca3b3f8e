"""Holm's correction for many tests."""

from __future__ import annotations

import numpy as np


def holm_threshold(p_values: np.ndarray, level: float) -> float:
    """The tests with p-values up to this one are significant at a family-wise level (Holm 1979, step down).

    Step down rejects the k smallest while the i-th is at most level / (m - i + 1); what it leaves is above
    level / (m - k), so that number parts the two.
    """
    m = len(p_values)
    small = np.sort(p_values) <= level / (m - np.arange(m))
    rejected = m if small.all() else int(np.argmin(small))
    return level / max(m - rejected, 1)
