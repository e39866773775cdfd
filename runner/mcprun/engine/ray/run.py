"""The queries of a run spread over the actors of a Ray cluster (`--ray`): the same contract as in one process.

Ray starts the actors, carries what they are asked and what they answer, and notices when one is gone. Each is a
`Station` with its own servers and its own client of the model. This process alone writes the run.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import fields, replace
from typing import Any

from ray.exceptions import RayActorError, RayError, RayTaskError

from mcprun._util.run_stop import RunStop
from mcprun._util.tasks import gather_or_cancel, wait_uninterrupted
from mcprun.client.server_log import ServerLog
from mcprun.engine.attempts import MAX_ATTEMPTS
from mcprun.engine.ray.actor import CLOSE_SECONDS, ActorSlot
from mcprun.engine.ray.cluster import connect_cluster
from mcprun.engine.ray.messages import EventMerger, WorkerMessage, ended_by
from mcprun.engine.skipped import faulted, skipped_transcript
from mcprun.engine.worker import QueryRunner
from mcprun.engine.worker_config import WorkerConfig
from mcprun.errors import ErrorKind, RunError, describe
from mcprun.limits import Limits
from mcprun.models.access_policy import Access, Refusal, Source
from mcprun.models.budget import Budget
from mcprun.models.select import SelectedModel
from mcprun.prompts.query import Query
from mcprun.runs.billed_reply import BilledReply
from mcprun.runs.events import Emit, Event, JudgeCall, ModelCall, ServerRequest, WarningEvent
from mcprun.runs.records import ErrorInfo, ServerRecord, Transcript, Usage, Verdict
from mcprun.tools.toolset import changes


@asynccontextmanager
async def run_on_ray(
    setup: WorkerConfig,
    address: str,
    actors: int | None,
    log: ServerLog,
    emit: Emit,
    ending: RunStop,
    access: Access,
    earlier: Iterable[BilledReply],
) -> AsyncIterator[QueryRunner]:
    """Spread the queries over so many actors, or one for each CPU, but never more than `concurrency` asks for.

    The servers' stderr goes to `log`, as it comes in. `access` judges refusals by the API. `earlier` are the replies
    that earlier processes took of the budget. Raises `RunError`.
    """
    limits = setup.limits
    emit = counted(emit, limits, setup.model.record.kind, ending, earlier)
    async with connect_cluster(address, limits.connect_seconds) as cpus:
        of = min(actors or cpus, limits.concurrency)
        crew = _Crew(setup, of, log, emit, ending, access)
        try:
            yield QueryRunner(await crew.open(), crew.run)
        finally:
            await crew.close()


class _LostError(Exception):
    """An actor died before a query was done. `was_taken`: it had accepted the query."""

    def __init__(self, *, was_taken: bool) -> None:
        self.was_taken = was_taken


class _Crew:
    """All actors of a run."""

    def __init__(
        self, setup: WorkerConfig, of: int, log: ServerLog, emit: Emit, ending: RunStop, access: Access
    ) -> None:
        self._setup = setup
        self._emit = emit
        self._ending = ending
        self._access = access
        self._refused: dict[tuple[str, int], RunError] = {}
        self._deaths = 0
        self._starting: set[asyncio.Task[None]] = set()
        self._alone = asyncio.Lock()
        known: set[str] = set()
        self._hands = [
            ActorSlot(number, part(setup, number, of), EventMerger(number, of, log, emit, known), emit, self._throttled)
            for number in range(1, of + 1)
        ]

    async def open(self) -> ServerRecord:
        """Have all actors start their servers; give what answers. Raises `RunError`."""
        await gather_or_cancel(self._ready(hand) for hand in self._hands)
        first, *others = [hand.about for hand in self._hands if hand.about]
        for other in others:
            if other.tools != first.tools:
                told = changes(first.tools, other.tools)
                self._emit(WarningEvent(message=f"the server's tools are not the same on each node: {told}"))
        return first

    async def run(self, query: Query, repeat: int) -> Transcript:
        """Run a query; see `Attempts.run`. When its actor dies, it is tried again by another.

        Queries that were in flight when an actor died are tried again one at a time, so that a query which kills its
        actor fails alone; it ends in an error. Only attempts that a live actor has accepted count: if several actors
        die at once, Ray reports some deaths late.
        """
        tries, is_again = 0, False
        try:
            while tries < MAX_ATTEMPTS:
                async with self._alone if is_again else nullcontext():
                    try:
                        return await self._once(query, repeat)
                    except _LostError as lost:
                        tries += lost.was_taken
                        is_again = True
                if self._ending.reason:
                    return self._skipped(query, repeat, self._ending.reason)
            error = RunError(ErrorKind.SERVER_DIED, f"the actor that ran it died, {MAX_ATTEMPTS} times in a row")
            skipped = self._skipped(query, repeat, error)
            told = ErrorInfo(kind=error.kind, message=str(error))
            return skipped.model_copy(update={"verdict": Verdict.ERROR, "attempts": MAX_ATTEMPTS, "error": told})
        except RunError as error:
            self._ending.end(error)
            return self._skipped(query, repeat, error)
        except (asyncio.CancelledError, TimeoutError):
            if not self._ending.reason:
                raise
            return self._skipped(query, repeat, self._ending.reason)

    async def close(self) -> None:
        """End all actors, and their servers with them."""
        for starting in self._starting:
            starting.cancel()
        cancelled = await wait_uninterrupted(self._starting)
        cancelled = await wait_uninterrupted([asyncio.ensure_future(hand.close()) for hand in self._hands]) or cancelled
        if cancelled:
            raise cancelled

    async def _once(self, query: Query, repeat: int) -> Transcript:
        """Run a query on the actor that has the fewest. Raises `_LostError` if that dies."""
        hand = min(self._hands, key=lambda hand: (hand.about is None, hand.held))
        hand.held += 1
        was_taken = False
        try:
            await self._ready(hand)
            actor = hand.actor
            await actor.take.remote()
            was_taken = True
            parcel = await self._answer(actor, actor.run.remote(query, repeat))
        except RayActorError as error:
            self._lost(hand, actor, error)
            raise _LostError(was_taken=was_taken) from None
        except RayTaskError as error:  # raised by the query on a live actor
            message = f"a fault of mcprun itself: {describe(error.cause)}"
            setup = self._setup
            return faulted(query, repeat, message, system=setup.system, model=setup.model.record.name)
        except RayError as error:
            raise RunError(ErrorKind.FAULT, f"Ray could not run {query.id}: {error}") from None
        finally:
            hand.held -= 1
        hand.inbox.take(parcel.told)
        if ended := parcel.error:
            self._ending.end(ended)
        if parcel.transcript is None:
            raise RunError(
                ErrorKind.FAULT, f"an actor gave no transcript of {query.id}; this is a fault of mcprun itself"
            )
        self._note(parcel.access)
        if (refused := self._refused.get((query.id, repeat))) and parcel.transcript.verdict is Verdict.ERROR:
            told = ErrorInfo(kind=refused.kind, message=str(refused))
            return parcel.transcript.model_copy(update={"verdict": Verdict.SKIPPED, "error": told})
        return parcel.transcript

    def _note(self, notes: Iterable[Source | Refusal]) -> None:
        """Replay the successes and refusals of an actor; one of them may end the run."""
        for note in notes:
            if isinstance(note, Source):
                self._access.granted(note)
            elif ended := self._access.refused(note):
                self._refused[note.where.query, note.where.repeat] = ended
                self._ending.end(ended)

    async def _answer(self, actor: Any, answer: Any) -> WorkerMessage:
        """Wait for an answer; when the run ends first, have the actor give what it has."""
        try:
            parcel: WorkerMessage = await answer
        except asyncio.CancelledError:
            if not (reason := self._ending.reason):
                raise
            actor.end.remote(*ended_by(reason))
            async with asyncio.timeout(CLOSE_SECONDS):
                parcel = await answer
        return parcel

    async def _ready(self, hand: ActorSlot) -> None:
        """Wait until an actor is there; start it again when it died, as long as that is allowed. Raises `RunError`."""
        while True:
            try:
                await hand.ready()
                return
            except RayActorError as error:
                self._lost(hand, hand.actor, error)
            except RayError as error:
                raise RunError(ErrorKind.FAULT, f"Ray could not start actor {hand.number}: {error}") from None

    def _lost(self, hand: ActorSlot, actor: Any, error: RayActorError) -> None:
        """Take note that an actor died, once; raise `RunError` when that was once too often."""
        if actor is not hand.actor or actor is None:
            return
        self._emit(
            WarningEvent(
                message=f"{hand} died, and what it held is tried again (queries: {hand.held}): {_first_line(error)}"
            )
        )
        hand.dismiss()
        self._deaths += 1
        if self._deaths > (most := self._setup.limits.restarts):
            message = f"an actor died once more than --restarts allows ({most}): {_first_line(error)}"
            raise RunError(ErrorKind.SERVER_DIED, message)
        starting = asyncio.create_task(self._again(hand))
        self._starting.add(starting)
        starting.add_done_callback(self._starting.discard)

    async def _again(self, hand: ActorSlot) -> None:
        """Start an actor in place of one that died, while the others go on."""
        try:
            await self._ready(hand)
        except RunError as error:
            self._ending.end(error)

    def _throttled(self, by: ActorSlot, seconds: float) -> None:
        """Hold the other actors when the API throttles one."""
        for hand in self._hands:
            if hand is not by and hand.actor:
                hand.actor.hold.remote(seconds)

    def _skipped(self, query: Query, repeat: int, reason: RunError) -> Transcript:
        return skipped_transcript(query, repeat, reason, system=self._setup.system, model=self._setup.model.record.name)


def part(setup: WorkerConfig, number: int, of: int) -> WorkerConfig:
    """Give the setup of one of several actors (`number`, counted from 1), which share what the run may use at once.

    Each has one server at least. What the run may spend is counted where it is written down. Of the environment, only
    what is needed goes along.
    """
    limits = setup.limits
    own = replace(limits, concurrency=_share(limits.concurrency, number, of), budget_tokens=None, budget_usd=None)
    values = {field.name: getattr(setup, field.name) for field in fields(WorkerConfig)}  # a plan holds much more
    return replace(
        WorkerConfig(**values),
        limits=own,
        servers=max(1, _share(setup.servers, number, of)),
        model=_lean(setup.model),
        judge=_lean(setup.judge) if setup.judge else None,
    )


def _lean(choice: SelectedModel) -> SelectedModel:
    return replace(choice, account=replace(choice.account, known={}))


def _share(whole: int, number: int, of: int) -> int:
    return whole // of + (number <= whole % of)


def counted(emit: Emit, limits: Limits, kind: str, ending: RunStop, earlier: Iterable[BilledReply]) -> Emit:
    """Count what is spent by what is told; the run starts nothing more when that is all of its budget."""
    if limits.budget_tokens is None and limits.budget_usd is None:
        return emit
    budget = Budget(limits.budget_tokens, limits.budget_usd, emit)

    def spend(model: str, usage: Usage | None, *, is_batched: bool = False) -> None:
        budget.spend(model, usage or Usage(output_tokens=limits.max_tokens), kind, is_batched=is_batched)
        try:
            budget.check()
        except RunError as error:
            ending.stop(error)

    for paid in earlier:
        spend(paid.model, paid.usage, is_batched=paid.is_batched)

    def told(event: Event) -> None:
        emit(event)
        if isinstance(event, ModelCall | JudgeCall | ServerRequest) and event.stop_reason and event.model:
            spend(event.model, event.usage)

    return told


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
