"""Generate the README's table of options from the command: `python -m tests.support.options_table` prints it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click

from mcprun.cli.commands.batch import batch


def options_table() -> str:
    """Return the table, with each flag, its value, its default, and the first sentence of its help."""
    return "\n".join(["| option | default | |", "|---|---|---|", *_rows()]) + "\n"


def _rows() -> Iterator[str]:
    context = click.Context(batch)
    for param in batch.params:
        if isinstance(param, click.Option):
            flag = "/".join([*(opt for opt in param.opts if opt.startswith("--")), *param.secondary_opts])
            value = "" if param.is_flag else f" {param.make_metavar(context)}"
            summary = re.split(r"(?<=\.) ", re.sub(r"\s*\[[^\]]*\]$", "", param.help or ""))[0].removesuffix(".")
            cells = (f"`{flag}{value}`", _default(param), summary)
            yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _default(param: click.Option) -> str:
    if default := re.search(r"\[default: ([^\]]*)\]$", param.help or ""):
        return default[1]
    if param.is_flag or param.multiple or not isinstance(param.default, int | float | str):
        return ""
    return param.default if isinstance(param.default, str) else f"{param.default:,.10g}"


if __name__ == "__main__":
    print(options_table(), end="")
