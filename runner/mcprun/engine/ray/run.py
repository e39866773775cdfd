"""Run queries on the actors of a Ray cluster (`--ray`), with the same contract as in one process.

Ray starts the actors, transports calls and results, and reports when an actor died. Each actor is a `RemoteWorker` with
its own servers and its own client of the model. Only this process writes the run directory.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import fields, replace
from typing import Any

from ray.exceptions import RayActorError, RayError, RayTaskError

from mcprun._util.tasks import gather_or_cancel, wait_uninterrupted
from mcprun.engine.attempts import MAX_ATTEMPTS
from mcprun.engine.ray.actor import CLOSE_SECONDS, ActorSlot
from mcprun.engine.ray.cluster import connect_cluster
from mcprun.engine.ray.messages import EventMerger, WorkerMessage, pack_error
from mcprun.engine.run_context import RunContext
from mcprun.engine.worker_config import WorkerConfig
from mcprun.errors import ErrorKind, RunError
from mcprun.models.access_policy import Refusal, Source
from mcprun.models.budget import Budget
from mcprun.models.select import SelectedModel
from mcprun.prompts.query import Query
from mcprun.runs.events import Emit, Event, JudgeCall, ModelCall, ServerRequest, ToolsListed, WarningEvent
from mcprun.runs.run_record import ServerRecord
from mcprun.runs.tool_listings import joined_listings
from mcprun.runs.transcript import ErrorInfo, Transcript, Usage, Verdict
from mcprun.tools.toolset import changes


@asynccontextmanager
async def run_on_ray(context: RunContext, address: str, actors: int | None = None) -> AsyncIterator[ActorPool]:
    """Start the actors and yield the pool that spreads queries over them. Shut them down when the context exits.

    `address` is that of the Ray cluster. `actors` is their number, at most the limit `concurrency`; by default, one per
    CPU of the cluster. Raises `RunError` if the cluster, an actor or a server can't be started.
    """
    limits = context.config.limits
    context = replace(context, emit=count_costs(context))
    async with connect_cluster(address, limits.connect_seconds) as cpus:
        pool = ActorPool(context, min(actors or cpus, limits.concurrency))
        try:
            await pool.open()
            yield pool
        finally:
            await pool.close()


class _LostError(Exception):
    """An actor died before a query was done. `was_taken` is set if it had accepted the query."""

    def __init__(self, *, was_taken: bool) -> None:
        self.was_taken = was_taken


class ActorPool:
    """The actors of a run, `of` in number. `server` is the server as the first actor reports it, once all are open."""

    server: ServerRecord

    def __init__(self, context: RunContext, of: int) -> None:
        config, emit = context.config, context.emit
        self._config = config
        self._emit = emit
        self._run_stop = context.run_stop
        self._access = context.access
        self._refused: dict[tuple[str, int], RunError] = {}
        self._deaths = 0
        self._starting: set[asyncio.Task[None]] = set()
        self._retry_lock = asyncio.Lock()
        seen_warnings: set[str] = set()
        self._slots = [
            ActorSlot(
                number,
                part(config, number, of),
                EventMerger(number, of, context.log, emit, seen_warnings),
                emit,
                self._pause_others,
            )
            for number in range(1, of + 1)
        ]

    async def open(self) -> None:
        """Start all actors and their servers.

        Emits a warning if the tools differ between nodes. Raises `RunError` if an actor or server can't be started.
        """
        await gather_or_cancel(self._ready(slot) for slot in self._slots)
        first, *others = [slot.server for slot in self._slots if slot.server]
        for other in others:
            if other.tools != first.tools:
                diff = changes(first.tools, other.tools)
                self._emit(WarningEvent(message=f"the server's tools differ between nodes: {diff}"))
        self.server = joined_listings(first, others)

    async def run(self, query: Query, repeat: int) -> Transcript:
        """Run a query on an actor; see `QueryExecutor.run`. If the actor dies, retry on another.

        Queries that were in flight when an actor died are retried one at a time, so that a query which kills its actor
        ends in an error without affecting others. Only attempts that a live actor has accepted count towards
        `MAX_ATTEMPTS`: if several actors die at once, Ray reports some deaths late.
        """
        try:
            return await self._run_with_retries(query, repeat)
        except RunError as error:
            self._run_stop.cancel(error)
            return self._config.skipped(query, repeat, error)
        except (asyncio.CancelledError, TimeoutError):
            if not self._run_stop.reason:
                raise
            return self._config.skipped(query, repeat, self._run_stop.reason)

    async def _run_with_retries(self, query: Query, repeat: int) -> Transcript:
        tries, is_retry = 0, False
        while tries < MAX_ATTEMPTS:
            try:
                async with self._retry_lock if is_retry else nullcontext():
                    return await self._run_once(query, repeat)
            except _LostError as lost:
                tries += lost.was_taken
                is_retry = True
            if self._run_stop.reason:
                return self._config.skipped(query, repeat, self._run_stop.reason)
        error = RunError(ErrorKind.SERVER_DIED, f"the actor that ran the query died {MAX_ATTEMPTS} times in a row")
        skipped = self._config.skipped(query, repeat, error)
        info = ErrorInfo(kind=error.kind, message=str(error))
        return skipped.model_copy(update={"verdict": Verdict.ERROR, "attempts": MAX_ATTEMPTS, "error": info})

    async def close(self) -> None:
        """Shut down all actors with their servers."""
        for starting in self._starting:
            starting.cancel()
        cancelled = await wait_uninterrupted(self._starting)
        cancelled = await wait_uninterrupted([asyncio.ensure_future(slot.close()) for slot in self._slots]) or cancelled
        if cancelled:
            raise cancelled

    async def _run_once(self, query: Query, repeat: int) -> Transcript:
        """Run a query on the actor with the fewest queries. Raises `_LostError` if the actor dies."""
        slot = min(self._slots, key=lambda slot: (slot.server is None, slot.in_flight))
        slot.in_flight += 1
        was_taken = False
        try:
            await self._ready(slot)
            actor = slot.actor
            await actor.take.remote()
            was_taken = True
            result = await self._result(actor, actor.run.remote(query, repeat))
        except RayActorError as error:
            self._handle_death(slot, actor, error)
            raise _LostError(was_taken=was_taken) from None
        except RayTaskError as error:  # raised by the query on a live actor
            return self._config.faulted(query, repeat, error.cause)
        except RayError as error:
            raise RunError(ErrorKind.FAULT, f"Ray could not run {query.id}: {error}") from None
        finally:
            slot.in_flight -= 1
        slot.merger.take(result.events)
        if ended := result.error:
            self._run_stop.cancel(ended)
        if result.transcript is None:
            raise RunError(ErrorKind.FAULT, f"internal error in mcprun: an actor returned no transcript of {query.id}")
        self._replay_access(result.access)
        if (refused := self._refused.get((query.id, repeat))) and result.transcript.verdict is Verdict.ERROR:
            info = ErrorInfo(kind=refused.kind, message=str(refused))
            return result.transcript.model_copy(update={"verdict": Verdict.SKIPPED, "error": info})
        return result.transcript

    def _replay_access(self, notes: Iterable[Source | Refusal]) -> None:
        """Apply the API successes and refusals of an actor to the run. A refusal may end it."""
        for note in notes:
            if isinstance(note, Source):
                self._access.granted(note)
            elif ended := self._access.refused(note):
                self._refused[note.where.query, note.where.repeat] = ended
                self._run_stop.cancel(ended)

    async def _result(self, actor: Any, answer: Any) -> WorkerMessage:
        """Wait for the result of a query. If the run ends first, make the actor return its unfinished queries."""
        try:
            message: WorkerMessage = await answer
        except asyncio.CancelledError:
            if not (reason := self._run_stop.reason):
                raise
            actor.cancel.remote(*pack_error(reason))
            async with asyncio.timeout(CLOSE_SECONDS):
                message = await answer
        return message

    async def _ready(self, slot: ActorSlot) -> None:
        """Wait until a slot has an actor, restarting it if it died. Raises `RunError` if the restarts are used up."""
        while True:
            try:
                await slot.ready()
                return
            except RayActorError as error:
                self._handle_death(slot, slot.actor, error)
            except RayError as error:
                raise RunError(ErrorKind.FAULT, f"Ray could not start actor {slot.number}: {error}") from None

    def _handle_death(self, slot: ActorSlot, actor: Any, error: RayActorError) -> None:
        """Dismiss an actor that died and start another. Does nothing if its death was handled already.

        Raises `RunError` if more actors have died than `--restarts` allows.
        """
        if actor is not slot.actor or actor is None:
            return
        message = f"{slot} died; retrying its queries in flight ({slot.in_flight}): {_first_line(error)}"
        self._emit(WarningEvent(message=message))
        slot.dismiss()
        self._deaths += 1
        if self._deaths > (restarts := self._config.limits.restarts):
            message = f"more actors died than --restarts {restarts} allows: {_first_line(error)}"
            raise RunError(ErrorKind.SERVER_DIED, message)
        starting = asyncio.create_task(self._restart(slot))
        self._starting.add(starting)
        starting.add_done_callback(self._starting.discard)

    async def _restart(self, slot: ActorSlot) -> None:
        """Start an actor in place of one that died, while the others keep running. A failure ends the run."""
        try:
            await self._ready(slot)
        except RunError as error:
            self._run_stop.cancel(error)
        else:
            if (server := slot.server) and server.tools != self.server.tools:
                slot.merger.take((ToolsListed.of(1, server.tools, server.malformed),))

    def _pause_others(self, by: ActorSlot, seconds: float) -> None:
        """Pause the other actors when the API throttles one, for the same number of seconds."""
        for slot in self._slots:
            if slot is not by and slot.actor:
                slot.actor.pause.remote(seconds)


def part(config: WorkerConfig, number: int, of: int) -> WorkerConfig:
    """Return the configuration of actor `number` of `of`, counted from 1, with its share of concurrency and servers.

    Each actor has at least one server. The budget is left out, since the process that writes the run counts it. Of the
    environment, only the necessary values are sent.
    """
    limits = config.limits
    part_limits = replace(
        limits, concurrency=_share(limits.concurrency, number, of), budget_tokens=None, budget_usd=None
    )
    values = {field.name: getattr(config, field.name) for field in fields(WorkerConfig)}  # a `RunPlan` has more
    return replace(
        WorkerConfig(**values),
        limits=part_limits,
        servers=max(1, _share(config.servers, number, of)),
        model=_without_environment(config.model),
        judge=_without_environment(config.judge) if config.judge else None,
    )


def _without_environment(choice: SelectedModel) -> SelectedModel:
    return replace(choice, account=replace(choice.account, environment={}))


def _share(whole: int, number: int, of: int) -> int:
    return whole // of + (number <= whole % of)


def count_costs(context: RunContext) -> Emit:
    """Return an `emit` that also counts what events cost, and stops the run once its budget is spent."""
    emit, limits, kind = context.emit, context.config.limits, context.config.model.record.kind
    if limits.budget_tokens is None and limits.budget_usd is None:
        return emit
    budget = Budget(limits.budget_tokens, limits.budget_usd, emit)

    def spend(model: str, usage: Usage | None, *, is_batched: bool = False) -> None:
        budget.spend(model, usage or Usage(output_tokens=limits.max_tokens), kind, is_batched=is_batched)
        try:
            budget.check()
        except RunError as error:
            context.run_stop.drain(error)

    for paid in context.billed_replies:
        spend(paid.model, paid.usage, is_batched=paid.is_batched)

    def emit_and_count(event: Event) -> None:
        emit(event)
        if isinstance(event, ModelCall | JudgeCall | ServerRequest) and event.stop_reason and event.model:
            spend(event.model, event.usage)

    return emit_and_count


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
