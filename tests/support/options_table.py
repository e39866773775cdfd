"""The README's table of options, made of what the command knows: `python -m tests.support.options_table` prints it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click

from mcprun.cli.commands.batch import batch


def options_table() -> str:
    """Return the table: each flag with its value, its default, and the first sentence of its help."""
    return "\n".join(["| option | default | |", "|---|---|---|", *_rows()]) + "\n"


def _rows() -> Iterator[str]:
    context = click.Context(batch)
    for param in batch.params:
        if isinstance(param, click.Option):
            flag = "/".join([*(opt for opt in param.opts if opt.startswith("--")), *param.secondary_opts])
            value = "" if param.is_flag else f" {param.make_metavar(context)}"
            reported = re.split(r"(?<=\.) ", re.sub(r"\s*\[[^\]]*\]$", "", param.help or ""))[0].removesuffix(".")
            cells = (f"`{flag}{value}`", _default(param), reported)
            yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _default(param: click.Option) -> str:
    if shown := re.search(r"\[default: ([^\]]*)\]$", param.help or ""):
        return shown[1]
    if param.is_flag or param.multiple or not isinstance(param.default, int | float | str):
        return ""
    return param.default if isinstance(param.default, str) else f"{param.default:,.10g}"


if __name__ == "__main__":
    print(options_table(), end="")
