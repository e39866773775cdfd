"""A whole run: what to run when, and what becomes of it. Emits events, writes the run directory, prints nothing."""

from __future__ import annotations

import asyncio
import platform
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from mcprun import __version__
from mcprun.attempt import Attempts
from mcprun.connect import Connector
from mcprun.errors import McprunError, RunError
from mcprun.events import Emit, Event, QueryEnd, Where
from mcprun.interrupt import Interrupt
from mcprun.limits import Limits
from mcprun.loop import Loop
from mcprun.models.choose import Choice
from mcprun.pool import Pool
from mcprun.prompts import PromptsFile
from mcprun.records import ErrorInfo, JsonObject, PromptsRecord, RunRecord, ServerRecord
from mcprun.rundir import RunWriter, new_directory, now
from mcprun.sdklog import sdk_logs
from mcprun.server import Server
from mcprun.target import Target


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All that a run is asked to do. `arguments` is what the user wrote, kept in `run.json` as it is."""

    prompts: PromptsFile
    target: Target
    model: Choice
    limits: Limits = field(default_factory=Limits)
    system: str | None = None
    allow_tool_errors: bool = False
    servers: int = 1
    fresh_server: bool = False
    out: str | None = None
    arguments: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Result:
    """A run that is over: where it stands, and its `run.json`. `error` is what ended it early, if anything did."""

    path: Path
    record: RunRecord
    error: RunError | None = None


async def run_batch(
    plan: Plan, watch: Callable[[Event], None] = lambda _: None, interrupt: Interrupt | None = None
) -> Result:
    """Run every selected query and write the run directory; `watch` is called with each event.

    `interrupt` may ask it to end before it is done: then the record's state is `interrupted`.

    A run that can't go on gives a `Result` with its error: what was finished before is on disk. Raises
    `UsageError` when there is no place to write. When cancelled, it marks the run as interrupted and lets the
    cancellation go on.
    """
    path = new_directory(plan.prompts.stem, plan.out)
    writer = RunWriter(path, _head(plan))
    if plan.prompts.name == "-":
        writer.keep_prompts(plan.prompts.source)

    watchers = [watch]

    def emit(event: Event) -> None:
        writer.handle(event)
        for watcher in watchers:
            try:
                watcher(event)
            except (Exception, SystemExit):  # noqa: BLE001  a display that broke must not stop the run it displays
                watchers.remove(watcher)

    started = time.monotonic()
    error: RunError | None = None
    state = "interrupted"
    interrupt = interrupt or Interrupt()
    try:
        with sdk_logs(emit):
            await interrupt.over(asyncio.create_task(_run(plan, writer, emit, interrupt)))
        if writer.tally.counts().queries == len(plan.prompts.ids):
            state = "finished"
    except RunError as stopped:
        error = stopped
    finally:
        # Also when cancelled: what was done is kept, in order, and the totals are true.
        writer.close((query, 1) for query in plan.prompts.ids)
        writer.update(
            writer.record.model_copy(
                update={
                    "state": state,
                    "finished": now(),
                    "seconds": round(time.monotonic() - started, 3),
                    "counts": writer.tally.counts(),
                    "error": ErrorInfo(kind=error.kind, message=str(error)) if error else None,
                }
            )
        )
    return Result(path, writer.record, error)


async def _run(plan: Plan, writer: RunWriter, emit: Emit, interrupt: Interrupt) -> None:
    """Start the servers and let workers take one query after the other. Raises the first `RunError`."""
    connector = Connector(plan.target, log=writer.log, seconds=plan.limits.connect_seconds, emit=emit)
    async with (
        plan.model.open(plan.limits, emit) as model,
        Pool(connector, size=plan.servers, fresh=plan.fresh_server, restarts=plan.limits.restarts) as servers,
    ):
        writer.update(writer.record.model_copy(update={"server": _about(servers.first)}))
        loop = Loop(model=model, limits=plan.limits, system=plan.system, emit=emit)
        attempts = Attempts(loop, servers, plan.allow_tool_errors)
        queries = plan.prompts.queries()

        async def work() -> None:
            for query in queries:  # one stream for all workers: each query is taken once
                if interrupt.stopping:
                    return
                started = time.monotonic()
                transcript = await attempts.run(query)
                where = Where(query.id, attempt=transcript.attempts)
                emit(QueryEnd(where=where, seconds=time.monotonic() - started, transcript=transcript))

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(plan.limits.concurrency, len(plan.prompts.ids))):
                    group.create_task(work())
        except ExceptionGroup as errors:
            raise _told_first(errors) from errors


def _told_first(errors: ExceptionGroup[Exception]) -> Exception:
    """Choose one of the errors that ended the workers: ours before anything unforeseen hides it."""
    return next((error for error in errors.exceptions if isinstance(error, McprunError)), errors.exceptions[0])


def _head(plan: Plan) -> RunRecord:
    versions = {"mcprun": __version__, "python": platform.python_version()}
    for package in ("mcp", "anthropic"):
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    prompts = plan.prompts
    return RunRecord(
        state="started",
        started=now(),
        arguments=plan.arguments,
        prompts=PromptsRecord(file=prompts.name, sha256=prompts.sha256, queries=len(prompts.ids)),
        model=plan.model.record,
        limits=asdict(plan.limits),
        versions=versions,
    )


def _about(server: Server) -> ServerRecord:
    return ServerRecord(
        name=server.name,
        version=server.version,
        protocol=server.protocol,
        tools=list(server.tools.listed),
        warnings=list(server.tools.warnings),
    )
