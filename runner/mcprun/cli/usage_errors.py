"""Usage errors that never repeat a value, because a misplaced value may be a secret."""

from __future__ import annotations

import re

import click

from mcprun.cli.help import HeadedCommand
from mcprun.cli.option_suggestions import is_alias, suggestion

_NAMED = 2
"""Maximum number of other commands that a message names."""


class UnknownArgument(click.UsageError):
    """An option or an argument that the command does not have, and that may be meant for another program."""


class DiscreetCommand(HeadedCommand):
    """A command whose errors name options and count arguments, but never repeat a value."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the command line. Raises `click.UsageError` without the extra arguments, which click would repeat."""
        ctx.allow_extra_args = True
        self._check_forms(ctx, args)
        try:
            rest = super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            raise self._unknown(ctx, error.option_name) from None
        if ctx.args and not ctx.resilient_parsing:
            words = "1 unexpected argument" if len(ctx.args) == 1 else f"{len(ctx.args)} unexpected arguments"
            raise UnknownArgument(f"Got {words}; quote values that contain spaces", ctx)
        return rest

    def _check_forms(self, ctx: click.Context, args: list[str]) -> None:
        """Raise `click.UsageError` for forms that click would take for something else: `-model NAME`, `--retry N`."""
        flags = self._flags()
        for word, following in zip(args, [*args[1:], ""], strict=False):
            name = word.partition("=")[0]
            if re.fullmatch(r"-[a-z][a-z-]{2,}", name) and f"-{name}" in flags:
                raise click.UsageError(f"No such option: {name}. Did you mean -{name}?", ctx)
            if name == "--retry" in flags and (word.startswith("--retry=") or following.isdecimal()):
                raise click.UsageError("--retry takes no value. Did you mean --retries?", ctx)

    def _unknown(self, ctx: click.Context, flag: str) -> click.UsageError:
        """Return the error for a flag that the command does not have."""
        longs = sorted((one for one in self.flags_with_values() if one.startswith("--")), key=len, reverse=True)
        prefix = next((one for one in longs if flag.startswith(one)), None)
        is_glued = prefix is not None and flag != f"{prefix}s" and not is_alias(flag)
        if is_glued:  # a secret may follow
            return click.UsageError(f"No such option: {prefix}…; put a space or = between {prefix} and its value", ctx)
        if found := suggestion(flag, self._flags()):
            return click.UsageError(f"No such option: {flag}. {found}", ctx)
        others = _commands_with(ctx, flag)
        where = f" It is an option of mcprun {' and '.join(others)}." if 0 < len(others) <= _NAMED else ""
        return UnknownArgument(f"No such option: {flag}.{where}", ctx)

    def _flags(self) -> set[str]:
        """Return all flags of the command, short ones included."""
        options = (param for param in self.params if isinstance(param, click.Option))
        return {flag for option in options for flag in (*option.opts, *option.secondary_opts)}

    def flags_with_values(self) -> set[str]:
        """Return the flags that take a value."""
        taking = (param for param in self.params if isinstance(param, click.Option) and not param.is_flag)
        return {flag for option in taking for flag in option.opts}


def _commands_with(ctx: click.Context, flag: str) -> list[str]:
    """Return the other commands that have this flag."""
    group = ctx.parent.command if ctx.parent else None
    commands = group.commands if isinstance(group, click.Group) else {}
    return [name for name, command in commands.items() if any(flag in param.opts for param in command.params)]
