"""The HTML page of a run, `mcprun report RUN --html FILE`: an overview, a table of queries, their conversations.

The page holds JSON islands that its script reads: `data` (the table, and the times of the slowest query), and one for
each conversation, `c-0`, `c-1`, …, which is parsed when the conversation is opened. Transcripts are streamed twice:
first for the table, then for the conversations that fit.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain

from markupsafe import Markup

from mcprun._util.json_value import JsonObject
from mcprun.errors import ExitCode
from mcprun.report.assistant import assistant_text
from mcprun.report.data import RunData, gather
from mcprun.report.fault_isolation import render
from mcprun.report.html.cause_rows import cause_choices
from mcprun.report.html.conversation import conversation_json
from mcprun.report.html.coverage import coverage_of_page
from mcprun.report.html.differences import RunDifferences
from mcprun.report.html.heatmap import ToolOutcomes
from mcprun.report.html.lanes import Lanes
from mcprun.report.html.overview import overview
from mcprun.report.html.page import MAX_BYTES, island, page
from mcprun.report.html.routing import RoutingRows
from mcprun.report.html.rows import Rows
from mcprun.report.html.tokens import TokenCounts, tokens_json
from mcprun.report.html.waterfall import MAX_TIMELINES, waterfall
from mcprun.report.timings import Keeps, Timings
from mcprun.runs.run import Run
from mcprun.runs.transcript import Transcript

_SCRIPTS = (
    "dom.js",
    "address.js",
    "table.js",
    "view.js",
    "waterfall.js",
    "heatmap.js",
    "lanes.js",
    "tokens.js",
    "pairs.js",
    "changed.js",
    "reproduce.js",
    "conversation.js",
    "report.js",
    "scrolling.js",
)
_STYLES = (
    "page.css",
    "view.css",
    "why.css",
    "conversation.css",
    "changed.css",
    "waterfall.css",
    "heatmap.css",
    "lanes.css",
    "tokens.css",
    "reproduce.css",
    "repeats.css",
    "coverage.css",
    "routing.css",
    "diff.css",
)


def report(run: Run, max_bytes: int = MAX_BYTES) -> Iterator[str]:
    """Yield the page of a run in chunks; its conversations take at most `max_bytes`.

    Raises `UsageError` if a file of the run can't be read.
    """
    facts = gather(run)
    timings = Timings.of(run.events(), keeps=_keeps_timeline(facts))
    rows, outcomes, lanes, tokens = Rows(facts), ToolOutcomes(), Lanes(), TokenCounts(run.record)
    routing = RoutingRows(run.record) if run.record.route else None
    islands = _Islands(run, timings, facts, RunDifferences(run), tokens)
    for number, transcript in enumerate(run.transcripts()):
        times = timings.queries.get((transcript.id, transcript.repeat))
        size = len(islands.of(number, transcript).encode("utf-8", "backslashreplace"))
        render(transcript, partial(rows.add, times=times, size=size))
        render(transcript, outcomes.add)
        if routing:
            routing.add(transcript)
        lanes.add(times)
        render(transcript, tokens.add)
    kept = rows.fitting(max_bytes)
    slowest = {"row": rows.slowest[0], "timeline": waterfall(rows.slowest[1])} if rows.slowest else None
    data = rows.data(run.record.repeats, kept) | {
        "commands": {"show": facts.commands.show(), "folder": facts.commands.folder, "note": facts.commands.note},
        "slowest": slowest,
        "outcomes": outcomes.by_row,
        "routing": routing.data() if routing else None,
        "lanes": lanes.data(timings),
        "red": run.record.exit_code != ExitCode.PASSED,
        "causes": cause_choices(facts.why, rows.by_cause),
    }
    return page(
        "report.html.jinja",
        _SCRIPTS,
        _STYLES,
        overview=overview(run, timings, rows, facts, routing.view() if routing else coverage_of_page(run)),
        heatmap=outcomes.heat_map(timings.tools),
        tokens=tokens.chart(),
        queries=len(rows),
        is_timed=timings.is_recorded,
        left_out=_left_out(run, len(kept), len(rows)),
        no_timeline=_no_timeline(run, timings),
        islands=chain([island("data", data)], islands.of_all(kept)),
    )


@dataclass(frozen=True, slots=True)
class _Islands:
    """The conversations of a run as data for the page's script."""

    run: Run
    timings: Timings
    facts: RunData
    differences: RunDifferences
    tokens: TokenCounts

    def of(self, number: int, transcript: Transcript) -> Markup:
        """Return a conversation, with its timeline, its tokens, what differs in it, and its part of the server log."""
        more: JsonObject = {"timeline": waterfall(self.timings.queries.get((transcript.id, transcript.repeat)))}
        with suppress(Exception):  # one value must not cost the conversation
            more |= self.differences.json(transcript)
        with suppress(Exception):
            more |= tokens_json(self.tokens.shares(transcript))
        excerpt = self.facts.log_excerpt(transcript)
        if excerpt:
            more["log"] = {"text": excerpt.text, "exception": excerpt.exception, "others": excerpt.others}
        if self.facts.is_red(transcript):
            log = excerpt.text if excerpt else ""
            more["reproduce"] = {
                "step": self.facts.commands.step(transcript),
                "batch": self.facts.commands.batch(transcript.id),
                "show": self.facts.commands.show(transcript.id),
                "text": render(transcript, partial(assistant_text, self.facts, log=log)),
            }
        return render(transcript, lambda one: island(f"c-{number}", conversation_json(one) | more))

    def of_all(self, numbers: Container[int]) -> Iterator[Markup]:
        """Read the transcripts again, and yield those with these numbers."""
        for number, transcript in enumerate(self.run.transcripts()):
            if number in numbers:
                yield self.of(number, transcript)
        self.differences.close()


def _left_out(run: Run, fitting: int, total: int) -> str:
    if fitting == total:
        return ""
    return (
        f"Conversations in this file: {fitting:,} of {total:,}. Queries that did not pass are included first."
        f" Run mcprun show {run.path} ID to see the others."
    )


def _keeps_timeline(facts: RunData) -> Keeps:
    """Return whether a query that passed keeps its timeline: all of a small run do, and those that regressed."""
    if facts.record.prompts.runs <= MAX_TIMELINES:
        return lambda _: True
    changes = facts.against.changes if facts.against else {}
    return lambda key: key in changes and changes[key].is_regression


def _no_timeline(run: Run, timings: Timings) -> str:
    """Return which timelines the page does not hold, and what shows them; empty if it holds all."""
    left_out = sum(one.is_left_out for one in timings.queries.values())
    if not left_out:
        return ""
    return (
        f"Timelines in this file: {len(timings.queries) - left_out:,} of {len(timings.queries):,}."
        f" In a run of more than {MAX_TIMELINES:,} queries, those that passed have none, except the slowest."
        f" Run mcprun show {run.path} ID --trace to see one."
    )
