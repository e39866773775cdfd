"""Turn the errors of pydantic for a query into messages that name the field as the user wrote it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcprun._util.json_value import describe_kind
from mcprun._util.similar_names import similar_name
from mcprun.checks.expect import Part
from mcprun.prompts import aliases
from mcprun.prompts.aliases import Problem

_MEANT = {
    ("Query", "setup"): "did you mean 'before'?",
    ("Query", "preconditions"): "did you mean 'before'?",
    ("Query", "steps"): "did you mean 'before', 'after' or 'cleanup'?",
    ("Query", "verify"): "did you mean 'after'?",
    ("Query", "teardown"): "did you mean 'cleanup'?",
    ("Step", "expect"): "in a step, put 'result', 'text' and 'is_error' beside 'tool'",
    ("Step", "uri"): "did you mean 'resource'?",
    ("Step", "output"): "did you mean 'result'?",
    ("Step", "calls"): "a step is a single call, with 'tool' and 'input'",
    **{("Step", key): f"did you mean 'text': {{'{key}': …}}?" for key in ("contains", "regex", "equals")},
}
"""What to do about keys of other harnesses, or of other places in a query, by the class of the part and the key."""

Parts = Mapping[tuple[str, ...], type[Part]]
"""The classes of a query's parts by their path, without indexes: `("script", "calls")`."""


def problem_of(detail: dict[str, Any], line: aliases.Canonical, parts: Parts) -> Problem:
    """Convert a pydantic error to a field and a message. `parts` are the parts of a query by their path."""
    location, written = detail["loc"], line.written
    kind, message = detail["type"], detail["msg"]
    field = written_path(_as_written(location, line.value), written)
    if kind == "extra_forbidden":
        return field, _unknown_key(location, parts)
    if kind == "missing":
        return field, "is missing"
    if kind == "value_error":
        message = message.removeprefix("Value error, ")
        if not location and ": " in message:  # the whole query's own check names its field
            name, _, message = message.partition(": ")
            return written.get(name, name), message
        return field or "line", message
    if kind in ("model_type", "dict_type"):
        return field, f"must be an object, not {describe_kind(detail['input'])}"
    if kind.endswith("_type"):
        expected = message.removeprefix("Input should be ").replace("a valid integer", "an integer")
        return field, f"must be {expected.replace('valid ', '')}, not {describe_kind(detail['input'])}"
    if kind in ("too_short", "string_too_short"):
        return field, "must not be empty"
    return field, message.replace("Input should be", "must be")


def _unknown_key(location: tuple[str | int, ...], parts: Parts) -> str:
    *parents, key = location
    path = tuple(name for name in parents if isinstance(name, str))
    part = parts[path]
    known = [*part.model_fields, *(() if path else aliases.ALIASES)]
    if meant := _MEANT.get((part.__name__, str(key))):
        return f"unknown key; {meant}"
    close = similar_name(str(key), known)
    if close:
        return f"unknown key; did you mean {close!r}?"
    return "unknown key; " + (
        f"the known keys are {', '.join(known)}" if path else "put keys of your own under 'metadata'"
    )


def _as_written(location: tuple[str | int, ...], value: Any) -> tuple[str | int, ...]:
    """Leave out the steps of a location that a short form lacks, such as the index of a text in place of a list."""
    steps: list[str | int] = []
    for step in location:
        if isinstance(step, int) and not isinstance(value, list):
            continue
        if isinstance(step, str) and not isinstance(value, dict):
            continue
        steps.append(step)
        if isinstance(value, dict):
            value = value.get(str(step))
        elif isinstance(step, int):
            value = value[step] if step < len(value) else None
    return tuple(steps)


def written_path(location: tuple[str | int, ...], written: dict[str, str]) -> str:
    """Format a path in a query as the user wrote it, with aliases: `script[0].calls`."""
    path = ""
    for step in location:
        if isinstance(step, int):
            path += f"[{step}]"
        else:
            path += ("." if path else "") + (step if step.isprintable() and step.strip() else repr(step))
        path = written.get(path, path)
    return path
