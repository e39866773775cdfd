"""The causes of a red run as text: headlines, details, and the commands that show more."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from mcprun.report.cause_message import mentions
from mcprun.report.causes import Cause, CauseKind
from mcprun.report.progress import repeat_label
from mcprun.report.reproduce import Commands, tools_command
from mcprun.report.text import one_line, plural, visible
from mcprun.runs.run import Run

TITLE = "Why it is red"

SHOWN = 10
"""Maximum number of causes that a text lists."""

_NAME = 60
"""Maximum number of characters of a tool's name or of an id."""


def headline(cause: Cause) -> str:
    """Return a cause in one line: `5 × refund: limit exceeded (…)`. Causes of the whole run have no number."""
    return cause.message if cause.is_of_run else f"{cause.count:,} × {cause.message}"


def names(cause: Cause) -> list[str]:
    """Return the labels of the first queries of a cause, with control characters escaped."""
    return [one_line(repeat_label(name, repeat), _NAME) for name, repeat in cause.queries]


def more(cause: Cause) -> str:
    """Return how many queries of a cause are not named: `and 3 more`; empty if none."""
    left = cause.count - len(cause.queries)
    return f"and {left:,} more" if cause.queries and left > 0 else ""


def advice(cause: Cause) -> str:
    """Return what to check if the cause is not the model's; empty for other causes."""
    is_setup = cause.kind is CauseKind.SETUP
    return "the model was not asked: check the step, the server and its environment" if is_setup else ""


def notes(cause: Cause) -> Iterator[str]:
    """Yield what else is known of a cause: what to check, its tools, unless the message names them, and regressions."""
    if text := advice(cause):
        yield text
    if cause.kind is CauseKind.BREAKING and cause.count:
        yield f"{plural(cause.count, 'red query')} {'calls' if cause.count == 1 else 'call'} it"
    tools = [tool for tool in cause.tools if not mentions(cause.message, tool)]
    if tools and not cause.is_of_run:
        yield f"{'tool' if len(tools) == 1 else 'tools'} {', '.join(one_line(tool, _NAME) for tool in tools)}"
    if cause.regressed and cause.kind is not CauseKind.REGRESSED:
        yield "regressed" if cause.regressed == cause.count else f"{cause.regressed:,} regressed"


def details(cause: Cause) -> str:
    """Return the notes and the first queries of a cause in one line: `tool get; q-1, q-2 and 3 more`."""
    listed = " ".join(filter(None, (", ".join(names(cause)), more(cause))))
    return "; ".join([*notes(cause), *([listed] if listed else [])])


def left_out(causes: Sequence[Cause]) -> str:
    """Return how many causes a text leaves out: `… and 2 more causes of 3 queries`; empty if there are none."""
    if not causes:
        return ""
    count = sum(cause.count for cause in causes if not cause.is_of_run)
    of = f" of {plural(count, 'query')}" if count else ""
    return f"… and {plural(len(causes), 'more cause')}{of}"


def lines(causes: Sequence[Cause]) -> Iterator[str]:
    """Yield the causes as lines of plain text: each headline with its details below, indented."""
    for cause in causes[:SHOWN]:
        yield f"● {headline(cause)}"
        if text := details(cause):
            yield f"    {text}"
    if text := left_out(causes[SHOWN:]):
        yield text


def first_query(causes: Iterable[Cause]) -> str | None:
    """Return the id of the first query of the first cause that has one in the run; None if none has."""
    in_run = (cause for cause in causes if cause.queries and cause.kind is not CauseKind.REMOVED)
    return next((cause.queries[0][0] for cause in in_run), None)


def next_commands(run: Run, causes: Sequence[Cause]) -> Iterator[str]:
    """Yield the commands that show more about the first cause of a run, and run its first query again.

    They can be pasted in the current folder. What must be known before comes last, as a sentence.
    """
    record, baseline = run.record, run.record.baseline
    commands = replace(Commands.of(record, run.path), run=str(run.path))
    is_here = record.folder in (None, str(Path.cwd()))
    if any(cause.kind is CauseKind.SERVER for cause in causes) and is_here:
        yield from map(visible, filter(None, tools_command(record)))
    elif (query := first_query(causes)) is not None:
        yield visible(commands.show(query))
        if commands.folder == str(Path.cwd()) and (again := commands.batch(query)):
            yield visible(again)
            yield from filter(None, [commands.note])
    elif any(cause.kind in (CauseKind.BREAKING, CauseKind.REMOVED) for cause in causes) and baseline:
        yield visible(shlex.join(["mcprun", "diff", baseline.path, str(run.path)]))
    elif any(cause.kind is CauseKind.COVERAGE for cause in causes):
        yield visible(shlex.join(["mcprun", "coverage", str(run.path)]))
