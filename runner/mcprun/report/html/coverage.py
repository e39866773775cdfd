"""The coverage of a run's page: the figure, the gates, and each tool with its arguments and values. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import quote

from mcprun.analysis.coverage.coverage import ArgumentCoverage, Coverage, ToolCoverage, ToolState
from mcprun.analysis.coverage.gates import CoverageGates, percent
from mcprun.analysis.coverage.measure import measure_coverage
from mcprun.errors import UsageError
from mcprun.report.coverage import (
    arguments_of,
    facts,
    missing_text,
    share_text,
    state_text,
    summary,
    tools_in_order,
    value_text,
    values_of,
)
from mcprun.report.html.names import bounded_name
from mcprun.report.text import one_line, plural, visible
from mcprun.runs.run import Run
from mcprun.runs.run_record import CoverageRecord, RunRecord

_TOOLS = 300
"""Maximum number of tools in the table."""

_ARGUMENTS, _VALUES = 60, 30
"""Maximum number of arguments of a tool, and of values of an argument, that are listed."""

_ENTRIES = 6_000
"""Maximum number of arguments and values of all tools that are listed."""

_NAME, _SENTENCE = 100, 1000
"""Maximum number of characters of an argument's path, and of a sentence."""

_UNRESERVED = "!'()*"
_KINDS = {ToolState.COVERED: "passed", ToolState.FAILED: "failed", ToolState.UNCALLED: "error"}
"""The verdicts as which the states of tools are coloured."""


@dataclass(frozen=True, slots=True)
class ValueMark:
    """A listed value of an argument, as JSON, and whether a call passed it."""

    text: str
    is_seen: bool


@dataclass(frozen=True, slots=True)
class ArgumentRow:
    """An argument of a tool, and its listed values, those that are missing first. `more` counts those left out."""

    path: str
    is_exercised: bool
    values: tuple[ValueMark, ...]
    more: int


@dataclass(frozen=True, slots=True)
class ToolRow:
    """A row of the table. `link` leads to the queries that call the tool. `more` counts arguments left out."""

    name: str
    link: str
    kind: str
    state: str
    calls: int
    errors: int
    error_path: str
    arguments: str
    values: str
    missing: str
    details: tuple[ArgumentRow, ...]
    more: int


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the bar: tools in one state, or waived ones, with its place on a scale of 1000."""

    kind: str
    label: str
    x: float
    width: float


@dataclass(frozen=True, slots=True)
class CoverageView:
    """The section of a page.

    `figure` is the share of the tools that count, as a percentage. `gates` is the outcome of the gates, empty without
    one, and `is_failed` whether one is not met: "Why it is red" has the reasons. `notes` are needless waivers, and why
    there is no outcome.
    """

    figure: str
    tools_text: str
    summary: str
    parts: tuple[Part, ...]
    gates: str
    is_failed: bool
    notes: tuple[str, ...]
    tools: tuple[ToolRow, ...]
    more: int
    has_values: bool
    facts: tuple[tuple[str, str], ...]


def coverage_of_page(run: Run) -> CoverageView | None:
    """Measure the coverage of a run for its page. None if the server did not start, or lists no tools without gates."""
    if run.record.server is None:
        return None
    with suppress(UsageError):
        return coverage_view(measure_coverage([run]), run.record)
    return None


def coverage_view(coverage: Coverage, record: RunRecord) -> CoverageView | None:
    """Return the section for a coverage; None if there is nothing to cover, and no gate."""
    if not coverage.tools and record.coverage is None:
        return None
    waived = CoverageGates.of(record.coverage).waives(coverage) if record.coverage else frozenset[str]()
    counted = coverage.without(waived)
    share = counted.covered
    ordered = tools_in_order(coverage, waived)
    waived_text = f"{len(waived):,} waived" if waived else ""
    return CoverageView(
        figure=percent(share),
        tools_text=", ".join(filter(None, (f"{share.done:,} of {plural(share.total, 'tool')}", waived_text))),
        summary="; ".join(filter(None, (summary(counted), waived_text))) or "The server lists no tools",
        parts=tuple(_parts(counted, len(waived))),
        gates=_gates(record),
        is_failed=bool(record.coverage_failures),
        notes=tuple(_notes(record)),
        tools=tuple(_rows(ordered[:_TOOLS], waived)),
        more=max(0, len(ordered) - _TOOLS),
        has_values=coverage.values.total > 0,
        facts=tuple(facts(coverage)),
    )


def _parts(counted: Coverage, waived: int) -> Iterator[Part]:
    total, x = len(counted.tools) + waived, 0.0
    states = [(state, counted.in_state(state)) for state in (ToolState.COVERED, ToolState.FAILED, ToolState.UNCALLED)]
    parts = [(_KINDS[state], state_text(tools[0]), len(tools)) for state, tools in states if tools]
    for kind, label, count in (*parts, *([("skipped", "waived", waived)] if waived else [])):
        width = 1000 * count / total
        yield Part(kind, f"{count:,} {label}", round(x, 2), round(width, 2))
        x += width


def _gates(record: RunRecord) -> str:
    """Return the outcome of the gates: `1 of 2 gates not met: --min-coverage 0.9, --require refund`; empty if none."""
    gates = record.coverage
    options = [*_options(gates)] if gates else []
    if gates is None or gates.outcome is None or not options:
        return ""
    failed = len(gates.outcome.failures)
    lead = f"{failed:,} of {plural(len(options), 'gate')} not met" if failed else "met"
    return one_line(f"{lead}: {', '.join(options)}", _SENTENCE)


def _options(gates: CoverageRecord) -> Iterator[str]:
    if gates.min_coverage is not None:
        yield f"--min-coverage {gates.min_coverage:.15g}"
    yield from (f"--require {name}" for name in dict.fromkeys(gates.require))


def _notes(record: RunRecord) -> Iterator[str]:
    gates = record.coverage
    if gates and gates.outcome:
        yield from (one_line(note, _SENTENCE) for note in gates.outcome.notes)
    elif gates and record.prompts.shard is not None:
        yield "This run is a shard: mcprun merge evaluates the gates for all shards together."
    elif gates:
        yield f"The gates were not evaluated{'' if record.state == 'finished' else ', since the run has not finished'}."


def _rows(tools: list[ToolCoverage], waived: frozenset[str]) -> Iterator[ToolRow]:
    left = _ENTRIES
    for tool in tools:
        details = tuple(_details(tool, left))
        left -= sum(1 + len(one.values) for one in details)
        name, is_waived = visible(bounded_name(tool.name)), tool.name in waived
        yield ToolRow(
            name=name if name.strip() else repr(name),
            link=f"#tool={quote(name, safe=_UNRESERVED)}" if tool.calls else "",
            kind="skipped" if is_waived else _KINDS[tool.state],
            state="; ".join(filter(None, ("waived" if is_waived else "", state_text(tool)))),
            calls=tool.calls,
            errors=tool.errors,
            error_path="" if not tool.calls else "never seen" if tool.lacks_error else "seen",
            arguments=share_text(arguments_of(tool)),
            values=share_text(values_of(tool)),
            missing=missing_text(tool) if tool.is_covered else one_line(tool.unusable, _SENTENCE),
            details=details,
            more=len(tool.arguments) - len(details),
        )


def _details(tool: ToolCoverage, left: int) -> Iterator[ArgumentRow]:
    """Yield the arguments of a tool while at most `left` arguments and values are listed."""
    for argument in tool.arguments[:_ARGUMENTS]:
        row = _argument(argument)
        left -= 1 + len(row.values)
        if left < 0:
            return
        yield row


def _argument(argument: ArgumentCoverage) -> ArgumentRow:
    unseen = argument.unseen[:_VALUES]
    seen = argument.seen[: _VALUES - len(unseen)]
    values = (
        *(ValueMark(value_text(one), False) for one in unseen),
        *(ValueMark(value_text(one), True) for one in seen),
    )
    more = len(argument.unseen) + len(argument.seen) - len(values)
    return ArgumentRow(one_line(argument.path, _NAME), argument.exercised, values, more)
