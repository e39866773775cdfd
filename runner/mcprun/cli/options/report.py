"""Report options, shared by `batch`, `merge`, `report` and `diff`: one FILE per format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from mcprun.cli.options.option import Heading, option
from mcprun.cli.options.types import option_type
from mcprun.report.output import STDOUT

_Command = TypeVar("_Command", bound=Callable[..., Any])

HTML = option(
    "--html",
    heading=Heading.REPORTS,
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write an HTML report: one self-contained file",
)

REPORT_FORMS = {
    "html": "Write an HTML report: one self-contained file",
    "junit": "Write JUnit XML, for CI systems",
    "markdown": "Write a Markdown summary, for a CI job",
    "csv": "Write CSV, one row per query and repeat",
    "tap": "Write TAP version 14",
}
"""Report formats: the name of each option, and its help."""


def _one_stdout(ctx: click.Context, param: click.Parameter, file: str | None) -> str | None:
    """Return the file of a report. Raises `click.BadParameter` if another report goes to stdout as well."""
    if file is not None:
        file = option_type(param.name or "").convert(file, param, ctx)
    if file in STDOUT and any(name in REPORT_FORMS and taken in STDOUT for name, taken in ctx.params.items()):
        raise click.BadParameter("another report already goes to stdout")
    return file


def reports(command: _Command) -> _Command:
    """Add the report options to a command: one FILE per format, and the switch for GitHub Actions."""
    command = option(
        "--github/--no-github",
        heading=Heading.REPORTS,
        default=None,
        help="Write GitHub annotations",
        details="Write annotations and a step summary for GitHub Actions.",
        default_text="on in GitHub Actions",
    )(command)
    for form, text in reversed(REPORT_FORMS.items()):
        command = option(
            f"--{form}",
            heading=Heading.REPORTS,
            type=click.Path(dir_okay=False, allow_dash=True),
            callback=_one_stdout,
            metavar="FILE",
            help=text,
            details=f"{text}; - is stdout.",
        )(command)
    return command
