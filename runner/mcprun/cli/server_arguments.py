"""Accept arguments for the server after `--`."""

from __future__ import annotations

import click

from mcprun.cli.usage_errors import DiscreetCommand

_QUOTES = 'Quote a server\'s command line ("npx -y some-server"), or put its arguments after --'


class WithServerArgs(DiscreetCommand):
    """A command that accepts arguments for the server after `--`, and stores them in `ctx.meta`."""

    KEY = "mcprun.server_args"

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the command line up to `--`. An error for an unknown argument mentions the server's arguments."""
        if "--" in args:
            at = args.index("--")
            args, ctx.meta[self.KEY] = args[:at], tuple(args[at + 1 :])
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            is_unknown = isinstance(error, click.NoSuchOption) and not error.possibilities
            if is_unknown or type(error) is click.UsageError:  # the latter: too many arguments
                raise click.UsageError(f"{error.message.rstrip('.')}. {_QUOTES}", ctx) from None
            raise

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Add the server's arguments to the usage line."""
        return [*super().collect_usage_pieces(ctx), "[-- SERVER_ARGS...]"]
