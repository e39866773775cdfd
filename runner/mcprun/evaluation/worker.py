"""Match patterns and validate schemas in a separate process: `python -I -S worker.py`.

A regular expression can't be interrupted within its process, so a timer ends this process if a job takes too long:
setitimer(2), or the watchdog of `faulthandler` on Windows. The process starts in 15 ms, because it imports only the
standard library until it needs a schema.

The protocol on stdin and stdout consists of frames: a length (8 bytes, little-endian) and `marshal` data, which keeps
text and numbers exact. The first frame is `sys.path`, to import jsonschema and regress. Each further frame is a job,
(name, arguments, timeout in seconds). The reply is any number of ("pattern", text) frames, then one ("result", value)
or ("error", message) frame. A "pattern" frame names the pattern to be matched next if the job may match several.
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
"""Stack size and recursion limit for deeply nested values. The system allocates only the pages that are used."""

_WAIT_FACTOR = 3
"""Wall-clock seconds allowed for each second of processor time: on a busy machine a job waits for a processor."""


def write_frame(file: IO[bytes], value: Any) -> None:
    """Write one frame. Raises `ValueError` if the value is nested too deeply."""
    data = marshal.dumps(value)
    file.write(len(data).to_bytes(HEADER_BYTES, "little") + data)
    file.flush()


def read_frame(file: IO[bytes]) -> Any:
    """Read one frame. Raises `EOFError` if the stream ends before or within a frame."""
    header = file.read(HEADER_BYTES)
    size = int.from_bytes(header, "little")
    data = file.read(size) if len(header) == HEADER_BYTES else b""
    if len(header) < HEADER_BYTES or len(data) < size:
        raise EOFError
    return marshal.loads(data)  # noqa: S302  both ends are mcprun, run by the same Python


def main() -> None:
    """Run jobs until stdin ends."""
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
            name, arguments, timeout = read_frame(jobs)
        except EOFError:
            return
        if name == "validate":
            import mcprun.evaluation.json_schema  # noqa: F401  the import must not count towards the job's time limit
        start(timeout)
        try:
            answer: tuple[str, object] = ("result", functions[name](*arguments))
        except RecursionError:
            answer = ("error", "it is nested too deeply")
        except Exception as error:  # noqa: BLE001  the caller turns it into an `EvaluationError`
            answer = ("error", f"{type(error).__name__}: {error}")
        stop()
        write_frame(results, answer)


def search(pattern: str, text: str) -> list[tuple[int, int]] | None:
    """Search for a Python pattern. Return the spans of the match and of its first group, if the pattern has one."""
    found = re.search(pattern, text)
    return found and [found.span(), *([found.span(1)] if found.re.groups else [])]


def replace(pattern: str, replacement: str, text: str) -> str:
    """Replace every match of a pattern by a literal text."""
    return re.sub(pattern, lambda _: replacement, text)


def spans(pattern: str, text: str) -> list[tuple[int, int]]:
    """Return the (start, end) spans of all matches of a pattern."""
    return [found.span() for found in re.finditer(pattern, text)]


class _Announcer:
    """Reports which of several patterns is matched next, so that the caller can name the pattern that timed out."""

    def __init__(self, results: IO[bytes]) -> None:
        self._results = results
        self._announced = ""

    def reset(self) -> None:
        """Start a new job: the next pattern is announced again."""
        self._announced = ""

    def announce(self, pattern: str) -> None:
        """Report a pattern, unless it was the last one reported."""
        if pattern != self._announced:
            write_frame(self._results, ("pattern", pattern))
            self._announced = pattern

    def any_match(self, patterns: list[str], texts: list[str]) -> bool:
        """Return whether any of the patterns matches in any of the texts."""
        self.reset()
        for pattern in patterns:
            self.announce(pattern)
            if any(re.search(pattern, text) for text in texts):
                return True
        return False


class _Validation:
    """Validates values against JSON Schemas. Validators are cached by the `marshal` data of their schema."""

    def __init__(self, announcer: _Announcer) -> None:
        self._announcer = announcer

    def outcome(self, schema: bytes, dialect: str, value: Any, part: Any) -> list[Any]:
        """Validate a value and return the fields of an `Outcome`."""
        self._announcer.reset()
        outcome = self._validator(schema, dialect).outcome(value, part)
        problem = outcome.problem
        first = [(one.path, one.message) for one in outcome.first]
        return [problem and (problem.path, problem.message), outcome.unread, outcome.unresolved, first, outcome.count]

    @lru_cache(maxsize=64)  # noqa: B019  the one instance lives as long as the process
    def _validator(self, schema: bytes, dialect: str) -> Any:
        from mcprun.evaluation.json_schema import SchemaValidator
        from mcprun.evaluation.patterns import SEARCHES

        find = SEARCHES[dialect]  # type: ignore[index]  # the caller is typed

        def search(pattern: str, text: str) -> bool | None:
            self._announcer.announce(pattern)
            return find(pattern, text)

        return SchemaValidator(marshal.loads(schema), search)  # noqa: S302  see `read_frame`


def _timer() -> tuple[Callable[[float], object], Callable[[], object]]:
    """Return the functions that start and stop the timer of a job. The timer ends the process."""
    if sys.platform == "win32":
        sink = open(os.devnull, "w", encoding="ascii")  # noqa: SIM115, PTH123  open as long as the process lives
        return (
            lambda timeout: faulthandler.dump_traceback_later(timeout, exit=True, file=sink),
            faulthandler.cancel_dump_traceback_later,
        )

    def start(timeout: float) -> None:
        signal.setitimer(signal.ITIMER_PROF, timeout)
        signal.setitimer(signal.ITIMER_REAL, timeout * _WAIT_FACTOR)

    def stop() -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)

    return start, stop


if __name__ == "__main__":
    if sys.platform != "win32":  # ignored and blocked signals are inherited from the parent
        for number in (signal.SIGPROF, signal.SIGALRM):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGPROF, signal.SIGALRM})
    threading.stack_size(_STACK_BYTES)
    worker = threading.Thread(target=main)
    worker.start()
    worker.join()
