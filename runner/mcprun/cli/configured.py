"""A command whose options a project may set: in a file, or in the environment."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from mcprun.cli import options
from mcprun.cli.usage_errors import DiscreetCommand
from mcprun.command_line import split_words
from mcprun.errors import UsageError

if TYPE_CHECKING:
    from mcprun.config import Config

SERVER_ARGS = click.Option(["--server-args"], multiple=True)
"""Stands for what follows `--`, which is no option: a project may set it like one."""

_NEVER = frozenset({"resume", "retry_errors", "force", "show_config", "help"})
"""Options that are of one call, and no project's."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where values came from that nobody gave on the command line: by parameter, a file or a variable's name.

    `in_file` are the parameters that are the file's.
    """

    names: dict[str, str] = field(default_factory=dict)
    in_file: set[str] = field(default_factory=set)
    server_args: list[str] = field(default_factory=list)


class Configured(DiscreetCommand):
    """Takes what is not on the command line from the environment, else from the project's file.

    With `only`, nothing but those parameters may be set.
    """

    def __init__(self, *args: Any, only: Iterable[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._only = frozenset(only)

    def settable(self) -> dict[str, click.Parameter]:
        """Give the parameters that may be set, by their keys: the names of the flags, with underscores."""
        found = {_key(param): param for param in self.params if param.name not in _NEVER}
        return {key: param for key, param in found.items() if not self._only or param.name in self._only}

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Read what is set, unless only help is wanted; `config` is given by those who have read the file."""
        config: Config | None = extra.pop("config", None)
        if not {"-h", "--help"} & {*args}:
            sources = Sources()
            extra["default_map"] = self._set(parent, sources, config)
            extra["obj"] = sources
        return super().make_context(info_name, args, parent, **extra)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Say where a value came from that is not what it should be."""
        try:
            return super().parse_args(ctx, args)
        except click.BadParameter as error:
            name = error.param.name if error.param else None
            if not (isinstance(ctx.obj, Sources) and name in ctx.obj.names and _is_set(ctx, name)):
                raise
            message = f"{error.message.rstrip('.')} (set by {ctx.obj.names[name]})."
            raise click.BadParameter(message, ctx, error.param) from None

    def _set(self, parent: click.Context | None, sources: Sources, config: Config | None) -> dict[str, Any]:
        from mcprun.config import environment, find_config

        config, variables = config or find_config(), environment()
        known = _known(parent) or self.settable()
        if unknown := next((key for key in config.values if key not in known), None):
            close = difflib.get_close_matches(unknown, known, n=1)
            hint = f"; did you mean {_written(close[0])!r}?" if close else ""
            raise UsageError(f"{config.path} sets {_written(unknown)!r}, which is no option{hint}")
        values: dict[str, Any] = {}
        for key, param in self.settable().items():
            variable = f"MCPRUN_{key.upper()}"
            if variables.get(variable, "").strip():
                values[param.name or key] = _split(variables[variable], param, variable)
                sources.names[param.name or key] = variable
            elif key in config.values:
                values[param.name or key] = _fitting(config.values[key], param, f"{config.path}: {_written(key)}")
                sources.names[param.name or key] = str(config.path)
                sources.in_file.add(param.name or key)
        return values


class ServerCommand(Configured, options.WithServerArgs):
    """One that starts a server, whose arguments may be set as well: `server-args`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Hand on the server's arguments that are set, where none are given."""
        is_on_line = "--" in args
        rest = super().parse_args(ctx, args)
        if isinstance(ctx.obj, Sources) and ctx.obj.server_args:
            ctx.meta.setdefault(self.KEY, tuple(ctx.obj.server_args))
        is_set = bool(ctx.meta.get(self.KEY))
        source = ParameterSource.COMMANDLINE if is_on_line else ParameterSource.DEFAULT_MAP if is_set else None
        ctx.set_parameter_source(SERVER_ARGS.name or "", source or ParameterSource.DEFAULT)
        return rest

    def _set(self, parent: click.Context | None, sources: Sources, config: Config | None) -> dict[str, Any]:
        values = super()._set(parent, sources, config)
        sources.server_args.extend(values.pop("server_args", []))
        return values

    def settable(self) -> dict[str, click.Parameter]:
        """Give the parameters that may be set, and the server's arguments."""
        return {**super().settable(), "server_args": SERVER_ARGS}


def _is_set(ctx: click.Context, name: str) -> bool:
    """Tell whether a parameter's value is not from the command line, but set by the project or an earlier run."""
    return ctx.get_parameter_source(name) is ParameterSource.DEFAULT_MAP


def is_given(ctx: click.Context, name: str) -> bool:
    """Tell whether a parameter's value, or `server_args`, is from the command line."""
    return ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE


def is_in_file(ctx: click.Context, name: str) -> bool:
    """Tell whether a parameter's value, or `server_args`, is what the project's file says."""
    return _is_set(ctx, name) and isinstance(ctx.obj, Sources) and name in ctx.obj.in_file


def shown(ctx: click.Context) -> Iterable[tuple[str, Any, str]]:
    """Give each parameter's key, value and source, as `--show-config` tells them. Secrets are not looked at here."""
    assert isinstance(ctx.command, Configured)  # noqa: S101
    resumed = ctx.params.get("resume")
    for key, param in ctx.command.settable().items():
        name = param.name or key
        value = ctx.meta.get(ServerCommand.KEY, ()) if param is SERVER_ARGS else ctx.params[name]
        match ctx.get_parameter_source(name):
            case ParameterSource.COMMANDLINE:
                source = "command line"
            case ParameterSource.DEFAULT_MAP:
                source = str(resumed.path) if resumed else ctx.obj.names[name]
            case _:
                source = "default"
        yield key, value, source


def _known(parent: click.Context | None) -> dict[str, click.Parameter]:
    """Give all that may be set, for any command: a file is shared by all of them."""
    group = parent.command if parent else None
    commands: Mapping[str, click.Command] = group.commands if isinstance(group, click.Group) else {}
    return {
        key: param
        for command in commands.values()
        if isinstance(command, Configured)
        for key, param in command.settable().items()
    }


def _key(param: click.Parameter) -> str:
    long = next((opt for opt in param.opts if opt.startswith("--")), param.name or "")
    return long.removeprefix("--").replace("-", "_")


def _written(key: str) -> str:
    return key.replace("_", "-")


def _split(text: str, param: click.Parameter, variable: str) -> Any:
    """Read a variable: words, quoted as in a shell, where an option may be given more than once."""
    if not _takes_many(param):
        return text.strip()
    try:
        return split_words(text)
    except ValueError as error:
        raise UsageError(f"can't read {variable}: {error}") from None


def _fitting(value: Any, param: click.Parameter, where: str) -> Any:
    """Bring a value of TOML into the form that the command line would have given."""
    is_flag = isinstance(param, click.Option) and param.is_flag
    if is_flag != isinstance(value, bool):
        raise UsageError(f"{where} must {'be true or false' if is_flag else 'not be true or false'}")
    if not _takes_many(param):
        if isinstance(value, dict | list):
            raise UsageError(f"{where} must be one value")
        return value
    if isinstance(value, dict):
        mark = ": " if param.name == "header" else "="
        return [f"{name}{mark}{item}" for name, item in value.items()]
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]


def _takes_many(param: click.Parameter) -> bool:
    return isinstance(param, click.Option) and param.multiple
