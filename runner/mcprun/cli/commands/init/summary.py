"""Summary of `mcprun init`: the files written, the queries that need fixing, and the commands to run next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.text import Text

from mcprun.cli.commands.init.github_workflow import Next
from mcprun.prompts.generate import FirstPrompts
from mcprun.report.text import one_line, plural, visible
from mcprun.runs.run_record import ServerRecord

_MAX_LISTED = 20
"""Maximum number of tools left out, and of queries that need fixing, that are listed."""

_NAME, _REASON = 60, 400
"""Maximum number of characters shown of a name, and of a reason."""


@dataclass(frozen=True, slots=True)
class Summary:
    """The result of `mcprun init`. `workflow` is None if no workflow was written."""

    server: ServerRecord
    first: FirstPrompts
    prompts: Path
    workflow: Path | None
    commands: Next
    is_tried: bool

    def lines(self) -> Iterator[Text]:
        """Yield the summary, one line per item."""
        server, first, commands = self.server, self.first, self.commands
        name = one_line(" ".join(filter(None, (server.name, server.version))) or "a server without a name", _REASON)
        yield Text(
            f"{visible(str(self.prompts))}: {plural(len(first.queries), 'query')}, for the tools of {name}", "bold"
        )
        if self.workflow:
            secrets = commands.there.secrets
            noun = "secret" if len(secrets) == 1 else "secrets"
            secrets_note = f", with the repository {noun} {visible(', '.join(secrets))}" if secrets else ""
            yield Text(f"{visible(str(self.workflow))}: runs them on each push in GitHub Actions{secrets_note}", "bold")
        yield from _some("left out: ", "dim", first.left_out)
        yield from _some("! ", "yellow", first.notes)
        yield Text(_outlook(first, is_tried=self.is_tried))
        if commands.unset:
            yield Text(
                f"First set {visible(', '.join(commands.unset))} to the given values, which are not repeated here."
                " Values that are not secret can be set in mcprun.toml."
            )
        yield Text("Next:")
        yield Text(f"  {visible(commands.here.batch())}", "cyan")
        yield Text(f"  {visible(commands.here.bless)}", "cyan")


def _outlook(first: FirstPrompts, *, is_tried: bool) -> str:
    """Return the expected result of the first run, as far as it is known."""
    if not is_tried:
        return "No tool was called: the inputs are generated. The first run, or --try, shows which ones are rejected."
    text = f"Each was tried twice: {len(first.queries) - len(first.red):,} passed"
    text += f", {len(first.red):,} did not" if first.red else ""
    if not first.notes:
        return f"{text}."
    need = "needs" if len(first.notes) == 1 else "need"
    return f"{text}. {plural(len(first.notes), 'query')} {need} fixing, see metadata.todo."


def _some(mark: str, style: str, reasons: Mapping[str, str]) -> Iterator[Text]:
    for name, why in list(reasons.items())[:_MAX_LISTED]:
        yield Text.assemble((mark, style), (one_line(name, _NAME) or '""', "bold"), "  ", one_line(why, _REASON))
    if len(reasons) > _MAX_LISTED:
        yield Text(f"{mark}… and {len(reasons) - _MAX_LISTED:,} more", style)
