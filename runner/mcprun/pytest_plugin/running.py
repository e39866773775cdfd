"""A run in a thread of its own: whoever waits for it can be interrupted, and may have an event loop running."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from queue import SimpleQueue

from mcprun.batch import Plan, Result, run_plan
from mcprun.ending import Ending
from mcprun.errors import ErrorKind, RunError
from mcprun.events import Event, QueryEnd
from mcprun.queries import Query
from mcprun.records import Transcript


class Running:
    """A run that goes on by itself; or `on_demand`, one query when it is asked for, with the servers kept between."""

    def __init__(self, plan: Plan, *, on_demand: bool = False) -> None:
        self._plan = plan
        self._ending = Ending()
        self._asked: asyncio.Queue[tuple[Query, int] | None] = asyncio.Queue()
        self._told: SimpleQueue[Transcript | None] = SimpleQueue()
        self._open = self._done = 0
        self._outcome: Result | BaseException | None = None
        # A loop of its own: that of the thread which waits is not touched.
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self._loop = self._runner.get_loop()
        # Never waited for at exit: should nobody close it, the servers end when this process is gone.
        self._thread = threading.Thread(target=self._run, args=(on_demand,), name="mcprun", daemon=True)
        self._thread.start()

    def ask(self, query: Query, repeat: int) -> Transcript:
        """Run a query, and wait for its transcript. Raises what has ended the run, `RunError` or `UsageError`."""
        self._open += 1
        self._soon(lambda: self._asked.put_nowait((query, repeat)))
        transcript = self._told.get()
        if transcript is None:
            self._told.put(None)  # for whoever asks next
            raise self.result().error or _fault("has ended while it was asked")
        self._open -= 1
        self._done += 1
        return transcript

    def result(self) -> Result:
        """Wait until the run is over. Raises what it raises; where the waiting is interrupted, the run is ended."""
        try:
            self._thread.join()
        except BaseException:
            self._soon(lambda: self._ending.end(RunError(ErrorKind.CANCELLED, "pytest was interrupted")))
            self._thread.join()
            raise
        if not isinstance(self._outcome, Result):
            raise self._outcome or _fault("came to no end")
        return self._outcome

    def close(self) -> Result:
        """End a run whose queries were asked for, and wait until nothing of it is left. Raises what it raises."""
        runs = self._plan.prompts.runs
        if self._open:  # nobody waits for it any more
            reason = RunError(ErrorKind.CANCELLED, "pytest was interrupted")
            self._soon(lambda: self._ending.end(reason))
        elif self._done < runs:
            reason = RunError(ErrorKind.CANCELLED, f"pytest asked for {self._done:,} of the {runs:,} queries")
            self._soon(lambda: self._ending.stop(reason))
        self._soon(lambda: self._asked.put_nowait(None))
        return self.result()

    def _soon(self, what: Callable[[], None]) -> None:
        """Have something done in the run's event loop; once that is closed, nothing."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(what)

    async def _take(self) -> tuple[Query, int] | None:
        asked = await self._asked.get()
        if asked is None:
            self._asked.put_nowait(None)  # for the other workers
        return asked

    def _watch(self, event: Event) -> None:
        if isinstance(event, QueryEnd):
            self._told.put(event.transcript)

    def _run(self, on_demand: bool) -> None:
        take = self._take if on_demand else None
        try:
            with self._runner, self._plan.prompts:
                self._outcome = self._runner.run(run_plan(self._plan, self._watch, self._ending, take))
        except BaseException as error:  # noqa: BLE001  it is raised where somebody waits for the run
            self._outcome = error
        self._told.put(None)


def _fault(what: str) -> RunError:
    return RunError(ErrorKind.FAULT, f"the run {what}; this is a fault of mcprun itself")
