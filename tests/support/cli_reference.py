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
from tests.support.cli import ROOT

DOCUMENT = ROOT / "docs" / "cli.md"
BEGIN, END = "<!-- commands -->", "<!-- /commands -->"


def reference() -> str:
    """Return the sections of all commands in Markdown, between the markers."""
    parent = click.Context(main, info_name="mcprun")
    sections = [_section(main.commands[name], parent) for name in main.list_commands(parent)]
    return "\n".join([BEGIN, *sections, END])


def replace_reference(document: str, text: str) -> str:
    """Replace the reference in a document."""
    return re.sub(f"{re.escape(BEGIN)}.*?{re.escape(END)}", lambda _: text, document, count=1, flags=re.DOTALL)


def _section(command: click.Command, parent: click.Context) -> str:
    context = click.Context(command, parent, info_name=command.name)
    usage = " ".join(command.get_usage(context).removeprefix("Usage: ").split())
    options = [param for param in command.params if isinstance(param, click.Option) and not param.hidden]
    lines = [f"## mcprun {command.name}", "", f"```text\n{usage}\n```", "", *_paragraphs(command.help or "")]
    if options:
        lines += ["| option | default | |", "|---|---|---|", *(_row(one, context) for one in options), ""]
    return "\n".join(lines)


def _paragraphs(help_text: str) -> Iterator[str]:
    """Yield the lines of a command's description. Paragraphs that click must not wrap become code."""
    for paragraph in inspect.cleandoc(help_text).split("\n\n"):
        if paragraph.startswith("\b"):
            yield f"```text\n{inspect.cleandoc(paragraph.removeprefix(chr(8)))}\n```\n"
        else:
            yield f"{_escaped(' '.join(paragraph.split()))}\n"


def _row(option: click.Option, context: click.Context) -> str:
    names = sorted(option.opts, key=lambda name: name.startswith("--"))
    flag = ", ".join(f"`{name}`" for name in (*names, *option.secondary_opts))
    if not option.is_flag:
        flag = f"{flag[:-1]} {option.make_metavar(context)}`"
    summary = re.sub(r"\s*\[default: [^\]]*\]$", "", option.help or "").removesuffix(".")
    cells = (flag, _escaped(_default(option)), _escaped(summary))
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _default(option: click.Option) -> str:
    """Return the default as `--help` shows it, and "" for none."""
    if default := re.search(r"\[default: ([^\]]*)\]$", option.help or ""):
        return default[1]
    if option.is_flag or option.multiple or not isinstance(option.default, int | float | str):
        return ""
    return option.default if isinstance(option.default, str) else f"{option.default:,.10g}"


def _escaped(text: str) -> str:
    """Escape what Markdown would interpret, except within backticks."""
    parts = text.split("`")
    parts[::2] = [re.sub(r"[<*\[\]\\]", r"\\\g<0>", part) for part in parts[::2]]
    return "`".join(parts)


if __name__ == "__main__":
    if "--write" in sys.argv[1:]:
        document = DOCUMENT.read_text(encoding="utf-8")
        DOCUMENT.write_text(replace_reference(document, reference()), encoding="utf-8")
    else:
        print(reference())
