"""Write reports to files and stdout. The module of each format produces the text."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from mcprun._util.json_io import write_file
from mcprun._util.special_files import open_device, refuse_special
from mcprun._util.surrogates import well_formed
from mcprun.errors import UsageError
from mcprun.report import workflow_commands
from mcprun.report.csv import table
from mcprun.report.data import RunData
from mcprun.report.github import step_outputs
from mcprun.report.junit import junit
from mcprun.report.markdown import LEAST_BYTES, SUMMARY_BYTES, markdown
from mcprun.report.output import STDOUT, to_nowhere
from mcprun.report.tap import tap
from mcprun.runs.directory import check_report_path
from mcprun.runs.run import Run

HTML = "html"

WRITERS: Mapping[str, Callable[[RunData], str]] = {"junit": junit, "markdown": markdown, "csv": table, "tap": tap}
"""Text formats of reports, by the names of their options."""


def write_report(facts: RunData, form: str, name: str) -> None:
    """Write one report atomically to a file, in place to a device or pipe, or to stdout.

    Missing parent folders are created. Raises `UsageError` if the report can't be written.
    """
    text = WRITERS[form](facts)
    if name in STDOUT:
        _to_stdout(text)
        return
    write_bytes(Path(name), well_formed(text).encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file atomically, or a device or pipe in place. Missing parent folders are created.

    Raises `UsageError` if it can't be written.
    """
    check_report_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if stream := open_device(path):
            with stream:
                stream.write(data)
        else:
            write_file(path, data)
    except OSError as error:
        raise UsageError(f"can't write {path}: {error.strerror}") from None


def write_page_of(run: Run, name: str) -> None:
    """Write a run's HTML page atomically to a file, in place to a device or pipe, or to stdout.

    Raises `UsageError` if it can't be written.
    """
    # Only this report needs Jinja.
    from mcprun.report.html.page import write_page
    from mcprun.report.html.run_page import report

    if name in STDOUT:
        _to_stdout("".join(report(run)))
        return
    path = Path(name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"can't write {name}: {error.strerror}") from None
    write_page(path, report(run))


def _to_stdout(text: str) -> None:
    sys.stdout.flush()
    try:
        sys.stdout.buffer.write(well_formed(workflow_commands.for_log(text)).encode())
        sys.stdout.buffer.flush()
    except OSError as error:
        to_nowhere(sys.stdout, error)


def add_summary(facts: RunData, name: str) -> None:
    """Append a run's report to the summary of a workflow step, as far as there is room.

    Raises `UsageError` if there is no room or the file can't be written.
    """
    path = Path(name)
    try:
        if stream := open_device(path):
            with stream:
                stream.write(markdown(facts, SUMMARY_BYTES).encode(errors="replace"))
            return
        refuse_special(path)
        room = SUMMARY_BYTES - (path.stat().st_size if path.exists() else 0)
        if room < LEAST_BYTES:
            raise UsageError(f"can't add to the step summary {name}: it is full ({SUMMARY_BYTES:,} bytes)")
        with path.open("a", encoding="utf-8", errors="replace") as summary:
            summary.write(markdown(facts, room))
    except OSError as error:
        raise UsageError(f"can't write {name}: {error.strerror}") from None


def add_outputs(run: Run, name: str) -> None:
    """Append a run to the outputs of a workflow step. Raises `UsageError` if the file can't be written."""
    data = step_outputs(run).encode("utf-8", "surrogateescape")  # the path's own bytes
    path = Path(name)
    try:
        if stream := open_device(path):
            with stream:
                stream.write(data)
            return
        refuse_special(path)
        with path.open("ab+") as outputs:
            if outputs.seek(0, os.SEEK_END):
                outputs.seek(-1, os.SEEK_END)
                data = data if outputs.read() == b"\n" else b"\n" + data  # an earlier output may lack its line break
            outputs.write(data)
    except OSError as error:
        raise UsageError(f"can't write {name}: {error.strerror}") from None
