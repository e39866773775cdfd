"""Usage errors that never repeat a value, because a misplaced value may be a secret."""

from __future__ import annotations

import click

from mcprun.cli.help import HeadedCommand


class DiscreetCommand(HeadedCommand):
    """A command whose errors name options and count arguments, but never repeat a value."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the command line. Raises `click.UsageError` without the extra arguments, which click would repeat."""
        ctx.allow_extra_args = True
        try:
            rest = super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            flag_prefix = next((flag for flag in self._flags() if error.option_name.startswith(flag)), None)
            if flag_prefix is None:
                raise
            raise click.UsageError(
                f"No such option: {flag_prefix}…; put a space or = between {flag_prefix} and its value", ctx
            ) from None
        if ctx.args and not ctx.resilient_parsing:
            words = "1 unexpected argument" if len(ctx.args) == 1 else f"{len(ctx.args)} unexpected arguments"
            raise click.UsageError(f"Got {words}; quote values that contain spaces", ctx)
        return rest

    def _flags(self) -> list[str]:
        """Return the options that take a value, longest first."""
        taking = (param for param in self.params if isinstance(param, click.Option) and not param.is_flag)
        return sorted((flag for param in taking for flag in param.opts if flag.startswith("--")), key=len, reverse=True)
