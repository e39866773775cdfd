"""The `mcprun` group: commands under headings in the order of use, other names for them, and mcprun's own errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from mcprun._util.similar_names import similar_name
from mcprun.errors import ExitCode, PromptsError, RunError, UsageError
from mcprun.report.output import install

_ALIASES: Mapping[str, str] = {"run": "batch", "test": "batch"}
"""Other names that a command is understood by."""

_MEANT: tuple[tuple[str, str, str], ...] = (
    ("accept approve baseline promote save snapshot", "bless", "mcprun bless RUN BASELINE"),
    ("ask interactive repl talk", "chat", "mcprun chat SERVER"),
    ("auth authorize signin", "login", "mcprun login SERVER"),
    ("bench bulk eval exec execute runall start", "batch", "mcprun batch PROMPTS SERVER"),
    ("check verify", "validate", "mcprun validate PROMPTS"),
    ("clean gc prune rm", "runs", "mcprun runs"),
    ("cat display open print view", "show", "mcprun show"),
    ("combine join", "merge", "mcprun merge SHARD..."),
    ("compare changes", "diff", "mcprun diff BASE HEAD"),
    ("create generate new quickstart scaffold setup", "init", "mcprun init SERVER"),
    ("describe inspect list-tools schema", "tools", "mcprun tools SERVER"),
    ("export html junit summary", "report", "mcprun report"),
    ("history list ls", "runs", "mcprun runs (the runs), or mcprun tools SERVER (a server's tools)"),
    ("history list ls", "tools", "mcprun tools SERVER (a server's tools), or mcprun show (the latest run)"),
    ("invoke tool", "call", "mcprun call SERVER TOOL"),
    ("lint", "tools", "mcprun tools SERVER --lint"),
    ("replay", "batch", "mcprun batch PROMPTS SERVER --model replay:RUN"),
    ("resume continue retry", "batch", "mcprun batch --resume RUN"),
    ("update", "batch", "mcprun batch PROMPTS SERVER --update"),
    ("version", "batch", "mcprun --version"),
)
"""Names of other tools for a command, that command, and what to type. The first row whose command exists applies."""

_PROMPTS_FILES = (".jsonl", ".yaml", ".yml")
_SERVER_FILES = (".py", ".js", ".mjs", ".cjs", ".ts")


class McprunGroup(click.Group):
    """A group that prints mcprun's errors as one message, and exits with their code.

    `headings` are the headings of the commands in help, each with the names of its commands.
    """

    def __init__(self, *args: Any, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.headings: dict[str, list[str]] = {}

    def add(self, heading: str, *commands: click.Command) -> None:
        """Add commands, which help lists in this order under a heading."""
        for command in commands:
            self.add_command(command)
            self.headings.setdefault(heading, []).append(command.name or "")

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        """Return the names of the commands in the order of use."""
        return [name for names in self.headings.values() for name in names]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands before the options."""
        self.format_commands(ctx, formatter)
        click.Command.format_options(self, ctx, formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one line for each command, under headings."""
        width = max(map(len, self.list_commands(ctx)))
        for heading, names in self.headings.items():
            with formatter.section(heading):
                formatter.write_dl([(name.ljust(width), self._summary(name)) for name in names], col_max=width)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the first argument names. Raises `click.UsageError` with the one that was meant."""
        name = _ALIASES.get(args[0], args[0])
        if name == "help" and not ctx.resilient_parsing:
            return self._help(ctx, args[1:])
        if name not in self.commands and not name.startswith("-") and not ctx.resilient_parsing:
            raise click.UsageError(self._unknown(args), ctx)
        return super().resolve_command(ctx, [name, *args[1:]])

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command line on streams that can print any text."""
        install()
        return super().main(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command, and exit with the code of its error."""
        try:
            return super().invoke(ctx)
        except UsageError as error:
            problems = isinstance(error, PromptsError)  # one per line, like compilers
            _print_error(str(error) if problems else f"Error: {error}")
            ctx.exit(ExitCode.USAGE)
        except RunError as error:
            _print_error(f"Error: {error}")
            ctx.exit(ExitCode.ERROR)
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            ctx.exit(ExitCode.INTERRUPTED)
        except OSError as error:  # such as a full disk or a closed terminal: the system's message is the clearest
            _print_error(f"Error: {error}")
            ctx.exit(ExitCode.ERROR)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception:  # noqa: BLE001  Python would exit with 1, which means that a query failed
            import traceback

            click.echo(f"{traceback.format_exc()}This is an internal error in mcprun.", err=True)
            ctx.exit(ExitCode.ERROR)

    def _summary(self, name: str) -> str:
        also = [alias for alias, command in _ALIASES.items() if command == name]
        text = self.commands[name].get_short_help_str(limit=80).removesuffix(".")
        return f"{text} (also: {', '.join(also)})" if also else text

    def _help(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command whose help is asked for. Without a name, print the help of the group and exit."""
        if not args or args[0].startswith("-"):
            click.echo(ctx.get_help())
            ctx.exit()
        return self.resolve_command(ctx, [args[0], "--help"])

    def _unknown(self, args: list[str]) -> str:
        """Return the message for a command that does not exist."""
        name = args[0]
        if name.endswith(_PROMPTS_FILES):
            return f"No such command: {name}. Did you mean mcprun batch {name} SERVER?"
        if name.endswith(_SERVER_FILES) or "://" in name:
            return "Expected a command before the server. Did you mean mcprun init SERVER, or mcprun tools SERVER?"
        for names, command, usage in _MEANT:
            if name in names.split() and command in self.commands:
                return f"No such command: {name}. Did you mean {usage}?"
        close = similar_name(name, [*self.commands, *_ALIASES])
        return f"No such command: {name}." + (f" Did you mean {close}?" if close else "")


def _print_error(message: str) -> None:
    """Print an error. Its message may contain text of a server or a file."""
    from mcprun.report.text import visible

    click.echo(visible(message), err=True)
