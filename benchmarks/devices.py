"""The device that a task runs on: whether it is there, waiting for it, and the most memory a task needed."""

from __future__ import annotations

import ctypes
import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.prepare import cores

CHUNK_BYTES, CHUNK_SHARE = 2**30, 0.6
"""Of a program on a CPU, and of the memory of a GPU."""
_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


def missing_device(device: str, frameworks: set[str]) -> str:
    """One sentence if a framework does not see the device; '' if all do."""
    if device == "cpu":
        return ""
    if "jax" in frameworks:
        import jax

        try:
            jax.devices("cuda")
        except RuntimeError:
            return "CUDA was asked for, but JAX sees no CUDA device; install the 'cuda' extra or use --device cpu"
    if "torch" in frameworks:
        import torch

        if not torch.cuda.is_available():
            return "CUDA was asked for, but torch sees no CUDA device; install a CUDA build or use --device cpu"
    return ""


def device_name(device: str) -> str:
    """The name of the processor."""
    if device == "cuda":
        import jax

        return str(jax.devices("cuda")[0].device_kind)
    found = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text()) if _STATUS.exists() else None
    return found[1] if found else "cpu"


def wait(device: str, *values: Any) -> None:
    """Returns when the device has finished what it was given."""
    if "jax" in sys.modules:
        sys.modules["jax"].block_until_ready(values)
    if "torch" in sys.modules and device == "cuda":
        sys.modules["torch"].cuda.synchronize()


def reset_peak(device: str) -> None:
    """Sets the high-water mark of the memory back to what is in use, where the system allows it."""
    if device == "cuda" and "torch" in sys.modules:
        sys.modules["torch"].cuda.reset_peak_memory_stats()
    try:
        _CLEAR.write_text("5")
    except OSError:  # not Linux, or not permitted: the mark is then that of the process so far
        return


def peak_bytes(device: str, framework: str) -> int:
    """The high-water mark in bytes: of the process on a CPU; of the framework's allocations on a GPU.

    JAX cannot set its mark back: on a GPU it is the process's so far.
    """
    if device == "cuda" and framework == "torch":
        return int(sys.modules["torch"].cuda.max_memory_allocated())
    if device == "cuda":
        stats = sys.modules["jax"].devices("cuda")[0].memory_stats() or {}
        return int(stats.get("peak_bytes_in_use", 0))
    found = re.search(r"VmHWM:\s*(\d+) kB", _STATUS.read_text()) if _STATUS.exists() else None
    if found:
        return int(found[1]) * 1024
    import resource

    factor = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * factor


def return_freed_memory() -> None:
    """Gives what this process has freed back to the system, which glibc does not do by itself.

    Compiling a dozen programs leaves 200 MiB of it.
    """
    with suppress(OSError, AttributeError, TypeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def memory_bytes() -> int:
    """The memory that this machine, or the container that this process is in, has in all."""
    import psutil

    limits = [psutil.virtual_memory().total]
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError):  # 'max': there is none
            limits.append(int(Path(path).read_text()))
    return min(limits)


def chunk_bytes(device: str) -> int:
    """What one program may need, in bytes: a sampler that needs more draws its samples in chunks."""
    if device == "cpu":
        return CHUNK_BYTES
    import jax

    stats = jax.devices("cuda")[0].memory_stats() or {}
    return int(CHUNK_SHARE * stats.get("bytes_limit", CHUNK_BYTES / CHUNK_SHARE))


def default_threads(device: str) -> int:
    """CPU threads of a task: one, because tasks are small and several run at once; all to compile for a GPU."""
    return 1 if device == "cpu" else len(cores())


def default_workers(device: str, threads: int) -> int:
    """As many workers as there are cores for; a GPU serves one task at a time."""
    return max(len(cores()) // threads, 1) if device == "cpu" else 1
