"""Turn SERVER and the options about it into a target, a redactor of its secrets, and the client features to declare."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from mcprun._util.json_value import JsonObject
from mcprun._util.network import check_network
from mcprun._util.url_secrets import url_secrets
from mcprun.client.oauth_client import client_from_options, resolve_secret
from mcprun.client.request_owner import ClientFeatures
from mcprun.client.server_argument import check_command, parse_target
from mcprun.client.target import (
    HttpTarget,
    InProcessTarget,
    StdioTarget,
    Target,
    secrets_of,
    variables_of,
    with_authorization,
    with_more,
    with_start_options,
)
from mcprun.config.option_table import SERVER
from mcprun.config.project import environment
from mcprun.engine.options import Options
from mcprun.errors import UsageError
from mcprun.models.credentials import Credentials
from mcprun.option_kinds import type_name, validate_option
from mcprun.runs.redaction import Redactor

if TYPE_CHECKING:
    from mcprun.engine.options import AnyServer


def resolve_server(server: AnyServer, options: Options, account: Credentials) -> tuple[Target, Redactor]:
    """Return the target that SERVER and its options describe, and a redactor of secrets. Raises `UsageError`."""
    if isinstance(server, str | PathLike):
        target = parse_target(validate_option("server", SERVER, server), options.server_args, options.cwd)
    else:
        target = _in_process(server)
    target = with_start_options(target, python=options.python, cwd=options.cwd, scratch=options.scratch)
    env = {name: value for file in options.env_files for name, value in variables_of(file).items()}
    target = with_more(target, env={**env, **options.env}, headers=options.headers)
    if isinstance(target, StdioTarget):
        target = replace(target, warnings=(*target.warnings, *_empty_variables(options.env)))
    check_command(target)
    if isinstance(target, HttpTarget):
        check_network()
    variables = environment()
    client = client_from_options(
        variables,
        client_id=options.oauth_client_id,
        client_secret=options.oauth_client_secret,
        private_key=options.oauth_private_key,
        algorithm=options.oauth_algorithm,
        assertion=options.oauth_assertion,
        scope=options.oauth_scope,
        issuer=options.oauth_issuer,
    )
    target = with_authorization(target, token=resolve_secret("--token", options.token, variables), client=client)
    secrets = [*account.secrets, *url_secrets(options.base_url or ""), *secrets_of(target)]
    return target, Redactor(secrets, options.redact)


def _empty_variables(env: Mapping[str, str]) -> Iterator[str]:
    """Yield a warning for each variable that is copied from this environment, and is empty there."""
    for name, value in env.items():
        if not value and os.environ.get(name) == "":
            yield f"--env {name}: the variable is empty in this environment, and the server gets it so"


def _in_process(server: object) -> InProcessTarget:
    """Return the target for a server object of the MCP SDK. Raises `UsageError` for any other object.

    The SDK is not imported here: if the object is an instance of one of its classes, it already has been.
    """
    sdk = sys.modules.get("mcp.server")
    if sdk is None or not isinstance(server, sdk.MCPServer | sdk.Server):
        expected = "a file, a URL, a command line, or a server of the MCP SDK"
        raise UsageError(f"server must be {expected}, not {type_name(server)}")
    return InProcessTarget(server)


def client_features(options: Options) -> ClientFeatures:
    """Return the client features to declare to servers. Raises `UsageError` if a root is not a directory."""
    return ClientFeatures(
        elicit=options.elicit,
        sampling=options.limits.max_sampling > 0,
        roots=tuple(map(_root, options.roots)),
        log_level=options.log_level,
    )


def _root(folder: str) -> JsonObject:
    """Return the MCP `Root` of a directory: a `file:` URI and a name. Raises `UsageError` if it is not one."""
    path = Path(folder).resolve()
    if not path.is_dir():
        raise UsageError(f"--root {folder}: no such folder")
    return {"uri": path.as_uri(), "name": path.name or str(path)}
