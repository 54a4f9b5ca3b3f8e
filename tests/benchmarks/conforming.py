"""What the tests of the conformance suite share."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from benchmarks import conformance
from benchmarks.conformance import Finding
from methods import METHODS
from methods.registry import Method


def faults(findings: list[Finding]) -> dict[str, str]:
    """title -> message of what has to be mended."""
    return {finding.title: finding.message for finding in findings if not finding.ok}


def only(monkeypatch: pytest.MonkeyPatch, *titles: str) -> None:
    """Leaves a few of the checks, to save time."""
    monkeypatch.setattr(conformance, "CHECKS", {title: conformance.CHECKS[title] for title in titles})


def shortened(name: str, steps: int, preset: str = "default", **hyper: Any) -> Method:
    """A registered method that takes fewer steps by default, or has other hyper-parameters."""
    entry = METHODS[name]
    fewer = {"steps": steps} if "steps" in entry.hyper else {}
    return replace(entry, hyper=entry.configure(preset, fewer | hyper))
