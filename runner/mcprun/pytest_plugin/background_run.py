"""A run in a background thread: the calling thread can be interrupted, and may have a running event loop."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Self

from mcprun._util.run_stop import RunStop
from mcprun.client.transports.process import hurry
from mcprun.engine.comparison import compare_with_baseline
from mcprun.engine.coverage import check_coverage
from mcprun.engine.routing_outcome import record_routing
from mcprun.engine.run import RunPlan, RunResult, execute
from mcprun.errors import ErrorKind, RunError
from mcprun.evaluation import evaluator
from mcprun.prompts.query import Query
from mcprun.runs.events import Event, QueryEnd
from mcprun.runs.transcript import Transcript


class BackgroundRun:
    """A run of all queries, or with `on_demand`, of each query passed to `ask`, on the same servers."""

    def __init__(self, plan: RunPlan, *, on_demand: bool = False) -> None:
        self._plan = plan
        self._run_stop = RunStop()
        self._requests: asyncio.Queue[tuple[Query, int] | None] = asyncio.Queue()
        self._run_stop.on_reason(
            lambda: self._requests.put_nowait(None)
        )  # else idle workers would wait for another query
        self._transcripts: SimpleQueue[Transcript | None] = SimpleQueue()
        self._open = self._done = 0
        self._outcome: RunResult | BaseException | None = None
        # A loop of its own, which leaves that of the calling thread untouched.
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self._loop = self._runner.get_loop()
        self._finished = threading.Event()
        self._is_abandoned = False
        # A daemon, so that a run that was not closed does not keep the process alive; its servers end with the process.
        self._thread = threading.Thread(target=self._run, args=(on_demand,), name="mcprun", daemon=True)

    def start(self) -> Self:
        """Start the run."""
        self._thread.start()
        return self

    def ask(self, query: Query, repeat: int) -> Transcript:
        """Run a query and return its transcript. Raises the `RunError` or `UsageError` that ended the run."""
        self._open += 1
        self._soon(lambda: self._requests.put_nowait((query, repeat)))
        transcript = self._transcripts.get()
        if transcript is None:
            self._transcripts.put(None)  # for the next caller
            raise self.result().error or _fault("ended unexpectedly")
        self._open -= 1
        self._done += 1
        return transcript

    def result(self) -> RunResult:
        """Wait for the end of the run and return its result, or raise its exception.

        An exception that interrupts the wait, such as Ctrl-C, ends the run and is raised after its end. A third
        interruption is raised at once: a tool of a server in this process may never end.
        """
        # No `Thread.join`: on CPython 3.11 an interrupted join marks the thread as stopped; the next returns at once.
        try:
            self._finished.wait()
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):  # no more tests will run in this process
                hurry()
            self.interrupt()
            raise
        if not isinstance(self._outcome, RunResult):
            raise self._outcome or _fault("has no result")
        return self._outcome

    def cancel(self) -> None:
        """End the run early, without waiting for its end."""
        if self._thread.ident is not None and not self._finished.is_set():
            self._soon(lambda: self._run_stop.cancel(RunError(ErrorKind.CANCELLED, "pytest was interrupted")))
            evaluator.hurry()

    def interrupt(self) -> None:
        """End the run early, and wait until it has shut down."""
        if self._thread.ident is None or self._is_abandoned:
            return
        self.cancel()
        try:
            self._finished.wait()
        except BaseException:
            hurry()
            self._is_abandoned = True
            self._finished.wait()
            raise

    def close(self) -> RunResult:
        """End a run on demand, and wait until it has shut down. Return its result, or raise its exception."""
        runs = self._plan.prompts.runs
        if self._open:  # `ask` was interrupted and no longer waits
            reason = RunError(ErrorKind.CANCELLED, "pytest was interrupted")
            self._soon(lambda: self._run_stop.cancel(reason))
        elif self._done < runs:
            reason = RunError(ErrorKind.CANCELLED, f"pytest requested {self._done:,} of {runs:,} queries")
            self._soon(lambda: self._run_stop.drain(reason))
        self._soon(lambda: self._requests.put_nowait(None))
        return self.result()

    def _soon(self, callback: Callable[[], None]) -> None:
        """Schedule a callback in the run's event loop, unless that is closed."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback)

    async def _take(self) -> tuple[Query, int] | None:
        request = await self._requests.get()
        if request is None:
            self._requests.put_nowait(None)  # for the other workers
        return request

    def _watch(self, event: Event) -> None:
        if isinstance(event, QueryEnd):
            self._transcripts.put(event.transcript)

    def _run(self, on_demand: bool) -> None:
        take = self._take if on_demand else None
        try:
            with self._runner, self._plan.prompts:
                result = self._runner.run(execute(self._plan, self._watch, self._run_stop, take))
                self._outcome = record_routing(check_coverage(compare_with_baseline(result, self._plan)))
        except BaseException as error:  # noqa: BLE001  raised by `ask` and `result`
            self._outcome = error
        self._transcripts.put(None)
        self._finished.set()


def _fault(what: str) -> RunError:
    return RunError(ErrorKind.FAULT, f"internal error in mcprun: the run {what}")
