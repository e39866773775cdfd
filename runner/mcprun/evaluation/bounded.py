"""Evaluate users' and servers' patterns and schemas within a time limit, in a process that can be killed.

Python's `re` can't be interrupted from another thread, so `evaluation/worker.py` does the matching. One worker process
serves blocking calls: `search`, `replace` and so on take at most `MATCH_SECONDS` of processor time. A second one serves
`evaluated`, which runs a function that makes such calls in a thread, so that the event loop is not blocked. Both are
started on first use. A match costs about 15 µs. Schemas that are small enough are validated in this process.
"""

from __future__ import annotations

import asyncio
import atexit
import marshal
import os
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from mcprun.errors import ErrorKind, QueryError
from mcprun.evaluation.process import EvaluationProcess
from mcprun.evaluation.worker import read_frame, write_frame

if TYPE_CHECKING:
    from mcprun.evaluation.json_schema import Outcome
    from mcprun.evaluation.patterns import Dialect

MATCH_SECONDS = 1.0
"""Processor time of one match, or of one validation of a value by a schema."""

MAX_TIMEOUTS = 3
"""Time-outs of a pattern or schema after which this process does not evaluate it again."""

_LATER_SECONDS, _MAX_LATER = 0.05, 10
"""Seconds of a match after the first time-out, and further time-outs: for calls that block the event loop."""

_INLINE_STEPS = 20_000
"""Steps up to which a value is validated in this process: 20 ms if every step finds a violation."""

_SHOWN = 200
"""Characters of a pattern that a message holds."""

_ADVICE = "; write it without repetitions within repetitions, such as (a+)+"

T = TypeVar("T")


class EvaluationError(QueryError):
    """A pattern or schema could not be evaluated: out of time (`match_timeout`), or the process failed (`fault`)."""

    @property
    def is_timeout(self) -> bool:
        """Whether it ran out of time."""
        return self.kind is ErrorKind.MATCH_TIMEOUT


class _NeedsProcess(BaseException):
    """A function needs the worker process and must not wait for it. `except Exception` does not catch this."""


class _Abandoned(BaseException):
    """The caller of `evaluated` was cancelled."""


def search(pattern: str, text: str) -> tuple[str, str | None] | None:
    """Find a pattern (Python's dialect, valid) in a text. `None` if it is not found. Raises `EvaluationError`.

    Returns the match and its first group: the match again if the pattern has no group, `None` if it did not take part.
    """
    spans = _evaluate("search", (pattern, text), pattern)
    if spans is None:
        return None
    found = [text[start:stop] if start >= 0 else None for start, stop in spans]
    return found[0] or "", found[-1]


def replace(pattern: str, replacement: str, text: str) -> str:
    """Replace every match of a pattern. Raises `EvaluationError`."""
    return str(_evaluate("replace", (pattern, replacement, text), pattern))


def spans(pattern: str, text: str) -> list[tuple[int, int]]:
    """Find where a pattern matches. Raises `EvaluationError`."""
    return list(_evaluate("spans", (pattern, text), pattern))


def any_match(patterns: Sequence[str], texts: Sequence[str]) -> bool:
    """Return whether any of the patterns is found in any of the texts. Raises `EvaluationError`."""
    return bool(_evaluate("any_match", (list(patterns), list(texts)), *patterns))


class Schema:
    """A JSON Schema that values are validated against. It must be valid by the metaschema.

    Its patterns are of a dialect: `python` in what users write, `ecma` in what servers send.
    """

    def __init__(self, schema: Any, dialect: Dialect) -> None:
        from mcprun.evaluation.json_schema import SchemaValidator, bound_work
        from mcprun.evaluation.patterns import SEARCHES

        self._schema = schema
        self._dialect = dialect
        self._work = bound_work(schema)
        self._validator = SchemaValidator(schema, SEARCHES[dialect])
        self._data = b""

    def outcome(self, value: Any, part: Any = None) -> Outcome:
        """Validate a JSON value against the schema, or against a `part` of it. Raises `EvaluationError`."""
        from mcprun.evaluation.json_schema import Outcome, Problem, count_nodes

        if self._work * count_nodes(value, _INLINE_STEPS / max(self._work, 1.0)) <= _INLINE_STEPS:
            try:
                return self._validator.outcome(value, part)
            except RecursionError:
                pass  # the other process has room for more
        if not self._data:
            self._data = marshal.dumps(self._schema)
        problem, unread, unresolved = _evaluate("validate", (self._data, self._dialect, value, part), self._data)
        return Outcome(Problem(*problem) if problem else None, unread, unresolved)


async def evaluated(function: Callable[[], T]) -> T:
    """Call a function that evaluates patterns or schemas, without blocking the event loop while it waits for them.

    The function must have no side effects: it is called here first, and again in a thread if it needs the worker
    process. Cancellation kills the evaluation.
    """
    was_waiting, _thread.may_wait = _thread.may_wait, False
    try:
        return function()
    except _NeedsProcess:
        pass
    finally:
        _thread.may_wait = was_waiting
    job = _Job(function)
    future: Future[T] = _threaded.executor.submit(job)
    try:
        return await asyncio.wrap_future(future)
    except asyncio.CancelledError:
        job.abandon()
        raise


def hurry() -> None:
    """Cut short what blocks the event loop, since this process is to stop; meant for a signal handler.

    A blocking match in progress ends as if out of time. Until `close`, further ones get 0.05 s, a pattern that has run
    out of time is not tried again, and after ten more time-outs none is.
    """
    _blocking.hurry()


def close() -> None:
    """End the processes that are idle. The next evaluation starts a new one."""
    _blocking.is_hurried, _blocking.hurried_timeouts = False, 0
    for worker in (_blocking, _threaded.worker):
        worker.close()


def timed_out() -> Counter[str]:
    """Count how often each pattern has run out of time in this process."""
    return Counter({key: times for key, times in _timeouts.items() if isinstance(key, str)})


def _evaluate(name: str, arguments: tuple[Any, ...], *keys: str | bytes) -> Any:
    """Do a job in this thread's worker process. Time-outs are counted by `keys`: the patterns, or the schema."""
    if not _thread.may_wait:
        raise _NeedsProcess
    worker = _threaded.worker if _thread.job else _blocking
    if _thread.job and _thread.job.is_abandoned:
        raise _Abandoned
    times = max(_timeouts[key] for key in keys)
    is_blocking = name in ("replace", "spans", "any_match")
    is_hurried = is_blocking and worker.is_hurried
    if is_hurried and worker.hurried_timeouts >= _MAX_LATER:
        raise _out_of_time(keys[0], "", "was not tried, since the run is to stop")
    if times >= (1 if is_hurried else 1 + _MAX_LATER if is_blocking else MAX_TIMEOUTS):
        key = next(key for key in keys if _timeouts[key] == times)
        raise _out_of_time(key, "", f"ran out of time {times} times before, and is not tried again")
    is_brief = is_blocking and (times or is_hurried)
    return worker.do(name, arguments, keys, _LATER_SECONDS if is_brief else MATCH_SECONDS)


def _out_of_time(key: str | bytes, announced: str, how: str) -> EvaluationError:
    what, advice = "the schema", ""
    if pattern := announced or (key if isinstance(key, str) else ""):
        shown = pattern if len(pattern) <= _SHOWN else f"{pattern[:_SHOWN]}…"
        what = f"the pattern {shown!r}" + (" of the schema" if isinstance(key, bytes) else "")
        advice = _ADVICE
    return EvaluationError(ErrorKind.MATCH_TIMEOUT, f"{what} {how}{advice}")


class _Worker:
    """A worker process that does one job at a time, started on its first job."""

    def __init__(self) -> None:
        self.is_hurried = False
        self.hurried_timeouts = 0
        self._is_cut_short = False
        self._lock = threading.Lock()
        self._process: EvaluationProcess | None = None

    def do(self, name: str, arguments: tuple[Any, ...], keys: Sequence[str | bytes], seconds: float) -> Any:
        """Do a job within so many seconds. Try once more in a new process if this one ends, unless by a time-out."""
        with self._lock:
            try:
                return self._done(name, arguments, keys, seconds)
            except (EOFError, OSError):
                self._discard()
            if _thread.job and _thread.job.is_abandoned:
                raise _Abandoned
            try:
                return self._done(name, arguments, keys, seconds)
            except (EOFError, OSError) as error:
                self._discard()
                message = f"the process that evaluates patterns failed: {error or 'it ended by itself'}"
                raise EvaluationError(ErrorKind.FAULT, message) from None

    def kill(self) -> None:
        """Kill the process while it works. The thread that waits for its answer reads the end of the pipe."""
        if process := self._process:
            with suppress(OSError):
                process.popen.kill()

    def hurry(self) -> None:
        """End the job in progress as if out of time, and give later ones less."""
        self.is_hurried = True
        if self._lock.locked():
            self._is_cut_short = True
            self.kill()

    def close(self) -> None:
        """End the process if it is idle."""
        if self._lock.acquire(blocking=False):
            try:
                self._discard()
            finally:
                self._lock.release()

    def forget(self) -> None:
        """Drop the process after a fork: it belongs to the parent."""
        if self._process:
            self._process.popen.returncode = 0  # else `Popen.__del__` polls the parent's child
        self._process, self._lock = None, threading.Lock()

    def _done(self, name: str, arguments: tuple[Any, ...], keys: Sequence[str | bytes], seconds: float) -> Any:
        """Do a job in the process, which is started if there is none. Raises `EOFError` or `OSError` if it is gone."""
        process = self._process = self._process or EvaluationProcess.start()
        announced, self._is_cut_short = "", False
        try:
            write_frame(process.jobs, (name, arguments, seconds))
            while (answer := read_frame(process.results))[0] == "pattern":
                announced = answer[1]
        except ValueError:
            raise EvaluationError(ErrorKind.FAULT, "a value could not be evaluated: it is nested too deeply") from None
        except EOFError:
            if not process.ended_by_time() and not self._is_cut_short:
                raise
            self._discard()
            key = announced if announced in keys else keys[0]
            _timeouts[key] += 1
            self.hurried_timeouts += self.is_hurried
            raise _out_of_time(key, announced, f"took longer than {seconds:g} s") from None
        except BaseException:
            self._discard()  # the next job would read the answer to this one
            raise
        if answer[0] == "error":
            raise EvaluationError(ErrorKind.FAULT, f"a value could not be evaluated: {answer[1][:_SHOWN]}")
        return answer[1]

    def _discard(self) -> None:
        process, self._process = self._process, None
        if process:
            process.end()


class _Job:
    """A function to call in the thread, for a caller that awaits its result."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function = function
        self.is_abandoned = False

    def __call__(self) -> Any:
        _thread.job = _threaded.current = self
        try:
            return self._function()
        except _Abandoned:
            return None
        finally:
            _thread.job = _threaded.current = None

    def abandon(self) -> None:
        """Abandon the job, and kill the process if it works on it."""
        self.is_abandoned = True
        if _threaded.current is self:
            _threaded.worker.kill()


class _Thread(threading.local):
    """The state of one thread: whether it may wait for a worker, and its job in the `evaluated` thread."""

    may_wait = True
    job: _Job | None = None


@dataclass(slots=True)
class _Threaded:
    """The thread that serves `evaluated`, with its worker process."""

    worker: _Worker
    executor: ThreadPoolExecutor
    current: _Job | None = None


_thread = _Thread()
_timeouts: Counter[str | bytes] = Counter()
_blocking = _Worker()
_threaded = _Threaded(_Worker(), ThreadPoolExecutor(1, "evaluation"))


def _forked() -> None:
    """Start afresh after a fork: worker processes and threads belong to the parent."""
    global _threaded
    _blocking.forget()
    _threaded.worker.forget()
    _threaded = _Threaded(_threaded.worker, ThreadPoolExecutor(1, "evaluation"))


atexit.register(close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
