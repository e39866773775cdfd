"""Execute a run: schedule its queries and decide when to stop. `engine/recorder.py` records its events."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from mcprun._util.gc_tuning import gc_paused, gc_tuned_for_run
from mcprun._util.json_value import JsonObject
from mcprun._util.plural import plural
from mcprun._util.run_stop import RunStop
from mcprun.analysis.coverage.gates import CoverageGates
from mcprun.client.sdk_logging import sdk_logs
from mcprun.client.server_log import ServerLog
from mcprun.client.target import InProcessTarget, warnings_of
from mcprun.client.transports.process import PrestartedServer
from mcprun.engine.recorder import Recorder, initial_record
from mcprun.engine.resume import Resume
from mcprun.engine.run_context import RunContext
from mcprun.engine.worker_config import WorkerConfig
from mcprun.errors import ErrorKind, McprunError, RunError, UsageError
from mcprun.evaluation import evaluator
from mcprun.limits import MAX_LOG_BYTES
from mcprun.models.access_policy import RunAccess
from mcprun.models.message_batches.queue import ActiveQueryCount, BatchContext
from mcprun.prompts.file import PromptsFile
from mcprun.prompts.query import Query
from mcprun.runs.directory import new_directory
from mcprun.runs.events import AttemptRef, Event, QueryEnd, RunStart, WarningEvent
from mcprun.runs.run_record import BaselineRecord, RunRecord, ServerRecord
from mcprun.runs.totals import BilledReply, RunTotals
from mcprun.runs.transcript import Transcript
from mcprun.runs.writer import RunWriter
from mcprun.telemetry import NoTelemetry, Telemetry, open_telemetry
from mcprun.tools.toolset import ToolSet, is_read_only, unmatched

if TYPE_CHECKING:
    from mcprun.engine.baseline import Baseline

NextQuery = Callable[[], Awaitable[tuple[Query, int] | None]]
"""Wait for the next query to run and return it with its repeat number, or `None` if there are no more."""


class QueryRunner(Protocol):
    """Runs queries, in this process (`QueryExecutor`) or on Ray."""

    @property
    def server(self) -> ServerRecord:
        """The server that the queries use."""
        ...

    async def run(self, query: Query, repeat: int) -> Transcript:
        """Run a query and return its transcript. An error that affects every query ends the run."""
        ...


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
        baseline: The run to compare with at the end (`engine/comparison.py`).
        gates: What the coverage of the run must reach at the end (`engine/coverage.py`).
        arguments: The user's arguments, stored unchanged in `run.json`.
        configured: The source of each argument that was not on the command line, likewise (`RunRecord.configured`).
    """

    prompts: PromptsFile
    pass_rate: float | None = None
    out: str | None = None
    is_latest: bool = True
    resume: Resume | None = None
    otel: bool = False
    ray: str | None = None
    ray_actors: int | None = None
    baseline: Baseline | None = None
    gates: CoverageGates = field(default_factory=CoverageGates)
    arguments: JsonObject = field(default_factory=dict)
    configured: Mapping[str, str] = field(default_factory=dict)

    def check_steps(self, listed: Sequence[JsonObject]) -> None:
        """Raise `UsageError` if a step may write although the run is read-only. `listed` are the server's tools."""
        if not self.permit.read_only:
            return
        safe = {tool["name"] for tool in listed if is_read_only(tool)}
        if unsafe := [(tool, place) for tool, place in self.prompts.step_tools.items() if tool not in safe]:
            tool, place = unsafe[0]
            raise UsageError(
                f"--read-only: {place}: the server does not mark {tool} as read-only (readOnlyHint), so the step can't"
                " be run; leave --read-only out, or select other queries with --filter"
            )


@dataclass(frozen=True, slots=True)
class RunResult:
    """A completed or interrupted run: its directory and its `run.json`. `error` is set if the run ended early."""

    path: Path
    record: RunRecord
    error: RunError | None = None


async def execute(
    plan: RunPlan,
    watch: Callable[[Event], None] = lambda _: None,
    run_stop: RunStop | None = None,
    take: NextQuery | None = None,
) -> RunResult:
    """Run every selected query, write the run directory, and pass each event to `watch`.

    The caller can end the run early through `run_stop`. With `take`, queries come from that function, one per call,
    instead of from the prompts file. A run that can't continue returns a `RunResult` with its error; the queries
    finished before it are on disk. If cancelled, mark the run as interrupted and re-raise.

    Raises:
        UsageError: The run directory can't be written, the run can't be resumed, or the server does not have the tool
            that `--tool-choice` names.
    """
    run_stop = run_stop or RunStop()
    record = initial_record(plan.prompts, plan, plan.arguments, plan.resume.run.record if plan.resume else None)
    if plan.configured:
        record = record.model_copy(update={"configured": dict(plan.configured)})
    if plan.baseline:
        record = record.model_copy(update={"baseline": BaselineRecord(path=plan.baseline.name)})
    if plan.route:
        record = record.model_copy(update={"route": plan.route})
    if plan.gates:
        record = record.model_copy(update={"coverage": plan.gates.record()})
    telemetry = open_telemetry(plan.model.record, plan.redactor.text) if plan.otel else None
    recorder = Recorder(
        _journal(plan), record, plan.redactor, watch, run_stop, is_latest=plan.is_latest, telemetry=telemetry
    )
    recorder.begin(plan.prompts)
    is_refused = False
    try:
        await _Execution(plan, recorder, run_stop, telemetry or NoTelemetry()).run(take)
    except RunError as error:
        run_stop.drain(error)
    except UsageError:
        is_refused = True
        raise
    finally:
        for warning in plan.scrubber.warnings():
            recorder.emit(WarningEvent(message=warning))
        # Also when cancelled, so that finished queries are kept in order and the totals match them.
        recorder.finish(plan.prompts, plan.skipped, plan.pass_rate)
        evaluator.close()
        if is_refused and not plan.resume:
            recorder.discard()
    return RunResult(recorder.journal.path, recorder.record, recorder.reason if recorder.record.error else None)


@dataclass(frozen=True, slots=True)
class _Execution:
    """The execution of a run, between the first and the last write to its directory."""

    plan: RunPlan
    recorder: Recorder
    run_stop: RunStop
    telemetry: Telemetry

    async def run(self, take: NextQuery | None) -> None:
        """Run the queries within `--run-timeout`. Raises `RunError` if the run can't continue, or lost a query."""
        plan, recorder, run_stop, seconds = self.plan, self.recorder, self.run_stop, self.plan.limits.run_seconds
        model = plan.model.record
        recorder.emit(
            RunStart(queries=plan.prompts.runs, done=len(recorder.journal), model=model.name, chosen=model.chosen)
        )
        for warning in (*plan.prompts.warnings, *warnings_of(plan.target)):
            recorder.emit(WarningEvent(message=warning))
        timeout_error = RunError(ErrorKind.RUN_TIMEOUT, f"the run did not finish within {seconds:g} s (--run-timeout)")
        async with AsyncExitStack() as stack:
            stack.enter_context(sdk_logs(recorder.emit, plan.redactor))
            await stack.enter_async_context(self.telemetry.running(recorder.emit))
            stack.enter_context(run_stop.time_limit(seconds, timeout_error))
            stack.enter_context(gc_tuned_for_run(is_shared=isinstance(plan.target, InProcessTarget)))
            await run_stop.supervise(asyncio.create_task(self._run_queries(take)))
        if not run_stop.reason and len(recorder.journal) < plan.prompts.runs:
            missing = plan.prompts.runs - len(recorder.journal)
            raise RunError(ErrorKind.FAULT, f"internal error in mcprun: queries lost: {missing}")

    async def _run_queries(self, take: NextQuery | None) -> None:
        """Start the servers and run the queries in concurrent workers. Raises `RunError` if the run can't continue."""
        plan, journal = self.plan, self.recorder.journal
        if len(journal) == plan.prompts.runs:
            return
        concurrency = plan.limits.max_in_flight(is_batched=plan.model.is_batched)
        active = ActiveQueryCount(min(concurrency, plan.prompts.runs))
        async with AsyncExitStack() as stack:
            runner = await self._open_runner(stack, active)
            self._check_server(runner.server)
            take = take or _pending_queries(plan.prompts, journal, self.run_stop)
            try:
                async with asyncio.TaskGroup() as group:
                    for worker in range(active.queries):
                        group.create_task(self._work(runner, take, worker)).add_done_callback(active.finish_one)
            except ExceptionGroup as errors:
                raise _preferred_error(errors) from errors

    async def _open_runner(self, stack: AsyncExitStack, active: ActiveQueryCount) -> QueryRunner:
        """Open a runner in this process, where the server starts while the SDKs are imported, or on Ray.

        The SDKs are imported here and not at the top of the module, so that usage errors are reported without delay.
        """
        plan, context = self.plan, self._context(active)
        if plan.ray is not None:
            with gc_paused():
                from mcprun.engine.ray.run import run_on_ray

            return await stack.enter_async_context(run_on_ray(context, plan.ray, plan.ray_actors))
        prestarted = await stack.enter_async_context(PrestartedServer(plan.target, context.log))
        with gc_paused():
            from mcprun.engine.worker import open_worker

        return await stack.enter_async_context(open_worker(context, prestarted))

    def _context(self, active: ActiveQueryCount) -> RunContext:
        plan, journal, run_stop = self.plan, self.recorder.journal, self.run_stop
        was_granted = plan.model.record.is_asked and journal.totals.turns > 0
        earlier = plan.resume.run if plan.resume else None
        return RunContext(
            config=plan,
            log=ServerLog(journal.log, plan.redactor, MAX_LOG_BYTES),
            emit=self.recorder.emit,
            run_stop=run_stop,
            access=RunAccess(run_stop, was_granted=was_granted),
            billed_replies=_billed_replies(plan),
            batch_context=BatchContext(active, run_stop, earlier, self.telemetry),
        )

    def _check_server(self, server: ServerRecord) -> None:
        """Record the server. Warn of tools that can't be used. Raises `UsageError` if `--tool-choice` names one."""
        plan, emit = self.plan, self.recorder.emit
        if plan.permit and not ToolSet.of(server.tools).only(plan.permit).names:
            emit(
                WarningEvent(
                    message="no tools left: --allow-tool, --deny-tool and --read-only exclude all of the server's tools"
                )
            )
        self.recorder.record_server(server)
        plan.check_tool_choice(server.tools)
        plan.check_steps(server.tools)
        for message in unmatched(plan.permit, plan.prompts.patterns, server.tools):
            emit(WarningEvent(message=message))

    async def _work(self, runner: QueryRunner, take: NextQuery, worker: int) -> None:
        """Run queries, one at a time, until there are no more or the run ends. `worker` is the number of this task."""
        plan, recorder, run_stop = self.plan, self.recorder, self.run_stop
        run_stop.has_started = True
        while taken := await take():  # all workers share one iterator, so each query runs once
            await asyncio.sleep(0)  # lets signals and deadlines in between queries that never await I/O
            query, repeat = taken
            _drain_after_failures(plan.limits.max_failures, recorder.journal.totals, run_stop)
            if run_stop.reason:
                return
            started = time.monotonic()
            with self.telemetry.query(query.id, repeat):
                transcript = await _isolated(plan, runner, query, repeat)
                where = AttemptRef(query.id, repeat, transcript.attempts)
                seconds = time.monotonic() - started
                recorder.emit(QueryEnd(where=where, seconds=seconds, transcript=transcript, worker=worker))


async def _isolated(config: WorkerConfig, runner: QueryRunner, query: Query, repeat: int) -> Transcript:
    """Run a query. An unexpected exception outside its attempts becomes the error of this query alone."""
    try:
        return await runner.run(query, repeat)
    except McprunError:
        raise
    except Exception as error:  # noqa: BLE001  a fault in one query must not affect the others
        return config.faulted(query, repeat, error)


def _pending_queries(prompts: PromptsFile, journal: RunWriter, run_stop: RunStop) -> NextQuery:
    """Return a `NextQuery` of the queries not yet done, in file order. It stops the run if the file has changed."""
    remaining = prompts.left(journal)

    async def take() -> tuple[Query, int] | None:
        try:
            return next(remaining, None)
        except UsageError as error:
            run_stop.drain(RunError(ErrorKind.PROMPTS, str(error)))
            return None

    return take


def _billed_replies(plan: RunPlan) -> Iterator[BilledReply]:
    """Return the replies that earlier processes of this run were billed for, if it has a budget and a paid model."""
    has_budget = plan.limits.budget_tokens is not None or plan.limits.budget_usd is not None
    is_paid = any(choice.record.is_asked for choice in (plan.model, plan.judge) if choice)
    return plan.resume.run.replies() if plan.resume and has_budget and is_paid else iter(())


class MaxFailuresError(RunError):
    """Too many queries did not pass.

    The message is computed when it is read, since queries that were in flight at the limit may fail as well.
    """

    def __init__(self, limit: int, totals: RunTotals) -> None:
        self._limit, self._totals = limit, totals
        super().__init__(ErrorKind.BUDGET, str(self))

    def __str__(self) -> str:
        return f"{plural(self._totals.failures, 'query')} did not pass (limit `--max-failures {self._limit}`)"


def _drain_after_failures(max_failures: int | None, totals: RunTotals, run_stop: RunStop) -> None:
    """Stop the run once `max_failures` queries did not pass."""
    if max_failures is not None and totals.failures >= max_failures:
        run_stop.drain(MaxFailuresError(max_failures, totals))


def _journal(plan: RunPlan) -> RunWriter:
    """Create the directory of a new run, or open that of the run to resume."""
    resume, prompts = plan.resume, plan.prompts
    if not resume:
        return RunWriter(new_directory(prompts.stem, plan.out))
    kept_ids = resume.checked(prompts)
    return RunWriter(
        resume.run.path,
        keep=lambda one: one.id in kept_ids and one.repeat <= prompts.repeats_of(one.id),
        is_final=resume.is_done,
    )


def _preferred_error(errors: ExceptionGroup[Exception]) -> Exception:
    """Return the first `McprunError` of a group, else its first error, so that no unexpected one hides mcprun's own."""
    return next((error for error in errors.exceptions if isinstance(error, McprunError)), errors.exceptions[0])
