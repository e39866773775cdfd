"""Authorization options for a server at a URL, shared by all commands that connect to one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from mcprun.cli.completion import files
from mcprun.cli.options.types import option_type

_Command = TypeVar("_Command", bound=Callable[..., Any])

SECRETS = ("token", "oauth_client_secret", "oauth_assertion")
"""Parameters whose values are kept out of all files and messages; each may be `env:NAME`."""

_NOT_HERE = " Better in the environment ({variable}), or as env:NAME."

CLIENT_ID = click.option(
    "--oauth-client-id",
    type=option_type("oauth_client_id"),
    metavar="ID",
    help="The client's id, as it is registered at the authorization server.",
)
CLIENT_SECRET = click.option(
    "--oauth-client-secret",
    type=option_type("oauth_client_secret"),
    metavar="SECRET|env:NAME",
    help="Its secret." + _NOT_HERE.format(variable="MCPRUN_OAUTH_CLIENT_SECRET"),
)
SCOPE = click.option(
    "--oauth-scope",
    type=option_type("oauth_scope"),
    metavar="SCOPES",
    help="Ask for these scopes, with spaces between them.  [default: those that the server asks for]",
)
ISSUER = click.option(
    "--oauth-issuer",
    type=option_type("oauth_issuer"),
    metavar="URL",
    help="Ask this authorization server and no other.  [default: the one that the server names]",
)
_TOKEN = click.option(
    "--token",
    type=option_type("token"),
    metavar="TOKEN|env:NAME",
    help="Show a server at a URL this bearer token." + _NOT_HERE.format(variable="MCPRUN_TOKEN"),
)
_PRIVATE_KEY = click.option(
    "--oauth-private-key",
    type=option_type("oauth_private_key"),
    metavar="FILE",
    shell_complete=files,
    help="In place of a secret: the private key that the client signs with, in PEM (RFC 7523).",
)
_ALGORITHM = click.option(
    "--oauth-algorithm", type=option_type("oauth_algorithm"), help="What it signs with.  [default: what fits the key]"
)
_ASSERTION = click.option(
    "--oauth-assertion",
    type=option_type("oauth_assertion"),
    metavar="JWT|env:NAME",
    help="What an identity provider says of whom the client acts for (SEP-990)."
    + _NOT_HERE.format(variable="MCPRUN_OAUTH_ASSERTION"),
)

NAMES = (
    "token",
    "oauth_client_id",
    "oauth_client_secret",
    "oauth_private_key",
    "oauth_algorithm",
    "oauth_assertion",
    "oauth_scope",
    "oauth_issuer",
)
"""The parameters that `authorization` adds. The fields of `engine.plan.Options` have the same names."""


def authorization(command: _Command) -> _Command:
    """Add the options for a bearer token, and for OAuth without user interaction, to a command."""
    added = (_TOKEN, CLIENT_ID, CLIENT_SECRET, _PRIVATE_KEY, _ALGORITHM, _ASSERTION, SCOPE, ISSUER)
    for option in reversed(added):
        command = option(command)
    return command
