"""The `arguments` of `run.json`: what a run was asked to do, by the names of the command's parameters, without secrets.

Of a variable, a header or a token, the name is recorded and the value is not. A secret that a variable of this
environment holds is recorded as that variable.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

from mcprun._util.json_value import JsonObject
from mcprun._util.url_secrets import without_secrets
from mcprun.client.oauth_client import recorded_form
from mcprun.config.option_table import KEYS
from mcprun.config.project import environment
from mcprun.engine.options import Options
from mcprun.errors import REDACTED
from mcprun.limits import Limits
from mcprun.runs.literal_patterns import shown_pattern

SECRETS = ("token", "oauth_client_secret", "oauth_assertion")
"""Options whose whole value is a secret."""

_URLS = frozenset({"server", "base_url"})
_SERVER_ARGS = "server_args"


def recorded_arguments(values: Mapping[str, Any]) -> JsonObject:
    """Return arguments as `run.json` records them: JSON values without secrets, and no empty `server_args`."""
    written: JsonObject = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
    if not written.get(_SERVER_ARGS, True):
        del written[_SERVER_ARGS]
    if "env" in written:  # a value that is in the environment can be read again on resume
        written["env"] = [
            name if os.environ.get(name) == value else f"{name}={REDACTED}" for name, value in written["env"].items()
        ]
    for name in {"header", "redact", *_URLS, *SECRETS} & written.keys():
        written[name] = without_secret(name, written[name])
    return written


def option_arguments(options: Options) -> JsonObject:
    """Return the options that are not the default, as `run.json` records them."""
    named = {"header" if name == "headers" else name: value for name, value in _changed(options).items()}
    limits = named.pop("limits", None)
    named |= {KEYS[name]: value for name, value in _changed(limits).items()} if limits else {}
    if _SERVER_ARGS in named:
        named[_SERVER_ARGS] = without_secret(_SERVER_ARGS, named[_SERVER_ARGS])
    return recorded_arguments(named)


def without_secret(name: str, value: Any) -> Any:
    """Return a parameter's value with secrets redacted."""
    if value is None:
        return None
    if name == "env":
        return [f"{one}={REDACTED}" for one in value]
    if name == "redact":
        return [shown_pattern(one) for one in value]
    if name == "header":
        return [f"{one}: {REDACTED}" for one in value]
    if name in SECRETS:
        return recorded_form(name, value, environment())
    if name == _SERVER_ARGS:
        return [without_secrets(one) if "://" in one else one for one in value]
    return without_secrets(value) if isinstance(value, str) and "://" in value else value


def _changed(options: Options | Limits) -> dict[str, Any]:
    """Return the fields that differ from their defaults."""
    found = {}
    for field in fields(options):
        default = field.default_factory() if field.default_factory is not MISSING else field.default
        value = getattr(options, field.name)
        if value != default and not (isinstance(value, tuple | list) and not value):
            found[field.name] = value
    return found
