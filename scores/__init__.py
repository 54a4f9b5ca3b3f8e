"""How good the answer is: metrics of posterior samples against an exact posterior."""

from scores import calibration, data_fit, densities, images, modes, moments, transport  # noqa: F401  (they register)
from scores.evaluation import evaluate, floor
from scores.exact_reference import Reference, reference
from scores.registry import METRICS, Metric

__all__ = ["METRICS", "Metric", "Reference", "evaluate", "floor", "reference"]
