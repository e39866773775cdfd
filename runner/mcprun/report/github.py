"""A run as GitHub Actions annotations and step outputs.

Annotations are workflow commands, one per line. Their syntax and escaping are those of the runner (actions/runner,
`ActionCommand.cs`), and so is the syntax of outputs (`FileCommandManager.cs`).
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from mcprun.report.cause_text import details, headline, more, names
from mcprun.report.causes import Cause
from mcprun.report.data import RunData
from mcprun.report.fault_isolation import render
from mcprun.report.progress import label, repeat_label
from mcprun.report.repeats import percent
from mcprun.report.routing import sentences
from mcprun.report.text import one_line, plural
from mcprun.runs.run import Run
from mcprun.runs.transcript import Transcript, Verdict

SHOWN = 10
"""Maximum number of errors, and of warnings, that GitHub shows for one step."""

_LINE = 1000
"""Maximum number of characters of one line of a message."""


def commands(facts: RunData, workspace: str = "") -> Iterator[str]:
    """Yield annotations, one command per line: errors for red queries, warnings for flaky ones, and its routing.

    At most `SHOWN` of each kind are yielded, and the last one counts the rest. A query's annotation holds its line in
    the prompts file, with the path relative to the folder `workspace` if the file is in there.
    """
    yield from _limit_annotations("error", _errors(facts, workspace))
    flaky = (one for one in facts.record.repeats if one.flaky)
    warnings = (
        ({"title": f"flaky: {one.id}"}, f"{one.passed:,}/{one.runs:,} passed, {percent(one.pass_rate)}")
        for one in flaky
    )
    yield from _limit_annotations("warning", warnings)
    if facts.routing:
        note = ({"title": "mcprun routing"}, "\n".join(sentences(facts.routing)))
        yield from _limit_annotations("notice", iter([note]))


def step_outputs(run: Run) -> str:
    """Return the lines of `GITHUB_OUTPUT` that set `run` and the number of queries of each verdict."""
    counts = run.record.counts
    return _output("run", str(run.path)) + "".join(
        _output(verdict, str(getattr(counts, verdict) if counts else 0)) for verdict in Verdict
    )


_Note = tuple[dict[str, str], str]
"""An annotation: its properties and its message."""


def _errors(facts: RunData, workspace: str) -> Iterator[_Note]:
    """Yield the errors: causes of the whole run, removed queries, one query of each other cause, then the others.

    The repeats of a query have the same line of the file, so that only the first red one has an annotation.
    """
    for cause in facts.why:
        if cause.is_of_run:
            yield {"title": "mcprun"}, "\n".join(filter(None, (headline(cause), details(cause))))
    if facts.trouble and not facts.why:
        yield {"title": "mcprun"}, facts.trouble
    file = _file(facts, workspace)
    for removed in facts.against.removed if facts.against else ():
        place = {"file": file} if file else {}
        yield {"title": f"removed: {repeat_label(removed.id, removed.repeat)}", **place}, removed.cause
    causes = {cause.queries[0]: cause for cause in facts.why if cause.queries and not cause.is_of_run}
    examples = {
        (one.id, one.repeat): _of_query(one, facts, file, causes[one.id, one.repeat])
        for one in facts.transcripts()
        if facts.is_red(one) and (one.id, one.repeat) in causes
    }
    yield from (examples[key] for key in causes if key in examples)
    annotated = {name for name, _ in examples}
    for one in facts.transcripts():
        if one.id not in annotated and facts.is_red(one):
            annotated.add(one.id)
            yield _of_query(one, facts, file)


def _of_query(transcript: Transcript, facts: RunData, file: str, cause: Cause | None = None) -> _Note:
    """Return the annotation of a red query. That of the first query of a cause names others with the same cause."""
    line = facts.lines.get(transcript.id)
    place = {"file": file, **({"line": str(line)} if line else {})} if file else {}
    message = "\n".join(render(transcript, facts.causes))
    if cause and cause.count > 1:
        listed = " ".join(filter(None, (", ".join(names(cause)[1:]), more(cause))))
        message = f"{plural(cause.count, 'query')} with this cause, also {listed}\n{message}"
    return {"title": f"{facts.outcome(transcript)}: {label(transcript)}", **place}, message


def _file(facts: RunData, workspace: str) -> str:
    """Return the path of the prompts file as GitHub knows it: relative to the checkout, without links.

    Returns an empty string for prompts on stdin and for files outside the checkout, which GitHub can't show.
    """
    name = facts.record.prompts.file
    if name == "-":
        return ""
    folder = Path(facts.record.folder or ".")
    if workspace:
        path, top = folder / name, Path(workspace)
        real, plain = _real(path), _plain(path)
        for one, root in ((real, _real(top)), (plain, _plain(top))):
            # A link in the checkout to a file outside it is named by the link's own path.
            if one.is_relative_to(root) and _real(one) == real:
                return one.relative_to(root).as_posix()
        if folder.is_dir():
            return ""
    # Without a workspace, or for a run from another machine, only the name is known.
    name_only = _plain(Path(name))
    return "" if workspace and (name_only.is_absolute() or ".." in name_only.parts) else name_only.as_posix()


def _real(path: Path) -> Path:
    """Resolve all links. A path that can't be one is returned unchanged."""
    try:
        return Path(os.path.realpath(path))
    except (OSError, ValueError):
        return path


def _plain(path: Path) -> Path:
    """Resolve `.` and `..` lexically."""
    return Path(os.path.normpath(path))


def _output(name: str, value: str) -> str:
    """Return `NAME=VALUE`; frame a value that has line breaks by a random delimiter, which it can't contain."""
    if not set("\r\n") & set(value):
        return f"{name}={value}\n"
    delimiter = f"mcprun-{secrets.token_hex(16)}"
    return f"{name}<<{delimiter}\n{value}\n{delimiter}\n"


def _limit_annotations(kind: str, notes: Iterator[_Note]) -> Iterator[str]:
    shown = list(islice(notes, SHOWN))
    if rest := sum(1 for _ in notes):
        shown[-1] = {"title": "mcprun"}, f"… and {rest + 1:,} more, listed in the step summary"
    for properties, message in shown:
        listed = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
        yield f"::{kind} {listed}::{_data(_short(message))}"


def _short(message: str) -> str:
    return "\n".join(one_line(line, _LINE) for line in message.splitlines()[:SHOWN])


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(one_line(text, _LINE)).replace(":", "%3A").replace(",", "%2C")
