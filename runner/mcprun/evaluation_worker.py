"""Matches patterns and validates schemas in a process of its own: `python -I -S evaluation_worker.py`.

A regular expression can't be interrupted within its process, so this process ends itself when a job takes too long: by
the timers of POSIX, elsewhere by the watchdog of `faulthandler`. It needs 15 ms to start and imports nothing but the
standard library, until there is a schema.

The protocol on stdin and stdout: frames of a length (8 bytes, little-endian) and `marshal` data, which keeps text and
numbers exact. The first frame is `sys.path`, for jsonschema and regress. Each job, (name, arguments, seconds), is
answered by any number of ("pattern", text) frames, which announce the pattern that is about to be matched where there
may be several, and one ("result", value) or ("error", message) frame.
"""

from __future__ import annotations

import faulthandler
import marshal
import os
import re
import signal
import sys
import threading
from collections.abc import Callable
from functools import lru_cache
from typing import IO, Any

HEADER_BYTES = 8

_STACK_BYTES, _MAX_FRAMES = 256 * 1024 * 1024, 20_000
"""For values that are nested deeply; memory that is not used is not taken."""

_WAIT_FACTOR = 3
"""A job may take this many times its seconds of processor time by the clock, where others use the processors too."""


def write_frame(file: IO[bytes], value: Any) -> None:
    """Write one frame. Raises `ValueError` for values that are nested too deeply."""
    data = marshal.dumps(value)
    file.write(len(data).to_bytes(HEADER_BYTES, "little") + data)
    file.flush()


def read_frame(file: IO[bytes]) -> Any:
    """Read one frame. Raises `EOFError` where there is none, or only a part of one."""
    header = file.read(HEADER_BYTES)
    size = int.from_bytes(header, "little")
    data = file.read(size) if len(header) == HEADER_BYTES else b""
    if len(header) < HEADER_BYTES or len(data) < size:
        raise EOFError
    return marshal.loads(data)  # noqa: S302  both ends are this program, run by the same Python


def main() -> None:
    """Do jobs until stdin ends."""
    jobs, results = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # a library that prints must not break the protocol
    sys.setrecursionlimit(_MAX_FRAMES)
    sys.path[:] = read_frame(jobs)
    announcer = _Announcer(results)
    functions: dict[str, Callable[..., object]] = {
        "search": search,
        "replace": replace,
        "spans": spans,
        "any_match": announcer.any_match,
        "validate": _Validation(announcer).outcome,
    }
    start, stop = _timer()
    while True:
        try:
            name, arguments, seconds = read_frame(jobs)
        except EOFError:
            return
        if name == "validate":
            import mcprun.json_schema  # noqa: F401  its time is not that of the job
        start(seconds)
        try:
            answer: tuple[str, object] = ("result", functions[name](*arguments))
        except RecursionError:
            answer = ("error", "it is nested too deeply")
        except Exception as error:  # noqa: BLE001  the caller decides what a job that can't be done means
            answer = ("error", f"{type(error).__name__}: {error}")
        stop()
        write_frame(results, answer)


def search(pattern: str, text: str) -> list[tuple[int, int]] | None:
    """Find a pattern (Python's dialect): the spans of the match and of its first group, if the pattern has one."""
    found = re.search(pattern, text)
    return found and [found.span(), *([found.span(1)] if found.re.groups else [])]


def replace(pattern: str, replacement: str, text: str) -> str:
    """Replace every match of a pattern by a text."""
    return re.sub(pattern, lambda _: replacement, text)


def spans(pattern: str, text: str) -> list[tuple[int, int]]:
    """Find the spans of all matches of a pattern."""
    return [found.span() for found in re.finditer(pattern, text)]


class _Announcer:
    """Tells the caller which of several patterns is about to be matched, so that it knows which one took too long."""

    def __init__(self, results: IO[bytes]) -> None:
        self._results = results
        self._announced = ""

    def reset(self) -> None:
        """Begin a job."""
        self._announced = ""

    def announce(self, pattern: str) -> None:
        """Name a pattern, unless it is the one that was named last."""
        if pattern != self._announced:
            write_frame(self._results, ("pattern", pattern))
            self._announced = pattern

    def any_match(self, patterns: list[str], texts: list[str]) -> bool:
        """Return whether any of the patterns is found in any of the texts."""
        self.reset()
        for pattern in patterns:
            self.announce(pattern)
            if any(re.search(pattern, text) for text in texts):
                return True
        return False


class _Validation:
    """Validates values by JSON Schema. Schemas come as `marshal` data, by which their validators are kept."""

    def __init__(self, announcer: _Announcer) -> None:
        self._announcer = announcer

    def outcome(self, schema: bytes, dialect: str, value: Any, part: Any) -> list[Any]:
        """Validate a value: the fields of an `Outcome`."""
        self._announcer.reset()
        outcome = self._validator(schema, dialect).outcome(value, part)
        problem = outcome.problem
        return [problem and (problem.path, problem.message), outcome.unread, outcome.unresolved]

    @lru_cache(maxsize=64)  # noqa: B019  there is one, as long as the process
    def _validator(self, schema: bytes, dialect: str) -> Any:
        from mcprun.json_schema import SchemaValidator
        from mcprun.patterns import SEARCHES

        find = SEARCHES[dialect]  # type: ignore[index]  # it comes from a caller that is typed

        def search(pattern: str, text: str) -> bool | None:
            self._announcer.announce(pattern)
            return find(pattern, text)

        return SchemaValidator(marshal.loads(schema), search)  # noqa: S302  see `read_frame`


def _timer() -> tuple[Callable[[float], object], Callable[[], object]]:
    """Return what starts and what stops the time of a job; when it is over, the process ends."""
    if sys.platform == "win32":
        sink = open(os.devnull, "w", encoding="ascii")  # noqa: SIM115, PTH123  it is open as long as the process
        return (
            lambda seconds: faulthandler.dump_traceback_later(seconds, exit=True, file=sink),
            faulthandler.cancel_dump_traceback_later,
        )

    def start(seconds: float) -> None:
        signal.setitimer(signal.ITIMER_PROF, seconds)
        signal.setitimer(signal.ITIMER_REAL, seconds * _WAIT_FACTOR)

    def stop() -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)

    return start, stop


if __name__ == "__main__":
    if sys.platform != "win32":  # whatever the parent has made of the signals that end this process
        for number in (signal.SIGPROF, signal.SIGALRM):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGPROF, signal.SIGALRM})
    threading.stack_size(_STACK_BYTES)
    worker = threading.Thread(target=main)
    worker.start()
    worker.join()
