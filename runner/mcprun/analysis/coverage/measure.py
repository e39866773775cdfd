"""Measure the coverage of recorded runs: add up what servers listed and what calls reached."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from mcprun._util.json_value import JsonObject, json_same
from mcprun.analysis.coverage.arguments import Arguments
from mcprun.analysis.coverage.calls import CALL, recorded_calls, returned_error, traced_call, traces_calls
from mcprun.analysis.coverage.coverage import Coverage, ToolCoverage
from mcprun.analysis.coverage.items import ITEM_EVENTS, ItemCounts, ReadItems
from mcprun.analysis.coverage.trace import current_events
from mcprun.errors import UsageError
from mcprun.runs.directory import TRACE
from mcprun.runs.run import Run
from mcprun.runs.run_record import ServerRecord
from mcprun.runs.tool_listings import CATALOG
from mcprun.runs.transcript import CallOutcome
from mcprun.tools.toolset import ToolSet

_UNUSABLE = frozenset({"malformed", "left_out", "task_only"})
"""The rules of notes about tools that no model can call (`tools/toolset.py`)."""

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
        self._items = {kind: ItemCounts() for kind in CATALOG}
        for server in servers:
            self._add_server(server)

    def count_run(self, run: Run) -> None:
        """Add the calls of a run. Raises `UsageError` if it can't be read."""
        self._runs += 1
        server = run.record.server
        if server is None:
            return
        listed, events = listed_names(server), run.count_events()
        is_traced = traces_calls(run, events)
        if not is_traced:
            for outcome, was_sent in recorded_calls(run, server):
                self.count(outcome, listed, was_sent=was_sent)
        if not (run.path / TRACE).exists():
            return
        items = ReadItems(server)
        for event in current_events(run, {CALL, *ITEM_EVENTS}, events):
            items.count(event)
            if is_traced and (made := traced_call(event)):
                self.count(made.outcome, listed, was_sent=made.was_sent)
        for kind, counts in items.counted():
            self._items[kind].add(counts)

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
            resource_templates=self._items["resource_templates"].coverage(),
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


def _count_apart(counter: Counter[str], tool: str) -> None:
    if tool in counter or len(counter) < _MAX_NAMES:
        counter[tool] += 1
