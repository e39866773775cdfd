"""Handle signals: the first Ctrl-C lets queries in flight finish; a second one, SIGTERM or SIGHUP cancels them."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mcprun._util.operating_system import on_stop_signals
from mcprun._util.run_stop import RunStop
from mcprun.client.transports.process import hurry
from mcprun.errors import ErrorKind, RunError
from mcprun.evaluation import evaluator
from mcprun.limits import BATCH_CANCEL_SECONDS

if TYPE_CHECKING:
    from mcprun.engine.run import RunResult

T = TypeVar("T")


def run_to_end(work: Coroutine[Any, Any, T], handle: Callable[[int], bool] | None = None) -> T:
    """Run a coroutine and return its result. A signal cancels it, and the process exits with 128 plus its number.

    `handle` is called with each signal first, and returns whether that was all to do.
    """
    last = 0

    async def main() -> T:
        nonlocal last
        task = asyncio.current_task()

        def take(number: int) -> None:
            nonlocal last
            if handle and handle(number):
                return
            last = number
            hurry()
            if task:
                task.cancel()

        on_stop_signals(take, lambda _: None if handle else evaluator.hurry())
        return await work

    try:
        return asyncio.run(main())
    except asyncio.CancelledError:
        if not last:
            raise
    click.echo("Interrupted.", err=True)
    raise click.exceptions.Exit(128 + last)


class Signals:
    """Passes signals on to the run's `run_stop`, and reports them with `note`.

    `last` is the number of the last signal, or 0. A run that `is_batched` does not wait for queries in flight, which
    would not finish soon: pending batches are found again on resume.
    """

    def __init__(self, run_stop: RunStop, note: Callable[[str], None], *, is_batched: bool = False) -> None:
        self.last = 0
        self._interrupts = 0
        self._is_batched = is_batched
        self._run_stop = run_stop
        self._note = note

    async def run(self, run: Coroutine[Any, Any, RunResult]) -> RunResult:
        """Await a run and return its result, with signals passed on to it."""
        on_stop_signals(self._take, self._cut_short)
        return await run

    def _cut_short(self, number: int) -> None:
        """Interrupt work that blocks the event loop, except at the first Ctrl-C, when queries in flight may finish."""
        self._interrupts += number == signal.SIGINT
        if number != signal.SIGINT or self._interrupts > 1:
            evaluator.hurry()

    def _take(self, number: int) -> None:
        is_first = not self.last
        self.last = number
        reason = RunError(ErrorKind.CANCELLED, f"interrupted by {signal.Signals(number).name}")
        if number == signal.SIGINT and self._is_batched:
            self._take_of_batches(reason, is_first=is_first)
        elif number == signal.SIGINT and is_first:
            self._run_stop.drain(reason)
            self._note("Stopping: waiting for queries in flight. Press Ctrl-C again to cancel them.")
        else:
            hurry()
            self._run_stop.cancel(reason)
            self._note("Cancelling queries in flight and shutting down servers.")

    def _take_of_batches(self, reason: RunError, *, is_first: bool) -> None:
        if is_first:
            self._run_stop.batch_grace_seconds = BATCH_CANCEL_SECONDS
            self._note(
                "Stopping: pending batches continue at the API."
                f" Press Ctrl-C again within {BATCH_CANCEL_SECONDS:g} s to cancel them."
            )
        else:
            self._run_stop.abandon_batches()
            self._note("Cancelling pending batches.")
        self._run_stop.cancel(reason)
