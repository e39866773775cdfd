"""Define all options and the kinds of their values: one table for flags, variables, files and Python."""

from __future__ import annotations

from collections.abc import Mapping

from mcprun import limits
from mcprun.limits import AUTO, LEAST_THINKING, LEGACY, MODERN
from mcprun.option_kinds import (
    Amount,
    Headers,
    Kind,
    Listed,
    OneOf,
    Pattern,
    Share,
    Switch,
    Text,
    Thinking,
    Variables,
    Whole,
)

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Signature algorithms of an assertion (RFC 7518, section 3.1; RFC 8037): private keys, never a shared secret."""

_FILE, _SWITCH, _TEXTS = Text("file"), Switch(), Listed()

ALPHA = Amount(1)

SERVER = Text("server", may_be_empty=True)  # parse_target rejects an empty one

OPTIONS: Mapping[str, Kind] = {
    "model": Text("model"),
    "judge_model": Text(),
    "batch_api": _SWITCH,
    "base_url": Text(),
    "effort": OneOf(("low", "medium", "high", "xhigh", "max")),
    "thinking": Thinking(LEAST_THINKING),
    "tool_choice": Text(),
    "bare_api": _SWITCH,
    "system": Text(may_be_empty=True),
    "filters": _TEXTS,
    "limit": Whole(),
    "shard": Text(),
    "repeat": Whole(1, limits.MAX_REPEATS),
    "pass_rate": Amount(1),
    "allow_tool_errors": _SWITCH,
    "allow_tool": _TEXTS,
    "deny_tool": _TEXTS,
    "read_only": _SWITCH,
    "env": Variables(),
    "headers": Headers(),
    "token": Text(),
    "oauth_client_id": Text(),
    "oauth_client_secret": Text(),
    "oauth_private_key": _FILE,
    "oauth_algorithm": OneOf(ALGORITHMS),
    "oauth_assertion": Text(),
    "oauth_scope": Text(),
    "oauth_issuer": Text(),
    "server_args": Listed(Text(may_be_empty=True)),
    "env_files": Listed(_FILE),
    "cwd": _FILE,
    "python": Text("command"),
    "scratch": _SWITCH,
    "protocol": OneOf((AUTO, LEGACY, MODERN)),
    "elicit": OneOf(("decline", "defaults", "script")),
    "roots": Listed(_FILE),
    "log_level": OneOf(("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")),
    "servers": Whole(1, 1_000),
    "fresh_server": _SWITCH,
    "redact": _TEXTS,
    "on_divergence": OneOf(("continue", "fail", "stop")),
    "scrub": _TEXTS,
    "ignore": _TEXTS,
    "ignore_order": _TEXTS,
    "baseline": Text("run"),
    "alpha": ALPHA,
    "min_coverage": Share(),
    "require": _TEXTS,
    "waive": Listed(Pattern()),
    "route": _SWITCH,
    "decoys": Listed(_FILE),
    "out": _FILE,
    "otel": _SWITCH,
    "ray": Text(),
    "ray_actors": Whole(1, 10_000),
}
"""The fields of `engine.options.Options`, except for its limits."""

COMMANDS: Mapping[str, Kind] = {
    "prompts": _FILE,
    "server": SERVER,
    "no_retry": _SWITCH,
    "html": _FILE,
    "junit": _FILE,
    "markdown": _FILE,
    "csv": _FILE,
    "tap": _FILE,
    "github": _SWITCH,
    "quiet": _SWITCH,
    "verbose": _SWITCH,
}
"""Options that only commands have, and that a project may set."""

_KEYS = {
    "connect_seconds": "connect_timeout",
    "request_seconds": "request_timeout",
    "call_seconds": "call_timeout",
    "max_call_seconds": "max_call_timeout",
    "query_seconds": "query_timeout",
    "run_seconds": "run_timeout",
    "retry_wait_seconds": "max_retry_wait",
    "filters": "filter",
    "headers": "header",
    "env_files": "env_file",
    "roots": "root",
}

KEYS: Mapping[str, str] = {name: _KEYS.get(name, name) for name in (*limits.KINDS, *OPTIONS, *COMMANDS)}
"""The key of each option: the name of its flag with underscores. Files and variables use it too."""

KINDS: Mapping[str, Kind] = {KEYS[name]: kind for name, kind in {**limits.KINDS, **OPTIONS, **COMMANDS}.items()}
"""The kind of each option by its key."""
