"""Redact, persist and publish the events of a run."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO

from mcprun._util.json_value import JsonObject
from mcprun._util.run_stop import RunStop
from mcprun._version import __version__
from mcprun.engine.skipped_transcripts import unrecordable
from mcprun.engine.worker_config import WorkerConfig
from mcprun.errors import ErrorKind, RunError, UsageError, describe
from mcprun.prompts.file import PromptsFile
from mcprun.prompts.query import Query
from mcprun.runs.directory import mark_latest, remove_run
from mcprun.runs.event_lines import EventLines, now
from mcprun.runs.events import CatalogListed, Event, ToolsListed, WarningEvent
from mcprun.runs.redaction import Redactor
from mcprun.runs.repeats import summarize_repeats
from mcprun.runs.run import Run, latest_run
from mcprun.runs.run_record import PromptsRecord, RepeatsRecord, RunRecord, ServerRecord
from mcprun.runs.tool_listings import CATALOG, joined_listings
from mcprun.runs.transcript import ErrorInfo, Transcript, Verdict
from mcprun.runs.writer import RunWriter
from mcprun.telemetry import NoTelemetry, Telemetry
from mcprun.tools.toolset import changes


class Recorder:
    """Writes the run directory of one run and passes its events to `watch`.

    A failed write ends the run through `run_stop`. With `is_latest`, `outputs/latest` names the run once it has begun.
    `telemetry` receives the events too, and maps a query to its trace id.
    """

    def __init__(
        self,
        journal: RunWriter,
        record: RunRecord,
        redactor: Redactor,
        watch: Callable[[Event], None],
        run_stop: RunStop,
        *,
        is_latest: bool = True,
        telemetry: Telemetry | None = None,
    ) -> None:
        self.journal = journal
        self.record = redactor.value(record)
        self._redactor = redactor
        self._telemetry = telemetry or NoTelemetry()
        self._watchers = [telemetry.handle, watch] if telemetry else [watch]
        self._run_stop = run_stop
        self._listings: list[ServerRecord] = []
        self._started = time.monotonic()
        self._is_latest = is_latest
        self._latest = latest_run() if is_latest else None

    @property
    def reason(self) -> RunError | None:
        """Why the run ends early, with secrets redacted, or `None`."""
        error, clean = self._run_stop.reason, self._redactor.text
        return RunError(error.kind, clean(str(error)), stderr=clean(error.stderr)) if error else None

    def begin(self, prompts: PromptsFile) -> None:
        """Write what a later process needs to resume the run.

        `run.json` is written last, since a directory is a run once it holds that file. Prompts from stdin or a pipe
        are kept, unless they contain secrets. Raises `UsageError` if a file can't be written.
        """
        try:
            if not prompts.verified:
                self.journal.write_queries(prompts.digests)
            if prompts.is_stream and not self._holds_secrets(prompts.source):
                self.journal.write_prompts(prompts.source)
            self.journal.write_record(self.record)
            if self._is_latest:
                mark_latest(self.journal.path)
        except OSError as error:
            self.journal.release()
            raise UsageError(str(_write_error(self.journal.path, error))) from None

    def record_prompts(self, prompts: PromptsFile) -> None:
        """Write the prompts so far, in a run whose prompts are not known before it begins."""
        self.record = self.record.model_copy(update={"prompts": _prompts_record(prompts)})
        try:
            self.journal.write_queries(prompts.digests)
            self.journal.write_prompts(prompts.source)
            self.journal.write_record(self.record)
        except OSError as error:
            self._run_stop.cancel(_write_error(self.journal.path, error))

    def emit(self, event: Event) -> None:
        """Redact an event, write it to the journal, and publish it to the watchers.

        An event that can't be redacted or written is replaced by a warning; the end of a query, by the verdict `error`.
        """
        if isinstance(event, ToolsListed):
            self._add_to_server(ServerRecord(protocol="", tools=event.tools, malformed=event.malformed))
        elif isinstance(event, CatalogListed):
            self._add_to_server(ServerRecord(protocol="", tools=[], **{kind: getattr(event, kind) for kind in CATALOG}))
        try:
            event, lines = self._redacted(event)
        except Exception as error:  # noqa: BLE001  a fault in one event must not affect the others
            event = unrecordable(event, self._redactor.text(describe(error)))
            lines = self._lines(event)
        self._write(event, lines)
        for message in self._redactor.take_warnings():
            warning = WarningEvent(message=message)
            self._write(warning, self._lines(warning))
            self._publish(warning)
        self._publish(event)

    def _redacted(self, event: Event) -> tuple[Event, EventLines]:
        """Return an event without secrets, and its lines. Its values are searched only if the lines may hold one."""
        lines = self._lines(event)
        if not self._redactor.may_change(lines.trace + lines.transcript):
            return event, lines
        redacted = self._redactor.value(event)
        return (event, lines) if redacted is event else (redacted, self._lines(redacted))

    def _lines(self, event: Event) -> EventLines:
        return EventLines.of(event, self._telemetry.trace_id(event.where) if event.where else None)

    def _publish(self, event: Event) -> None:
        for watcher in self._watchers:
            with suppress(Exception, SystemExit):  # a broken display must not stop the run
                watcher(event)

    def _write(self, event: Event, lines: EventLines) -> None:
        try:
            self.journal.write(event, lines)
        except OSError as error:
            self._run_stop.cancel(_write_error(self.journal.path, error))

    def record_server(self, about: ServerRecord) -> None:
        """Record the server. Emit a warning if its tools differ from those that an earlier process recorded."""
        before, about = self.record.server, self._redactor.value(about)
        if before and (diff := changes(before.tools, about.tools)):
            self.emit(WarningEvent(message=f"the server's tools have changed since the run was started: {diff}"))
        others = [before, *self._listings] if before else self._listings
        self._update_server(joined_listings(about, others))

    def _add_to_server(self, listed: ServerRecord) -> None:
        """Add what a session listed to the server of the run. It waits for `record_server` if that comes later."""
        clean = self._redactor.value(listed)
        if self.record.server is None:
            self._listings.append(clean)
        elif (joined := joined_listings(self.record.server, [clean])) is not self.record.server:
            self._update_server(joined)

    def _update_server(self, server: ServerRecord) -> None:
        self.record = self.record.model_copy(update={"server": server})
        try:
            self.journal.write_record(self.record)
        except OSError as error:
            self._run_stop.cancel(_write_error(self.journal.path, error))

    def finish(
        self,
        prompts: PromptsFile,
        skipped: Callable[[Query, int, RunError], Transcript],
        pass_rate: float | None,
    ) -> None:
        """Write the files in their final form. If that fails (a full disk), they stay as they are for `--resume`.

        In a run that ended early by itself, queries that were not run get the transcript that `skipped` returns, so
        that they can't be mistaken for passed ones. A run that the user interrupted gets none. A query that was to be
        run again and was not keeps its earlier transcript.
        """
        reason, journal = self.reason, self.journal
        try:
            pending = [key for key in self.record.again if key not in journal]
            old = journal.restore_retried()
            if reason and reason.kind not in (ErrorKind.CANCELLED, ErrorKind.OUTPUT):
                with suppress(UsageError):  # the prompts file was removed or changed
                    for query, repeat in prompts.left(journal):
                        journal.write_final(self._redactor.value(skipped(query, repeat, reason)))
            counts = journal.totals.counts()
            again = [key for key in pending if key in journal]
            again += [(self._redactor.text(query), repeat) for query, repeat in sorted(self._run_stop.interrupted)]
            is_done = counts.done + counts.ungraded == prompts.runs and not old and not again
            self.record = self.record.model_copy(
                update={
                    "state": "finished" if is_done else "interrupted",
                    "finished": now(),
                    "seconds": round(time.monotonic() - self._started + (self.record.seconds or 0.0), 3),
                    "counts": counts,
                    "repeats": self._repeats(prompts, pass_rate),
                    "error": ErrorInfo(kind=reason.kind, message=str(reason)) if reason and not is_done else None,
                    "again": again,
                }
            )
            if reason and reason.kind is not ErrorKind.CANCELLED and not counts.done and self._latest:
                mark_latest(self._latest)  # `latest` keeps naming the run before, since this one has no result
            journal.close(prompts.keys(), self.record)
        except OSError as error:
            journal.release()
            self._run_stop.drain(_write_error(journal.path, error))

    def discard(self) -> None:
        """Remove the directory of a run that was refused before any query was run."""
        with suppress(OSError):
            remove_run(self.journal.path)
        if self._is_latest:
            mark_latest(self._latest)

    def _repeats(self, prompts: PromptsFile, pass_rate: float | None) -> list[RepeatsRecord]:
        """Sum up the verdicts of queries that were repeated or set a pass rate, from `transcripts.jsonl`."""
        names = [name for name in prompts.digests if prompts.repeats_of(name) > 1 or name in prompts.pass_rates]
        if not names:
            return []
        verdicts = {name: dict.fromkeys(Verdict, 0) for name in names}
        for transcript, _ in Run.lines(self.journal.path):
            if transcript.id in verdicts:
                verdicts[transcript.id][transcript.verdict] += 1
        rates = prompts.pass_rates
        return [
            summarize_repeats(name, counted, rates.get(name, pass_rate))
            for name, counted in verdicts.items()
            if any(counted.values())
        ]

    def _holds_secrets(self, source: IO[bytes]) -> bool:
        source.seek(0)
        texts = (line.decode("utf-8", "replace") for line in source)
        return any(self._redactor.text(text) is not text for text in texts)


def initial_record(
    prompts: PromptsFile, config: WorkerConfig, arguments: JsonObject, earlier: RunRecord | None = None
) -> RunRecord:
    """Return the initial `run.json` of a run, or of one that resumes what an `earlier` process left."""
    versions = {"mcprun": __version__, "python": platform.python_version()}
    for package in ("mcp", "anthropic"):
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    return RunRecord(
        state="started",
        started=earlier.started if earlier else now(),
        arguments=arguments,
        folder=str(Path.cwd()),
        prompts=_prompts_record(prompts),
        model=config.model.record,
        judge=config.judge.record if config.judge else None,
        limits=asdict(config.limits),
        versions=versions,
        server=earlier.server if earlier else None,
        again=earlier.again if earlier else [],
        seconds=earlier.seconds if earlier else None,
    )


def _prompts_record(prompts: PromptsFile) -> PromptsRecord:
    return PromptsRecord(
        file=prompts.name,
        sha256=prompts.sha256,
        queries=len(prompts),
        runs=prompts.runs,
        shard=str(prompts.select.shard) if prompts.select.shard else None,
        scripted=prompts.scripted if prompts.is_plain else None,
        judged=prompts.judged if prompts.is_plain else None,
    )


def _write_error(path: Path, error: OSError) -> RunError:
    return RunError(ErrorKind.OUTPUT, f"can't write {error.filename or path}: {error.strerror}")
