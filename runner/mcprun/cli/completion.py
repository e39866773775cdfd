"""What a shell is told when somebody presses Tab: runs by their names, queries by their ids, files."""

from __future__ import annotations

from pathlib import Path

import click
from click.shell_completion import CompletionItem

_OUTPUTS = Path("outputs")
_MOST = 100
"""So many names are offered."""


def runs(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the runs below `outputs/`, newest first, and what is a path."""
    names = [folder.name for folder in _OUTPUTS.iterdir() if folder.is_dir()] if _OUTPUTS.is_dir() else []
    found = [name for name in sorted(names, reverse=True) if name.startswith(incomplete)]
    return [*map(CompletionItem, found[:_MOST]), *files(_, __, incomplete)]


def queries(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the ids of a run's queries."""
    from mcprun.errors import UsageError
    from mcprun.runs.run import Run

    try:
        ids = {one.id: one.verdict for one in Run.read_record(ctx.params.get("run") or "latest").transcripts()}
    except UsageError:
        return []
    found = [CompletionItem(name, help=str(verdict)) for name, verdict in ids.items() if name.startswith(incomplete)]
    return found[:_MOST]


def files(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Let the shell complete a path."""
    return [CompletionItem(incomplete, type="file")]
