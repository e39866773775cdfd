"""Failure messages for pytest: the causes first, then what `mcprun show` prints, and the servers' stderr."""

from __future__ import annotations

import io
import os
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console

from mcprun.errors import RunError
from mcprun.report.baseline import read_baseline
from mcprun.report.causes import reasons
from mcprun.report.conversation import head, laid_out
from mcprun.report.fault_isolation import render
from mcprun.report.progress import label
from mcprun.report.text import one_line, plural, visible
from mcprun.report.volatile import suggestion_lines
from mcprun.runs.directory import LOG
from mcprun.runs.run import Run
from mcprun.runs.transcript import Transcript, Verdict

_LINES = 200
"""Lines of a conversation that are shown, from its end, where the reason for a failure is."""

_MAX_SHOWN = 5
"""Maximum number of queries that did not pass, or repeats of one, that are shown in full."""

_LOG_BYTES = 4096
"""Bytes of the servers' stderr that are shown, from its end, where the cause usually is."""

_LINE = 1000
"""Maximum number of characters of a one-line error."""


def error(stopped: RunError) -> str:
    """Describe why a run could not continue, with the end of the server's stderr."""
    return "\n\n".join([error_line(stopped), *_stderr(stopped.stderr)])


def error_line(stopped: RunError) -> str:
    """Describe why a run could not continue, in one line."""
    return one_line(f"error: {stopped.kind}: {stopped}", _LINE)


def query(
    transcripts: Sequence[Transcript],
    run: Path,
    stderr: str,
    required: float | None = None,
    regression: Sequence[str] = (),
) -> str:
    """Describe why a query is red: causes, conversations, the servers' stderr, and the command to see all of it.

    `transcripts` are all of its repeats, of which the share `required` had to pass, if one was set. `regression` is how
    they differ from the baseline, one line each, if they regressed.
    """
    failing = [one for one in transcripts if one.verdict is not Verdict.PASSED]
    is_failing = bool(failing)
    failing = failing or list(transcripts[-1:])
    first = [_rate(transcripts, required)] if required is not None and is_failing else []
    causes_of_all = dict.fromkeys(line for one in failing for line in _causes(one))
    blocks = ["\n".join(block) for block in ([*first, *causes_of_all], regression) if block]
    blocks += [conversation(one) for one in failing[:_MAX_SHOWN]]
    if len(failing) > _MAX_SHOWN:
        blocks.append(f"… and {plural(len(failing) - _MAX_SHOWN, 'more repeat')}")
    return "\n\n".join([*blocks, *_stderr(stderr), _shown_by(run, failing[0].id)])


def run(done: Run, stopped: RunError | None) -> str | None:
    """Describe why a run did not pass: what `stopped` it, and each query that did not pass. None if all is well."""
    record = done.record
    met = {one.id for one in record.repeats if one.is_met}
    failing = [
        one
        for one in done.transcripts()
        if one.verdict is Verdict.ERROR or (one.verdict is Verdict.FAILED and one.id not in met)
    ]
    against = read_baseline(done)
    regressed = against.lines if against and record.regressions else ()
    gates = record.coverage_failures
    if not failing and not stopped and not regressed and not gates and record.state == "finished":
        return None
    passed = record.counts.passed if record.counts else 0
    lines = [f"{passed:,} of {plural(record.prompts.runs, record.prompts.unit)} passed"]
    lines += [error_line(stopped)] if stopped else []
    lines += [f"{label(one)}: {line}" for one in failing[:_MAX_SHOWN] for line in _causes(one)]
    lines += [visible(failure) for failure in gates]
    if against and regressed:
        lines += [visible(f"regressed from the baseline {against.name}:"), *regressed]
        lines += suggestion_lines(against.volatile)
    blocks = ["\n".join(lines), *map(conversation, failing[:_MAX_SHOWN])]
    if len(failing) > _MAX_SHOWN:
        blocks.append(f"… and {plural(len(failing) - _MAX_SHOWN, 'more query')}")
    stderr = stopped.stderr if stopped else stderr_tail(done.path)
    return "\n\n".join([*blocks, *_stderr(stderr), _shown_by(done.path)])


def conversation(transcript: Transcript) -> str:
    """Return a conversation as `mcprun show` prints it, or the end of it if it is long."""
    return render(transcript, _conversation)


def _conversation(transcript: Transcript) -> str:
    file = io.StringIO()
    console = Console(file=file, color_system=None, highlight=False, soft_wrap=False)
    console.print(head(transcript), soft_wrap=True)
    console.print(laid_out(transcript))
    first, *lines = (line.rstrip() for line in file.getvalue().splitlines())
    left_out = len(lines) - _LINES
    return "\n".join([first, *([f"… {left_out:,} earlier lines omitted"] if left_out > 0 else []), *lines[-_LINES:]])


def stderr_tail(path: Path, start: int = 0) -> str:
    """Return the end of the servers' stderr since `start`, a byte offset in the run's `server.log`."""
    try:
        with (path / LOG).open("rb") as log:
            log.seek(max(start, log.seek(0, os.SEEK_END) - _LOG_BYTES))
            return log.read().decode("utf-8", "replace").strip()
    except OSError:
        return ""


def _causes(transcript: Transcript) -> Iterable[str]:
    """Return the causes, marked as an error if it is one."""
    mark = "error: " if transcript.error else ""
    return (mark + line for line in render(transcript, reasons))


def _rate(transcripts: Sequence[Transcript], required: float) -> str:
    passed = sum(one.verdict is Verdict.PASSED for one in transcripts)
    return f"{passed}/{len(transcripts)} passed, {passed / len(transcripts):.0%}; required {required:.0%}"


def _stderr(text: str) -> list[str]:
    """Return the end of the servers' stderr as a block of text, or nothing if it is empty."""
    lines = "\n".join(f"  {line}" for line in visible(text).splitlines())
    return [f"Last lines of the server's stderr:\n{lines}"] if text else []


def _shown_by(path: Path, *names: str) -> str:
    return visible(shlex.join(["mcprun", "show", str(path), *names]))
