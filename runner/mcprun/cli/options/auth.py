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

CLIENT_ID = click.option(
    "--oauth-client-id",
    type=option_type("oauth_client_id"),
    metavar="ID",
    help="OAuth client id, as registered at the authorization server.",
)
CLIENT_SECRET = click.option(
    "--oauth-client-secret",
    type=option_type("oauth_client_secret"),
    metavar="SECRET|env:NAME",
    help="OAuth client secret. Prefer MCPRUN_OAUTH_CLIENT_SECRET or env:NAME to a value here.",
)
SCOPE = click.option(
    "--oauth-scope",
    type=option_type("oauth_scope"),
    metavar="SCOPES",
    help="OAuth scopes to request, separated by spaces.  [default: those that the server requires]",
)
ISSUER = click.option(
    "--oauth-issuer",
    type=option_type("oauth_issuer"),
    metavar="URL",
    help="Use only this authorization server.  [default: the one that the server names]",
)
_TOKEN = click.option(
    "--token",
    type=option_type("token"),
    metavar="TOKEN|env:NAME",
    help="Bearer token for a server at a URL. Prefer MCPRUN_TOKEN or env:NAME to a value here.",
)
_PRIVATE_KEY = click.option(
    "--oauth-private-key",
    type=option_type("oauth_private_key"),
    metavar="FILE",
    shell_complete=files,
    help="PEM file with the OAuth client's private key, instead of a secret (RFC 7523).",
)
_ALGORITHM = click.option(
    "--oauth-algorithm",
    type=option_type("oauth_algorithm"),
    help="Signature algorithm for the private key.  [default: the one that fits the key]",
)
_ASSERTION = click.option(
    "--oauth-assertion",
    type=option_type("oauth_assertion"),
    metavar="JWT|env:NAME",
    help="Identity assertion of an identity provider (SEP-990). Prefer MCPRUN_OAUTH_ASSERTION or env:NAME to a value"
    " here.",
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
