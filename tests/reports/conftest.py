"""A run directory as the runner writes it, with invented results of every kind."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

COLUMNS = (
    *("problem", "instance", "method", "config", "framework", "repeat", "metric", "value", "stderr", "floor95"),
    *("unit", "better", "status", "reason", "n", "nfe", "vjp", "operator_calls"),
    *("seconds_compile", "seconds_train", "seconds_sample", "peak_bytes", "device", "threads", "oracle", "hyper"),
    *("versions", "started_at", "code"),
)


@dataclass
class FakeRun:
    """Collects tasks, floors, samples and pictures, and writes them."""

    path: Path
    rows: list[dict[str, Any]] = field(default_factory=list)
    floors: list[tuple[Any, ...]] = field(default_factory=list)
    unknown: tuple[str, ...] = ()
    """Problems whose posterior is not known."""

    def task(
        self,
        problem: str,
        instance: int,
        config: str,
        metrics: dict[str, float] | None = None,
        samples: np.ndarray | None = None,
        **told: Any,
    ) -> None:
        """One finished task; `told` replaces the columns of work, time and status."""
        method = config.partition("[")[0]
        shared = dict.fromkeys(COLUMNS, "") | {
            "problem": problem,
            "instance": instance,
            "method": method,
            "config": config,
            "framework": "jax",
            "repeat": 0,
            "value": np.nan,
            "stderr": np.nan,
            "floor95": np.nan,
            "status": "ok",
            "n": 100,
            "nfe": 1000.0,
            "vjp": 0.0,
            "operator_calls": 0.0,
            "seconds_compile": 1.0,
            "seconds_train": 0.0,
            "seconds_sample": 0.5,
            "peak_bytes": 2**20,
            "device": "cpu",
            "threads": 2,
            "oracle": config.startswith(("exact", "oracle")),
            "hyper": "{}",
            "versions": "{}",
            "started_at": "2025-01-01T00:00:00+00:00",
        }
        shared |= told
        self.rows += [shared | {"metric": m, "value": v} for m, v in (metrics or {}).items()] or [shared]
        names = ("problem", "instance", "method", "config", "framework", "repeat")
        content = {name: shared[name] for name in (*names, "status")}
        identity = hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
        self._folder("tasks").joinpath(f"{identity}.json").write_text(json.dumps(content))
        if samples is not None:
            np.savez(self._folder("samples") / f"{identity}.npz", x=samples.astype(np.float32))

    def floor(self, problem: str, instance: int, metric: str, draws: list[float], n: int = 100) -> None:
        """The floor draws of one instance."""
        self.floors += [(problem, instance, n, metric, draw, value) for draw, value in enumerate(draws)]

    def picture(self, problem: str, instance: int, **arrays: np.ndarray) -> None:
        """What the figures of one instance need."""
        arrays = {name: np.asarray(value, np.float32) for name, value in arrays.items()}
        np.savez(self._folder("pictures") / f"{problem}-{instance}.npz", made_from=np.array("digest"), **arrays)

    def write(self) -> Path:
        """The tables and run.json."""
        table = pd.DataFrame(self.rows, columns=list(COLUMNS))
        table.to_parquet(self.path / "results.parquet", index=False)
        floors = pd.DataFrame(self.floors, columns=["problem", "instance", "n", "metric", "draw", "value"])
        floors.to_parquet(self.path / "floors.parquet", index=False)
        cards = {name: {"provides": ["linear"]} for name in self.unknown}
        info = {"schema": 1, "suite": "invented_[&]", "seed": 0, "command": "run", "problems": cards}
        (self.path / "run.json").write_text(json.dumps(info))
        return self.path

    def _folder(self, name: str) -> Path:
        folder = self.path / name
        folder.mkdir(exist_ok=True)
        return folder


@pytest.fixture
def fake_run(tmp_path: Path) -> FakeRun:
    path = tmp_path / "run"
    path.mkdir()
    return FakeRun(path)


CONFIGS = (
    *("exact", "prior", "oracle-em", "oracle-pc", "oracle-ode", "oracle-ode[N(0,I)]"),
    *(f"{integrator}-{guidance}" for integrator in ("em", "pc", "ancestral") for guidance in ("none", "jalal", "dps")),
    *(f"{integrator}-{guidance}" for integrator in ("em", "pc", "ancestral") for guidance in ("pigdm", "mmps")),
    *("dps", "dps[paper]", "dps[code]", "dps[calibrated,steps=500]", "annealed-langevin"),
    *("annealed-langevin[normalised]", "projection", "langevin-projection", "dpi-ode[paper]", "dpi-mixture", "my_own"),
)
PROBLEMS = {"digits-inpaint": 64, "gmm25-80-2": 80, "seed2d": 2}


@pytest.fixture(scope="session")
def invented(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three problems, 32 rows, with failures, skips, metrics without a floor, infinite values, and all the pictures."""
    run = FakeRun(tmp_path_factory.mktemp("invented"))
    for problem, dim in PROBLEMS.items():
        for instance in (0, 1, 2):
            _invent(run, problem, dim, instance, np.random.default_rng([dim, instance]))
    return run.write()


def _invent(run: FakeRun, problem: str, dim: int, instance: int, rng: np.random.Generator) -> None:
    side = int(dim**0.5)
    shape = (side, side) if problem.startswith(("digits", "gaussian-field")) else (dim,)
    for metric in ("sw1", "w1") if dim <= 4 else ("sw1",):
        run.floor(problem, instance, metric, list(rng.uniform(0.02, 0.05, 20)))
    truth = rng.normal(size=shape)
    draws = _two_modes(rng, 300) if dim == 2 else truth + 0.2 * rng.normal(size=(50, *shape))
    arrays = {"x_true": truth, "posterior_mean": draws.mean(0), "posterior_std": draws.std(0), "samples": draws}
    arrays["prior_std"] = np.ones(shape)
    if dim == 2:
        x, y = np.linspace(-1.5, 1.4, 60), np.linspace(-1.2, 1.5, 60)
        points = np.stack(np.meshgrid(x, y), axis=-1)
        density = sum(
            w * np.exp(-0.5 * ((points - np.array(m)) ** 2).sum(-1) / 0.01)
            for w, m in ((0.7, (-0.5, -0.48)), (0.3, (0.42, 0.57)))
        )
        arrays |= {"grid_x": x, "grid_y": y, "density": density}
    if len(shape) == 2:
        arrays["y_image"] = truth * (rng.uniform(size=shape) > 0.5)
    run.picture(problem, instance, **arrays)
    for place, config in enumerate(CONFIGS):
        _invent_task(run, problem, dim, instance, config, place, draws, rng)


def _invent_task(
    run: FakeRun,
    problem: str,
    dim: int,
    instance: int,
    config: str,
    place: int,
    draws: np.ndarray,
    rng: np.random.Generator,
) -> None:
    error = 0.0 if config.startswith(("exact", "oracle")) else 8.0 if config == "prior" else place**2 / 80
    failure = {("pc-dps", "gmm25-80-2"): "diverged", ("em-mmps", "digits-inpaint"): "timeout"}.get((config, problem))
    if config == "em-jalal" and problem == "seed2d" and instance == 1:
        failure = "out_of_memory"
    if config.startswith("dpi") and dim > 2:
        run.task(problem, instance, config, status="skipped", reason="not in this suite", nfe=np.nan, vjp=np.nan)
        return
    if failure:
        run.task(problem, instance, config, status=failure, reason=f"it {failure}", nfe=np.nan, vjp=np.nan)
        return
    near = 0.035 * (0.9 + error) * rng.uniform(0.8, 1.2)
    metrics = {
        "sw1": near,
        "coverage50_range": rng.normal(-0.03 * error, 0.02),
        "coverage90_range": rng.normal(-0.05 * error, 0.02),
        "z_std": np.inf if config == "projection" else np.exp(0.2 * error + rng.normal(0, 0.05)),
        "chi2_per_m": 1 + error,
        "nonfinite": 0.0,
    }
    if dim > 2:
        metrics |= {"coverage90_null": rng.normal(0, 0.02), "coverage50_null": rng.normal(0, 0.02)}
    else:
        metrics["w1"] = 2 * near
    if problem.startswith(("seed", "gmm", "digits")):
        metrics |= {"mode_tv": min(1.0, 0.02 + error / 10), "missing_modes": float(place % 3)}
    if problem.startswith(("digits", "gaussian-field")):
        metrics |= {
            "psnr_mean_db": 20 - error,
            "psnr_gain_db": 2.9,
            "psnr_gain_expected_db": 2.99,
            "mmse_gap_db": error,
        }
    x = draws[:40] + 0.05 * error * rng.normal(size=draws[:40].shape)
    guided = any(word in config for word in ("dps", "pigdm", "mmps"))
    work = {"nfe": 0.0 if config in ("exact", "prior") else 2000.0 if "pc-" in config else 1000.0}
    work["vjp"] = 1000.0 if guided else 0.0
    run.task(
        problem,
        instance,
        config,
        metrics,
        x if config != "my_own" else None,
        **work,
        seconds_sample=0.002 if not work["nfe"] else 0.1 * (1 + work["vjp"] / 500) * dim**0.5 * rng.uniform(0.8, 1.2),
        seconds_train=60.0 if config.startswith("dpi") else 0.0,
    )


def _two_modes(rng: np.random.Generator, n: int) -> np.ndarray:
    major = rng.uniform(size=(n, 1)) < 0.7
    return np.where(major, [-0.5, -0.48], [0.42, 0.57]) + 0.1 * rng.normal(size=(n, 2))
