"""The pictures of a run, copied beside the page, and which problem each belongs to."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from reports.run import Run

TITLES = {
    "heatmap": "every method on every problem",
    "pareto": "accuracy against cost, all problems together",
    "pareto-work": "accuracy against work, problem by problem",
    "pareto-seconds": "accuracy against seconds, problem by problem",
    "calibration": "coverage errors and z-std of every method",
    "ranks": "ranks of the truths among the samples (SBC)",
    "tarp": "TARP: how often the truth is nearer than the samples",
    "posterior2d": "the exact posterior and every method's samples",
    "agreement": "which samplers agree with which",
    "orders": "the order by PSNR, by distance to the posterior, and by calibration",
    "sheet": "truth, measurement, and every method's mean, spread and samples",
}


def copy_pictures(run: Run, page: Path, problems: Iterable[str]) -> list[dict[str, Any]]:
    """Copies figures/*.png and tells each one's file, problem ('' for all together), title, width and height."""
    longest_first = sorted(problems, key=len, reverse=True)
    told = []
    for path in sorted((run.directory / "figures").glob("*.png")):
        size = _size(path)
        if size is None:
            continue  # torn: a broken picture would be shown in its place
        subject, _, rest = path.stem.partition("--")
        problem = next((name for name in longest_first if subject.endswith(f"-{name}")), "")
        kind = subject.removesuffix(f"-{problem}") if problem else subject
        title = TITLES.get(kind, kind.replace("-", " ")) + (f", {rest}" if rest else "")
        (page / "figures").mkdir(exist_ok=True)
        shutil.copyfile(path, page / "figures" / path.name)
        told.append({"file": path.name, "problem": problem, "title": title, "width": size[0], "height": size[1]})
    return told


def _size(path: Path) -> tuple[int, int] | None:
    """Width and height in pixels, from the head of a PNG."""
    with path.open("rb") as file:
        head = file.read(24)
    if head[:8] != b"\x89PNG\r\n\x1a\n" or len(head) < 24:
        return None
    width, height = struct.unpack(">II", head[16:24])
    return width, height
