"""The overview of a run's page: its inputs, results, cost and durations. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from mcprun.errors import ExitCode, UsageError
from mcprun.limits import BATCH_SHARE
from mcprun.report.data import RunData
from mcprun.report.html.against import AgainstView, against_view
from mcprun.report.html.cause_rows import CauseRow, cause_rows
from mcprun.report.html.coverage import CoverageView
from mcprun.report.html.repeat_rows import RepeatRow, repeat_rows
from mcprun.report.html.routing import RoutingView
from mcprun.report.html.rows import Rows
from mcprun.report.latency import Latency, latency
from mcprun.report.log_excerpt import exception_line
from mcprun.report.outcome import outcome
from mcprun.report.repeats import below_rate, passed_of, query_counts, runs_of
from mcprun.report.text import duration, moment, one_line, plural, verdict_count
from mcprun.report.timings import Timings, quantile
from mcprun.runs.run import Run
from mcprun.runs.run_record import Counts, RunRecord
from mcprun.runs.totals import BilledReply
from mcprun.runs.transcript import Verdict

_REPEATS = 50
"""Maximum number of rows of repeated queries."""

_LOG_BYTES = 2000
"""Maximum bytes from the end of the server's stderr, shown if the run ended in an error."""

_WARNINGS = 20
"""Maximum number of warnings of the run that are listed."""


@dataclass(frozen=True, slots=True)
class Tile:
    """A figure at the top: its name, its value, and a note that explains it."""

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Segment:
    """A verdict's segment of the bar at the top: its position and width on a scale of 1000."""

    verdict: Verdict
    count: int
    x: float
    width: float

    @property
    def label(self) -> str:
        """The count with its verdict: `3 failed`, `2 errors`."""
        return verdict_count(self.verdict, self.count)


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything above the table.

    `outcome` is why the run did not pass, empty if it did, and `is_failed` whether it failed rather than ended in an
    error. `is_red` is whether it did not pass, and `why` its causes. `troubles` affect how far the numbers can be
    trusted. `log` is the end of the servers' stderr, and `exception` the line in it that names an exception.
    """

    title: str
    subtitle: str
    outcome: str
    is_failed: bool
    is_red: bool
    why: tuple[CauseRow, ...]
    against: AgainstView | None
    facts: tuple[tuple[str, str], ...]
    troubles: tuple[str, ...]
    log: str
    exception: str
    tiles: tuple[Tile, ...]
    segments: tuple[Segment, ...]
    latency: Latency | None
    repeats: tuple[RepeatRow, ...]
    below: str
    runs: str
    is_below: bool
    more_repeats: int
    coverage: CoverageView | None
    routing: RoutingView | None


def overview(
    run: Run, timings: Timings, rows: Rows, run_data: RunData, section: CoverageView | RoutingView | None = None
) -> Overview:
    """Return the overview of a run, whose queries are the `rows` of the table.

    `section` is about the routing of a routed run, and about the coverage of another one.
    """
    record = run.record
    counts = record.counts or Counts()
    repeats = run_data.repeats
    log = run.log(-_LOG_BYTES, _LOG_BYTES) if record.error else ""
    durations = sorted(one.seconds for one in timings.queries.values() if one.seconds is not None)
    return Overview(
        title=PurePath(record.prompts.file).name,
        subtitle=f"Server: {record.arguments.get('server', '?')}, model: {record.model.name}, {moment(record.started)}",
        outcome=outcome(record, run.counts),
        is_failed=record.exit_code == ExitCode.FAILED,
        is_red=record.exit_code != ExitCode.PASSED,
        why=tuple(cause_rows(run_data.why, rows.by_cause)),
        against=against_view(run_data.against) if run_data.against else None,
        facts=tuple(_facts(run)),
        troubles=tuple(_troubles(record, timings)),
        log=log,
        exception=exception_line(log),
        tiles=tuple(_tiles(run, counts, durations, section, is_traced=timings.is_recorded)),
        segments=tuple(_segments(counts)),
        latency=latency(durations) if durations else None,
        repeats=tuple(repeat_rows(repeats[:_REPEATS])),
        below=below_rate(record),
        runs=runs_of(record, run.counts),
        is_below=any(one.is_below for one in record.repeats),
        more_repeats=max(0, len(repeats) - _REPEATS),
        coverage=section if isinstance(section, CoverageView) else None,
        routing=section if isinstance(section, RoutingView) else None,
    )


def share(part: int, whole: int) -> str:
    """Return a part as a percentage. Less than the whole is never rounded to 100 %."""
    percent = f"{100 * part / whole:.4g}"
    return "more than 99.99 %" if percent == "100" and part < whole else f"{percent} %"


def cost(replies: Iterable[BilledReply], kind: str = "claude") -> tuple[float | None, str]:
    """Return the cost of replies in US dollars and a note, or `None` and why the cost is unknown.

    Each reply is priced by its own model. `kind` is the provider.
    """
    try:
        from mcprun.models.prices import price
    except UsageError:
        return None, "unknown: needs pip install 'mcprun[prices]'"
    total = 0.0
    for reply in replies:
        if reply.usage is None:
            return None, "unknown: a reply has no token usage"
        dollars = price(reply.model, reply.usage, kind)
        if dollars is None:
            return None, f"unknown: no price for {one_line(reply.model, 80)}"
        total += dollars * (BATCH_SHARE if reply.is_batched else 1)
    return total, "includes all attempts"


def _facts(run: Run) -> Iterator[tuple[str, str]]:
    record = run.record
    server = record.server
    yield "Run directory", str(run.path)
    yield "Server", str(record.arguments.get("server", "?"))
    if server:
        name = " ".join(part for part in (server.name, server.version) if part)
        yield "Server info", f"{name or 'unnamed'}, MCP {server.protocol}, {plural(len(server.tools), 'tool')}"
    yield "Model", f"{record.model.name} ({record.model.chosen})"
    yield "Prompts file", f"{record.prompts.file}, SHA-256 {record.prompts.sha256[:12]}"
    yield "Started", record.started
    if record.versions:
        yield "Versions", ", ".join(f"{name} {version}" for name, version in record.versions.items())


def _troubles(record: RunRecord, timings: Timings) -> Iterator[str]:
    """Yield problems that do not make the run red, but affect how far the numbers can be trusted."""
    if restarts := timings.restarts:
        yield f"The server died and was restarted {plural(restarts, 'time')}."
    warnings = record.server.warnings if record.server else []
    yield from warnings[:_WARNINGS]
    if len(warnings) > _WARNINGS:
        yield f"… and {plural(len(warnings) - _WARNINGS, 'more warning')} in run.json"


def _tiles(
    run: Run, counts: Counts, durations: Sequence[float], section: CoverageView | RoutingView | None, *, is_traced: bool
) -> Iterator[Tile]:
    record = run.record
    if counts.done:
        found = query_counts(record, counts)
        yield Tile("Queries passed", share(found.passed, found.done), passed_of(record, counts))
    if isinstance(section, RoutingView):
        if section.inputs:
            yield Tile("Inputs right", section.inputs, section.inputs_of)
    else:
        errors = plural(counts.tool_errors, "tool error")
        yield Tile("Tool calls", f"{counts.calls:,}", f"{errors}, {plural(counts.turns, 'turn')}")
    if isinstance(section, CoverageView):
        yield Tile("Coverage", section.figure, section.tools_text)
    if record.model.kind == "replay":
        yield Tile("Diverged", f"{counts.diverged:,}", "calls and prompts that differ from the recording")
    if usage := counts.usage:
        recorded = "recorded, " if record.model.kind == "replay" else ""
        yield Tile("Tokens", f"{usage.total:,}", f"{recorded}{usage.read:,} in, {usage.output_tokens:,} out")
    if record.model.is_asked:
        yield _cost(run, is_traced=is_traced)
    if durations:
        yield Tile(
            "Time per query", duration(quantile(durations, 0.5)), f"median; p95 {duration(quantile(durations, 0.95))}"
        )
    if record.seconds is not None:
        throughput = (
            f"{counts.done / record.seconds:,.1f} {plural(2, record.prompts.unit)[2:]}/s"
            if record.seconds and counts.done
            else ""
        )
        yield Tile("Run time", duration(record.seconds), throughput)


def _cost(run: Run, *, is_traced: bool) -> Tile:
    dollars, why = cost(run.replies(), run.record.model.kind) if is_traced else (None, "unknown: the run has no trace")
    return Tile("Cost", "?" if dollars is None else f"${dollars:,.4f}" if dollars < 1 else f"${dollars:,.2f}", why)


def _segments(counts: Counts) -> Iterator[Segment]:
    x, all_ = 0.0, counts.queries
    for verdict in Verdict:
        if count := getattr(counts, verdict):
            width = 1000 * count / all_
            yield Segment(verdict, count, round(x, 2), round(width, 2))
            x += width
