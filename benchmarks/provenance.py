"""Where a result comes from: digests of the source it depends on, versions of the libraries, devices."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Iterable
from functools import cache
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIBRARIES = ("posterior-bench", "numpy", "scipy", "jax", "torch")


def source_digest(paths: Iterable[Path]) -> str:
    """16 hexadecimal digits over the names and contents of files; a folder stands for all its files."""
    total = hashlib.sha256()
    for path in paths:
        files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        for file in files:
            if not any(part.startswith((".", "__pycache__")) for part in file.relative_to(path.parent).parts):
                total.update(file.relative_to(path.parent).as_posix().encode() + b"\0")
                total.update(hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()[:16]


@cache
def code_of(*plugin: Path) -> str:
    """Digest of all that samples depend on: problems/, methods/ and, for a plugin's method, its files."""
    return source_digest([ROOT / "problems", ROOT / "methods", *plugin])


@cache
def problems_code() -> str:
    """Digest of what the instances depend on: problems/."""
    return source_digest([ROOT / "problems"])


@cache
def scores_code() -> str:
    """Digest of all that metrics depend on: problems/ and scores/."""
    return source_digest([ROOT / "problems", ROOT / "scores"])


@cache
def versions() -> dict[str, str]:
    """Versions of Python, this package and the libraries that results depend on."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # run from a folder without installing
            continue
    return found


def thread_count() -> int:
    """CPU threads that this process may use; it is part of every task, because it orders the sums."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
