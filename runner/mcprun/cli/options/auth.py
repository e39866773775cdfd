"""Authorization options for a server at a URL, shared by all commands that connect to one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from mcprun.cli.completion import files
from mcprun.cli.options.option import Heading, option
from mcprun.cli.options.types import option_type
from mcprun.config.option_table import ALGORITHMS

_Command = TypeVar("_Command", bound=Callable[..., Any])

SECRETS = ("token", "oauth_client_secret", "oauth_assertion")
"""Parameters whose values are kept out of all files and messages; each may be `env:NAME`."""

CLIENT_ID = option(
    "--oauth-client-id",
    heading=Heading.AUTHENTICATION,
    type=option_type("oauth_client_id"),
    metavar="ID",
    help="OAuth client id",
    details="OAuth client id, as registered at the authorization server.",
)
CLIENT_SECRET = option(
    "--oauth-client-secret",
    heading=Heading.AUTHENTICATION,
    type=option_type("oauth_client_secret"),
    metavar="TEXT",
    help="OAuth client secret, or env:NAME",
    details="OAuth client secret. Prefer MCPRUN_OAUTH_CLIENT_SECRET or env:NAME to a value here.",
)
SCOPE = option(
    "--oauth-scope",
    heading=Heading.AUTHENTICATION,
    type=option_type("oauth_scope"),
    metavar="SCOPES",
    help="Scopes to request",
    details="OAuth scopes to request, separated by spaces.",
    default_text="those the server requires",
)
ISSUER = option(
    "--oauth-issuer",
    heading=Heading.AUTHENTICATION,
    type=option_type("oauth_issuer"),
    metavar="URL",
    help="Authorization server",
    details="Use only this authorization server.",
    default_text="the one the server names",
)
_TOKEN = option(
    "--token",
    heading=Heading.AUTHENTICATION,
    type=option_type("token"),
    metavar="TOKEN",
    help="Bearer token for a server at a URL, or env:NAME",
    details="Bearer token for a server at a URL. Prefer MCPRUN_TOKEN or env:NAME to a value here.",
)
_PRIVATE_KEY = option(
    "--oauth-private-key",
    heading=Heading.AUTHENTICATION,
    type=option_type("oauth_private_key"),
    metavar="FILE",
    shell_complete=files,
    help="PEM file with the client's private key",
    details="PEM file with the OAuth client's private key, instead of a secret (RFC 7523).",
)
_ALGORITHM = option(
    "--oauth-algorithm",
    heading=Heading.AUTHENTICATION,
    type=option_type("oauth_algorithm"),
    metavar="NAME",
    help="Signature algorithm, such as ES256",
    details=f"Signature algorithm for the private key: {', '.join(ALGORITHMS[:-1])} or {ALGORITHMS[-1]}.",
    default_text="the one that fits the key",
)
_ASSERTION = option(
    "--oauth-assertion",
    heading=Heading.AUTHENTICATION,
    type=option_type("oauth_assertion"),
    metavar="JWT",
    help="Identity assertion (SEP-990), or env:NAME",
    details="Identity assertion of an identity provider (SEP-990). Prefer MCPRUN_OAUTH_ASSERTION or env:NAME to a"
    " value here.",
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
"""The parameters that `authorization` adds. The fields of `engine.options.Options` have the same names."""


def authorization(command: _Command) -> _Command:
    """Add the options for a bearer token, and for OAuth without user interaction, to a command."""
    added = (_TOKEN, CLIENT_ID, CLIENT_SECRET, _PRIVATE_KEY, _ALGORITHM, _ASSERTION, SCOPE, ISSUER)
    for add in reversed(added):
        command = add(command)
    return command
