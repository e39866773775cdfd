"""The command that compares with a baseline, as it is printed after `mcprun bless`."""

from __future__ import annotations

import shlex
from collections.abc import Collection
from typing import Any

from mcprun.errors import REDACTED
from mcprun.report.reproduce import MODEL_ONLY, repeated_flags
from mcprun.runs.run import Run


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
    is_ours = run.record.model.kind == "script" or not is_slim  # then the command's model is no API's
    flags = repeated_flags(arguments, {*configured, *(MODEL_ONLY if is_ours else ())})
    words += [flags.lstrip()] if flags else []
    if rest := arguments.get("server_args"):
        words += ["--", *(_word(one, "ARG") for one in rest)]
    return " ".join(words)


def _word(value: Any, placeholder: str) -> str:
    """Return a value as a word of a shell, or the placeholder if there is none or it contains a secret."""
    return shlex.quote(placeholder if value is None or REDACTED in str(value) else str(value))
