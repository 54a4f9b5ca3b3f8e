"""The command line with a fault in the runner's own process: python -m tests.benchmarks.chaotic FAULT AFTER run ..."""

from __future__ import annotations

import errno
import os
import sys
import time


def fill_the_disk(after: int) -> None:
    """Only so many files can be written."""
    written, sync = [0], os.fsync

    def fsync(file: int) -> None:
        written[0] += 1
        if written[0] > after:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(file)

    os.fsync = fsync


def jump_the_clock(after: int) -> None:
    """The clock on the wall is set forth and back by a day, fifty times a second."""
    now = time.time
    start = time.monotonic() + after
    time.time = lambda: now() + (86400.0 if int(50 * (time.monotonic() - start)) % 2 == 0 else -86400.0)


def main() -> None:
    fault, after = sys.argv[1], int(sys.argv[2])
    sys.argv = ["posterior-bench", *sys.argv[3:]]
    {"disk": fill_the_disk, "clock": jump_the_clock}.get(fault, lambda _: None)(after)
    import reports
    import run_benchmark
    from benchmarks import executor

    executor.memory_bytes = lambda: 2 * 2 * 2**30  # two workers of 1.8 GiB
    reports.write_report = lambda directory, budget=None: []  # noqa: ARG005
    reports.print_leaderboard = lambda directory, console, budget=None: None  # noqa: ARG005
    run_benchmark.main()


if __name__ == "__main__":
    main()
