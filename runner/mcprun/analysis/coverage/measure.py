"""Measure the coverage of recorded runs: add up what servers listed and what calls reached."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from mcprun._util.json_value import JsonObject, json_same
from mcprun.analysis.coverage.arguments import Arguments
from mcprun.analysis.coverage.calls import CALL, STEP, recorded_calls, returned_error, traced_call, traces_calls
from mcprun.analysis.coverage.coverage import Coverage, ItemCoverage, ToolCoverage
from mcprun.errors import UsageError
from mcprun.runs.directory import TRACE
from mcprun.runs.run import Run
from mcprun.runs.run_record import ServerRecord
from mcprun.runs.transcript import CallOutcome
from mcprun.tools.toolset import ToolSet

_UNUSABLE = frozenset({"malformed", "left_out", "task_only"})
"""The rules of notes about tools that no model can call (`tools/toolset.py`)."""

_KINDS = ("prompts", "resources")
"""What a server lists beside its tools (`ServerRecord`)."""

_EVENTS = {
    "prompt_get": (("prompts", "prompt"),),
    "resource_read": (("resources", "uri"),),
    STEP: (("resources", "resource"),),
}
"""The events of requests for an item: the list that it is in, and the key that names it."""

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
        self._unreturned: Counter[str] = Counter()
        self._unlisted: Counter[str] = Counter()
        self._unsent: Counter[str] = Counter()
        self._items = {kind: _Items() for kind in _KINDS}
        for server in servers:
            self._add_server(server)

    def count_run(self, run: Run) -> None:
        """Add the calls of a run. Raises `UsageError` if it can't be read."""
        self._runs += 1
        server = run.record.server
        if server is None:
            return
        listed, is_traced = listed_names(server), traces_calls(run)
        if not is_traced:
            for outcome, was_sent in recorded_calls(run, server):
                self.count(outcome, listed, was_sent=was_sent)
        if not (run.path / TRACE).exists():
            return
        items = self._items_of(server)
        for event in run.events_named({CALL, *_EVENTS}):
            self._count_item(event, items)
            if is_traced and (made := traced_call(event)):
                self.count(made.outcome, listed, was_sent=made.was_sent)

    def count(self, call: CallOutcome, listed: Collection[str], *, was_sent: bool = True) -> None:
        """Add a call. `listed` are the names of the tools that its own server lists."""
        tool = call.tool
        if not was_sent:
            _count_apart(self._unsent, tool)
        elif tool not in listed:
            _count_apart(self._unlisted, tool)
        else:
            self._calls[tool] += 1
            self._errors[tool] += call.is_error
            self._unreturned[tool] += call.is_error and not returned_error(call)
            if not call.is_error and tool in self._arguments:
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
            if not any(json_same(schema, other.get("inputSchema")) for other in known):
                known.append(tool)
                self._arguments.setdefault(name, Arguments()).add_schema(schema)
        for one in (*server.malformed, *server.later_malformed):
            if one.rule == "malformed":
                self._malformed.setdefault(one.item, one.message)

    def _items_of(self, server: ServerRecord) -> Mapping[str, frozenset[str]]:
        """Add a server's prompts and resources. Return them by kind, without those that it did not list."""
        found = {kind: frozenset(names) for kind in _KINDS if (names := getattr(server, kind)) is not None}
        for kind, names in found.items():
            self._items[kind].add(names)
        return found

    def _count_item(self, event: JsonObject, listed: Mapping[str, Collection[str]]) -> None:
        """Add the prompt or resource that an event took from the server. Only the trace names them."""
        for kind, key in _EVENTS.get(event["event"], ()):
            name = event.get(key)
            if isinstance(name, str) and name in listed.get(kind, ()) and event.get("skipped") is None:
                is_error = event.get("problem") is not None or bool(event.get("is_error"))
                self._items[kind].count(name, is_error=is_error)

    def _tool(self, name: str) -> ToolCoverage:
        calls, arguments = self._calls[name], self._arguments.get(name)
        return ToolCoverage(
            name,
            calls,
            self._errors[name],
            arguments.coverage() if arguments else (),
            "" if calls else self._unusable(name),
            self._unreturned[name],
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


def _count_apart(counter: Counter[str], tool: str) -> None:
    if tool in counter or len(counter) < _MAX_NAMES:
        counter[tool] += 1
