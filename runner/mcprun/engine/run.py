"""Execute a run: schedule its queries and decide when to stop. `engine/recorder.py` records its events."""

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
from mcprun.runs.directory import new_directory
from mcprun.runs.events import AttemptRef, Emit, Event, QueryEnd, RunStart, WarningEvent
from mcprun.runs.run_record import RunRecord
from mcprun.runs.totals import BilledReply
from mcprun.runs.transcript import Transcript
from mcprun.runs.writer import RunWriter
from mcprun.telemetry import NoTelemetry, Telemetry, open_telemetry
from mcprun.tools.toolset import unmatched

if TYPE_CHECKING:
    from mcprun.engine.worker import QueryRunner

Take = Callable[[], Awaitable[tuple[Query, int] | None]]
"""Wait for the next query to run and return it with its repeat number, or `None` if there are no more."""


@dataclass(frozen=True, kw_only=True)
class RunPlan(WorkerConfig):
    """Everything needed to execute a run.

    Attributes:
        prompts: The prompts file, opened and checked.
        pass_rate: The share of a query's repeats that must pass, for queries that do not set their own.
        out: The directory of a new run. By default, one is created for it.
        is_latest: Whether `outputs/latest` names this run once it has begun.
        resume: The run to resume. If `None`, a new run is written.
        otel: Whether to export OpenTelemetry spans.
        ray: The address of the Ray cluster to run the queries on. If `None`, they run in this process.
        ray_actors: The number of actors on that cluster.
        arguments: The user's arguments, stored unchanged in `run.json`.
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
    """A completed or interrupted run: its directory and its `run.json`. `error` is set if the run ended early."""

    path: Path
    record: RunRecord
    error: RunError | None = None


async def execute(
    plan: RunPlan,
    watch: Callable[[Event], None] = lambda _: None,
    ending: RunStop | None = None,
    take: Take | None = None,
) -> RunResult:
    """Run every selected query, write the run directory, and pass each event to `watch`.

    The caller can end the run early through `ending`. With `take`, queries come from that function, one per call,
    instead of from the prompts file. A run that can't continue returns a `RunResult` with its error; the queries
    finished before it are on disk. If cancelled, mark the run as interrupted and re-raise.

    Raises:
        UsageError: The run directory can't be written, the run can't be resumed, or the server does not have the tool
            that `--tool-choice` names.
    """
    ending = ending or RunStop()
    model, run_timeout = plan.model.record, plan.limits.run_seconds
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
        too_long = RunError(ErrorKind.RUN_TIMEOUT, f"the run did not finish within {run_timeout:g} s (--run-timeout)")
        with sdk_logs(recorder.emit, plan.redactor):
            async with telemetry.running(recorder.emit):
                is_shared = isinstance(plan.target, InProcessTarget)
                with ending.within(run_timeout, too_long), gc_tuned_for_run(is_shared=is_shared):
                    await ending.over(asyncio.create_task(_work(plan, recorder, ending, take, telemetry)))
        if not ending.reason and len(recorder.journal) < plan.prompts.runs:
            missing = plan.prompts.runs - len(recorder.journal)
            raise RunError(ErrorKind.FAULT, f"internal error in mcprun: queries lost: {missing}")
    except RunError as error:
        ending.stop(error)
    except UsageError:
        is_refused = True
        raise
    finally:
        for warning in plan.scrubber.warnings():
            recorder.emit(WarningEvent(message=warning))
        # Also when cancelled, so that finished queries are kept in order and the totals match them.
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
    """Start the servers and run the queries in concurrent workers. Raises `RunError` if the run can't continue."""
    limits, journal, emit = plan.limits, recorder.journal, recorder.emit
    if len(journal) == plan.prompts.runs:
        return
    active = ActiveQueryCount(min(limits.in_flight(is_batched=plan.model.is_batched), plan.prompts.runs))
    async with _open_runner(plan, recorder, ending, active, telemetry) as runner:
        recorder.answered(runner.about)
        plan.check_tool_choice(runner.about.tools)
        for message in unmatched(plan.permit, plan.prompts.patterns, runner.about.tools):
            emit(WarningEvent(message=message))
        take = take or _pending_queries(plan.prompts, journal, ending)

        async def work() -> None:
            ending.is_busy = True
            while taken := await take():  # all workers share one iterator, so each query runs once
                await asyncio.sleep(0)  # lets signals and deadlines in between queries that never await I/O
                query, repeat = taken
                _stop_at(limits.max_failures, journal.tally.failures, ending)
                if ending.reason:
                    return
                started = time.monotonic()
                with telemetry.query(query.id, repeat):
                    transcript = await _isolated(plan, runner, query, repeat)
                    where = AttemptRef(query.id, repeat, transcript.attempts)
                    emit(QueryEnd(where=where, seconds=time.monotonic() - started, transcript=transcript))

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(active.queries):
                    group.create_task(work()).add_done_callback(active.land)
        except ExceptionGroup as errors:
            raise _preferred_error(errors) from errors


async def _isolated(plan: RunPlan, runner: QueryRunner, query: Query, repeat: int) -> Transcript:
    """Run a query. An unexpected exception outside its attempts becomes the error of this query alone."""
    try:
        return await runner.run(query, repeat)
    except McprunError:
        raise
    except Exception as error:  # noqa: BLE001  a fault in one query must not affect the others
        message = f"internal error in mcprun: {describe(error)}"
        return faulted(query, repeat, message, system=plan.system, model=plan.model.record.name)


def _open_runner(
    plan: RunPlan, recorder: Recorder, ending: RunStop, active: ActiveQueryCount, telemetry: Telemetry
) -> AbstractAsyncContextManager[QueryRunner]:
    """Return the context manager of a runner in this process, or on Ray.

    The SDKs are imported here and not at the top of the module, so that usage errors are reported without the delay.
    """
    log = ServerLog(recorder.journal.log, plan.redactor, MAX_LOG_BYTES)
    was_granted = plan.model.record.is_asked and recorder.journal.tally.turns > 0
    access = RunAccess(ending, was_granted=was_granted)
    if plan.ray is None:
        batches = BatchContext(active, ending, plan.resume.run if plan.resume else None, telemetry)
        return _open_local_runner(plan, log, recorder.emit, ending, batches, access)
    with gc_paused():
        from mcprun.engine.ray.run import run_on_ray

    return run_on_ray(plan, plan.ray, plan.ray_actors, log, recorder.emit, ending, access, _billed_replies(plan))


@asynccontextmanager
async def _open_local_runner(
    plan: RunPlan, log: ServerLog, emit: Emit, ending: RunStop, batches: BatchContext, access: Access
) -> AsyncIterator[QueryRunner]:
    """Open a runner in this process. The server starts while the SDKs are imported."""
    async with PrestartedServer(plan.target, log) as ahead:
        with gc_paused():
            from mcprun.engine.worker import workplace

        opening = workplace(plan, log, emit, ending, _billed_replies(plan), waves=batches, access=access, ahead=ahead)
        async with opening as runner:
            yield runner


def _pending_queries(prompts: PromptsFile, journal: RunWriter, ending: RunStop) -> Take:
    """Return a `Take` of the queries not yet done, in file order. It stops the run if the file has changed."""
    remaining = prompts.left(journal)

    async def take() -> tuple[Query, int] | None:
        try:
            return next(remaining, None)
        except UsageError as error:
            ending.stop(RunError(ErrorKind.PROMPTS, str(error)))
            return None

    return take


def _billed_replies(plan: RunPlan) -> Iterator[BilledReply]:
    """Return the replies that earlier processes of this run were billed for, if it has a budget and a paid model."""
    has_budget = plan.limits.budget_tokens is not None or plan.limits.budget_usd is not None
    is_paid = any(choice.record.is_asked for choice in (plan.model, plan.judge) if choice)
    return plan.resume.run.replies() if plan.resume and has_budget and is_paid else iter(())


def _stop_at(max_failures: int | None, failures: int, ending: RunStop) -> None:
    """Stop the run once `max_failures` queries did not pass."""
    if max_failures is not None and failures >= max_failures:
        message = f"queries that did not pass: {failures:,} (--max-failures {max_failures:,})"
        ending.stop(RunError(ErrorKind.BUDGET, message))


def _journal(plan: RunPlan) -> RunWriter:
    """Create the directory of a new run, or open that of the run to resume."""
    resume, prompts = plan.resume, plan.prompts
    if not resume:
        return RunWriter(new_directory(prompts.stem, plan.out))
    kept = resume.checked(prompts)
    return RunWriter(
        resume.run.path,
        wanted=lambda one: one.id in kept and one.repeat <= prompts.repeats_of(one.id),
        is_done=resume.is_done,
    )


def _preferred_error(errors: ExceptionGroup[Exception]) -> Exception:
    """Return the first `McprunError` of a group, else its first error: an unexpected one must not hide ours."""
    return next((error for error in errors.exceptions if isinstance(error, McprunError)), errors.exceptions[0])
