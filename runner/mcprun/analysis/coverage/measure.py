"""Measure the coverage of recorded runs: add up what servers listed and what calls reached."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from mcprun._util.json_value import JsonObject
from mcprun.analysis.coverage.arguments import Arguments
from mcprun.analysis.coverage.calls import is_sent, unanswered
from mcprun.analysis.coverage.coverage import Coverage, ItemCoverage, ToolCoverage
from mcprun.errors import UsageError
from mcprun.runs.directory import TRACE
from mcprun.runs.run import Run, parse_transcript
from mcprun.runs.run_record import ServerRecord
from mcprun.runs.transcript import Call, CallOutcome
from mcprun.tools.toolset import ToolSet

_UNUSABLE = frozenset({"malformed", "left_out", "task_only"})
"""The rules of notes about tools that no model can call (`tools/toolset.py`)."""

_KINDS = {"prompts": "prompt", "resources": "uri"}
"""The lists of prompts and resources, and the key of an event that names an item."""

_EVENTS = {"prompt_get": "prompts", "resource_read": "resources"}
"""The events of requests for an item, and the list that it is in."""

_MAX_NAMES = 1_000
"""Maximum names of tools, that no server lists or that were not sent, whose calls are counted apart."""


def measure_coverage(runs: Sequence[Run]) -> Coverage:
    """Return the coverage of several runs together. Memory holds the surface of the servers, not the transcripts.

    Raises `UsageError` if a run can't be read, or if the server of none of them has listed its tools.
    """
    meter = CoverageMeter(run.record.server for run in runs if run.record.server)
    if runs and not any(run.record.server for run in runs):
        names = ", ".join(str(run.path) for run in runs)
        raise UsageError(f"{names}: there are no tools to cover, since the server did not start")
    for run in runs:
        meter.count_run(run)
    return meter.coverage()


class CoverageMeter:
    """Adds up the calls that reach the tools of some `servers`. Pure, except that `count_run` reads a run directory."""

    def __init__(self, servers: Iterable[ServerRecord]) -> None:
        self._runs = 0
        self._arguments: dict[str, Arguments] = {}
        self._listed: dict[str, list[JsonObject]] = {}
        self._malformed: dict[str, str] = {}
        self._noted: set[str] = set()
        self._calls: Counter[str] = Counter()
        self._errors: Counter[str] = Counter()
        self._unlisted: Counter[str] = Counter()
        self._unsent: Counter[str] = Counter()
        self._items = {kind: _Items() for kind in _KINDS}
        for server in servers:
            self._add_server(server)

    def count_run(self, run: Run) -> None:
        """Add the calls of all transcripts of a run. Raises `UsageError` if it can't be read."""
        self._runs += 1
        if server := run.record.server:
            listed = listed_names(server)
            for call, was_sent in _calls(run, server):
                self.count(call, listed, was_sent=was_sent)
            if (server.prompts is not None or server.resources is not None) and (run.path / TRACE).exists():
                self._count_items(run, server)

    def count(self, call: Call | CallOutcome, listed: Collection[str], *, was_sent: bool = True) -> None:
        """Add a call. `listed` are the names of the tools that its own server lists."""
        tool = call.tool
        if not was_sent:
            _count_apart(self._unsent, tool)
        elif tool not in listed:
            _count_apart(self._unlisted, tool)
        else:
            self._calls[tool] += 1
            if call.is_error:
                self._errors[tool] += 1
            elif tool in self._arguments:
                self._arguments[tool].mark(call.input)

    def coverage(self) -> Coverage:
        """Return the coverage of everything that was added."""
        return Coverage(
            tools=tuple(map(self._tool, sorted({*self._listed, *self._malformed}))),
            prompts=self._items["prompts"].coverage(),
            resources=self._items["resources"].coverage(),
            unlisted=dict(sorted(self._unlisted.items())),
            unsent=dict(sorted(self._unsent.items())),
            runs=self._runs,
        )

    def _add_server(self, server: ServerRecord) -> None:
        noted = [*server.tools, *server.later_tools] if server.warnings else server.later_tools
        self._noted.update(tool["name"] for tool in noted)
        for tool in (*server.tools, *server.later_tools):
            name, schema = tool["name"], tool.get("inputSchema")
            known = self._listed.setdefault(name, [])
            if all(schema != other.get("inputSchema") for other in known):
                known.append(tool)
                self._arguments.setdefault(name, Arguments()).add_schema(schema)
        for one in (*server.malformed, *server.later_malformed):
            if one.rule == "malformed":
                self._malformed.setdefault(one.item, one.message)

    def _count_items(self, run: Run, server: ServerRecord) -> None:
        """Add the prompts and resources that queries took from the server. Only the trace names them."""
        own = {kind: frozenset(names) for kind in _KINDS if (names := getattr(server, kind)) is not None}
        for kind, names in own.items():
            self._items[kind].add(names)
        for event in run.events_named(_EVENTS):
            kind = _EVENTS[event["event"]]
            name = event.get(_KINDS[kind])
            if isinstance(name, str) and name in own.get(kind, ()):
                self._items[kind].count(name, is_error=event.get("problem") is not None)

    def _tool(self, name: str) -> ToolCoverage:
        calls, arguments = self._calls[name], self._arguments.get(name)
        return ToolCoverage(
            name,
            calls,
            self._errors[name],
            arguments.coverage() if arguments else (),
            "" if calls else self._unusable(name),
        )

    def _unusable(self, name: str) -> str:
        """Return why no model can call a tool; empty if it can call one of those listed under this name."""
        if name not in self._listed:
            return self._malformed[name]
        if name not in self._noted:  # the session had no warnings, and mapping hundreds of tools takes time
            return ""
        reasons = [
            next((note.text for note in ToolSet.of([tool]).notes if note.rule in _UNUSABLE), "")
            for tool in self._listed[name]
        ]
        return reasons[0] if all(reasons) else ""


def listed_names(server: ServerRecord) -> frozenset[str]:
    """Return the names of all tools that a server lists, malformed ones included."""
    malformed = (one.item for one in (*server.malformed, *server.later_malformed) if one.rule == "malformed")
    return frozenset([tool["name"] for tool in (*server.tools, *server.later_tools)]).union(malformed)


def _calls(run: Run, server: ServerRecord) -> Iterator[tuple[Call | CallOutcome, bool]]:
    """Yield the calls of a run, each with whether it was sent. Only a transcript with errors is parsed as a whole."""
    api_names = _ApiNames(server)
    for outcomes, line in run.outcomes():
        if outcomes.error is None and not any(call.is_error for call in outcomes.calls):
            for outcome in outcomes.calls:
                yield outcome, True
            continue
        transcript = parse_transcript(line, run.path)
        for call in transcript.calls:
            yield call, is_sent(call)
        if transcript.error:
            for lost in unanswered(transcript, api_names.of):
                yield lost, True


@dataclass(slots=True)
class _Items:
    """The prompts or resources of some servers, and how often they were read. `listed` is None if no list is known."""

    listed: set[str] | None = None
    reads: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)

    def add(self, names: Iterable[str]) -> None:
        self.listed = {*(self.listed or ()), *names}

    def count(self, name: str, *, is_error: bool) -> None:
        self.reads[name] += 1
        self.errors[name] += is_error

    def coverage(self) -> tuple[ItemCoverage, ...] | None:
        if self.listed is None:
            return None
        return tuple(ItemCoverage(name, self.reads[name], self.errors[name]) for name in sorted(self.listed))


class _ApiNames:
    """The names that the API was sent for a server's tools. Mapping them takes time, and is rarely needed."""

    def __init__(self, server: ServerRecord) -> None:
        self._server = server

    @cached_property
    def of(self) -> Mapping[str, str]:
        """The server's names by those that the API was sent."""
        return ToolSet.of([*self._server.tools, *self._server.later_tools]).names


def _count_apart(counter: Counter[str], tool: str) -> None:
    if tool in counter or len(counter) < _MAX_NAMES:
        counter[tool] += 1
