"""Options for starting or connecting to a server, shared by `batch`, `chat` and `tools`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from mcprun.cli.options import auth as auth_options
from mcprun.cli.options import run as run_options

_Command = TypeVar("_Command", bound=Callable[..., Any])

NAMES = ("env", "header", *auth_options.NAMES, "env_files", "cwd", "python", "protocol")
"""The parameters that `reaching` adds."""

_ALL = (
    run_options.ENV,
    run_options.HEADER,
    auth_options.authorization,
    run_options.ENV_FILE,
    run_options.CWD,
    run_options.PYTHON,
    run_options.PROTOCOL,
)


def reaching(command: _Command) -> _Command:
    """Add the options for starting or connecting to a server, authorization included, to a command."""
    for option in reversed(_ALL):
        command = option(command)
    return command
