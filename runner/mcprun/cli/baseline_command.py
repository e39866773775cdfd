"""The command that compares with a baseline, as it is printed after `mcprun bless`."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator
from typing import Any

from mcprun.errors import REDACTED
from mcprun.runs.run import Run

_FLAGS = ("python", "cwd", "protocol", "elicit", "servers", "concurrency")
_SWITCHES = ("fresh_server", "scratch", "read_only", "allow_tool_errors")
_LISTS = {
    "env": "env", "env_files": "env-file", "roots": "root", "scrub": "scrub", "ignore": "ignore",
    "ignore_order": "ignore-order",
}  # fmt: skip
"""Recorded arguments that say how a server is started and compared: those with a value, switches, and lists."""


def baseline_command(run: Run, baseline: str, configured: Collection[str] = (), *, is_slim: bool = False) -> str:
    """Return the command that runs the queries of a run again and compares them with a baseline of it.

    Arguments that can't be printed, such as a server that contains a secret, are named in capitals. `configured` are
    keys of options that the project's configuration sets, which the command need not repeat. A run of scripts uses
    its scripts again: they read ids from new results (`$from`), where a replay would send the recorded ones.
    Other runs are replayed, unless the baseline is slim.
    """
    arguments = run.record.arguments
    prompts = arguments.get("prompts")
    words = ["mcprun", "batch", _word(prompts if prompts != "-" else None, "PROMPTS")]
    words.append(_word(arguments.get("server"), "SERVER"))
    if run.record.model.kind == "script":
        words += ["--model", "script"]
    elif not is_slim:
        words += ["--model", _word(f"replay:{baseline}", "")]
    words += ["--baseline", _word(baseline, "")]
    words += _options({name: value for name, value in arguments.items() if name not in configured})
    if rest := arguments.get("server_args"):
        words += ["--", *(_word(one, "ARG") for one in rest)]
    return " ".join(words)


def _options(arguments: dict[str, Any]) -> Iterator[str]:
    for name in _SWITCHES:
        if arguments.get(name) is True:
            yield f"--{name.replace('_', '-')}"
    for name in _FLAGS:
        if name in arguments:
            yield from (f"--{name.replace('_', '-')}", _word(arguments[name], name.upper()))
    for name, flag in _LISTS.items():
        for value in arguments.get(name) or ():
            yield from (f"--{flag}", _word(str(value).removesuffix(f"={REDACTED}"), flag.upper()))


def _word(value: Any, placeholder: str) -> str:
    """Return a value as a word of a shell, or the placeholder if there is none or it contains a secret."""
    if value is None or REDACTED in str(value):
        return placeholder
    return shlex.quote(str(value))
