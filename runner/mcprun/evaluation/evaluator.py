"""Evaluate patterns and schemas from users and servers within a time limit, in a process that can be killed.

Python's `re` can't be interrupted from another thread, so `evaluation/worker.py` does the matching in a process of its
own. One worker process serves blocking calls: `search`, `replace` and the like take at most `MATCH_SECONDS` of
processor time. A second one serves `evaluated`, which runs a function that makes such calls in a thread, so that the
event loop is not blocked. Both start on first use. The overhead of a match is about 15 µs. Small schemas are validated
in this process.
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

from mcprun._util.quoted_pattern import quote_pattern
from mcprun.errors import ErrorKind, QueryError
from mcprun.evaluation.process import EvaluationProcess
from mcprun.evaluation.worker import read_frame, write_frame

if TYPE_CHECKING:
    from mcprun.evaluation.json_schema import Outcome
    from mcprun.evaluation.patterns import Dialect

MATCH_SECONDS = 1.0
"""Maximum processor time of one match, or of validating one value against a schema."""

MAX_TIMEOUTS = 3
"""Time-outs of a pattern or schema after which this process stops evaluating it."""

_LATER_SECONDS, _MAX_LATER = 0.05, 10
"""Time limit of a match after the first time-out, and how many more time-outs are allowed.

Both apply to calls that block the event loop.
"""

_INLINE_STEPS = 20_000
"""Maximum steps of a validation in this process. That many take 20 ms if every step finds a violation."""

_SHOWN = 200
"""Maximum characters of a pattern in a message."""

_ADVICE = "; avoid nested repetitions such as (a+)+"

T = TypeVar("T")


class EvaluationError(QueryError):
    """Raised if evaluating a pattern or schema timed out (`match_timeout`), or if the process failed (`fault`)."""

    @property
    def is_timeout(self) -> bool:
        """Whether the evaluation timed out."""
        return self.kind is ErrorKind.MATCH_TIMEOUT


class _NeedsProcess(BaseException):
    """Raised if a function needs the worker process but must not wait for it.

    A `BaseException`, so that `except Exception` in the function does not catch it.
    """


class _Abandoned(BaseException):
    """Raised in the worker thread after the caller of `evaluated` was cancelled."""


def search(pattern: str, text: str) -> tuple[str, str | None] | None:
    """Search a text for a valid pattern of Python's dialect. Raises `EvaluationError`.

    Return the match and its first group, or None if there is no match. Instead of the group, return the match again if
    the pattern has no groups, and None if the first group did not participate.
    """
    spans = _evaluate("search", (pattern, text), pattern)
    if spans is None:
        return None
    found = [text[start:stop] if start >= 0 else None for start, stop in spans]
    return found[0] or "", found[-1]


def replace(pattern: str, replacement: str, text: str) -> str:
    """Return the text with every match of a pattern replaced. Raises `EvaluationError`."""
    return str(_evaluate("replace", (pattern, replacement, text), pattern))


def spans(pattern: str, text: str) -> list[tuple[int, int]]:
    """Return the (start, end) offsets of all matches of a pattern. Raises `EvaluationError`."""
    return list(_evaluate("spans", (pattern, text), pattern))


def any_match(patterns: Sequence[str], texts: Sequence[str]) -> bool:
    """Return whether any of the patterns matches in any of the texts. Raises `EvaluationError`."""
    return bool(_evaluate("any_match", (list(patterns), list(texts)), *patterns))


class Schema:
    """A JSON Schema to validate values against. The schema must be valid against the metaschema.

    `dialect` is the dialect of its patterns: `python` in users' schemas, `ecma` in servers' schemas.
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
                pass  # the worker process has a larger stack
        if not self._data:
            self._data = marshal.dumps(self._schema)
        arguments = self._data, self._dialect, value, part
        problem, unread, unresolved, first, count = _evaluate("validate", arguments, self._data)
        problems = tuple(Problem(*one) for one in first)
        return Outcome(Problem(*problem) if problem else None, unread, unresolved, problems, count)


async def evaluated(function: Callable[[], T]) -> T:
    """Call a function that evaluates patterns or schemas, without blocking the event loop while they run.

    The function must have no side effects: it is called in this thread first, and again in another thread if it needs
    the worker process, or takes long (`checkpoint`). Cancellation kills the evaluation.
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


def checkpoint() -> None:
    """Mark a step of a long computation, which `evaluated` moves to its thread, and ends if the caller is cancelled."""
    if not _thread.may_wait:
        raise _NeedsProcess
    if _thread.job and _thread.job.is_abandoned:
        raise _Abandoned


def hurry() -> None:
    """Cut short evaluations that block the event loop, because this process is about to stop.

    Meant for a signal handler. A blocking match in progress ends as a time-out. Until `close`, each further match gets
    0.05 s, a pattern that has timed out is not tried again, and after ten more time-outs no pattern is.
    """
    _blocking.hurry()


def close() -> None:
    """End the worker processes that are idle. The next evaluation starts a new one."""
    _blocking.is_hurried, _blocking.hurried_timeouts = False, 0
    for worker in (_blocking, _threaded.worker):
        worker.close()


def timed_out() -> Counter[str]:
    """Return how often each pattern has timed out in this process."""
    return Counter({key: times for key, times in _timeouts.items() if isinstance(key, str)})


def _evaluate(name: str, arguments: tuple[Any, ...], *keys: str | bytes) -> Any:
    """Run a job in this thread's worker process and return its result. Raises `EvaluationError`.

    Time-outs are counted by `keys`: the patterns, or the marshalled schema.
    """
    checkpoint()
    worker = _threaded.worker if _thread.job else _blocking
    times = max(_timeouts[key] for key in keys)
    is_blocking = name in ("replace", "spans", "any_match")
    is_hurried = is_blocking and worker.is_hurried
    if is_hurried and worker.hurried_timeouts >= _MAX_LATER:
        raise _out_of_time(keys[0], "", "was not evaluated because the run is stopping")
    if times >= (1 if is_hurried else 1 + _MAX_LATER if is_blocking else MAX_TIMEOUTS):
        key = next(key for key in keys if _timeouts[key] == times)
        raise _out_of_time(key, "", f"timed out {times} times before and is not evaluated again")
    is_brief = is_blocking and (times or is_hurried)
    return worker.do(name, arguments, keys, _LATER_SECONDS if is_brief else MATCH_SECONDS)


def _out_of_time(key: str | bytes, announced: str, how: str) -> EvaluationError:
    """Return the error for a time-out of `announced`, the pattern that was being matched, or else of `key`."""
    what, advice = "the schema", ""
    if pattern := announced or (key if isinstance(key, str) else ""):
        shown = pattern if len(pattern) <= _SHOWN else f"{pattern[:_SHOWN]}…"
        what = f"the pattern {quote_pattern(shown)}" + (" of the schema" if isinstance(key, bytes) else "")
        advice = _ADVICE
    return EvaluationError(ErrorKind.MATCH_TIMEOUT, f"{what} {how}{advice}")


class _Worker:
    """A worker process that runs one job at a time and starts with the first."""

    def __init__(self) -> None:
        self.is_hurried = False
        self.hurried_timeouts = 0
        self._is_cut_short = False
        self._lock = threading.Lock()
        self._process: EvaluationProcess | None = None

    def do(self, name: str, arguments: tuple[Any, ...], keys: Sequence[str | bytes], timeout: float) -> Any:
        """Run a job within `timeout` seconds. Retry once in a new process if this one ends, except on a time-out."""
        with self._lock:
            try:
                return self._run_job(name, arguments, keys, timeout)
            except (EOFError, OSError):
                self._discard()
            if _thread.job and _thread.job.is_abandoned:
                raise _Abandoned
            try:
                return self._run_job(name, arguments, keys, timeout)
            except (EOFError, OSError) as error:
                self._discard()
                message = f"the process that evaluates patterns failed: {error or 'it exited unexpectedly'}"
                raise EvaluationError(ErrorKind.FAULT, message) from None

    def kill(self) -> None:
        """Kill the process during a job. The thread that waits for the result reads the end of the pipe."""
        if process := self._process:
            with suppress(OSError):
                process.popen.kill()

    def hurry(self) -> None:
        """End the job in progress as a time-out, and give later jobs less time."""
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

    def _run_job(self, name: str, arguments: tuple[Any, ...], keys: Sequence[str | bytes], timeout: float) -> Any:
        """Run a job in the process, and start that if necessary. Raises `EOFError` or `OSError` if it is gone."""
        process = self._process = self._process or EvaluationProcess.start()
        announced, self._is_cut_short = "", False
        try:
            write_frame(process.jobs, (name, arguments, timeout))
            while (answer := read_frame(process.results))[0] == "pattern":
                announced = answer[1]
        except ValueError:
            raise EvaluationError(ErrorKind.FAULT, "a value could not be evaluated: it is nested too deeply") from None
        except EOFError:
            if not process.wait_timed_out() and not self._is_cut_short:
                raise
            self._discard()
            key = announced if announced in keys else keys[0]
            _timeouts[key] += 1
            self.hurried_timeouts += self.is_hurried
            raise _out_of_time(key, announced, f"took longer than {timeout:g} s") from None
        except BaseException:
            self._discard()  # the next job would read the result of this one
            raise
        if answer[0] == "error":
            raise EvaluationError(ErrorKind.FAULT, f"a value could not be evaluated: {answer[1][:_SHOWN]}")
        return answer[1]

    def _discard(self) -> None:
        process, self._process = self._process, None
        if process:
            process.kill()


class _Job:
    """A function to call in the worker thread, for a caller that awaits its result."""

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
        """Abandon the job, and kill the worker process if it is running it."""
        self.is_abandoned = True
        if _threaded.current is self:
            _threaded.worker.kill()


class _Thread(threading.local):
    """The state of one thread: whether it may wait for a worker process, and the job of `evaluated` that it runs."""

    may_wait = True
    job: _Job | None = None


@dataclass(slots=True)
class _Threaded:
    """The thread that serves `evaluated`, and its worker process."""

    worker: _Worker
    executor: ThreadPoolExecutor
    current: _Job | None = None


_thread = _Thread()
_timeouts: Counter[str | bytes] = Counter()
_blocking = _Worker()
_threaded = _Threaded(_Worker(), ThreadPoolExecutor(1, "evaluation"))


def _forked() -> None:
    """Reset the module after a fork: worker processes and threads belong to the parent."""
    global _threaded
    _blocking.forget()
    _threaded.worker.forget()
    _threaded = _Threaded(_threaded.worker, ThreadPoolExecutor(1, "evaluation"))


atexit.register(close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
