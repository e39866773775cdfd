"""The data of every report: a run's record, a stream of its transcripts, and facts derived from its files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from mcprun.errors import ExitCode
from mcprun.prompts.file import lines_of, stem_of
from mcprun.runs.directory import LOG
from mcprun.runs.run import Run
from mcprun.runs.run_record import Counts, RunRecord
from mcprun.runs.transcript import Key, Transcript, Verdict

_LOG_BYTES = 4096
"""Bytes from the end of `server.log` that a report shows, where the cause usually is."""

AGAINST_LINES = 200
"""Maximum number of lines of a comparison with a baseline that reports keep."""


@dataclass(frozen=True, slots=True)
class BaselineData:
    """The result of comparing with the baseline `name`: `totals` as text, and the first `lines` of the diff."""

    name: str
    regressions: int
    totals: str
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunData:
    """A run, as reports read it. Reports take nothing else, so they need no run directory.

    `path` is the run directory. `transcripts` returns a new iterator over all transcripts, in order, at each call.
    `counts` covers all of them. `durations` holds the duration of each query that the trace records. `lines` holds the
    line of each query in the prompts file, and is empty if that file has changed. `log` is the end of `server.log`,
    kept if the run or a query ended in an error.
    """

    record: RunRecord
    transcripts: Callable[[], Iterator[Transcript]]
    path: str = ""
    counts: Counts = field(default_factory=Counts)
    durations: Mapping[Key, float] = field(default_factory=dict)
    lines: Mapping[str, int] = field(default_factory=dict)
    log: str = ""
    against: BaselineData | None = None

    @property
    def stem(self) -> str:
        """A short name for titles: the stem of the prompts file."""
        return stem_of(self.record.prompts.file)

    @property
    def trouble(self) -> str:
        """Why the run is incomplete; empty if it is complete."""
        if error := self.record.error:
            return f"{error.kind}: {error.message}"
        if self.record.state == "finished":
            return ""
        return f"the run has not finished (state: {self.record.state})"

    @property
    def regressions(self) -> int:
        """Number of regressions against the baseline, breaking tool changes included; 0 without a baseline."""
        return self.against.regressions if self.against else 0

    @property
    def code(self) -> ExitCode:
        """The exit code for CI, with regressions counted as failures."""
        code = self.record.exit_code
        return ExitCode.FAILED if self.regressions and code is not ExitCode.INTERRUPTED else code

    def is_excused(self, transcript: Transcript) -> bool:
        """Return whether a failed repeat does not fail the run, because its query reaches its required pass rate."""
        return transcript.verdict is Verdict.FAILED and transcript.id in self._met

    def is_red(self, transcript: Transcript) -> bool:
        """Return whether a query makes the run fail or end in an error."""
        return transcript.verdict in (Verdict.FAILED, Verdict.ERROR) and not self.is_excused(transcript)

    @cached_property
    def _met(self) -> frozenset[str]:
        return frozenset(one.id for one in self.record.repeats if one.is_met)


def gather(run: Run, against: BaselineData | None = None) -> RunData:
    """Read a run for reports, finished or not. Raises `UsageError` if one of its files is damaged.

    Memory holds numbers for each query, and no transcript.
    """
    record = run.record
    has_error = run.counts.error or record.error
    return RunData(
        record=record,
        transcripts=run.transcripts,
        path=str(run.path),
        counts=run.counts,
        durations={
            (event["query"], event.get("repeat", 1)): event["seconds"]
            for event in run.events()
            if event.get("event") == "query_end" and "query" in event and "seconds" in event
        },
        lines=lines_of(Path(record.folder or ".", record.prompts.file), record.prompts.sha256),
        log=_log_tail(run.path / LOG) if has_error else "",
        against=against,
    )


def _log_tail(path: Path) -> str:
    try:
        with path.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _LOG_BYTES))
            return log.read().decode("utf-8", "replace").strip()
    except OSError:  # a baseline has no server.log
        return ""
