"""The options that say how a server is reached, which `batch`, `chat` and `tools` share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from mcprun.cli import authoptions, options

_Command = TypeVar("_Command", bound=Callable[..., Any])

NAMES = ("env", "header", *authoptions.NAMES, "env_files", "cwd", "python", "protocol")
"""The parameters that `reaching` adds."""

_ALL = (
    options.ENV,
    options.HEADER,
    authoptions.authorization,
    options.ENV_FILE,
    options.CWD,
    options.PYTHON,
    options.PROTOCOL,
)


def reaching(command: _Command) -> _Command:
    """Give a command the options for starting a server or reaching one, with what it wants to be shown."""
    for option in reversed(_ALL):
        command = option(command)
    return command
