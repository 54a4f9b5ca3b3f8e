"""What is to be solved: problems with known posteriors, and the array layer that they are written in."""

from problems import (  # noqa: F401  (they register themselves)
    atoms,
    bipsda,
    digits,
    gaussian_field,
    gmm25,
    imperfect_scores,
    learned_tasks,
    levy,
    linear_gaussian,
    photos,
    seed2d,
)
from problems.contract import Instance, Problem
from problems.families import FAMILIES, TUNING_START, Family, load, seeded_as

__all__ = ["FAMILIES", "TUNING_START", "Family", "Instance", "Problem", "load", "seeded_as"]
