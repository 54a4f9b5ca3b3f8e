"""What makes a worker process ours: its own cores, its threads, its caches, and where its output goes.

It runs before the process imports JAX or torch, which size their thread pools once. Every thread of the process is
bound to the cores of its worker, and no two workers of a run share a core, nor two hardware threads of one core: what
a task is timed at does not depend on what its neighbours do, except through the memory that they share.
"""

from __future__ import annotations

import faulthandler
import os
import platform
import sys
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

_CPU = Path("/sys/devices/system/cpu")
_QUOTA = Path("/sys/fs/cgroup/cpu.max")
_POOLS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


_PRODUCTS = {
    "float32": {"JAX_DEFAULT_MATMUL_PRECISION": "float32", "NVIDIA_TF32_OVERRIDE": "0"},
    "tf32": {"JAX_DEFAULT_MATMUL_PRECISION": "tensorfloat32", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": "1"},
}
"""Left alone, JAX takes products of float32 matrices with ten bits on a GPU, and so does torch in convolutions: enough
for a network, and too little for an exact score."""


def cores() -> list[int]:
    """The processors that this process may use, one for each physical core where the system tells, within its quota."""
    if not hasattr(os, "sched_getaffinity"):
        return list(range(os.cpu_count() or 1))
    found: dict[str, int] = {}
    for cpu in sorted(os.sched_getaffinity(0)):
        with suppress(OSError):
            found.setdefault((_CPU / f"cpu{cpu}" / "topology" / "thread_siblings_list").read_text(), cpu)
            continue
        found[str(cpu)] = cpu
    return list(found.values())[: _quota()]


def _quota() -> int | None:
    """How many cores' worth of time a container grants, at least 1; None without a limit (cgroups, version 2)."""
    with suppress(OSError, ValueError):
        granted, period = _QUOTA.read_text().split()
        return max(int(granted) // int(period), 1)
    return None


def prepare(log: str, place: int, threads: int, device: str, precision: str = "float32") -> str:
    """Prepares this process as the worker of that place among those of its machine.

    Returns:
        '' if it is ready; 'stale' if it was used before; else a sentence that says what is missing.
    """
    if "jax" in sys.modules or "torch" in sys.modules:
        return "stale"
    own = cores()[place * threads : (place + 1) * threads]
    if len(own) < threads:
        return (
            f"worker {place + 1} of {platform.node()} needs {threads} cores of its own, there are {len(cores())} in all"
        )
    os.setpgid(0, 0)  # what a sampler starts can be ended with it, and Ctrl-C does not reach it
    _pin(own)
    _redirect(log)
    os.environ.update(dict.fromkeys(_POOLS, str(threads)))
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # torch shares the GPU
    for backend in ("PYTORCH", "JAX", "CUPY", "TENSORFLOW"):  # optimal transport runs in NumPy: import no other
        os.environ.setdefault(f"POT_BACKEND_DISABLE_{backend}", "1")
    if device == "cpu":
        os.environ["JAX_PLATFORMS"] = "cpu"
    else:
        os.environ.update(_PRODUCTS["tf32" if precision == "tf32" else "float32"])
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(compilation_cache())
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    os.environ["JAX_COMPILATION_CACHE_MAX_SIZE"] = str(2**30)
    import threadpoolctl
    from distributed.comm import utils

    utils.OFFLOAD_THRESHOLD = 0  # else it draws from Python's global generator, beside samplers that should not
    threadpoolctl.threadpool_limits(threads)  # of the libraries that are loaded; later ones read the environment
    return ""


def compilation_cache() -> Path:
    """Where compiled programs are kept from one worker, and from one run, to the next: of this processor alone.

    It is the user's and not part of a run directory, which may come from somebody else: it holds machine code.
    """
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else [platform.processor()]
    kind = sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))})
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "posterior-bench" / f"xla-{sha256(repr(kind).encode()).hexdigest()[:12]}"


def _pin(own: list[int]) -> None:
    """Binds the threads that exist, and with them all that they start."""
    tasks = Path("/proc/self/task")
    if hasattr(os, "sched_setaffinity"):
        for thread in tasks.iterdir() if tasks.exists() else ():
            with suppress(OSError):  # it has ended meanwhile
                os.sched_setaffinity(int(thread.name), own)


def _redirect(log: str) -> None:
    """All output goes to a file: methods may print, and a crash leaves its last words there."""
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(file, 1)
    os.dup2(file, 2)
    faulthandler.enable(file)
