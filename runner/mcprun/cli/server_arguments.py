"""Accept arguments for the server after `--`."""

from __future__ import annotations

import click

from mcprun.cli.usage_errors import DiscreetCommand, UnknownArgument

_QUOTES = 'Quote a server\'s command line ("npx -y some-server"), or put its arguments after --'

_LAUNCHERS = frozenset({
    "bun", "bunx", "cargo", "deno", "docker", "dotnet", "go", "java", "node", "npm", "npx", "php", "pipx", "pnpm",
    "podman", "poetry", "py", "python", "python3", "ruby", "tsx", "uv", "uvx", "yarn",
})  # fmt: skip
"""Programs that start a server only with arguments."""


class WithServerArgs(DiscreetCommand):
    """A command that accepts arguments for the server after `--`, and stores them in `ctx.meta`."""

    KEY = "mcprun.server_args"

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the command line up to `--`. An error for an unknown argument mentions the server's arguments."""
        if "--" in args:
            at = args.index("--")
            args, ctx.meta[self.KEY] = args[:at], tuple(args[at + 1 :])
        if launcher := self._unquoted(args):
            raise click.UsageError(f"{launcher} alone starts no server. {_QUOTES}", ctx)
        try:
            return super().parse_args(ctx, args)
        except UnknownArgument as error:
            raise click.UsageError(f"{error.message.rstrip('.')}. {_QUOTES}", ctx) from None

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Add the server's arguments to the usage line."""
        return [*super().collect_usage_pieces(ctx), "[-- SERVER_ARGS...]"]

    def _unquoted(self, args: list[str]) -> str | None:
        """Return the first word of a command line that is not quoted, such as `python` in `python -m server`.

        Its options would be taken for those of mcprun.
        """
        with_values = self.flags_with_values()
        places = [
            place
            for place, (before, word) in enumerate(zip(["", *args], args, strict=False))
            if not word.startswith("-") and before not in with_values
        ]
        arguments = [param.name for param in self.params if isinstance(param, click.Argument)]
        server = dict(zip(arguments, places, strict=False)).get("server", len(args))
        is_followed = server < len(args) - 1
        return args[server] if is_followed and args[server] in _LAUNCHERS else None
