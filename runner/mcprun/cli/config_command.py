"""Commands whose options a project may set in a file or in the environment."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from mcprun._util.command_line import split_words
from mcprun.cli.options import run as run_options
from mcprun.cli.usage_errors import DiscreetCommand
from mcprun.config.option_table import KINDS
from mcprun.errors import UsageError
from mcprun.limits import RETRIES
from mcprun.option_kinds import Headers, Listed, Variables, checked

if TYPE_CHECKING:
    from mcprun.config.project import Config

SERVER_ARGS = click.Option(["--server-args"], multiple=True)
"""A placeholder for the arguments after `--`, which are not an option but may be set like one."""

_ADDED = "redact"
"""The option whose values are combined from all sources."""

_NEVER = frozenset({"resume", "retry_errors", "force", "show_config", "help"})
"""Options that apply to one invocation, and that a project can't set."""


_OPPOSITES: tuple[tuple[str, Callable[[Any], bool], str, Any], ...] = (
    ("retries", lambda _: True, "no_retry", False),
    ("no_retry", lambda value: bool(value), "retries", RETRIES),
    ("servers", lambda value: value > 1, "fresh_server", False),
    ("fresh_server", lambda value: bool(value), "servers", 1),
)
"""An option, a predicate for its values that contradict another option, that option, and its default."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Sources of values that were not given on the command line: a file or a variable's name, by parameter.

    `in_file` holds the parameters set by the project's file.
    """

    names: dict[str, str] = field(default_factory=dict)
    in_file: set[str] = field(default_factory=set)
    server_args: list[str] = field(default_factory=list)


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
        """Read the configuration, unless a shell completes or only help is requested.

        `variables` and `files` are passed by callers that have already read the environment and the project's files.
        """
        variables: Mapping[str, str] | None = extra.pop("variables", None)
        files: Sequence[Config] | None = extra.pop("files", None)
        if not {"-h", "--help"} & {*args} and not extra.get("resilient_parsing"):
            from mcprun.config.project import environment, find_config

            variables = environment() if variables is None else variables
            files = [find_config()] if files is None else files
            sources = Sources()
            extra["default_map"] = self._set(parent, sources, variables, files)
            extra["obj"] = sources
        return super().make_context(info_name, args, parent, **extra)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the command line. An error in a value from another source names that source."""
        try:
            rest = super().parse_args(ctx, args)
            _settle(ctx)
            return rest
        except click.BadParameter as error:
            name = error.param.name if error.param else None
            if not (isinstance(ctx.obj, Sources) and name in ctx.obj.names and _is_set(ctx, name)):
                raise
            message = f"{error.message.rstrip('.')} (set by {ctx.obj.names[name]})."
            raise click.BadParameter(message, ctx, error.param) from None

    def _set(
        self, parent: click.Context | None, sources: Sources, variables: Mapping[str, str], files: Sequence[Config]
    ) -> dict[str, Any]:
        from mcprun.config.project import check_names, setting, written

        check_names(_known(parent) or self.settable(), variables, files)
        values: dict[str, Any] = {}
        for key, param in self.settable().items():
            found = setting(key, variables, files)
            if found is None:
                continue
            name = param.name or key
            if found.is_variable:
                values[name] = _split(found.value, param, found.source)
                if key == _ADDED and (in_file := setting(key, {}, files)):  # the file's patterns always apply
                    values[name] += _fitting(in_file.value, key, param, f"{in_file.source}: {written(key)}")
            else:
                values[name] = _fitting(found.value, key, param, f"{found.source}: {written(key)}")
                sources.in_file.add(name)
            sources.names[name] = found.source
        return values


class ServerCommand(ConfigurableCommand, run_options.WithServerArgs):
    """A command that starts a server, whose arguments may be set as well: `server-args`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the command line, and use the configured server arguments if none are given."""
        is_on_line = "--" in args
        rest = super().parse_args(ctx, args)
        if isinstance(ctx.obj, Sources) and ctx.obj.server_args:
            ctx.meta.setdefault(self.KEY, tuple(ctx.obj.server_args))
        is_set = bool(ctx.meta.get(self.KEY))
        source = ParameterSource.COMMANDLINE if is_on_line else ParameterSource.DEFAULT_MAP if is_set else None
        ctx.set_parameter_source(SERVER_ARGS.name or "", source or ParameterSource.DEFAULT)
        return rest

    def _set(
        self, parent: click.Context | None, sources: Sources, variables: Mapping[str, str], files: Sequence[Config]
    ) -> dict[str, Any]:
        values = super()._set(parent, sources, variables, files)
        sources.server_args.extend(values.pop("server_args", []))
        return values

    def settable(self) -> dict[str, click.Parameter]:
        """Return the parameters that may be set, including the server's arguments."""
        return {**super().settable(), "server_args": SERVER_ARGS}


def _is_set(ctx: click.Context, name: str) -> bool:
    """Return whether a parameter's value is not from the command line, but set by the project or a resumed run."""
    return ctx.get_parameter_source(name) is ParameterSource.DEFAULT_MAP


def _settle(ctx: click.Context) -> None:
    """Reset an option to its default if one from a stronger source contradicts it.

    The command line is the strongest source, then the environment, then the project's file. A resumed run ranks like
    the project's file.
    """
    given = ctx.params

    def rank(name: str) -> int:
        if is_given(ctx, name):
            return 0
        is_file = given.get("resume") is not None or is_in_file(ctx, name)
        return 3 if not _is_set(ctx, name) else 2 if is_file else 1

    for one, is_meant, other, default in _OPPOSITES:
        if one in given and other in given and rank(one) < rank(other) < 3 and is_meant(given[one]):
            given[other] = default
            ctx.set_parameter_source(other, ParameterSource.DEFAULT)


def is_given(ctx: click.Context, name: str) -> bool:
    """Return whether a parameter's value, or `server_args`, is from the command line."""
    return ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE


def is_in_file(ctx: click.Context, name: str) -> bool:
    """Return whether a parameter's value, or `server_args`, is set by the project's file."""
    return _is_set(ctx, name) and isinstance(ctx.obj, Sources) and name in ctx.obj.in_file


def shown(ctx: click.Context) -> Iterable[tuple[str, Any, str]]:
    """Yield each parameter's key, value and source for `--show-config`. Secrets are not redacted here."""
    assert isinstance(ctx.command, ConfigurableCommand)  # noqa: S101
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
        return split_words(text)
    except ValueError as error:
        raise UsageError(f"can't read {variable}: {error}") from None


def _fitting(value: Any, key: str, param: click.Parameter, where: str) -> Any:
    """Return a value from a file in the form of a command-line value. Raises `UsageError`."""
    kind = KINDS[key]
    if isinstance(value, str) and _takes_many(param):
        value = [value]
    if isinstance(kind, Variables | Headers):
        if isinstance(value, list):
            return list(checked(where, Listed(), value))
        mark = ": " if isinstance(kind, Headers) else "="
        return [f"{name}{mark}{item}" for name, item in checked(where, kind, value).items()]
    return checked(where, kind, value)


def _takes_many(param: click.Parameter) -> bool:
    return isinstance(param, click.Option) and param.multiple
