"""Report options, shared by `batch`, `report` and `diff`: one FILE per format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from mcprun.cli.options.types import option_type
from mcprun.report.output import STDOUT

_Command = TypeVar("_Command", bound=Callable[..., Any])

HTML = click.option(
    "--html",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write a page to be read in a browser: one file, which loads nothing from anywhere.",
)

REPORT_FORMS = {
    "html": "a page to be read in a browser: one file, which loads nothing from anywhere",
    "junit": "JUnit XML, which CI systems read",
    "markdown": "Markdown, for a job's summary or a comment",
    "csv": "CSV, one row a query and repeat",
    "tap": "TAP, version 14",
}
"""Report formats: the name of each option, and what it writes."""


def _one_stdout(ctx: click.Context, param: click.Parameter, file: str | None) -> str | None:
    """Return the file of a report. Raises `click.BadParameter` if another report goes to stdout as well."""
    if file is not None:
        file = option_type(param.name or "").convert(file, param, ctx)
    if file in STDOUT and any(name in REPORT_FORMS and taken in STDOUT for name, taken in ctx.params.items()):
        raise click.BadParameter("another report goes to stdout already")
    return file


def reports(command: _Command) -> _Command:
    """Add the report options to a command: one FILE per format, and the switch for GitHub Actions."""
    command = click.option(
        "--github/--no-github",
        default=None,
        help="Write annotations, and a summary of the step, for GitHub Actions.  [default: on in its workflows]",
    )(command)
    for form, what in reversed(REPORT_FORMS.items()):
        command = click.option(
            f"--{form}",
            type=click.Path(dir_okay=False, allow_dash=True),
            callback=_one_stdout,
            metavar="FILE",
            help=f"Write {what}; - is stdout.",
        )(command)
    return command
