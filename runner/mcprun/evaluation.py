"""Evaluate users' and servers' patterns and schemas within a time limit, in a process that can be killed.

A thread can't stop Python's `re`, so each match is made by `evaluation_worker.py`. One such process serves the callers
that wait where they are: `search`, `replace` and so on block for at most `MATCH_SECONDS` of processor time. Another one
serves those that must not block the event loop: `evaluated` runs a function that calls them in a thread. Both are
started when first needed. A match costs about 15 µs. Schemas whose work is small and bounded are validated in this
process.
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
from mcprun.evaluation_process import EvaluationProcess
from mcprun.evaluation_worker import read_frame, write_frame

if TYPE_CHECKING:
    from mcprun.json_schema import Outcome
    from mcprun.patterns import Dialect

MATCH_SECONDS = 1.0
"""Processor time of one match, or of one validation of a value by a schema."""

MAX_TIMEOUTS = 3
"""Times that a pattern or schema may run out of time. From then on it is not evaluated again in this process."""

_LATER_SECONDS, _MAX_LATER = 0.05, 10
"""The same for `replace`, `spans` and `any_match`, which block the event loop: after the first time, there is less."""

_INLINE_STEPS = 20_000
"""Steps of a validation that is done in this process: 20 ms where each step finds something wrong."""

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
    """A function can't be finished without the other process, and must not wait for it. Passes `except Exception`."""


class _Abandoned(BaseException):
    """The caller of a function in the thread is gone."""


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
        from mcprun.json_schema import SchemaValidator, bound_work
        from mcprun.patterns import SEARCHES

        self._schema = schema
        self._dialect = dialect
        self._work = bound_work(schema)
        self._validator = SchemaValidator(schema, SEARCHES[dialect])
        self._data = b""

    def outcome(self, value: Any, part: Any = None) -> Outcome:
        """Validate a JSON value against the schema, or against a `part` of it. Raises `EvaluationError`."""
        from mcprun.json_schema import Outcome, Problem, count_nodes

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

    The function must be free of side effects: it is called here first, and again in a thread if it needs the other
    process. When cancelled, what is being evaluated is killed.
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


def close() -> None:
    """End the processes that are idle. The next evaluation starts a new one."""
    for worker in (_blocking, _threaded.worker):
        worker.close()


def timed_out() -> Counter[str]:
    """Count how often each pattern has run out of time in this process."""
    return Counter({key: times for key, times in _timeouts.items() if isinstance(key, str)})


def _evaluate(name: str, arguments: tuple[Any, ...], *keys: str | bytes) -> Any:
    """Do a job in the process of this thread. `keys` are what its time is counted for."""
    if not _thread.may_wait:
        raise _NeedsProcess
    worker = _threaded.worker if _thread.job else _blocking
    if _thread.job and _thread.job.is_abandoned:
        raise _Abandoned
    times = max(_timeouts[key] for key in keys)
    is_blocking = name in ("replace", "spans", "any_match")
    if times >= (1 + _MAX_LATER if is_blocking else MAX_TIMEOUTS):
        key = next(key for key in keys if _timeouts[key] == times)
        raise _out_of_time(key, "", f"ran out of time {times} times before, and is not tried again")
    return worker.do(name, arguments, keys, _LATER_SECONDS if is_blocking and times else MATCH_SECONDS)


def _out_of_time(key: str | bytes, announced: str, how: str) -> EvaluationError:
    what, advice = "the schema", ""
    if pattern := announced or (key if isinstance(key, str) else ""):
        shown = pattern if len(pattern) <= _SHOWN else f"{pattern[:_SHOWN]}…"
        what = f"the pattern {shown!r}" + (" of the schema" if isinstance(key, bytes) else "")
        advice = _ADVICE
    return EvaluationError(ErrorKind.MATCH_TIMEOUT, f"{what} {how}{advice}")


class _Worker:
    """The process, started when there is a job for it. One job at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: EvaluationProcess | None = None

    def do(self, name: str, arguments: tuple[Any, ...], keys: Sequence[str | bytes], seconds: float) -> Any:
        """Do a job within so many seconds; again in a new process if this one is gone for another reason than time."""
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
        """End the process while it works; the thread that reads its answer finds that out."""
        if process := self._process:
            with suppress(OSError):
                process.popen.kill()

    def close(self) -> None:
        """End the process, if it does not work."""
        if self._lock.acquire(blocking=False):
            try:
                self._discard()
            finally:
                self._lock.release()

    def forget(self) -> None:
        """Leave the process to the parent, in a fork of it."""
        if self._process:
            self._process.popen.returncode = 0  # so that nothing here waits for it
        self._process, self._lock = None, threading.Lock()

    def _done(self, name: str, arguments: tuple[Any, ...], keys: Sequence[str | bytes], seconds: float) -> Any:
        """Do a job in the process, which is started if there is none. Raises `EOFError` or `OSError` if it is gone."""
        process = self._process = self._process or EvaluationProcess.start()
        announced = ""
        try:
            write_frame(process.jobs, (name, arguments, seconds))
            while (answer := read_frame(process.results))[0] == "pattern":
                announced = answer[1]
        except ValueError:
            raise EvaluationError(ErrorKind.FAULT, "a value could not be evaluated: it is nested too deeply") from None
        except EOFError:
            if not process.ended_by_time():
                raise
            self._discard()
            key = announced if announced in keys else keys[0]
            _timeouts[key] += 1
            raise _out_of_time(key, announced, f"took longer than {seconds:g} s") from None
        except BaseException:
            self._discard()  # its answer would be taken for that to the next job
            raise
        if answer[0] == "error":
            raise EvaluationError(ErrorKind.FAULT, f"a value could not be evaluated: {answer[1][:_SHOWN]}")
        return answer[1]

    def _discard(self) -> None:
        process, self._process = self._process, None
        if process:
            process.end()


class _Job:
    """A function that is called in the thread for an awaiting caller."""

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
        """Give the job up: the process that works on it is killed."""
        self.is_abandoned = True
        if _threaded.current is self:
            _threaded.worker.kill()


class _Thread(threading.local):
    """What holds for the evaluations of a thread."""

    may_wait = True
    job: _Job | None = None


@dataclass(slots=True)
class _Threaded:
    """The thread for callers that must not block, with its process."""

    worker: _Worker
    executor: ThreadPoolExecutor
    current: _Job | None = None


_thread = _Thread()
_timeouts: Counter[str | bytes] = Counter()
_blocking = _Worker()
_threaded = _Threaded(_Worker(), ThreadPoolExecutor(1, "evaluation"))


def _forked() -> None:
    """Share neither processes nor threads with the parent."""
    global _threaded
    _blocking.forget()
    _threaded.worker.forget()
    _threaded = _Threaded(_threaded.worker, ThreadPoolExecutor(1, "evaluation"))


atexit.register(close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
