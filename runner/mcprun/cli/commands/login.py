"""`mcprun login` and `mcprun logout`: store and delete the tokens of a server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mcprun.cli.configurable_command import ConfigurableCommand
from mcprun.cli.options import auth as auth_options
from mcprun.cli.options import limits as limit_options
from mcprun.cli.options import run as run_options
from mcprun.cli.options.option import Heading, option
from mcprun.cli.options.types import type_of
from mcprun.cli.usage_errors import DiscreetCommand
from mcprun.errors import ExitCode, UsageError
from mcprun.option_kinds import Amount, Whole

if TYPE_CHECKING:
    from mcprun.client.target import HttpTarget
    from mcprun.runs.redaction import Redactor

_LOGIN_TIMEOUT_SECONDS = 300.0


@click.command(
    cls=ConfigurableCommand,
    only=("oauth_client_id", "oauth_client_secret", "oauth_scope", "oauth_issuer", "header", "connect_timeout"),
    short_help="Log in to a server at a URL.",
)
@click.argument("server", metavar="SERVER", required=False)
@run_options.HEADER
@auth_options.CLIENT_ID
@auth_options.CLIENT_SECRET
@auth_options.SCOPE
@auth_options.ISSUER
@option(
    "--client-metadata-url",
    heading=Heading.AUTHENTICATION,
    metavar="URL",
    help="URL of the client metadata document",
    details="URL of the client metadata document, for authorization servers that support one.",
)
@option(
    "--no-browser",
    heading=Heading.OPTIONS,
    is_flag=True,
    help="Print the login URL; open no browser",
    details="Print the login URL instead of opening a browser; paste the URL it redirects to.",
)
@option(
    "--port",
    heading=Heading.OPTIONS,
    type=type_of(Whole(1, 65_535)),
    metavar="N",
    help="Local port for the redirect",
    details="Port of 127.0.0.1 to listen on for the redirect.",
    default_text="a free one",
)
@option(
    "--redirect-uri",
    heading=Heading.OPTIONS,
    metavar="URI",
    help="Redirect URI that is registered for the client",
    default_text="http://127.0.0.1:PORT/callback",
)
@option(
    "--timeout",
    heading=Heading.OPTIONS,
    type=type_of(Amount(86_400, "seconds")),
    default=_LOGIN_TIMEOUT_SECONDS,
    metavar="SECONDS",
    help="Time for the login",
    details="Time limit for the login.",
    default_text="5 min",
)
@option(
    "--list",
    "wants_list",
    heading=Heading.OPTIONS,
    is_flag=True,
    help="List the servers with stored tokens, and exit",
)
@limit_options.CONNECT_TIMEOUT
@click.pass_context
def login(ctx: click.Context, /, **parameters: Any) -> None:
    """Log in to SERVER, an http(s) URL or FILE.json#name, in a browser, and store the tokens for later runs.

    Other commands use and refresh the tokens; they never open a browser or prompt. Without a client id, mcprun
    identifies itself by --client-metadata-url, or registers at the authorization server.

    \b
      mcprun login https://example.com/mcp
      mcprun login https://example.com/mcp --no-browser
      mcprun login mcp.json#name --redirect-uri http://localhost:8080/callback
      mcprun login --list

    The BROWSER variable selects the browser, which is redirected to a port of this machine. If it runs elsewhere,
    paste the URL that it ends up at.

    Exits with 0 if the tokens are stored, with 2 for wrong usage, with 3 if the login fails.
    """
    from mcprun._util.url_secrets import without_secrets
    from mcprun.client.auth.token_store import TokenStore

    if parameters["wants_list"]:
        for key in TokenStore.find().all():
            click.echo(without_secrets(key.url) + (f"  ({key.client})" if key.client else ""))
        return
    from mcprun.cli.signals import run_to_end
    from mcprun.client.auth.login import LoginMethod, log_in
    from mcprun.client.connector import ConnectOptions
    from mcprun.client.inspect import list_server
    from mcprun.client.sdk_logging import sdk_logs
    from mcprun.engine.options import Options
    from mcprun.engine.server_options import resolve_server
    from mcprun.errors import RunError
    from mcprun.models.credentials import Credentials
    from mcprun.report.console import Console
    from mcprun.report.text import visible

    if parameters["server"] is None:
        raise click.UsageError("Missing argument 'SERVER'.")
    target, redactor = resolve_server(parameters["server"], Options(headers=parameters["header"]), Credentials.find())
    target = _reachable(target)
    client = _client(target, parameters, redactor)
    if ctx.obj.is_given("oauth_client_secret") and not client.client_id:
        raise click.UsageError("--oauth-client-secret requires --oauth-client-id")
    method = LoginMethod(
        opens_browser=not parameters["no_browser"],
        port=parameters["port"],
        redirect_uri=parameters["redirect_uri"],
        metadata_url=parameters["client_metadata_url"],
        timeout_s=parameters["timeout"],
    )

    def print_line(text: str) -> None:
        click.echo(visible(redactor.text(text)), err=True)

    console = Console(quiet=True)
    try:
        with sdk_logs(lambda _: None, redactor):
            where = run_to_end(
                log_in(target, client, method, store=TokenStore.find(), redactor=redactor, print_line=print_line)
            )
        click.echo(f"Logged in to {target}; the tokens are stored in {where}")
        record = run_to_end(list_server(target, redactor, ConnectOptions(timeout_s=parameters["connect_timeout"])))
    except RunError as error:
        console.run_error(RunError(error.kind, redactor.text(str(error)), stderr=error.stderr))
        ctx.exit(ExitCode.ERROR)
    count = len(record.tools)
    name = visible(f"{record.name or 'the server'} {record.version or ''}".strip())
    click.echo(f"{name} has {count} {'tool' if count == 1 else 'tools'}")


@click.command(cls=DiscreetCommand, short_help="Delete the tokens of a server.")
@click.argument("server", metavar="[SERVER]", required=False)
@option(
    "--all",
    "wants_all",
    heading=Heading.OPTIONS,
    is_flag=True,
    help="Delete the tokens of all servers",
)
def logout(server: str | None, wants_all: bool) -> None:
    """Delete the stored tokens of SERVER, for all clients. They are not revoked, but expire by themselves.

    Exits with 0, even if there were none.
    """
    from mcprun._util.url_secrets import without_secrets
    from mcprun.client.auth.stored_token import Key
    from mcprun.client.auth.token_store import TokenStore
    from mcprun.client.server_argument import parse_target

    if (server is None) != wants_all:
        raise click.UsageError("pass either SERVER or --all")
    store = TokenStore.find()
    url = Key.of(_reachable(parse_target(server)).url).url if server else None
    keys = [key for key in store.all() if url is None or key.url == url]
    for key in keys:
        store.forget(key)
        click.echo(f"Deleted the tokens of {without_secrets(key.url)}" + (f" ({key.client})" if key.client else ""))
    if not keys:
        click.echo("No tokens are stored.")


def _reachable(target: Any) -> HttpTarget:
    from mcprun.client.target import HttpTarget, has_credentials

    if not isinstance(target, HttpTarget):
        raise UsageError(f"{target} is a server that mcprun starts: only a server at a URL has a login")
    if has_credentials(target):
        raise UsageError(f"{target} is configured with an Authorization header, and needs no login")
    return target


def _client(target: HttpTarget, parameters: dict[str, Any], redactor: Redactor) -> Any:
    """Return the OAuth client from the options, else from the configuration."""
    from dataclasses import replace

    from mcprun.client.oauth_client import OAuthClient, resolve_secret
    from mcprun.config.project import environment

    client = target.registered or OAuthClient()
    if parameters["oauth_client_id"]:
        secret = resolve_secret("--oauth-client-secret", parameters["oauth_client_secret"], environment())
        client = replace(client, client_id=parameters["oauth_client_id"], client_secret=secret)
    client = replace(client, scope=parameters["oauth_scope"] or client.scope, issuer=parameters["oauth_issuer"])
    redactor.learn(client.secrets)
    return client
