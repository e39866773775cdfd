"""What a process costs by itself, and with what it starts: processor time, wall time, memory. Linux, for its `/proc`."""

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
    """What one process took: seconds of processor time of its own, seconds from start to end, megabytes at the peak.

    The peak is that of its biggest child where a child is bigger. `together` is the processor time with that of its
    children, and theirs, as far as they were waited for (wait4(2)).
    """

    processor: float
    wall: float
    megabytes: float
    together: float


def cost_of(command: Sequence[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> Cost:
    """Run a command to its end and give what it cost.

    Raises `RuntimeError` when it does not exit with 0.
    """
    if sys.platform != "linux":
        raise NotImplementedError
    started = time.monotonic()
    with subprocess.Popen(
        command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdout
        output = process.stdout.read()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and its numbers are still there
        wall = time.monotonic() - started
        processor = _own_seconds(process.pid)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command[:6])} … ended with {process.returncode}: {output.decode()[-2000:]}")
    return Cost(processor, wall, used.ru_maxrss / 1024, used.ru_utime + used.ru_stime)


def resident(process: int) -> float:
    """Return the resident megabytes of a process (proc_pid_statm(5)); 0 if it has ended."""
    if sys.platform != "linux":
        raise NotImplementedError
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    except (OSError, IndexError):
        return 0.0


def _own_seconds(process: int) -> float:
    """Read utime and stime, which leave out the children (proc_pid_stat(5)); rusage of an ended process has them."""
    if sys.platform != "linux":
        raise NotImplementedError
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
