"""The families by what is known of them."""

from __future__ import annotations

from problems import FAMILIES

CLOSED = [name for name in FAMILIES if not name.startswith("atoms-")]
"""Linear measurements with Gaussian noise, to which the prior is conjugate."""
