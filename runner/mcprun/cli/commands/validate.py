"""`mcprun validate`: check a prompts file and report its errors."""

from __future__ import annotations

import click

from mcprun.cli.options import run as run_options
from mcprun.cli.usage_errors import DiscreetCommand


@click.command(cls=DiscreetCommand, short_help="Check a prompts file.")
@run_options.PROMPTS
def validate(prompts: str) -> None:
    """Check PROMPTS without running it, and print each error as FILE:LINE: field: message.

    Probable misspellings in a JSON Schema are warnings.

    Exits with 0 if the file is valid, with 2 if it is not.
    """
    from mcprun.prompts.file import read_prompts
    from mcprun.report.text import plural, visible

    with read_prompts(prompts) as found:
        for warning in found.warnings:
            click.echo(f"Warning: {visible(warning)}", err=True)
        scripts = {0: "none", found.total: "all"}.get(found.scripted, str(found.scripted))
    click.echo(f"{prompts}: {plural(found.total, 'query')}, {scripts} with a script")
