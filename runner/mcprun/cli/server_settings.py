"""Leave out settings of a project or its environment that do not apply to the kind of server that a command names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mcprun.cli.options.auth import NAMES as AUTHORIZATION

if TYPE_CHECKING:
    from mcprun.cli.argument_sources import Arguments
    from mcprun.client.target import Target

STARTING = frozenset({"env", "env_files", "cwd", "python", "scratch", "server_args"})
"""Parameters that apply only to a server that mcprun starts."""

REACHING = frozenset({"header", *AUTHORIZATION})
"""Parameters that apply only to a server at a URL."""


def applicable(configured: Arguments, server: str | None) -> Arguments:
    """Return the configured arguments without those that do not apply to SERVER.

    One project may have several servers. A flag that does not apply is an error, which the caller reports, and so is a
    SERVER that can't be parsed.
    """
    if server is None or not configured.values.keys() & (STARTING | REACHING):
        return configured
    from mcprun.client.server_argument import parse_target
    from mcprun.errors import UsageError

    try:
        target = parse_target(server)
    except UsageError:
        return configured
    unfit = {*_unfit(target)}
    return type(configured)(
        {name: value for name, value in configured.values.items() if name not in unfit},
        {name: origin for name, origin in configured.origins.items() if name not in unfit},
    )


def _unfit(target: Target) -> Iterator[str]:
    from mcprun.client.target import StdioTarget, accepts_python, can_use_scratch

    if not isinstance(target, StdioTarget):
        yield from STARTING
        return
    yield from REACHING
    if not accepts_python(target):
        yield "python"
    if not can_use_scratch(target):
        yield "scratch"
