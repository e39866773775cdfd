"""Start and end the process that evaluates patterns and schemas (`evaluation/worker.py`)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from mcprun.evaluation import worker
from mcprun.evaluation.worker import write_frame

_INHERITED = ("DYLD_LIBRARY_PATH", "LD_LIBRARY_PATH", "PATH", "SYSTEMROOT", "TEMP", "TMP", "TMPDIR")
"""Environment variables that an interpreter may need to start. Others are not passed on: they may hold secrets."""


@dataclass(frozen=True, slots=True)
class EvaluationProcess:
    """A process that evaluates patterns and schemas, with its pipes."""

    popen: subprocess.Popen[bytes]
    jobs: IO[bytes]
    results: IO[bytes]

    @classmethod
    def start(cls) -> EvaluationProcess:
        """Start a process and send it `sys.path`. Raises `OSError` if that fails."""
        program = worker.__file__
        more: dict[str, Any] = {"start_new_session": True}  # else Ctrl-C in a terminal also reaches the process
        if sys.platform == "win32":
            more = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
        popen = subprocess.Popen(  # noqa: S603  mcprun's own program
            [sys.executable, "-I", "-S", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={name: os.environ[name] for name in _INHERITED if name in os.environ},
            cwd=Path(program).parent,
            **more,
        )
        started = cls(popen, cast("IO[bytes]", popen.stdin), cast("IO[bytes]", popen.stdout))
        write_frame(started.jobs, [str(Path(folder).absolute()) for folder in sys.path])
        return started

    def kill(self) -> None:
        """Kill the process and wait for it."""
        with suppress(OSError):
            self.popen.kill()
        for pipe in (self.jobs, self.results):
            with suppress(OSError):  # closing flushes to a reader that is gone
                pipe.close()
        self.popen.wait()

    def wait_timed_out(self) -> bool:
        """Wait for the process to end; return whether its timer ended it."""
        code = self.popen.wait()
        if sys.platform == "win32":
            return code == 1  # `faulthandler` ends a process with `_exit(1)`
        return -code in (signal.SIGPROF, signal.SIGALRM)
