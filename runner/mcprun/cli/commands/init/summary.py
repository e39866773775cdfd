"""What `mcprun init` tells: what it has written, what is to be mended there, and the commands that come next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from rich.text import Text

from mcprun.cli.commands.init.github_workflow import Next
from mcprun.prompts.generate import FirstPrompts
from mcprun.report.text import many, one_line, visible
from mcprun.runs.records import ServerRecord

_TOLD = 20
"""So many tools that were left out, and queries that are to be mended, are told of."""

_NAME, _REASON = 60, 400
"""Characters of a name, and of a reason, that are shown."""


def written(
    server: ServerRecord,
    first: FirstPrompts,
    prompts: Path,
    workflow: Path | None,
    commands: Next,
    *,
    is_tried: bool,
) -> Iterator[Text]:
    """Lay out what was written, a line a thing. `workflow` is `None` when there is none."""
    name = one_line(" ".join(filter(None, (server.name, server.version))) or "a server without a name", _REASON)
    yield Text(f"{visible(str(prompts))}: {many(len(first.queries), 'query')}, for the tools of {name}", "bold")
    if workflow:
        secrets = commands.there.secrets
        known = (
            f", with the repository's {'secret' if len(secrets) == 1 else 'secrets'} {visible(', '.join(secrets))}"
            if secrets
            else ""
        )
        yield Text(f"{visible(str(workflow))}: runs them on each push, in GitHub Actions{known}", "bold")
    yield from _some("left out: ", "dim", first.left_out)
    yield from _some("! ", "yellow", first.notes)
    yield Text(_foretold(first, is_tried=is_tried))
    if commands.unset:
        yield Text(
            f"Set {visible(', '.join(commands.unset))} before, to what was given: no value is repeated here."
            " What is no secret may stand in mcprun.toml."
        )
    yield Text("Next:")
    yield Text(f"  {visible(commands.here.batch())}", "cyan")
    yield Text(f"  {visible(commands.here.bless)}", "cyan")


def _foretold(first: FirstPrompts, *, is_tried: bool) -> str:
    """Say what the first run will bring, as far as anybody knows."""
    if not is_tried:
        return (
            "No tool was called: the inputs are made up, and the first run shows which are no good (or --try, before)."
        )
    told = f"Each was tried twice: {len(first.queries) - len(first.red):,} pass"
    told += f", {len(first.red):,} will not" if first.red else ""
    return f"{told}. To be mended: {many(len(first.notes), 'query')}, see metadata.todo." if first.notes else f"{told}."


def _some(mark: str, style: str, told: Mapping[str, str]) -> Iterator[Text]:
    for name, why in list(told.items())[:_TOLD]:
        yield Text.assemble((mark, style), (one_line(name, _NAME) or '""', "bold"), "  ", one_line(why, _REASON))
    if len(told) > _TOLD:
        yield Text(f"{mark}… and {len(told) - _TOLD:,} more", style)
