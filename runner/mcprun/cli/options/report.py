"""Report options, shared by `batch`, `merge`, `report` and `diff`: one FILE per format."""

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
    help="Write an HTML report: one self-contained file.",
)

REPORT_FORMS = {
    "html": "an HTML report: one self-contained file",
    "junit": "JUnit XML, for CI systems",
    "markdown": "a Markdown summary, for a CI job or a comment",
    "csv": "CSV, one row per query and repeat",
    "tap": "TAP version 14",
}
"""Report formats: the name of each option, and the output for its help."""


def _one_stdout(ctx: click.Context, param: click.Parameter, file: str | None) -> str | None:
    """Return the file of a report. Raises `click.BadParameter` if another report goes to stdout as well."""
    if file is not None:
        file = option_type(param.name or "").convert(file, param, ctx)
    if file in STDOUT and any(name in REPORT_FORMS and taken in STDOUT for name, taken in ctx.params.items()):
        raise click.BadParameter("another report already goes to stdout")
    return file


def reports(command: _Command) -> _Command:
    """Add the report options to a command: one FILE per format, and the switch for GitHub Actions."""
    command = click.option(
        "--github/--no-github",
        default=None,
        help="Write annotations and a step summary for GitHub Actions.  [default: on in GitHub Actions]",
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
