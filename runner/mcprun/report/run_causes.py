"""Why a whole run is red: no server, an early end, low coverage, or breaking changes of the server's tools. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from mcprun.errors import ErrorKind
from mcprun.report.causes import QUERIES, TOOLS, Cause, CauseKind
from mcprun.report.log_excerpt import exception_line
from mcprun.report.outcome import COVERAGE_NOT_EVALUATED, early_end
from mcprun.report.text import one_line, plural
from mcprun.runs.run_record import Counts, RunRecord
from mcprun.runs.transcript import Key
from mcprun.tools.changes import ToolChange

_MESSAGE = 500
"""Maximum number of characters of a message."""

_CHANGES = 4
"""Maximum number of breaking changes that have a row of their own, so that short lists also show causes of queries."""

_NO_SERVER = frozenset({ErrorKind.SERVER_START, ErrorKind.CONNECT_TIMEOUT, ErrorKind.BAD_TOOLS})
"""Kinds of errors that end a run because it has no usable server."""


def end_causes(record: RunRecord, counts: Counts, log: str = "") -> Iterator[Cause]:
    """Yield why a run did not do everything: its server, its early end, a missing comparison, or coverage gates.

    `log` is the end of the servers' stderr.
    """
    left = max(0, record.prompts.runs - counts.done)
    error = record.error
    if error and error.kind in _NO_SERVER and not counts.done:
        line = exception_line(log) if error.kind is ErrorKind.SERVER_START else ""
        parts = [error.message, line if line not in error.message else ""]
        yield _cause(CauseKind.SERVER, parts, left)
    elif error or record.state != "finished" or (counts.not_run and not counts.error):
        yield _cause(CauseKind.STOPPED, [early_end(record, counts) or (error.message if error else "")], left)
    if record.state == "finished" and not error and record.lacks_comparison and record.baseline:
        message = f"the run was not compared with its baseline {record.baseline.path}"
        yield _cause(CauseKind.STOPPED, [message], 0)
    if record.state == "finished" and not error and record.lacks_coverage:
        yield _cause(CauseKind.STOPPED, [COVERAGE_NOT_EVALUATED], 0)
    for failure in record.coverage_failures:
        yield _cause(CauseKind.COVERAGE, [failure], 0)


def breaking_causes(changes: Sequence[ToolChange], callers: Mapping[str, Sequence[Key]]) -> Iterator[Cause]:
    """Yield the breaking changes of tools, first those that concern most queries.

    `callers` holds the red queries that call each tool.
    """
    breaking = [_of_change(change, callers) for change in changes if change.breaking]
    breaking.sort(key=lambda cause: -cause.count)  # stable: then in the order of the changes
    yield from breaking[:_CHANGES]
    if more := breaking[_CHANGES:]:
        tools = tuple(dict.fromkeys(tool for cause in more for tool in cause.tools))[:TOOLS]
        yield Cause(CauseKind.BREAKING, plural(len(more), "more breaking tool change"), 0, tools)


def _of_change(change: ToolChange, callers: Mapping[str, Sequence[Key]]) -> Cause:
    tools = tool_names(change)
    queries = list(dict.fromkeys(key for tool in tools for key in callers.get(tool, ())))
    count = len({name for name, _ in queries})
    return Cause(CauseKind.BREAKING, one_line(_breaking(change), _MESSAGE), count, tools, tuple(queries[:QUERIES]))


def tool_names(change: ToolChange) -> tuple[str, ...]:
    """Return the name of a changed tool, and its new name if it was renamed."""
    return (change.tool, str(change.after)) if change.kind == "tool_renamed" else (change.tool,)


def _breaking(change: ToolChange) -> str:
    if change.kind == "tool_renamed":
        return f"breaking tool change: {change.tool} → {change.after}, probably renamed"
    return f"breaking tool change: {change.tool}: {change.message}"


def _cause(kind: CauseKind, parts: Sequence[str], count: int) -> Cause:
    return Cause(kind, one_line("; ".join(filter(None, parts)), _MESSAGE), count)
