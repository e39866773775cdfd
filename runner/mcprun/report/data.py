"""What every report is made of: a run's record, its transcripts as a stream, and what else is known of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from mcprun.errors import ExitCode
from mcprun.prompts.file import lines_of, stem_of
from mcprun.runs.records import Counts, RunRecord, Transcript, Verdict
from mcprun.runs.run import LOG, Key, Run

_LOG_BYTES = 4096
"""How much of `server.log` a report shows: its end, where the cause usually stands."""

AGAINST_LINES = 200
"""So many lines of a comparison with a baseline are kept for reports."""


@dataclass(frozen=True, slots=True)
class BaselineData:
    """What a comparison with the baseline `name` brought: the `totals` in words, the first `lines` of what differs."""

    name: str
    regressions: int
    totals: str
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunData:
    """A run, as reports read it. Writers take nothing else, and so they need no run directory.

    `path` is the run's folder, `transcripts` gives them anew at each call, in order. `counts` are of all of them.
    `seconds` holds how long each query took, where a trace tells; `lines` where each stands in the prompts file,
    while that is what it was; `log` is the end of `server.log`, kept when something could not be completed.
    """

    record: RunRecord
    transcripts: Callable[[], Iterator[Transcript]]
    path: str = ""
    counts: Counts = field(default_factory=Counts)
    seconds: Mapping[Key, float] = field(default_factory=dict)
    lines: Mapping[str, int] = field(default_factory=dict)
    log: str = ""
    against: BaselineData | None = None

    @property
    def stem(self) -> str:
        """A short name for titles: that of the prompts file."""
        return stem_of(self.record.prompts.file)

    @property
    def trouble(self) -> str:
        """Why the run is not whole; empty when it is."""
        if error := self.record.error:
            return f"{error.kind}: {error.message}"
        if self.record.state == "finished":
            return ""
        return f"the run is {self.record.state}, not finished"

    @property
    def regressions(self) -> int:
        """How many queries are worse than the baseline has them, if there is one."""
        return self.against.regressions if self.against else 0

    @property
    def code(self) -> ExitCode:
        """What the run means to CI: its exit code, regressions counted."""
        code = self.record.exit_code
        return ExitCode.FAILED if self.regressions and code is not ExitCode.INTERRUPTED else code

    def excuses(self, transcript: Transcript) -> bool:
        """Tell whether a failed repeat is no failure of the run: its query reaches the pass rate that was asked for."""
        return transcript.verdict is Verdict.FAILED and transcript.id in self._met

    def is_red(self, transcript: Transcript) -> bool:
        """Tell whether a query makes the run fail or err."""
        return transcript.verdict in (Verdict.FAILED, Verdict.ERROR) and not self.excuses(transcript)

    @cached_property
    def _met(self) -> frozenset[str]:
        return frozenset(one.id for one in self.record.repeats if one.is_met)


def gather(run: Run, against: BaselineData | None = None) -> RunData:
    """Read what reports need of a run, finished or not. Raises `UsageError` where one of its files is damaged.

    Memory holds a number for each query, and no transcript.
    """
    record = run.record
    could_not = run.counts.error or record.error
    return RunData(
        record=record,
        transcripts=run.transcripts,
        path=str(run.path),
        counts=run.counts,
        seconds={
            (event["query"], event.get("repeat", 1)): event["seconds"]
            for event in run.events()
            if event.get("event") == "query_end" and "query" in event and "seconds" in event
        },
        lines=lines_of(Path(record.folder or ".", record.prompts.file), record.prompts.sha256),
        log=_end_of(run.path / LOG) if could_not else "",
        against=against,
    )


def _end_of(path: Path) -> str:
    try:
        with path.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _LOG_BYTES))
            return log.read().decode("utf-8", "replace").strip()
    except OSError:  # a baseline has none
        return ""
