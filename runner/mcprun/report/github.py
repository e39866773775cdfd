"""A run as annotations and as outputs of a step of GitHub Actions.

Annotations are workflow commands, one a line. Their form, and what is escaped in them, are those of the runner
(actions/runner, `ActionCommand.cs`), and so is the form of outputs (`FileCommandManager.cs`).
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from mcprun.report.data import RunData
from mcprun.report.excerpt import causes
from mcprun.report.isolated import shown
from mcprun.report.progress import named
from mcprun.report.text import many, one_line
from mcprun.runs.records import Verdict
from mcprun.runs.run import Run

SHOWN = 10
"""GitHub shows so many errors and so many warnings of a step, and no more."""

_LINE = 1000
"""Characters of one message."""


def commands(facts: RunData, workspace: str = "") -> Iterator[str]:
    """Give a run's annotations, one command a line: errors for what makes it fail or err, warnings for what is flaky.

    Of each kind there are at most `SHOWN`; the last one counts the rest. Queries are told with their place in the
    prompts file, as seen from the folder `workspace`, if it is in there.
    """
    yield from _at_most("error", _errors(facts, workspace))
    flaky = (one for one in facts.record.repeats if one.flaky)
    told = (({"title": f"flaky: {one.id}"}, f"{one.passed}/{one.runs} passed, {one.pass_rate:.0%}") for one in flaky)
    yield from _at_most("warning", told)


def step_outputs(run: Run) -> str:
    """Return the lines of `GITHUB_OUTPUT` that set `run` and the number of queries of each verdict."""
    counts = run.record.counts
    return _output("run", str(run.path)) + "".join(
        _output(verdict, str(getattr(counts, verdict) if counts else 0)) for verdict in Verdict
    )


_Note = tuple[dict[str, str], str]
"""What an annotation says: its properties and its message."""


def _errors(facts: RunData, workspace: str) -> Iterator[_Note]:
    if facts.trouble:
        yield {"title": "mcprun"}, facts.trouble
    if facts.against and facts.regressions:
        told = f"{many(facts.regressions, 'regression')} against {facts.against.name}: {facts.against.totals}"
        yield {"title": "mcprun"}, told
    file = _file(facts, workspace)
    for transcript in facts.transcripts():
        if facts.is_red(transcript):
            line = facts.lines.get(transcript.id)
            place = {"file": file, **({"line": str(line)} if line else {})} if file else {}
            yield {"title": f"{transcript.verdict}: {named(transcript)}", **place}, "\n".join(shown(transcript, causes))


def _file(facts: RunData, workspace: str) -> str:
    """Name the prompts file as GitHub does: from the top of the checkout, without links.

    Prompts on stdin, and a file outside of the checkout, have no name that GitHub knows.
    """
    name = facts.record.prompts.file
    if name == "-":
        return ""
    folder = Path(facts.record.folder or ".")
    if workspace:
        path, top = folder / name, Path(workspace)
        real, plain = _real(path), _plain(path)
        for one, root in ((real, _real(top)), (plain, _plain(top))):
            # A link in the checkout to a file outside of it keeps its own name.
            if one.is_relative_to(root) and _real(one) == real:
                return one.relative_to(root).as_posix()
        if folder.is_dir():
            return ""
    # Without a workspace, or a run of another machine: all that is known is the name.
    known = _plain(Path(name))
    return "" if workspace and (known.is_absolute() or ".." in known.parts) else known.as_posix()


def _real(path: Path) -> Path:
    """Follow all links. A path that cannot be one is returned unchanged."""
    try:
        return Path(os.path.realpath(path))
    except (OSError, ValueError):
        return path


def _plain(path: Path) -> Path:
    """Resolve `.` and `..` by the text alone."""
    return Path(os.path.normpath(path))


def _output(name: str, value: str) -> str:
    """Return a value framed by a delimiter that nothing else could hold if it has line breaks, else `NAME=VALUE`."""
    if not set("\r\n") & set(value):
        return f"{name}={value}\n"
    delimiter = f"mcprun-{secrets.token_hex(16)}"
    return f"{name}<<{delimiter}\n{value}\n{delimiter}\n"


def _at_most(kind: str, notes: Iterator[_Note]) -> Iterator[str]:
    shown = list(islice(notes, SHOWN))
    if rest := sum(1 for _ in notes):
        shown[-1] = {"title": "mcprun"}, f"… and {rest + 1:,} more: the summary tells of them"
    for properties, message in shown:
        told = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
        yield f"::{kind} {told}::{_data(_short(message))}"


def _short(message: str) -> str:
    return "\n".join(one_line(line, _LINE) for line in message.splitlines()[:SHOWN])


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(one_line(text, _LINE)).replace(":", "%3A").replace(",", "%2C")
