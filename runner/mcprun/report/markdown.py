"""Markdown for a job's summary or a comment that is kept up to date: what GitHub and GitLab show.

What servers and models said stands in code and in fences only, with every character that Markdown or HTML would read
replaced by a reference: nothing of it is a link, a mention, a tag or an end of what it stands in.
"""

from __future__ import annotations

import glob
import re
import shlex
import string
from collections.abc import Iterator

from mcprun.errors import ExitCode
from mcprun.report.data import RunData
from mcprun.report.excerpt import causes, excerpt
from mcprun.report.isolated import shown
from mcprun.report.progress import named
from mcprun.report.text import many, one_line, visible
from mcprun.runs.records import Transcript

COMMENT_BYTES = 65_000
"""What a report may take: GitHub refuses comments of more than 65,536 characters. Bytes are never fewer."""

SUMMARY_BYTES = 1024 * 1024
"""What GitHub takes for the summary of one step."""

LEAST_BYTES = 16_384
"""With less room than this there may be none for the head."""

_ROWS = 50
"""So many queries that did not pass get a row, so many that were repeated, and so many lines of a comparison."""

_FOLDED = 20
"""So many of them are told with their calls."""

_CAUSE = 300
_MARKS = {
    ExitCode.PASSED: "✓ Passed",
    ExitCode.FAILED: "✗ Failed",
    ExitCode.ERROR: "✗ Error",
    ExitCode.INTERRUPTED: "✗ Interrupted",
}
_REFERENCES = str.maketrans({mark: f"&#{ord(mark)};" for mark in string.punctuation})
_NOTES_BYTES = 400
"""Kept free for saying what is left out, so that there is always room for it."""


def markdown(facts: RunData, most: int = COMMENT_BYTES) -> str:
    """Write a run as Markdown of at most `most` bytes; what is left out is counted.

    The first line is a comment that names the prompts, `<!-- mcprun:NAME -->`: an action that keeps one comment up to
    date finds it by that.
    """
    red, folded, count = list[str](), list[str](), 0
    ids = list[str]()
    for transcript in facts.transcripts():
        if facts.is_red(transcript):
            count += 1
            if count <= _ROWS:
                red.append(shown(transcript, _row))
            if count <= _FOLDED:
                folded.append(shown(transcript, _details))
                ids.append(transcript.id)
    page = _Page(most)
    page.add(*_head(facts))
    if facts.against:
        page.add(*_against(facts))
    if red:
        page.table(("query", "verdict", "cause"), red, count, "queries that did not pass")
    if repeated := [_repeats(facts, at) for at in range(min(len(facts.record.repeats), _ROWS))]:
        names = ("query", "passed", "rate", "95 % interval", "asked for", "")
        page.table(names, repeated, len(facts.record.repeats), "repeated queries")
    page.add(*_foot(facts, ids))
    page.blocks(folded, count)
    return page.text


class _Page:
    """Text that takes what there is room for, in whole pieces, and counts the rest."""

    def __init__(self, most: int) -> None:
        self.text = ""
        self._left = most - _NOTES_BYTES

    def add(self, *lines: str) -> bool:
        """Add lines if there is room for all of them."""
        piece = "\n".join(lines) + "\n"
        if (size := len(piece.encode("utf-8", "replace"))) > self._left:
            return False
        self.text += piece
        self._left -= size
        return True

    def table(self, names: tuple[str, ...], rows: list[str], count: int, what: str) -> None:
        """Add a table of `count` things, of which `rows` may be shown, and say how many are not."""
        shown = 0
        if self.add("", _cells(names), _cells("---" for _ in names)):
            while shown < len(rows) and self.add(rows[shown]):
                shown += 1
        if count > shown:
            self.text += f"\n… and {count - shown:,} more {what}.\n"

    def blocks(self, blocks: list[str], count: int) -> None:
        """Add folded blocks, and say how many of `count` have none."""
        shown = 0
        while shown < len(blocks) and self.add(blocks[shown]):
            shown += 1
        if count > shown:
            self.text += f"\n{count - shown:,} more that did not pass are not shown here: `mcprun show` reads them.\n"


def _head(facts: RunData) -> Iterator[str]:
    counts, record = facts.counts, facts.record
    yield f"<!-- mcprun:{re.sub(r'[^A-Za-z0-9_.]+', '-', facts.stem)[:100]} -->"
    words = (f"{getattr(counts, name):,} {name}" for name in ("passed", "failed", "error", "skipped"))
    told = ", ".join(word for word in words if not word.startswith("0 ")) or "nothing was run"
    yield f"### {_MARKS[facts.code]}: {_plain(facts.stem, 100)}, {told}"
    yield ""
    if facts.trouble:
        yield f"**The run is not whole.** {_code(facts.trouble, 1000)}"
        yield ""
    excused = sum(one.failed for one in record.repeats if one.is_met)
    if excused:
        yield f"{many(excused, 'failed run')} of queries that reach the pass rate that was asked for: no failure."
        yield ""
    tokens = f"{counts.usage.read:,} / {counts.usage.output_tokens:,}" if counts.usage else "none"
    seconds = f"{record.seconds:,.1f}" if record.seconds is not None else "?"
    yield _cells(("calls", "tool errors", "turns", "tokens in/out", "seconds"))
    yield _cells("--:" for _ in range(5))
    yield _cells((f"{counts.calls:,}", f"{counts.tool_errors:,}", f"{counts.turns:,}", tokens, seconds))


def _against(facts: RunData) -> Iterator[str]:
    if against := facts.against:
        worse = f"**{many(against.regressions, 'regression')}**" if against.regressions else "No regression"
        yield ""
        yield f"{worse} against the baseline {_code(against.name, 200)}: {against.totals}."
        if against.lines:
            yield ""
            yield from _fenced(against.lines[:_ROWS], "diff")


def _foot(facts: RunData, ids: list[str]) -> Iterator[str]:
    """Say who answered what, and how to run it again."""
    record, server = facts.record, facts.record.server
    about = " ".join(filter(None, (server.name, server.version, f"({server.protocol})"))) if server else "not reached"
    told = {
        "prompts": record.prompts.file,
        "server": f"{record.arguments.get('server', '?')}: {about}",
        "model": record.model.name,
        "run": facts.path,
        "mcprun": record.versions.get("mcprun", "?"),
    }
    yield ""
    yield "; ".join(f"{name} {_code(value, 200)}" for name, value in told.items())
    if ids and "prompts" in record.arguments:
        yield ""
        yield from _fenced([_command(facts, ids[0])], "sh")


def _command(facts: RunData, name: str) -> str:
    """Give the command that runs one query again."""
    given = facts.record.arguments
    words = ["mcprun", "batch", given["prompts"], given.get("server", "SERVER")]
    words += ["--model", given["model"]] if given.get("model") else []
    words += ["--filter", glob.escape(name)]
    words += ["--", *given["server_args"]] if given.get("server_args") else []
    return shlex.join(map(str, words))


def _row(transcript: Transcript) -> str:
    told = "; ".join(causes(transcript))
    return _cells((_code(named(transcript), 100), str(transcript.verdict), _code(told, _CAUSE)))


def _repeats(facts: RunData, at: int) -> str:
    one = facts.record.repeats[at]
    asked = f"{one.required:.0%}" if one.required is not None else ""
    rates = (f"{one.passed}/{one.runs}", f"{one.pass_rate:.0%}", f"{one.low:.0%} to {one.high:.0%}", asked)
    return _cells((_code(one.id, 100), *rates, "flaky" if one.flaky else ""))


def _details(transcript: Transcript) -> str:
    """Fold one query's causes and calls."""
    head = f"<details><summary>{transcript.verdict} {_code(named(transcript), 100)}</summary>"
    return "\n".join(
        ["", head, "", *_fenced([*causes(transcript), "", *excerpt(transcript)], "text"), "", "</details>"]
    )


def _fenced(lines: list[str] | tuple[str, ...], form: str) -> Iterator[str]:
    told = [visible(line) for line in lines]
    ticks = max((len(run) for line in told for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, ticks + 1)  # longer than any that stands within
    yield f"{fence}{form}"
    yield from told
    yield fence


def _cells(cells: Iterator[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


def _code(text: str, length: int) -> str:
    return f"<code>{_plain(text, length)}</code>"


def _plain(text: str, length: int) -> str:
    """Put text on one line, and replace each mark that could mean something."""
    return one_line(text, length).translate(_REFERENCES)
