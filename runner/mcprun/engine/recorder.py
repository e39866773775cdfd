"""What is told of a run: cleaned of secrets, written down, and shown to whoever watches."""

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
from mcprun.engine.skipped import unrecordable
from mcprun.errors import ErrorKind, RunError, UsageError, describe
from mcprun.limits import Limits
from mcprun.prompts.file import PromptsFile
from mcprun.prompts.query import Query
from mcprun.runs.directory import latest_run, mark_latest, remove_run
from mcprun.runs.events import Event, WarningEvent
from mcprun.runs.records import (
    ErrorInfo,
    ModelRecord,
    PromptsRecord,
    RepeatsRecord,
    RunRecord,
    ServerRecord,
    Transcript,
    Verdict,
)
from mcprun.runs.redaction import Redactor
from mcprun.runs.repeats import summarize_repeats
from mcprun.runs.run import Run
from mcprun.runs.writer import RunWriter, now
from mcprun.telemetry import NoTelemetry, Telemetry
from mcprun.tools.toolset import changes


class Recorder:
    """Keeps the journal and the record of one run. A disk that takes no more ends the run, by `ending`.

    A run that `is_latest` is what `outputs/latest` names from now on. `telemetry` knows the trace of a query.
    """

    def __init__(
        self,
        journal: RunWriter,
        record: RunRecord,
        redactor: Redactor,
        watch: Callable[[Event], None],
        ending: RunStop,
        *,
        is_latest: bool = True,
        telemetry: Telemetry | None = None,
    ) -> None:
        self.journal = journal
        self.record = redactor.value(record)
        self._redactor = redactor
        self._telemetry = telemetry or NoTelemetry()
        self._watchers = [self._telemetry.handle, watch]
        self._ending = ending
        self._started = time.monotonic()
        self._is_latest = is_latest
        self._latest = latest_run() if is_latest else None

    @property
    def reason(self) -> RunError | None:
        """Why the run ends early, if it does."""
        error, clean = self._ending.reason, self._redactor.text
        return RunError(error.kind, clean(str(error)), stderr=clean(error.stderr)) if error else None

    def begin(self, prompts: PromptsFile) -> None:
        """Write all that a later process needs to go on; the record last, since it is what makes the folder a run.

        Prompts from stdin or a pipe are kept, unless they hold what must not be seen. Raises `UsageError` where nothing
        can be written.
        """
        try:
            if not prompts.known:
                self.journal.write_queries(prompts.digests)
            if prompts.is_stream and not self._holds_secrets(prompts.source):
                self.journal.write_prompts(prompts.source)
            self.journal.write_record(self.record)
            if self._is_latest:
                mark_latest(self.journal.path)
        except OSError as error:
            self.journal.release()
            raise UsageError(str(_unwritable(self.journal.path, error))) from None

    def prompted(self, prompts: PromptsFile) -> None:
        """Write down what was asked so far, in a run whose prompts are not there before it begins."""
        self.record = self.record.model_copy(update={"prompts": _described(prompts)})
        try:
            self.journal.write_queries(prompts.digests)
            self.journal.write_prompts(prompts.source)
            self.journal.write_record(self.record)
        except OSError as error:
            self._ending.end(_unwritable(self.journal.path, error))

    def emit(self, event: Event) -> None:
        """Redact an event, write it to the journal, and publish it to the watchers.

        An event that can't be redacted or written is replaced by a warning; the end of a query, by the verdict `error`.
        """
        try:
            event = self._redactor.value(event)
            self._write(event)
        except Exception as error:  # noqa: BLE001  one event must not cost the others
            event = unrecordable(event, self._redactor.text(describe(error)))
            self._write(event)
        for message in self._redactor.take_warnings():
            warning = WarningEvent(message=message)
            self._write(warning)
            self._publish(warning)
        self._publish(event)

    def _publish(self, event: Event) -> None:
        for watcher in self._watchers:
            with suppress(Exception, SystemExit):  # a display that broke must not stop the run it displays
                watcher(event)

    def _write(self, event: Event) -> None:
        try:
            self.journal.handle(event, self._telemetry.trace_id(event.where) if event.where else None)
        except OSError as error:
            self._ending.end(_unwritable(self.journal.path, error))

    def answered(self, about: ServerRecord) -> None:
        """Write down what answers; say so when it is not what answered an earlier process."""
        before, about = self.record.server, self._redactor.value(about)
        if before and (told := changes(before.tools, about.tools)):
            self.emit(WarningEvent(message=f"the server's tools are not what they were when the run was begun: {told}"))
        self.record = self.record.model_copy(update={"server": about})
        try:
            self.journal.write_record(self.record)
        except OSError as error:
            self._ending.end(_unwritable(self.journal.path, error))

    def finish(
        self,
        prompts: PromptsFile,
        untried: Callable[[Query, int, RunError], Transcript],
        pass_rate: float | None,
    ) -> None:
        """Bring the files into their final form. On a full disk they stay as they are, to be resumed.

        Of a run that ended by itself before it was done, the queries that it did not come to are written down as
        `untried`: they must never be taken for ones that passed. Who interrupts a run knows that it is not done. What
        was to be tried again, and was not, is what it was.
        """
        reason, journal = self.reason, self.journal
        try:
            left = [key for key in self.record.again if key not in journal]
            old = journal.bring_back()
            if reason and reason.kind not in (ErrorKind.CANCELLED, ErrorKind.OUTPUT):
                with suppress(UsageError):  # the prompts file is gone or changed
                    for query, repeat in prompts.left(journal):
                        journal.keep(self._redactor.value(untried(query, repeat, reason)))
            counts = journal.tally.counts()
            again = [key for key in left if key in journal]
            again += [(self._redactor.text(query), repeat) for query, repeat in sorted(self._ending.again)]
            is_done = counts.done == prompts.runs and not old and not again
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
                mark_latest(self._latest)  # a run that could do nothing is nothing to come back to
            journal.close(prompts.keys(), self.record)
        except OSError as error:
            journal.release()
            self._ending.stop(_unwritable(journal.path, error))

    def discard(self) -> None:
        """Remove a finished run in which no query was run, since it was refused."""
        with suppress(OSError):
            remove_run(self.journal.path)
        if self._is_latest:
            mark_latest(self._latest)

    def _repeats(self, prompts: PromptsFile, pass_rate: float | None) -> list[RepeatsRecord]:
        """Sum up the queries that were run more than once, or ask for a pass rate, by their transcripts."""
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


def head(
    prompts: PromptsFile,
    model: ModelRecord,
    judge: ModelRecord | None,
    limits: Limits,
    arguments: JsonObject,
    earlier: RunRecord | None,
) -> RunRecord:
    """Make the `run.json` of a run that begins, or that goes on where an `earlier` process left it."""
    versions = {"mcprun": __version__, "python": platform.python_version()}
    for package in ("mcp", "anthropic"):
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    return RunRecord(
        state="started",
        started=earlier.started if earlier else now(),
        arguments=arguments,
        folder=str(Path.cwd()),
        prompts=_described(prompts),
        model=model,
        judge=judge,
        limits=asdict(limits),
        versions=versions,
        server=earlier.server if earlier else None,
        again=earlier.again if earlier else [],
        seconds=earlier.seconds if earlier else None,
    )


def _described(prompts: PromptsFile) -> PromptsRecord:
    return PromptsRecord(
        file=prompts.name,
        sha256=prompts.sha256,
        queries=len(prompts),
        runs=prompts.runs,
        shard=str(prompts.select.shard) if prompts.select.shard else None,
        scripted=prompts.scripted if prompts.is_plain else None,
        judged=prompts.judged if prompts.is_plain else None,
    )


def _unwritable(path: Path, error: OSError) -> RunError:
    return RunError(ErrorKind.OUTPUT, f"can't write {error.filename or path}: {error.strerror}")
