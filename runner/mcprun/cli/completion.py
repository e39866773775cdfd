"""Shell completion of runs by name, of queries by id, and of files."""

from __future__ import annotations

from pathlib import Path

import click
from click.shell_completion import CompletionItem

_OUTPUTS = Path("outputs")
_MAX_NAMES = 100
"""Maximum number of names that are offered."""


def runs(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the runs in `outputs/`, newest first, and paths."""
    names = [folder.name for folder in _OUTPUTS.iterdir() if folder.is_dir()] if _OUTPUTS.is_dir() else []
    found = [name for name in sorted(names, reverse=True) if name.startswith(incomplete)]
    return [*map(CompletionItem, found[:_MAX_NAMES]), *files(_, __, incomplete)]


def queries(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the query ids of a run."""
    from mcprun.errors import UsageError
    from mcprun.runs.run import Run

    try:
        ids = {one.id: one.verdict for one in Run.read_record(ctx.params.get("run") or "latest").transcripts()}
    except UsageError:
        return []
    found = [CompletionItem(name, help=str(verdict)) for name, verdict in ids.items() if name.startswith(incomplete)]
    return found[:_MAX_NAMES]


def files(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Delegate the completion of a path to the shell."""
    return [CompletionItem(incomplete, type="file")]
