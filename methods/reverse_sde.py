"""The loop that samplers of the reverse-time SDE share: Langevin correctors, then a step of the integrator."""

from __future__ import annotations

from typing import Literal, NamedTuple

from methods.guidance import Guidance, guided_score
from methods.integrators import Steps, advance
from problems.arrays import Array, Key, Keys, namespace, normal, scan
from problems.contract import Problem


class Corrector(NamedTuple):
    """Langevin steps at a fixed level, before each predictor step.

    rule 'ald': step 2 a (snr sigma)^2, a the `kept` of the level. rule 'langevin': 2 a (snr ||z|| / ||score||)^2, norms
    per sample (the published code averages them over the batch, which couples the samples). A step that depends on the
    state does not leave p_t invariant, however small it is, and in few dimensions the ratio of norms has heavy tails.
    """

    rule: Literal["langevin", "ald"]
    snr: float
    steps: int


def correct(x: Array, score: Array, z: Array, row: Steps, corrector: Corrector) -> Array:
    """One Langevin step x + e score + sqrt(2 e) z."""
    xp = namespace(x)
    if corrector.rule == "ald":
        step = 2.0 * row.kept * (corrector.snr * row.sigma) ** 2
    else:
        squared = squared_norm(score)
        squared = xp.where(squared > 0, squared, xp.ones_like(squared))
        step = 2.0 * row.kept * corrector.snr**2 * squared_norm(z) / squared
    return x + step * score + (2.0 * step) ** 0.5 * z


def squared_norm(x: Array) -> Array:
    """||x_i||^2 for every sample, shaped to multiply x: (n, 1, ...)."""
    return namespace(x).sum(x * x, axis=tuple(range(1, x.ndim)), keepdims=True)


def start_normal(problem: Problem, key: Key, n: int) -> Array:
    """n draws of N(0, I), or of N(0, sigma_max^2 I) on a VE schedule: where every practical sampler starts."""
    schedule = problem.schedule
    return schedule.start_std * normal(key, (n, *problem.shape), schedule.one)


def reverse_sde(
    problem: Problem,
    key: Key,
    x: Array,
    tables: Steps,
    guide: Guidance,
    corrector: Corrector | None = None,
) -> Array:
    """Runs x, (n, *shape), from the first level to the data: corrector steps, then one of the integrator, per level."""
    corrections = corrector.steps if corrector else 0

    def step(x: Array, row: Steps, keys: Keys) -> Array:
        for k in range(corrections):
            assert corrector is not None
            z = normal(keys[k], x.shape, x)
            x = correct(x, guided_score(guide, problem, x, row.alpha, row.sigma), z, row, corrector)
        score = guided_score(guide, problem, x, row.alpha, row.sigma)
        return advance(row, x, score, normal(keys[-1], x.shape, x))

    return scan(step, x, tables, key, draws=corrections + 1)
