"""Processor time, wall time and memory of a process, with and without its children. Linux only: reads `/proc`."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of one process: its own processor seconds, wall seconds and peak megabytes.

    The peak is that of its largest child if that is larger. `together` is the processor time including descendants
    that were waited for (wait4(2)).
    """

    processor: float
    wall: float
    megabytes: float
    together: float


def cost_of(command: Sequence[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> Cost:
    """Run a command to its end and return its cost. Raise `RuntimeError` if it does not exit with 0."""
    if sys.platform != "linux":
        raise NotImplementedError
    started = time.monotonic()
    with subprocess.Popen(
        command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdout
        output = process.stdout.read()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # without reaping it: /proc keeps its numbers
        wall = time.monotonic() - started
        processor = _own_seconds(process.pid)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command[:6])} … ended with {process.returncode}: {output.decode()[-2000:]}")
    return Cost(processor, wall, usage.ru_maxrss / 1024, usage.ru_utime + usage.ru_stime)


def resident(process: int) -> float:
    """Return the resident megabytes of a process (proc_pid_statm(5)); 0 if it has ended."""
    if sys.platform != "linux":
        raise NotImplementedError
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    except (OSError, IndexError):
        return 0.0


def _own_seconds(process: int) -> float:
    """Return utime plus stime, which exclude children (proc_pid_stat(5)), unlike the rusage of a reaped process."""
    if sys.platform != "linux":
        raise NotImplementedError
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
