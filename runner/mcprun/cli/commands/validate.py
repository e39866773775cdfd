"""`mcprun validate`: check a prompts file and report its errors."""

from __future__ import annotations

import click

from mcprun.cli.options import run as run_options


@click.command(short_help="Say what is wrong with a prompts file.")
@run_options.PROMPTS
def validate(prompts: str) -> None:
    """Read PROMPTS and say what is wrong with it: every bad line, as FILE:LINE: field: what is wrong.

    Exits with 0 when the file is good, with 2 when it is not. What is probably misspelt in a JSON Schema is a warning.
    Nothing is run.
    """
    from mcprun.prompts.file import read_prompts
    from mcprun.report.text import many, visible

    with read_prompts(prompts) as found:
        for warning in found.warnings:
            click.echo(f"Warning: {visible(warning)}", err=True)
        scripts = {0: "none", found.total: "all"}.get(found.scripted, str(found.scripted))
    click.echo(f"{prompts}: {many(found.total, 'query')}, {scripts} with a script")
