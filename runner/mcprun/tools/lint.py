"""Find problems in a server's tools that the Messages API refuses, or that confuse models. Pure.

Tools are in the wire form of MCP's `tools/list`. `tools/toolset.py` renames, rewrites or leaves out those that the API
refuses.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mcprun._util.json_text import levels
from mcprun._util.json_value import JsonObject
from mcprun._util.surrogates import REPLACEMENT
from mcprun.evaluation.schema_references import referred
from mcprun.tools.toolset import TASK_ONLY, ToolSet, is_task_only

CHARACTERS_PER_TOKEN = 3.5
"""Characters of compact JSON per token, approximately. Prose has about 4."""

MANY_TOOLS = 50
"""Number of tools above which models choose badly among them."""

MANY_TOKENS = 20_000
"""Tokens of all definitions above which they take a large part of a model's context."""

LARGE_TOKENS = 2_000
"""Tokens of a single definition, in each request, above which it is reported."""

DEEP = 16
"""Levels of JSON above which an input schema is reported: about five nested objects."""

SHORT = 15
"""Characters below which a description is too short to be useful."""

_SHORT_NAME, _LONG_NAME = 4, 128
"""Length up to which names that differ in one letter are not confusable, and the characters of a name to compare."""

_MAX_NAMES = 5
"""Maximum number of names in one message."""

_BROKEN_TEXT = "the server sent a lone surrogate, or text that is not UTF-8"

_TYPED = frozenset({"type", "enum", "const", "$ref", "anyOf", "oneOf", "allOf"})

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem to fix. `tool` is the server's name of the tool; `None` means all tools together.

    The API refuses an `error`; a `warning` may confuse a model. `rule` is a short identifier.
    """

    tool: str | None
    rule: str
    severity: Severity
    message: str


def lint(tools: ToolSet) -> list[Finding]:
    """Return the problems of a server's tools: errors first, then warnings by tool name, then those of all tools."""
    errors = [Finding(note.tool, note.rule, "error", note.text) for note in tools.notes if note.rule != "task_only"]
    warnings = [
        Finding(tool["name"], rule, "warning", message)
        for tool in _first_of_each_name(tools.listed)
        for rule, message in _of_one(tool)
    ]
    costs = token_costs(tools)
    warnings += [
        Finding(name, "large", "warning", f"its definition costs about {cost:,} tokens in each request")
        for name, cost in costs.items()
        if cost > LARGE_TOKENS
    ]
    together = [Finding(None, rule, "warning", message) for rule, message in _lint_all(tools, sum(costs.values()))]
    return errors + sorted(warnings, key=lambda finding: finding.tool or "") + together


def token_costs(tools: ToolSet) -> dict[str, int]:
    """Estimate the tokens that each tool's definition costs in a request, keyed by the server's name.

    The estimate is based on the characters sent to the API: only the API itself can count tokens. Tools that are left
    out cost nothing and have no entry.
    """
    return {tools.names[one["name"]]: _tokens(one) for one in tools.definitions}


def _tokens(definition: JsonObject) -> int:
    text = json.dumps(definition, ensure_ascii=False, separators=(",", ":"))
    return math.ceil(len(text) / CHARACTERS_PER_TOKEN)


def _first_of_each_name(listed: Iterable[JsonObject]) -> Iterable[JsonObject]:
    return {tool["name"]: tool for tool in reversed(tuple(listed))}.values()


def _of_one(tool: JsonObject) -> Iterator[tuple[str, str]]:
    """Check one tool by itself; yield pairs of a rule and a message."""
    if is_task_only(tool):
        yield "task_only", TASK_ONLY
    if REPLACEMENT in json.dumps(tool, ensure_ascii=False):
        yield "replaced_text", f"its definition contains U+FFFD: {_BROKEN_TEXT}"
    yield from _description(tool)
    schema = tool.get("inputSchema")
    if isinstance(schema, dict):
        yield from _arguments(schema)
        if (count := levels(schema)) > DEEP:
            yield "deep", f"its input schema is nested {count} levels deep"
    hints = tool.get("annotations")
    if isinstance(hints, dict) and hints.get("readOnlyHint") is True:
        if hints.get("destructiveHint") is True:
            yield "contradiction", "its annotations say both that it is read-only and that it is destructive"
        if hints.get("idempotentHint") is False:
            yield "contradiction", "its annotations say both that it is read-only and that it is not idempotent"


def _description(tool: JsonObject) -> Iterator[tuple[str, str]]:
    description = " ".join(str(tool.get("description") or "").split())
    if not description:
        yield "no_description", "it has no description, so a model knows only its name"
    elif description.casefold() == str(tool["name"]).casefold():
        yield "short_description", "its description only repeats its name"
    elif len(description) < SHORT:
        yield "short_description", f"its description is too short to be useful: {description!r}"


def _arguments(schema: JsonObject) -> Iterator[tuple[str, str]]:
    properties = schema.get("properties")
    if not isinstance(properties, dict) or not properties:
        return
    arguments = {name: _followed(schema, one) for name, one in properties.items()}
    if bare := [name for name, one in arguments.items() if not str(one.get("description") or "").strip()]:
        yield "argument_description", f"arguments without a description: {_some(bare)}"
    if untyped := [name for name, one in arguments.items() if not one.keys() & _TYPED]:
        yield "argument_type", f"arguments without a type: {_some(untyped)}"
    if len(arguments) > 1 and "required" not in schema and not any("default" in one for one in arguments.values()):
        yield "nothing_required", "none of its arguments is required or has a default"


def _followed(schema: JsonObject, argument: Any) -> Mapping[str, Any]:
    """Return an argument's schema, merged with the schema that its `$ref` points to."""
    if not isinstance(argument, dict):
        return {}
    reference = argument.get("$ref")
    found = referred(schema, reference) if isinstance(reference, str) else None
    return {**found, **argument} if isinstance(found, dict) else argument


def _lint_all(tools: ToolSet, cost: int) -> Iterator[tuple[str, str]]:
    """Check all tools together; yield pairs of a rule and a message."""
    named = {str(tool["name"]): str(tool.get("description") or "").strip() for tool in tools.listed}
    if len(named) > MANY_TOOLS:
        yield "many_tools", f"there are {len(named):,} tools: models choose less reliably among so many"
    if cost > MANY_TOKENS:
        yield "many_tokens", f"their definitions cost about {cost:,} tokens in each request"
    for alike in similar(named):
        yield "similar_names", f"easily confused names: {_some(list(alike))}"
    for description, count in Counter(filter(None, named.values())).items():
        if count > 1:
            names = [name for name, text in named.items() if text == description]
            yield "same_description", f"the same description is used by {_some(names)}"


def similar(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Return groups of names that differ only in case, in word separators or in one letter; all sorted.

    A different first letter (`get_x`, `set_x`), a different digit, and one letter of a very short name do not count as
    similar.
    """
    by_form: dict[str, set[str]] = {}
    plain: dict[str, set[str]] = {}
    for name in names:
        form = "".join(character for character in name.casefold()[:_LONG_NAME] if character.isalnum())
        plain.setdefault(form, set()).add(name)
        for at in range(1, len(form) if len(form) > _SHORT_NAME else 0):
            if not form[at].isdigit():
                by_form.setdefault(f"{form[:at]} {form[at + 1 :]}", set()).add(name)
    found = {frozenset(alike) for alike in (*plain.values(), *by_form.values()) if len(alike) > 1}
    for form, alike in plain.items():
        for at in range(1, len(form) if len(form) > _SHORT_NAME else 0):
            shorter = form[:at] + form[at + 1 :]
            if shorter in plain and not form[at].isdigit():
                found.add(frozenset(alike | plain[shorter]))
    return sorted(tuple(sorted(alike)) for alike in found)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
    return ", ".join(names[:_MAX_NAMES]) + more
