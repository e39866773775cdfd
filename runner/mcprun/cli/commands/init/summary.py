"""Summary of `mcprun init`: the files written, the queries that need fixing, and the commands to run next."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.text import Text

from mcprun.cli.commands.init.files import Files
from mcprun.cli.commands.init.masking import Masked
from mcprun.cli.commands.init.next_commands import Next
from mcprun.cli.commands.init.settings import Settings
from mcprun.prompts.generate import FirstPrompts
from mcprun.report.styles import AMBER
from mcprun.report.text import one_line, plural, visible
from mcprun.runs.run_record import ServerRecord

_MAX_LISTED = 20
"""Maximum number of tools left out, and of queries that need fixing, that are listed."""

_NAME, _REASON = 60, 400
"""Maximum number of characters shown of a name, and of a reason."""


@dataclass(frozen=True, slots=True)
class Summary:
    """The result of `mcprun init`.

    `missing` are the settings that the project's file lacks. `working` are the queries that do real work; None if they
    were not tried. `masked` is what differs between the tries. `has_scratch` is set if servers were started in new
    folders. `others` are the files besides the prompts and the workflow, one line each. `why_here` is the error of a
    server that did not start in a new folder.
    """

    server: ServerRecord
    first: FirstPrompts
    files: Files
    commands: Next
    missing: Settings
    working: Collection[str] | None
    masked: Masked
    has_scratch: bool
    others: Sequence[str] = ()
    why_here: str = ""

    def lines(self) -> Iterator[Text]:
        """Yield the summary, one line per item."""
        yield from self._file_lines()
        if self.why_here:
            why = one_line(self.why_here, _REASON)
            yield Text(f"The server is started in this folder, since it did not start in a new one: {why}", AMBER)
        yield from _some("left out: ", "dim", self.first.left_out)
        yield from _some("! ", AMBER, self.first.notes)
        yield from _some("masked: ", "dim", self.masked.summary)
        if compared := self.masked.compared:
            yield Text(f"Compared of the results: {visible(compared)}")
        yield Text(self._outlook())
        yield from self._setting_lines()
        commands = self.commands
        if self.working is not None and not self.working and self.has_scratch:
            yield Text(
                "They were tried in new folders; a server that needs the files of this folder needs --no-scratch."
            )
        if commands.unset:
            yield Text(
                f"First set {visible(', '.join(commands.unset))} to the given values, which are not repeated here."
                " Values that are not secret can be set in mcprun.toml."
            )
        yield Text("Next: run them, make the run the baseline, and compare with it after each change:")
        for command in (commands.here.script(), commands.here.bless, commands.here.compare()):
            yield Text(f"  {visible(command)}", "cyan")

    def _outlook(self) -> str:
        """Return what the tries showed."""
        queries, notes = {query["id"] for query in self.first.queries}, self.first.notes
        if self.working is None:
            return "No tool was called: the inputs are generated. --try shows which ones work."
        works = len(queries & {*self.working} - notes.keys())
        if not works:
            text = f"Each was tried twice: none of {len(queries):,} works, so that nothing would be tested"
        else:
            text = f"Each was tried twice: {works:,} of {len(queries):,} {'works' if works == 1 else 'work'}"
        if not notes:
            return f"{text}."
        need = "needs" if len(notes) == 1 else "need"
        return f"{text}. {plural(len(notes), 'query')} {need} fixing, see metadata.todo."

    def _file_lines(self) -> Iterator[Text]:
        server, files = self.server, self.files
        name = one_line(" ".join(filter(None, (server.name, server.version))) or "a server without a name", _REASON)
        count = plural(len(self.first.queries), "query")
        yield Text(f"{visible(str(files.prompts))}: {count}, for the tools of {name}", "bold")
        if files.workflow:
            secrets = self.commands.there.secrets
            noun = "secret" if len(secrets) == 1 else "secrets"
            note = f", with the repository {noun} {visible(', '.join(secrets))}" if secrets else ""
            yield Text(f"{visible(str(files.workflow))}: runs them on each push in GitHub Actions{note}", "bold")
        for other in self.others:
            yield Text(visible(other), "bold")
        if not files.is_source_known:
            yield Text(
                f"Replace OWNER in {visible(str(files.workflow))} with the owner of the repository to install mcprun"
                " from, or pass --install-from."
            )

    def _setting_lines(self) -> Iterator[Text]:
        """Yield the settings to add to the project's file, if it exists and lacks some."""
        if self.files.config.path and self.missing.values:
            yield Text(f"{visible(str(self.files.config.path))} is left as it is. Add to it, or pass the flags below:")
            for line in self.missing.lines:
                yield Text(f"  {visible(line)}", "cyan")


def _some(mark: str, style: str, reasons: Mapping[str, str]) -> Iterator[Text]:
    for name, why in list(reasons.items())[:_MAX_LISTED]:
        yield Text.assemble((mark, style), (one_line(name, _NAME) or '""', "bold"), "  ", one_line(why, _REASON))
    if len(reasons) > _MAX_LISTED:
        yield Text(f"{mark}… and {len(reasons) - _MAX_LISTED:,} more", style)
