"""Markdown for a job's summary or for a comment that is updated in place, in the dialect of GitHub and GitLab.

Text from servers and models is put only into code and fences. In code, each punctuation character that could have a
meaning is replaced by a character reference, so that no text becomes a link, a mention or a tag, or ends the element
around it. A fence is longer than any run of backticks inside.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from itertools import chain

from mcprun.analysis.routing.matrix import Label, ToolRouting
from mcprun.analysis.routing.measure import Routing
from mcprun.errors import ExitCode
from mcprun.report.baseline import QueryChange
from mcprun.report.cause_text import SHOWN, TITLE, first_query, left_out, more, names, notes
from mcprun.report.causes import Cause, CauseKind
from mcprun.report.conversation import excerpt
from mcprun.report.data import REGRESSED, RunData
from mcprun.report.diff import unchanged
from mcprun.report.fault_isolation import render
from mcprun.report.markdown_text import cells, code, plain
from mcprun.report.outcome import regression_counts
from mcprun.report.progress import label, repeat_label
from mcprun.report.repeats import Repeats, percent, runs_of
from mcprun.report.routing import rate_text, sentences, worst_first
from mcprun.report.text import duration, plural, verdict_count, visible
from mcprun.report.volatile import note_blocks
from mcprun.runs.transcript import Transcript, Verdict

COMMENT_BYTES = 65_000
"""Maximum bytes of a report: GitHub refuses comments of more than 65,536 characters, and no text has fewer bytes."""

SUMMARY_BYTES = 1024 * 1024
"""Maximum bytes of a step's summary on GitHub."""

LEAST_BYTES = 16_384
"""Minimum bytes of a report: with less, its heading may not fit."""

_TOOLS = 20
"""Maximum number of rows of tools, and of confusions, of a routed run."""

_ROWS = 50
"""Maximum number of rows of failed queries and of repeated queries, and of lines of a comparison."""

_FOLDED = 20
"""Maximum number of failed queries whose calls are shown."""

_LOG_LINES = 40
"""Maximum number of lines of the server log."""

_CAUSE, _RUN_CAUSE = 300, 500
"""Maximum number of characters of a cause of a query, and of the whole run."""
_MARKS = {
    ExitCode.PASSED: "✓ Passed",
    ExitCode.FAILED: "✗ Failed",
    ExitCode.ERROR: "✗ Error",
    ExitCode.INTERRUPTED: "✗ Interrupted",
}
_NOTES_BYTES = 400
"""Bytes reserved for the notes about omitted rows and blocks."""


def markdown(facts: RunData, max_bytes: int = COMMENT_BYTES) -> str:
    """Return a run as Markdown of at most `max_bytes` bytes. Omitted rows and blocks are counted.

    The first line is a comment with the name of the prompts file, `<!-- mcprun:NAME -->`. An action can use it to find
    the comment that it updates.
    """
    red = _RedQueries()
    for transcript in facts.transcripts():
        if facts.is_red(transcript):
            red.add(transcript, facts)
    removed = [_removed(one) for one in (facts.against.removed if facts.against else ())[:_ROWS]]
    rows, count = [*red.rows, *removed], red.count + (len(facts.against.removed) if facts.against else 0)
    page = _Page(max_bytes)
    page.add(*_head(facts))
    page.causes(facts)
    page.add(*_totals(facts))
    if coverage := facts.coverage():
        page.add("", plain(coverage, _RUN_CAUSE))
    if facts.routing:
        page.routing(facts.routing)
    if facts.against:
        page.add(*_against(facts))
    if rows:
        page.table(("Query", "Verdict", "Cause"), rows[:_ROWS], count, "queries that did not pass")
    if repeated := [_repeats(one) for one in facts.repeats[:_ROWS]]:
        titles = ("Repeated query", "Runs", "Passed", "Rate", "95 % CI", "Needs", "")
        page.table(titles, repeated, len(facts.repeats), "repeated queries")
    page.add(*_foot(facts))
    page.blocks(red.folded, red.count)
    if facts.log and any(cause.kind is CauseKind.SERVER for cause in facts.why):
        page.add(*_log(facts))
    return page.text


class _RedQueries:
    """Collects the rows and folded blocks of the first red queries: errors, then failures, then regressions.

    `count` counts all red queries.
    """

    def __init__(self) -> None:
        self.count = 0
        self._by_outcome: dict[str, list[tuple[str, str]]] = {Verdict.ERROR: [], Verdict.FAILED: [], REGRESSED: []}

    def add(self, transcript: Transcript, facts: RunData) -> None:
        """Add a red query. A block is rendered only if it may be shown."""
        self.count += 1
        alike = self._by_outcome[facts.outcome(transcript)]
        if len(alike) < _ROWS:
            row = render(transcript, partial(_row, facts=facts))
            is_folded = len(alike) < _FOLDED
            alike.append((row, render(transcript, partial(_details, facts=facts)) if is_folded else ""))

    @property
    def _first(self) -> list[tuple[str, str]]:
        return [*chain.from_iterable(self._by_outcome.values())][:_ROWS]

    @property
    def rows(self) -> list[str]:
        """The rows of the table."""
        return [row for row, _ in self._first]

    @property
    def folded(self) -> list[str]:
        """The folded blocks."""
        return [block for _, block in self._first[:_FOLDED] if block]


class _Page:
    """A text of limited size. Pieces are added whole or not at all."""

    def __init__(self, max_bytes: int) -> None:
        self.text = ""
        self._left = max_bytes - _NOTES_BYTES

    def add(self, *lines: str) -> bool:
        """Add lines if all of them fit; return whether they do."""
        piece = "\n".join(lines) + "\n"
        if (size := len(piece.encode("utf-8", "replace"))) > self._left:
            return False
        self.text += piece
        self._left -= size
        return True

    def table(self, names: tuple[str, ...], rows: list[str], count: int, what: str) -> None:
        """Add as many `rows` of a table as fit, and state how many of `count` items are missing."""
        shown = 0
        if self.add("", cells(names), cells("---" for _ in names)):
            while shown < len(rows) and self.add(rows[shown]):
                shown += 1
        if count > shown:
            self.text += f"\n… and {count - shown:,} more {what}.\n"

    def causes(self, facts: RunData) -> None:
        """Add the causes of a red run as a list of limited size, and state how many are missing."""
        if not facts.why or not self.add(f"**{TITLE}**", ""):
            return
        reserved, shown = self._left * 2 // 3, 0
        self._left -= reserved
        while shown < min(len(facts.why), SHOWN) and self.add(_cause(facts.why[shown])):
            shown += 1
        self._left += reserved
        if text := left_out(facts.why[shown:]):
            self.text += f"- {text}\n"
        self.text += "\n"

    def routing(self, routing: Routing) -> None:
        """Add how often the model picks the right tool, the tools, and which are taken for which."""
        first, *others = (plain(sentence, _RUN_CAUSE) for sentence in sentences(routing))
        self.add("", f"**Routing: {first}**", *(["", *(f"- {one}" for one in others)] if others else []))
        matrix = routing.matrix
        if tools := [_tool(one) for one in worst_first(matrix)[:_TOOLS]]:
            self.table(("Tool", "Precision", "Recall", "Inputs right"), tools, len(matrix.tools), "tools")
        if confusions := [_confusion(*one) for one in matrix.confusions[:_TOOLS]]:
            self.table(("Expected", "Called", "Queries"), confusions, len(matrix.confusions), "confusions")

    def blocks(self, blocks: list[str], count: int) -> None:
        """Add as many folded blocks as fit, and state how many of `count` items have none."""
        shown = 0
        while shown < len(blocks) and self.add(blocks[shown]):
            shown += 1
        if count > shown:
            omitted = plural(count - shown, "more query")
            self.text += f"\nDetails of {omitted} that did not pass are omitted. Run `mcprun show` to see them.\n"


def _head(facts: RunData) -> Iterator[str]:
    counts = facts.counts
    yield f"<!-- mcprun:{re.sub(r'[^A-Za-z0-9_.]+', '-', facts.stem)[:100]} -->"
    words = (verdict_count(verdict, getattr(counts, verdict)) for verdict in Verdict)
    totals = ", ".join(word for word in words if not word.startswith("0 ")) or "no queries ran"
    if runs := runs_of(facts.record, counts):
        totals = f"{runs}: {totals}"
    yield f"### {_MARKS[facts.code]}: {plain(facts.stem, 100)}, {totals}"
    yield ""


def _totals(facts: RunData) -> Iterator[str]:
    counts, record = facts.counts, facts.record
    if excused := sum(one.failed for one in record.repeats if one.is_met):
        repeats = plural(excused, "failed repeat")
        yield f"Not counted as failures: {repeats} of queries that reached their required pass rate."
        yield ""
    calls = {} if record.route else {"Tool calls": counts.calls, "Tool errors": counts.tool_errors}
    totals = {**calls, "Turns": counts.turns}
    row = {name: f"{count:,}" for name, count in totals.items()}
    if counts.usage:
        row["Tokens in/out"] = f"{counts.usage.read:,} / {counts.usage.output_tokens:,}"
    row["Run time"] = duration(record.seconds)
    yield cells(tuple(row))
    yield cells("--:" for _ in row)
    yield cells(tuple(row.values()))


def _tool(one: ToolRouting) -> str:
    return cells((code(one.tool, 100), *(rate_text(rate) if rate.total else "" for rate in one.rates)))


def _confusion(expected: Label, called: Label, count: int) -> str:
    return cells((*(code(name, 100) if is_tool else f"({name})" for name, is_tool in (expected, called)), f"{count:,}"))


def _cause(cause: Cause) -> str:
    """Return a cause as an item of a list, with its tools and its first queries."""
    number = "" if cause.is_of_run else f"**{cause.count:,} ×** "
    listed = ", ".join(code(name, 100) for name in names(cause))
    parts = [*(plain(note, _CAUSE) for note in notes(cause)), " ".join(filter(None, (listed, more(cause))))]
    return "; ".join([f"- {number}{code(cause.message, _RUN_CAUSE)}", *filter(None, parts)])


def _log(facts: RunData) -> Iterator[str]:
    """Yield the end of the servers' stderr as a folded block."""
    yield ""
    yield "<details><summary>End of the server log</summary>"
    yield ""
    yield from _fenced(facts.log.splitlines()[-_LOG_LINES:], "text")
    yield ""
    yield "</details>"


def _removed(change: QueryChange) -> str:
    return cells((code(repeat_label(change.id, change.repeat), 100), "removed", code(change.cause, _CAUSE)))


def _against(facts: RunData) -> Iterator[str]:
    if against := facts.against:
        counts = ", ".join(regression_counts(against.counts))
        yield ""
        head = f"**{counts}**" if counts else "No regressions"
        parts = ", ".join([*(part.text for part in against.parts), unchanged(against.counts)])
        yield f"{head} against {code(against.name, 200)}: {plain(parts, _CAUSE)}."
        if against.lines:
            yield ""
            yield from _fenced(against.lines[:_ROWS], "diff")
        for note in note_blocks(against.volatile):
            yield ""
            yield note.title
            yield ""
            yield from _fenced(note.lines, "text")


def _foot(facts: RunData) -> Iterator[str]:
    """Yield the inputs of the run, with versions, and the commands for the first query of its first cause."""
    record, server = facts.record, facts.record.server
    about = " ".join(filter(None, (server.name, server.version, f"({server.protocol})"))) if server else "not connected"
    values = {
        "prompts": record.prompts.file,
        "server": f"{record.arguments.get('server', '?')}: {about}",
        "model": record.model.name,
        "run": facts.path,
        "mcprun": record.versions.get("mcprun", "?"),
    }
    yield ""
    yield "; ".join(f"{name} {code(value, 200)}" for name, value in values.items())
    query = first_query(facts.why)
    if query is not None and facts.commands.can_repeat:
        yield ""
        yield from _fenced(facts.commands.both(query), "sh")
        if facts.commands.note:
            yield ""
            yield plain(facts.commands.note, 1000)


def _row(transcript: Transcript, facts: RunData) -> str:
    cause = "; ".join(facts.causes(transcript))
    return cells((code(label(transcript), 100), facts.outcome(transcript), code(cause, _CAUSE)))


def _repeats(one: Repeats) -> str:
    record = one.record
    marks = f"<code>{one.marks}</code>" + (f" and {one.more:,} more" if one.more else "")
    rates = (f"{record.passed:,}/{record.runs:,}", percent(record.pass_rate), one.interval)
    required = "" if record.required is None else percent(record.required)
    notes = [*(["**below**"] if record.is_below else []), *(["flaky"] if record.flaky else [])]
    return cells((code(record.id, 100), marks, *rates, required, ", ".join(notes)))


def _details(transcript: Transcript, facts: RunData) -> str:
    """Return a folded block with one query's causes and calls."""
    again = ["", *_fenced(facts.commands.of_query(transcript), "sh")]
    head = f"<details><summary>{facts.outcome(transcript)} {code(label(transcript), 100)}</summary>"
    return "\n".join(
        [
            "",
            head,
            "",
            *_fenced([*facts.causes(transcript), "", *excerpt(transcript)], "text"),
            *again,
            "",
            "</details>",
        ]
    )


def _fenced(lines: list[str] | tuple[str, ...], form: str) -> Iterator[str]:
    escaped = [visible(line) for line in lines]
    ticks = max((len(run) for line in escaped for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, ticks + 1)  # longer than any run of backticks inside
    yield f"{fence}{form}"
    yield from escaped
    yield fence
