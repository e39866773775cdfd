"""Generate the reference of commands in docs/cli.md: `python -m tests.support.cli_reference --write` replaces it.

Without `--write`, the reference is printed.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator

import click

from mcprun.cli import main
from mcprun.cli.help import HeadedCommand
from mcprun.cli.options.option import HeadedOption
from tests.support.cli import ROOT
from tests.support.documents import replace_block

DOCUMENT = ROOT / "docs" / "cli.md"
BEGIN, END = "<!-- commands -->", "<!-- /commands -->"


def reference() -> str:
    """Return a table of all commands and a section for each, in Markdown, between the markers."""
    parent = click.Context(main, info_name="mcprun")
    commands = [main.commands[name] for name in main.list_commands(parent)]
    table = ["| command | |", "|---|---|", *(_link(command) for command in commands), ""]
    return "\n".join([BEGIN, *table, *(_section(command, parent) for command in commands), END])


def _link(command: click.Command) -> str:
    return f"| [`mcprun {command.name}`](#mcprun-{command.name}) | {_escaped(command.get_short_help_str(200).removesuffix('.').strip())} |"


def _section(command: click.Command, parent: click.Context) -> str:
    assert isinstance(command, HeadedCommand)
    context = click.Context(command, parent, info_name=command.name)
    usage = " ".join(command.get_usage(context).removeprefix("Usage: ").split())
    lines = [f"## mcprun {command.name}", "", f"```text\n{usage}\n```", "", *_paragraphs(command.help or "")]
    for heading, options in command.sections(context).items():
        rows = [_row(one, context) for one in options if isinstance(one, HeadedOption)]
        if rows:
            lines += [f"**{heading}**", "", "| option | default | |", "|---|---|---|", *rows, ""]
    return "\n".join(lines)


def _paragraphs(help_text: str) -> Iterator[str]:
    """Yield the lines of a command's description. Paragraphs that click must not wrap become code."""
    for paragraph in inspect.cleandoc(help_text).split("\n\n"):
        if paragraph.startswith("\b"):
            yield f"```text\n{inspect.cleandoc(paragraph.removeprefix(chr(8)))}\n```\n"
        else:
            yield f"{_escaped(' '.join(paragraph.split()))}\n"


def _row(option: HeadedOption, context: click.Context) -> str:
    flag = ", ".join(f"`{name}`" for name in (*sorted(option.opts, key=len), *option.secondary_opts))
    if not option.is_flag:
        flag = f"{flag[:-1]} {option.make_metavar(context)}`"
    cells = (flag, _escaped(option.default_text), _escaped(option.details.removesuffix(".")))
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _escaped(text: str) -> str:
    """Escape what Markdown would interpret, except within backticks."""
    parts = text.split("`")
    parts[::2] = [re.sub(r"[<*\[\]\\]", r"\\\g<0>", part) for part in parts[::2]]
    return "`".join(parts)


if __name__ == "__main__":
    if "--write" in sys.argv[1:]:
        document = DOCUMENT.read_text(encoding="utf-8")
        DOCUMENT.write_text(replace_block(document, BEGIN, END, reference()), encoding="utf-8")
    else:
        print(reference())
