"""The options of a run that influence its verdicts: which queries run, what answers them, and how they are checked.

Runs that differ in these options can't be parts of one run, since their verdicts would not be comparable. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from mcprun._util.json_value import JsonObject
from mcprun.runs.run_record import RunRecord
from mcprun.tools.toolset import changes

RULES: Mapping[str, Any] = {
    "filters": (), "limit": None, "repeat": 1, "pass_rate": None, "allow_tool_errors": False, "allow_tool": (),
    "deny_tool": (), "read_only": False, "on_divergence": "continue", "scrub": (), "ignore": (), "ignore_order": (),
    "system": None, "effort": None, "thinking": None, "tool_choice": None, "bare_api": False, "elicit": "decline",
    "roots": (), "protocol": "auto", "fresh_server": False, "scratch": False, "server_args": (), "route": False,
    "decoys": (),
}  # fmt: skip
"""These options by their name in the `arguments` of `run.json`, with their defaults, which are not stored there."""

_JUDGING = ("allow_tool_errors", "allow_tool", "deny_tool", "read_only", "on_divergence", "route", "decoys")
_COMPARING = ("scrub", "ignore", "ignore_order")
"""Rules for the verdict of a conversation, and rules for comparing a replayed call with the recording."""

_ORDERED = frozenset({"server_args"})

_FLAGS = {"filters": "--filter", "roots": "--root", "server_args": "the server's command line"}

LIMITS: Mapping[str, str] = {
    "max_turns": "--max-turns", "max_calls": "--max-calls", "max_sampling": "--max-sampling",
    "max_tokens": "--max-tokens", "max_result_bytes": "--max-result-bytes", "request_seconds": "--request-timeout",
    "call_seconds": "--call-timeout", "max_call_seconds": "--max-call-timeout", "query_seconds": "--query-timeout",
}  # fmt: skip
"""Flags of the limits of one query, by their names in `run.json`.

Limits of a whole run are not compared: reaching one skips queries, which is visible.
"""

_LOOPBACK = ("localhost", "127.0.0.1", "::1")

_FOLDERS = re.compile(r"(?:[A-Za-z]:)?(?:[^\s/\\]*[/\\])+")


def as_arguments(rules: Mapping[str, Any]) -> JsonObject:
    """Return the rules that differ from their defaults, in the form of the `arguments` of `run.json`."""
    named = {name: _as_list(rules[name]) for name in RULES if name in rules}
    return {name: value for name, value in named.items() if value != _as_list(RULES[name])}


def changed_rule(before: JsonObject, after: JsonObject, kind: str) -> str:
    """Return the first flag that influences a verdict and differs between the arguments of two runs; empty if none.

    `kind` is the kind of the model: `--scrub`, `--ignore` and `--ignore-order` count only for `replay`.
    """
    names = (*_JUDGING, *_COMPARING) if kind == "replay" else _JUDGING
    return next((_flag(name) for name in names if _rule(before, name) != _rule(after, name)), "")


def difference(before: RunRecord, after: RunRecord) -> str:
    """Describe the first rule, model, limit, version or server that differs between two runs; empty if none does."""
    for name in RULES:
        if _rule(before.arguments, name) != _rule(after.arguments, name):
            return f"{_flag(name)} differs"
    if (before.model.kind, _model(before)) != (after.model.kind, _model(after)):
        return f"the model differs ({before.model.name} and {after.model.name})"
    if before.judge and after.judge and before.judge.name != after.judge.name:
        return f"--judge-model differs ({before.judge.name} and {after.judge.name})"
    for name, flag in LIMITS.items():
        if name in before.limits and name in after.limits and before.limits[name] != after.limits[name]:
            return f"{flag} differs ({before.limits[name]} and {after.limits[name]})"
    if before.versions.get("mcprun") != after.versions.get("mcprun"):
        return f"the version of mcprun differs ({before.versions.get('mcprun')} and {after.versions.get('mcprun')})"
    return _server_difference(before, after)


def _server_difference(before: RunRecord, after: RunRecord) -> str:
    """Describe how two servers differ; empty if they do not. Paths and local ports may differ between machines."""
    one, other = before.server, after.server
    if one and other:
        if (one.name, one.version) != (other.name, other.version):
            return f"the server differs ({one.name} {one.version} and {other.name} {other.version})"
        if changed := changes(one.tools, other.tools):
            return f"the server's tools differ ({changed})"
    started = [_server(record.arguments) for record in (before, after)]
    if started[0] != started[1]:
        return f"the server differs ({before.arguments.get('server')} and {after.arguments.get('server')})"
    names = [sorted(_names(record.arguments)) for record in (before, after)]
    return "the names in --env or --header differ" if names[0] != names[1] else ""


def _rule(arguments: JsonObject, name: str) -> Any:
    value = arguments.get(name, RULES[name])
    if isinstance(value, tuple | list):
        return list(value) if name in _ORDERED else sorted({str(one) for one in value})
    return value


def _as_list(value: Any) -> Any:
    return list(value) if isinstance(value, tuple | list) else value


def _flag(name: str) -> str:
    return _FLAGS.get(name, f"--{name.replace('_', '-')}")


def _model(record: RunRecord) -> str:
    """Return the model's name, or an empty string for a recording, whose path may differ between machines."""
    return record.model.name if record.model.kind != "replay" else ""


def _server(arguments: JsonObject) -> str:
    """Return a server's command line or URL, without directories and without the port of a local one."""
    server = str(arguments.get("server", ""))
    if "://" not in server:
        return _FOLDERS.sub("", server)
    url = urlsplit(server)
    return urlunsplit(url._replace(netloc="localhost")) if url.hostname in _LOOPBACK else server


def _names(arguments: JsonObject) -> set[str]:
    """Return the names of the variables and headers given to the server. Their values are not stored."""
    variables = [str(one).partition("=")[0] for one in arguments.get("env", ())]
    return {*variables, *(f"{str(one).partition(':')[0].lower()}:" for one in arguments.get("header", ()))}
