"""Run mcprun, or pytest with its plugin, in forks of one process that has imported everything, to save import time.

`python -m tests.support.forks` is that process. It reads one job per line from stdin and writes its exit code. If a job
has `kill`, the fork sends itself SIGKILL at the `kill`-th executed line of mcprun's code, so that a test can choose and
reproduce any moment of a run.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, ClassVar, Self

from tests.support.cli import ROOT, SECONDS, Result, clean_environment, run_of

LATE = (
    "anyio._backends._asyncio", "dotenv", "h11", "httpcore2", "mcp.client.auth", "mcp.server", "pytest", "truststore"
)  # fmt: skip
"""Modules that the first event loop, request, login, and test of a query import."""


class Forks:
    """The process, as a context manager. The tests of a session share one: see `processes.mcprun`."""

    _shared: ClassVar[Forks | None] = None

    @classmethod
    def shared(cls) -> Forks:
        """Return the process that the session shares."""
        assert cls._shared
        return cls._shared

    def share(self) -> None:
        """Share this process with the session."""
        Forks._shared = self

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.forks"],
            cwd=ROOT, env=clean_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate(timeout=SECONDS)

    def run(
        self,
        *args: str | Path,
        cwd: Path,
        env: Mapping[str, str] | None = None,
        input: str | bytes = b"",
        kill: int | None = None,
    ) -> Result:
        """Run `mcprun ARGS` in the folder `cwd`, as `run_mcprun` does."""
        code, stdout, stderr, _ = self._run("mcprun", args, cwd, env, input, kill)
        return Result(code, stdout, stderr, run_of(stdout, cwd))

    def pytest(self, *args: str, cwd: Path, env: Mapping[str, str] | None = None) -> tuple[int, str, str]:
        """Run `pytest ARGS` in the folder `cwd`; return its exit code, stdout and stderr."""
        return self._run("pytest", args, cwd, env, b"", None)[:3]

    def lines(self, *args: str | Path, cwd: Path) -> int:
        """Run a command and return how many lines of mcprun's code it executed, repetitions included."""
        return self._run("mcprun", args, cwd, None, b"", 0)[3]

    def _run(
        self,
        program: str,
        args: tuple[str | Path, ...],
        cwd: Path,
        env: Mapping[str, str] | None,
        input: str | bytes,
        kill: int | None,
    ) -> tuple[int, str, str, int]:
        assert self._process.stdin
        assert self._process.stdout
        with tempfile.TemporaryDirectory() as folder:
            files = {name: str(Path(folder, name)) for name in ("stdin", "stdout", "stderr")}
            Path(files["stdin"]).write_bytes(input.encode() if isinstance(input, str) else input)
            job = {"program": program, "args": [str(arg) for arg in args], "cwd": str(cwd), "kill": kill, **files}
            self._process.stdin.write(json.dumps({**job, "env": clean_environment() | dict(env or {})}) + "\n")
            self._process.stdin.flush()
            answer = json.loads(self._process.stdout.readline())
            stdout, stderr = (Path(files[name]).read_bytes().decode() for name in ("stdout", "stderr"))
        assert answer["code"] is not None, f"{program} {job['args']} did not end within {SECONDS} s:\n{stderr}"
        return answer["code"], stdout, stderr, answer["lines"]


def serve() -> None:
    """Run jobs until stdin ends."""
    import mcprun

    package = Path(mcprun.__file__).parent
    import_all(package)
    gc.freeze()  # a collection in a fork then skips inherited objects
    if sys.platform == "win32":
        raise NotImplementedError
    for line in sys.stdin:
        job = json.loads(line)
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            os.close(reader)
            run(job, writer, str(package))
        os.close(writer)
        code = wait_exit(child)
        with os.fdopen(reader) as reported:
            lines = int(reported.read() or 0)
        print(json.dumps({"code": code, "lines": lines}), flush=True)


def import_all(package: Path) -> None:
    """Import mcprun's modules, except for its pytest plugin, and the modules that libraries import late.

    Modules that need an extra that is not installed are skipped.
    """
    from mcprun.errors import UsageError

    files = (file.relative_to(package.parent).with_suffix("") for file in sorted(package.rglob("*.py")))
    names = [".".join(file.parts).removesuffix(".__init__") for file in files]
    for name in (*names, *LATE):
        if not name.startswith((f"{package.name}.pytest_plugin", f"{package.name}.__main__")):
            with suppress(ImportError, UsageError):
                importlib.import_module(name)


def wait_exit(child: int) -> int | None:
    """Wait for a fork and return its exit code. If it takes too long, kill it and return None."""
    if sys.platform == "win32":
        raise NotImplementedError
    has_timed_out = False

    def kill_child(*_: object) -> None:
        nonlocal has_timed_out
        has_timed_out = True
        os.kill(child, signal.SIGKILL)

    signal.signal(signal.SIGALRM, kill_child)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    _, status = os.waitpid(child, 0)
    signal.setitimer(signal.ITIMER_REAL, 0)
    return None if has_timed_out else os.waitstatus_to_exitcode(status)


def run(job: dict[str, Any], lines: int, package: str) -> None:
    """Run a job in a fork, and write the number of executed lines of mcprun to the pipe `lines`."""
    if sys.platform == "win32":
        raise NotImplementedError
    counted = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal counted
        if not frame.f_code.co_filename.startswith(package):
            return None
        if event == "line":
            counted += 1
            if counted == job["kill"]:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    code = 99
    try:
        os.chdir(job["cwd"])
        os.environ.clear()
        os.environ.update(job["env"])
        for number, name in enumerate(("stdin", "stdout", "stderr")):
            file = os.open(job[name], os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT, 0o600)
            os.dup2(file, number)
        sys.path[0] = job["cwd"]
        main = program(job["program"])
        if job["kill"] is not None:
            sys.settrace(trace)
        try:
            main(job["args"])
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        sys.settrace(None)
        sys.stdout.flush()
        sys.stderr.flush()
        os.write(lines, str(counted).encode())
    finally:
        os._exit(code)


def program(name: str) -> Callable[[list[str]], object]:
    """Return a function that runs a program with the arguments it is called with, and raises SystemExit."""
    if name == "pytest":
        import pytest

        def run_tests(args: list[str]) -> None:
            code = pytest.main(args)
            warnings.simplefilter("error")
            gc.collect()  # reports on stderr what was left open
            sys.exit(code)

        return run_tests
    from mcprun.cli import main

    return lambda args: main(args, prog_name="mcprun")


if __name__ == "__main__":
    serve()
