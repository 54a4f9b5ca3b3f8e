"""Instances 0 and 7 of every family are those of the day they were defined, on every machine, to rounding.

`python tests/problems/test_stored_values.py` stores them anew, after a change of definition.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from problems import FAMILIES, load
from problems.families import instance_key
from tests.problems.closed import KNOWN

STORED = Path(__file__).parent / "stored.json"
INDICES = (0, 7)
STREAMS = ("prior", "truth", "noise")


def summary(name: str, index: int) -> dict[str, list[float]]:
    """Some entries and the norm of what defines an instance."""
    found = load(name, index)
    problem, posterior = found.problem, found.posterior if name in KNOWN else None
    arrays = {
        "y": problem.y,
        "x_true": found.x_true,
        "prior_mean": problem.prior.mean,
        "prior_std": problem.prior.std,
        "operator": problem.operator(found.x_true[None]),
    }
    if posterior is not None:
        of_posterior = {"posterior_mean": posterior.mean, "posterior_std": posterior.std}
        arrays |= {**of_posterior, "log_weights": posterior.log_weights}
    values = {key: [*array.ravel()[:3].tolist(), float(np.linalg.norm(array))] for key, array in arrays.items()}
    levels = [
        float(getattr(part, name))
        for part, name in ((problem.noise, "std"), (problem.operator, "norm"))
        if hasattr(part, name)
    ]
    if posterior is not None:
        levels.insert(0, found.log_evidence)
    return values | ({"levels": levels} if levels else {})


def digest(name: str, index: int) -> str:
    """Of raw draws: normals and uniforms of the three streams."""
    keys = [instance_key(name, index, stream) for stream in STREAMS]
    drawn = [array.tobytes() for key in keys for array in (key.standard_normal(64), key.random(64))]
    return hashlib.sha256(b"".join(drawn)).hexdigest()


def current() -> dict[str, dict[str, object]]:
    return {
        f"{name}/{index}": {"digest": digest(name, index), **summary(name, index)}
        for name in FAMILIES
        for index in INDICES
    }


@pytest.fixture(scope="module")
def stored() -> dict[str, dict]:
    return json.loads(STORED.read_text())


def test_all_families_are_stored_and_no_other(stored):
    assert set(stored) == {f"{name}/{index}" for name in FAMILIES for index in INDICES}


@pytest.mark.parametrize("index", INDICES)
@pytest.mark.parametrize("name", FAMILIES)
def test_instances_are_those_stored(name, index, stored):
    expected = stored[f"{name}/{index}"]
    assert digest(name, index) == expected.pop("digest")
    found = summary(name, index)
    assert found.keys() == expected.keys()
    for what, values in found.items():
        scale = np.max(np.abs(expected[what]))
        np.testing.assert_allclose(values, expected[what], rtol=1e-10, atol=1e-10 * scale, err_msg=what)


if __name__ == "__main__":
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in current().items()]
    STORED.write_text("{\n" + ",\n".join(lines) + "\n}\n")
