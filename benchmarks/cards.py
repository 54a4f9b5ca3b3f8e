"""What a reader of a run's results wants to know of its methods, problems and metrics, as plain JSON."""

from __future__ import annotations

import inspect
import json
from typing import Any

from benchmarks.plugins import source_of
from methods import METHODS
from methods.registry import FRAMEWORKS, Method
from problems import FAMILIES, Family
from scores import METRICS
from scores.registry import Metric


def cards() -> dict[str, dict[str, Any]]:
    """'methods', 'problems' and 'metrics' -> name -> card, from the registries as they are loaded."""
    told = {
        "methods": {name: _method(entry) for name, entry in METHODS.items()},
        "problems": {name: _problem(family) for name, family in FAMILIES.items()},
        "metrics": {name: _metric(entry) for name, entry in METRICS.items()},
    }
    plain: dict[str, dict[str, Any]] = json.loads(json.dumps(told, default=str))  # a plugin's defaults may be anything
    return plain


def _method(entry: Method) -> dict[str, Any]:
    source = source_of(entry.name)
    return {
        "summary": entry.summary,
        "doc": inspect.getdoc(entry.run) or "",
        "frameworks": FRAMEWORKS[entry.framework],
        "requires": sorted(entry.requires),
        "hyper": entry.hyper,
        "presets": entry.presets,
        "oracle": entry.oracle,
        "particle": entry.particle,
        "point": entry.point,
        "max_dim": entry.max_dim,
        "plugin": source.name if source else "",
    }


def _problem(family: Family) -> dict[str, Any]:
    return {
        "summary": family.summary,
        "stresses": family.stresses,
        "kind": family.kind,
        "shape": family.shape,
        "dim": family.dim,
        "data_range": family.data_range,
        "provides": sorted(family.provides),
        "model_truth": family.model_truth,
    }


def _metric(entry: Metric) -> dict[str, Any]:
    return {"summary": entry.summary, "unit": entry.unit, "better": entry.better, "has_floor": entry.has_floor}
