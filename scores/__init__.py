"""How good the answer is: metrics of posterior samples against an exact posterior."""

from scores import (  # noqa: F401  (they register)
    calibration,
    data_fit,
    densities,
    images,
    mode_errors,
    modes,
    moments,
    perceptual,
    proper_scores,
    stein,
    transport,
    two_sample,
)
from scores.evaluation import evaluate, floor
from scores.exact_reference import Frame, Reference, frame, reference
from scores.registry import METRICS, Metric
from scores.simulation_based import Finding, calibrate, directions

__all__ = [
    "METRICS",
    "Finding",
    "Frame",
    "Metric",
    "Reference",
    "calibrate",
    "directions",
    "evaluate",
    "floor",
    "frame",
    "reference",
]
