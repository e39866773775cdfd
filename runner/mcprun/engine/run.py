"""A whole run: what to run when, and when to stop. What is told of it goes through `engine/recorder.py`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mcprun._util.gc_tuning import gc_paused, gc_tuned_for_run
from mcprun._util.json_value import JsonObject
from mcprun._util.run_stop import RunStop
from mcprun.client.sdk_logging import sdk_logs
from mcprun.client.server_log import ServerLog
from mcprun.client.target import InProcessTarget, warnings_of
from mcprun.client.transports.process import PrestartedServer
from mcprun.engine.recorder import Recorder, head
from mcprun.engine.resume import Resume
from mcprun.engine.skipped import faulted, skipped_transcript
from mcprun.engine.worker_config import WorkerConfig
from mcprun.errors import ErrorKind, McprunError, RunError, UsageError, describe
from mcprun.evaluation import bounded
from mcprun.limits import MAX_LOG_BYTES
from mcprun.models.access_policy import Access, RunAccess
from mcprun.models.message_batches.queue import ActiveQueryCount, BatchContext
from mcprun.prompts.file import PromptsFile
from mcprun.prompts.query import Query
from mcprun.runs.billed_reply import BilledReply
from mcprun.runs.directory import new_directory
from mcprun.runs.events import AttemptRef, Emit, Event, QueryEnd, RunStart, WarningEvent
from mcprun.runs.records import RunRecord, Transcript
from mcprun.runs.writer import RunWriter
from mcprun.telemetry import NoTelemetry, Telemetry, open_telemetry
from mcprun.tools.toolset import unmatched

if TYPE_CHECKING:
    from mcprun.engine.worker import QueryRunner

Take = Callable[[], Awaitable[tuple[Query, int] | None]]
"""Waits for what is to be run next: a query and the repeat; nothing when that was all."""


@dataclass(frozen=True, kw_only=True)
class RunPlan(WorkerConfig):
    """All that a run is asked to do. `arguments` is what the user wrote, kept in `run.json` as it is.

    `pass_rate` is the share of a query's repeats that must pass, for queries that say nothing themselves. With
    `resume`, an earlier run goes on; else a new one is written to the folder `out`, or one of its own, which
    `outputs/latest` then names if it `is_latest`. With `otel`, spans are exported. `ray` is the address of a Ray
    cluster, over whose `ray_actors` the queries are spread.
    """

    prompts: PromptsFile
    pass_rate: float | None = None
    out: str | None = None
    is_latest: bool = True
    resume: Resume | None = None
    otel: bool = False
    ray: str | None = None
    ray_actors: int | None = None
    arguments: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunResult:
    """A run that is over: where it stands, and its `run.json`. `error` is what ended it early, if anything did."""

    path: Path
    record: RunRecord
    error: RunError | None = None


async def execute(
    plan: RunPlan,
    watch: Callable[[Event], None] = lambda _: None,
    ending: RunStop | None = None,
    take: Take | None = None,
) -> RunResult:
    """Run every selected query and write the run directory; `watch` is called with each event.

    Whoever holds `ending` may end it before it is done; with `take`, only what that gives is run, one query when it is
    asked for. A run that can't go on gives a `RunResult` with its error: what was finished before is on disk. Raises
    `UsageError` when there is no place to write, the run can't be resumed, or the server does not have the tool that
    `--tool-choice` names. When cancelled, it marks the run as interrupted and lets the cancellation go on.
    """
    ending = ending or RunStop()
    model, seconds = plan.model.record, plan.limits.run_seconds
    earlier = plan.resume.run.record if plan.resume else None
    judge = plan.judge.record if plan.judge else None
    record = head(plan.prompts, model, judge, plan.limits, plan.arguments, earlier)
    telemetry = open_telemetry(model, plan.redactor.text) if plan.otel else NoTelemetry()
    recorder = Recorder(
        _journal(plan), record, plan.redactor, watch, ending, is_latest=plan.is_latest, telemetry=telemetry
    )
    recorder.begin(plan.prompts)
    is_refused = False
    try:
        recorder.emit(
            RunStart(queries=plan.prompts.runs, done=len(recorder.journal), model=model.name, chosen=model.chosen)
        )
        for warning in (*plan.prompts.warnings, *warnings_of(plan.target)):
            recorder.emit(WarningEvent(message=warning))
        too_long = RunError(ErrorKind.RUN_TIMEOUT, f"the run was not done within {seconds:g} s, its --run-timeout")
        with sdk_logs(recorder.emit, plan.redactor):
            async with telemetry.running(recorder.emit):
                is_shared = isinstance(plan.target, InProcessTarget)
                with ending.within(seconds, too_long), gc_tuned_for_run(is_shared=is_shared):
                    await ending.over(asyncio.create_task(_work(plan, recorder, ending, take, telemetry)))
        if not ending.reason and len(recorder.journal) < plan.prompts.runs:
            lost = plan.prompts.runs - len(recorder.journal)
            raise RunError(ErrorKind.FAULT, f"{lost} of the queries were lost; this is a fault of mcprun itself")
    except RunError as error:
        ending.stop(error)
    except UsageError:
        is_refused = True
        raise
    finally:
        for warning in plan.scrubber.warnings():
            recorder.emit(WarningEvent(message=warning))
        # Also when cancelled: what was done is kept, in order, and the totals are true.
        recorder.finish(
            plan.prompts,
            lambda query, repeat, why: skipped_transcript(query, repeat, why, system=plan.system, model=model.name),
            plan.pass_rate,
        )
        bounded.close()
        if is_refused and not plan.resume:
            recorder.discard()
    return RunResult(recorder.journal.path, recorder.record, recorder.reason if recorder.record.error else None)


async def _work(plan: RunPlan, recorder: Recorder, ending: RunStop, take: Take | None, telemetry: Telemetry) -> None:
    """Start the servers and let workers take one query after the other. Raises `RunError`."""
    limits, journal, emit = plan.limits, recorder.journal, recorder.emit
    if len(journal) == plan.prompts.runs:
        return
    flight = ActiveQueryCount(min(limits.in_flight(is_batched=plan.model.is_batched), plan.prompts.runs))
    async with _workplace(plan, recorder, ending, flight, telemetry) as place:
        recorder.answered(place.about)
        plan.check_tool_choice(place.about.tools)
        for message in unmatched(plan.permit, plan.prompts.patterns, place.about.tools):
            emit(WarningEvent(message=message))
        take = take or _in_order(plan.prompts, journal, ending)

        async def work() -> None:
            ending.is_busy = True
            while taken := await take():  # one stream for all workers: each query is taken once
                await asyncio.sleep(0)  # signals and deadlines come between queries that wait for nothing
                query, repeat = taken
                _stop_at(limits.max_failures, journal.tally.failures, ending)
                if ending.reason:
                    return
                started = time.monotonic()
                with telemetry.query(query.id, repeat):
                    transcript = await _isolated(plan, place, query, repeat)
                    where = AttemptRef(query.id, repeat, transcript.attempts)
                    emit(QueryEnd(where=where, seconds=time.monotonic() - started, transcript=transcript))

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(flight.queries):
                    group.create_task(work()).add_done_callback(flight.land)
        except ExceptionGroup as errors:
            raise _told_first(errors) from errors


async def _isolated(plan: RunPlan, place: QueryRunner, query: Query, repeat: int) -> Transcript:
    """Run a query. An unexpected exception outside its attempts is the error of this query alone."""
    try:
        return await place.run(query, repeat)
    except McprunError:
        raise
    except Exception as error:  # noqa: BLE001  one query must not cost the others
        message = f"a fault of mcprun itself: {describe(error)}"
        return faulted(query, repeat, message, system=plan.system, model=plan.model.record.name)


def _workplace(
    plan: RunPlan, recorder: Recorder, ending: RunStop, flight: ActiveQueryCount, telemetry: Telemetry
) -> AbstractAsyncContextManager[QueryRunner]:
    """Choose where the queries are run: in this process, or on Ray.

    Only now are the SDKs imported: what is wrong with a run is told before, and sooner.
    """
    log = ServerLog(recorder.journal.log, plan.redactor, MAX_LOG_BYTES)
    was_granted = plan.model.record.is_asked and recorder.journal.tally.turns > 0
    access = RunAccess(ending, was_granted=was_granted)
    if plan.ray is None:
        waves = BatchContext(flight, ending, plan.resume.run if plan.resume else None, telemetry)
        return _here(plan, log, recorder.emit, ending, waves, access)
    with gc_paused():
        from mcprun.engine.ray.run import run_on_ray

    return run_on_ray(plan, plan.ray, plan.ray_actors, log, recorder.emit, ending, access, _paid(plan))


@asynccontextmanager
async def _here(
    plan: RunPlan, log: ServerLog, emit: Emit, ending: RunStop, waves: BatchContext, access: Access
) -> AsyncIterator[QueryRunner]:
    """Run the queries in this process, whose imports are made while the server starts."""
    async with PrestartedServer(plan.target, log) as ahead:
        with gc_paused():
            from mcprun.engine.worker import workplace

        here = workplace(plan, log, emit, ending, _paid(plan), waves=waves, access=access, ahead=ahead)
        async with here as place:
            yield place


def _in_order(prompts: PromptsFile, journal: RunWriter, ending: RunStop) -> Take:
    """Give what is not done yet, in the order of the file; when that is no longer what was checked, nothing more."""
    left = prompts.left(journal)

    async def take() -> tuple[Query, int] | None:
        try:
            return next(left, None)
        except UsageError as error:
            ending.stop(RunError(ErrorKind.PROMPTS, str(error)))
            return None

    return take


def _paid(plan: RunPlan) -> Iterator[BilledReply]:
    """Give what earlier processes have spent of this run's budget."""
    has_budget = plan.limits.budget_tokens is not None or plan.limits.budget_usd is not None
    is_paid = any(choice.record.is_asked for choice in (plan.model, plan.judge) if choice)
    return plan.resume.run.replies() if plan.resume and has_budget and is_paid else iter(())


def _stop_at(most: int | None, failures: int, ending: RunStop) -> None:
    """Start nothing more when too much has gone wrong."""
    if most is not None and failures >= most:
        message = f"queries that did not pass: {failures:,}, and --max-failures is {most:,}"
        ending.stop(RunError(ErrorKind.BUDGET, message))


def _journal(plan: RunPlan) -> RunWriter:
    """Open the folder of a new run, or of one that goes on."""
    resume, prompts = plan.resume, plan.prompts
    if not resume:
        return RunWriter(new_directory(prompts.stem, plan.out))
    same = resume.checked(prompts)
    return RunWriter(
        resume.run.path,
        wanted=lambda one: one.id in same and one.repeat <= prompts.repeats_of(one.id),
        is_done=resume.is_done,
    )


def _told_first(errors: ExceptionGroup[Exception]) -> Exception:
    """Choose one of the errors that ended the workers: ours before anything unforeseen hides it."""
    return next((error for error in errors.exceptions if isinstance(error, McprunError)), errors.exceptions[0])
