"""Commands whose options a project may set in a file or in the environment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from mcprun._util.command_line import split_command_line
from mcprun.cli.argument_sources import COMBINED, COMMAND_LINE, Arguments, Origin, Source, merge
from mcprun.cli.server_arguments import WithServerArgs
from mcprun.cli.server_settings import applicable
from mcprun.cli.usage_errors import DiscreetCommand
from mcprun.config.option_table import KINDS
from mcprun.errors import UsageError
from mcprun.option_kinds import Headers, Listed, Variables, validate_option

if TYPE_CHECKING:
    from mcprun.config.project import Config
    from mcprun.runs.run import Run

SERVER_ARGS = click.Option(["--server-args"], multiple=True)
"""A placeholder for the arguments after `--`, which are not an option but may be set like one."""

_NEVER = frozenset(
    {"resume", "retry_errors", "force", "update", "detect_volatile", "show_config", "dry_run", "help"}
)  # fmt: skip
"""Options that apply to one invocation, and that a project can't set."""


class ConfigurableCommand(DiscreetCommand):
    """A command that takes options missing on the command line from the environment, else from the project's file.

    With `only`, no other parameters may be set.
    """

    def __init__(self, *args: Any, only: Iterable[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._only = frozenset(only)

    def settable(self) -> dict[str, click.Parameter]:
        """Return the parameters that may be set, by key: the flag's name with underscores."""
        found = {_key(param): param for param in self.params if param.name not in _NEVER}
        return {key: param for key, param in found.items() if not self._only or param.name in self._only}

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Parse the command line, and merge it with the resumed run or the configuration: `ctx.obj` is `Arguments`.

        `variables` and `files` are passed by callers that have already read the environment and the project's files.
        """
        variables: Mapping[str, str] | None = extra.pop("variables", None)
        files: Sequence[Config] | None = extra.pop("files", None)
        ctx = super().make_context(info_name, args, parent, **extra)
        if not ctx.resilient_parsing:
            from mcprun.config.project import environment, find_config

            variables = environment() if variables is None else variables
            configured = self._configured(parent, variables, [find_config()] if files is None else files)
            ctx.obj = self._merged(ctx, configured)
        return ctx

    def invoke(self, ctx: click.Context) -> Any:
        """Call the command with the merged arguments."""
        assert self.callback is not None  # noqa: S101
        return ctx.invoke(self.callback, **ctx.obj.values)

    def _merged(self, ctx: click.Context, configured: Arguments) -> Arguments:
        run = ctx.params.get("resume")
        recorded = _recorded(run) if run else configured
        given = _given(ctx)
        params = {param.name: param for param in self.params} | {SERVER_ARGS.name: SERVER_ARGS}
        values = {
            name: _converted(ctx, params[name], value, recorded.origins[name])
            for name, value in recorded.values.items()
            if name in params and (name == COMBINED or not given.is_given(name))
        }
        return merge(given, replace(recorded, values=values))

    def _configured(
        self, parent: click.Context | None, variables: Mapping[str, str], files: Sequence[Config]
    ) -> Arguments:
        """Return the values that the environment and the files set, as text or in the form of command-line values."""
        from mcprun.config.project import check_names, file_spelling, setting

        check_names(_settable_parameters(parent) or self.settable(), variables, files)
        values: dict[str, Any] = {}
        origins: dict[str, Origin] = {}
        for key, param in self.settable().items():
            configured = setting(key, variables, files)
            if configured is None:
                continue
            name = param.name or key
            if configured.is_variable:
                values[name] = _split(configured.value, param, configured.source)
                if key == COMBINED and (in_file := setting(key, {}, files)):
                    values[name] += _fitting(in_file.value, key, param, f"{in_file.source}: {file_spelling(key)}")
            else:
                values[name] = _fitting(configured.value, key, param, f"{configured.source}: {file_spelling(key)}")
            origins[name] = Origin(Source.ENVIRONMENT if configured.is_variable else Source.FILE, configured.source)
        return Arguments(values, origins)


class ServerCommand(ConfigurableCommand, WithServerArgs):
    """A command that starts a server, whose arguments may be set as well: `server-args`."""

    def settable(self) -> dict[str, click.Parameter]:
        """Return the parameters that may be set, including the server's arguments."""
        return {**super().settable(), "server_args": SERVER_ARGS}

    def _merged(self, ctx: click.Context, configured: Arguments) -> Arguments:
        server = ctx.params.get("server") or configured.values.get("server")
        return super()._merged(ctx, applicable(configured, server))


def require(arguments: Arguments, *names: str) -> None:
    """Raise `click.UsageError` if an argument is neither on the command line nor configured."""
    for name in names:
        if arguments.values[name] is None:
            raise click.UsageError(f"Missing argument '{name.upper()}'. Pass it, or set {name} in mcprun.toml.")


def check_settings(keys: Iterable[str]) -> None:
    """Raise `UsageError` for the first of these settings of the project's file that is invalid.

    For a command that does not have these options.
    """
    from mcprun.config.project import file_spelling, find_config

    config = find_config()
    for key in keys:
        if key in config.values:
            value, kind = config.values[key], KINDS[key]
            listed = [value] if isinstance(value, str) and isinstance(kind, Listed) else value
            validate_option(f"{config.path}: {file_spelling(key)}", kind, listed)


def settings_with_sources(command: ConfigurableCommand, arguments: Arguments) -> Iterable[tuple[str, Any, str]]:
    """Yield each parameter's key, value and origin for `--show-config`. Secrets are not redacted here."""
    for key, param in command.settable().items():
        name = param.name or key
        yield key, arguments.values[name], arguments.origin(name).name


def _given(ctx: click.Context) -> Arguments:
    """Return the values of the command line, and the defaults of the others."""
    names = {name for name in ctx.params if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE}
    values = dict(ctx.params)
    if isinstance(ctx.command, ServerCommand):
        values["server_args"] = ctx.meta.get(ServerCommand.KEY, ())
        names |= {"server_args"} if ServerCommand.KEY in ctx.meta else set()
    return Arguments(values, dict.fromkeys(names, COMMAND_LINE))


def _recorded(run: Run) -> Arguments:
    """Return the arguments that a run has recorded."""
    values = {**run.record.arguments, "model": run.record.model.name}
    return Arguments(values, dict.fromkeys(values, Origin(Source.RUN, str(run.path))))


def _converted(ctx: click.Context, param: click.Parameter, value: Any, origin: Origin) -> Any:
    """Convert a value like one of the command line. Raises `click.BadParameter`, which names the origin."""
    try:
        found = param.type_cast_value(ctx, value)
        return param.callback(ctx, param, found) if param.callback else found
    except click.BadParameter as error:
        where = "" if origin.source is Source.RUN else f" (set by {origin.name})"
        raise click.BadParameter(f"{error.message.rstrip('.')}{where}.", ctx, param) from None


def _settable_parameters(parent: click.Context | None) -> dict[str, click.Parameter]:
    """Return the parameters that may be set for any command, because all commands share one file."""
    group = parent.command if parent else None
    commands: Mapping[str, click.Command] = group.commands if isinstance(group, click.Group) else {}
    return {
        key: param
        for command in commands.values()
        if isinstance(command, ConfigurableCommand)
        for key, param in command.settable().items()
    }


def _key(param: click.Parameter) -> str:
    long = next((opt for opt in param.opts if opt.startswith("--")), param.name or "")
    return long.removeprefix("--").replace("-", "_")


def _split(text: str, param: click.Parameter, variable: str) -> Any:
    """Parse a variable. An option that may be repeated takes words, quoted as in a shell."""
    if not _takes_many(param):
        return text
    try:
        return split_command_line(text)
    except ValueError as error:
        raise UsageError(f"can't read {variable}: {error}") from None


def _fitting(value: Any, key: str, param: click.Parameter, where: str) -> Any:
    """Return a value from a file in the form of a command-line value. Raises `UsageError`."""
    kind = KINDS[key]
    if isinstance(value, str) and _takes_many(param):
        value = [value]
    if isinstance(kind, Variables | Headers):
        if isinstance(value, list):
            return list(validate_option(where, Listed(), value))
        mark = ": " if isinstance(kind, Headers) else "="
        return [f"{name}{mark}{item}" for name, item in validate_option(where, kind, value).items()]
    return validate_option(where, kind, value)


def _takes_many(param: click.Parameter) -> bool:
    return isinstance(param, click.Option) and param.multiple
