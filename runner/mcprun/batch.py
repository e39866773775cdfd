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
from typing import IO

from mcprun import __version__
from mcprun.attempt import Attempts, untried
from mcprun.checks import Show
from mcprun.connect import Connector
from mcprun.ending import Ending
from mcprun.errors import ErrorKind, McprunError, RunError, UsageError
from mcprun.events import Event, QueryEnd, RunStart, Warned, Where
from mcprun.journal import Journal, new_directory, now
from mcprun.limits import MAX_LOG_BYTES, Limits
from mcprun.loop import Loop
from mcprun.models.choose import Choice
from mcprun.pool import Pool
from mcprun.prompts import PromptsFile
from mcprun.records import ErrorInfo, JsonObject, PromptsRecord, RunRecord, ServerRecord
from mcprun.redact import Redactor
from mcprun.resume import Resume
from mcprun.sdklog import sdk_logs
from mcprun.server import Server
from mcprun.serverlog import ServerLog
from mcprun.target import Target
from mcprun.tools import changes


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All that a run is asked to do. `arguments` is what the user wrote, kept in `run.json` as it is.

    With `resume`, an earlier run goes on; else a new one is written to the folder `out`, or one of its own.
    """

    prompts: PromptsFile
    target: Target
    model: Choice
    limits: Limits = field(default_factory=Limits)
    system: str | None = None
    allow_tool_errors: bool = False
    servers: int = 1
    fresh_server: bool = False
    out: str | None = None
    resume: Resume | None = None
    redactor: Redactor = field(default_factory=Redactor)
    arguments: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Result:
    """A run that is over: where it stands, and its `run.json`. `error` is what ended it early, if anything did."""

    path: Path
    record: RunRecord
    error: RunError | None = None


async def run_batch(
    plan: Plan, watch: Callable[[Event], None] = lambda _: None, ending: Ending | None = None
) -> Result:
    """Run every selected query and write the run directory; `watch` is called with each event.

    Whoever holds `ending` may end it before it is done. A run that can't go on gives a `Result` with its error:
    what was finished before is on disk. Raises `UsageError` when there is no place to write, or the run can't be
    resumed. When cancelled, it marks the run as interrupted and lets the cancellation go on.
    """
    return await _Execution(plan, watch, ending or Ending()).run()


class _Execution:
    """One run while it goes on."""

    def __init__(self, plan: Plan, watch: Callable[[Event], None], ending: Ending) -> None:
        self._plan = plan
        self._watchers = [watch]
        self._ending = ending
        self._started = time.monotonic()
        self._earlier = plan.resume.run.record if plan.resume else None
        self._journal = _resumed(plan.resume, plan.prompts) if plan.resume else _begun(plan)
        self._record = plan.redactor.value(_head(plan, self._earlier))

    async def run(self) -> Result:
        """Write what is asked, run what is not done, and write what became of it."""
        plan, ending = self._plan, self._ending
        self._write_head()
        try:
            model = plan.model.record
            self._emit(
                RunStart(queries=len(plan.prompts), done=len(self._journal), model=model.name, chosen=model.chosen)
            )
            with (
                sdk_logs(self._emit, plan.redactor),
                ending.within(plan.limits.run_seconds, _too_long(plan.limits.run_seconds)),
            ):
                await ending.over(asyncio.create_task(self._work()))
        except RunError as error:
            ending.stop(error)
        finally:
            # Also when cancelled: what was done is kept, in order, and the totals are true.
            self._finish()
        return Result(self._journal.path, self._record, self._reason)

    @property
    def _reason(self) -> RunError | None:
        """Why the run ends early, without what must not be seen."""
        error, clean = self._ending.reason, self._plan.redactor.text
        return RunError(error.kind, clean(str(error)), stderr=clean(error.stderr)) if error else None

    async def _work(self) -> None:
        """Start the servers and let workers take one query after the other. Raises `RunError`."""
        plan, ending = self._plan, self._ending
        if len(self._journal) == len(plan.prompts):
            return
        log = ServerLog(self._journal.log, plan.redactor, MAX_LOG_BYTES)
        connector = Connector(
            plan.target,
            log=log,
            seconds=plan.limits.connect_seconds,
            most=plan.limits.max_result_bytes,
            emit=self._emit,
        )
        async with (
            plan.model.open(plan.limits, self._emit, self._journal.tally.counts().usage) as model,
            Pool(
                connector, size=plan.servers, fresh=plan.fresh_server, restarts=plan.limits.restarts, emit=self._emit
            ) as servers,
        ):
            self._write_server(servers.first)
            loop = Loop(model=model, limits=plan.limits, system=plan.system, emit=self._emit)
            attempts = Attempts(loop, servers, plan.allow_tool_errors, Show(plan.redactor.text), ending)
            self._check_failures()
            queries = (query for query in plan.prompts.queries() if (query.id, 1) not in self._journal)

            async def work() -> None:
                for query in queries:  # one stream for all workers: each query is taken once
                    if ending.reason:
                        return
                    started = time.monotonic()
                    transcript = await attempts.run(query)
                    where = Where(query.id, attempt=transcript.attempts)
                    self._emit(QueryEnd(where=where, seconds=time.monotonic() - started, transcript=transcript))
                    self._check_failures()

            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(min(plan.limits.concurrency, len(plan.prompts))):
                        group.create_task(work())
            except ExceptionGroup as errors:
                raise _told_first(errors) from errors

    def _holds_secrets(self, source: IO[bytes]) -> bool:
        """Tell whether prompts hold what must not be seen: then they are not kept, and are needed for a resume."""
        source.seek(0)
        clean = self._plan.redactor.text
        return any(clean(text) is not text for line in source for text in (line.decode("utf-8", "replace"),))

    def _check_failures(self) -> None:
        """Stop when too much has gone wrong."""
        counts, most = self._journal.tally.counts(), self._plan.limits.max_failures
        if most is not None and counts.failed + counts.error >= most:
            message = f"queries that did not pass: {counts.failed + counts.error:,}, and --max-failures is {most:,}"
            self._ending.stop(RunError(ErrorKind.BUDGET, message))

    def _emit(self, event: Event) -> None:
        """Hand an event to the journal, and to whoever watches, without what must not be seen."""
        event = self._plan.redactor.value(event)
        try:
            self._journal.handle(event)
        except OSError as error:
            self._ending.end(_unwritable(self._journal.path, error))
        for watcher in self._watchers:
            try:
                watcher(event)
            except (Exception, SystemExit):  # noqa: BLE001  a display that broke must not stop the run it displays
                self._watchers.remove(watcher)

    def _write_head(self) -> None:
        """Write all that a later process needs to go on; the record last, since it is what makes the folder a run."""
        plan, journal = self._plan, self._journal
        try:
            journal.write_queries(plan.prompts.digests)
            if plan.prompts.name == "-" and not self._holds_secrets(plan.prompts.source):
                journal.write_prompts(plan.prompts.source)
            journal.write_record(self._record)
        except OSError as error:
            journal.release()
            raise UsageError(str(_unwritable(journal.path, error))) from None

    def _write_server(self, server: Server) -> None:
        """Write down what answers; say so when it is not what answered an earlier process."""
        about = self._plan.redactor.value(_about(server))
        earlier = self._earlier.server if self._earlier else None
        if earlier and (told := changes(earlier.tools, about.tools)):
            self._emit(Warned(message=f"the server's tools are not what they were when the run was begun: {told}"))
        self._record = self._record.model_copy(update={"server": about})
        self._journal.write_record(self._record)

    def _finish(self) -> None:
        """Bring the files into their final form. On a full disk they stay as they are, to be resumed."""
        plan, journal, reason = self._plan, self._journal, self._reason
        try:
            if reason and reason.kind not in (ErrorKind.CANCELLED, ErrorKind.OUTPUT):
                self._keep_untried(reason)
            counts = journal.tally.counts()
            seconds = time.monotonic() - self._started + ((self._earlier and self._earlier.seconds) or 0.0)
            self._record = self._record.model_copy(
                update={
                    "state": "finished" if counts.done == len(plan.prompts) else "interrupted",
                    "finished": now(),
                    "seconds": round(seconds, 3),
                    "counts": counts,
                    "error": ErrorInfo(kind=reason.kind, message=str(reason)) if reason else None,
                }
            )
            journal.close(((query, 1) for query in plan.prompts.digests), self._record)
        except OSError as error:
            self._ending.stop(_unwritable(journal.path, error))

    def _keep_untried(self, reason: RunError) -> None:
        """Write down every query that the run did not come to: it must never be taken for one that passed."""
        plan, journal = self._plan, self._journal
        with suppress(UsageError):  # the prompts file is gone or changed, which may be the very reason
            for query in plan.prompts.queries():
                if (query.id, 1) not in journal:
                    skipped = untried(query, reason, system=plan.system, model=plan.model.record.name)
                    journal.keep(plan.redactor.value(skipped))


def _begun(plan: Plan) -> Journal:
    return Journal(new_directory(plan.prompts.stem, plan.out))


def _resumed(resume: Resume, prompts: PromptsFile) -> Journal:
    same = resume.checked(prompts)
    return Journal(resume.run.path, lambda transcript: transcript.id in same and resume.keeps(transcript))


def _too_long(seconds: float) -> RunError:
    return RunError(ErrorKind.RUN_TIMEOUT, f"the run was not done within {seconds:g} s, its --run-timeout")


def _unwritable(path: Path, error: OSError) -> RunError:
    return RunError(ErrorKind.OUTPUT, f"can't write {error.filename or path}: {error.strerror}")


def _told_first(errors: ExceptionGroup[Exception]) -> Exception:
    """Choose one of the errors that ended the workers: ours before anything unforeseen hides it."""
    return next((error for error in errors.exceptions if isinstance(error, McprunError)), errors.exceptions[0])


def _head(plan: Plan, earlier: RunRecord | None) -> RunRecord:
    """Make the `run.json` of a run that begins, or that goes on where an earlier process left it."""
    versions = {"mcprun": __version__, "python": platform.python_version()}
    for package in ("mcp", "anthropic"):
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    prompts = plan.prompts
    return RunRecord(
        state="started",
        started=earlier.started if earlier else now(),
        arguments=plan.arguments,
        prompts=PromptsRecord(file=prompts.name, sha256=prompts.sha256, queries=len(prompts)),
        model=plan.model.record,
        limits=asdict(plan.limits),
        versions=versions,
        server=earlier.server if earlier else None,
        seconds=earlier.seconds if earlier else None,
    )


def _about(server: Server) -> ServerRecord:
    return ServerRecord(
        name=server.name,
        version=server.version,
        protocol=server.protocol,
        tools=list(server.tools.listed),
        warnings=list(server.tools.warnings),
    )
