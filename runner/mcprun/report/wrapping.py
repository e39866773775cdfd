"""Print lines with a hanging indent: wrapped at words on a terminal, and unbroken in logs and pipes."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text


def print_hanging(console: Console, lead: str, text: Text, style: str = "") -> None:
    """Print a text after `lead`. On a terminal, its further lines begin below its first one."""
    if not console.is_terminal:
        console.print(Text.assemble((lead, style), text), soft_wrap=True)
        return
    grid = Table.grid(padding=0)
    grid.add_column(no_wrap=True, width=len(lead), style=style)
    grid.add_column(overflow="fold")
    grid.add_row(lead, text)
    console.print(grid)
