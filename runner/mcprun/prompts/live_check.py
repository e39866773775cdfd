"""Check queries against what a server lists: its tools with their inputs, its prompts and its resources. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mcprun._util.json_value import JsonObject
from mcprun._util.name_patterns import fits
from mcprun._util.similar_names import did_you_mean
from mcprun.checks.matchers import is_matcher
from mcprun.prompts.names import has_name, is_name
from mcprun.prompts.query import Query
from mcprun.tools.input_check import InputProblem, InputSchema, Unknown
from mcprun.tools.snapshot import KEYS, Catalog
from mcprun.tools.toolset import TASK_ONLY, ToolFilter, ToolSet, is_read_only, is_task_only

_NAMED = 20
"""Maximum number of names that a message lists."""

_EXPRESSION = re.compile(r"\{[^{}]*\}")
"""An expression of a URI template (RFC 6570)."""


_NOT_LISTED = Catalog(prompts=[], resources=[], resource_templates=[], failed=dict.fromkeys(KEYS, "not listed"))


@dataclass(frozen=True, slots=True)
class LiveFinding:
    """What is wrong with a field of a query. A `is_warning` may be meant: the query can still pass."""

    field: str
    message: str
    is_warning: bool = False


class LiveChecker:
    """Checks queries against the lists of one server.

    `permit` are the tools that may be used. Prompts and resources are checked only if there is a `catalog`, and those
    of a list that failed not at all.
    """

    def __init__(self, tools: ToolSet, catalog: Catalog | None = None, permit: ToolFilter | None = None) -> None:
        self._tools = {tool["name"]: tool for tool in reversed(tools.listed)}
        self._catalog = catalog or _NOT_LISTED
        self._permit = permit or ToolFilter()
        self._schemas: dict[str, InputSchema] = {}

    def findings(self, query: Query) -> Iterator[LiveFinding]:
        """Yield what is wrong with a query, in the order of its fields."""
        yield from self._server_prompt(query)
        yield from self._resources(query)
        yield from self._patterns("tools", query.tools or ())
        yield from self._script(query)
        yield from self._expected_calls(query)
        yield from self._patterns("expect.never", query.expect.never or ())
        yield from self._steps(query)

    def _steps(self, query: Query) -> Iterator[LiveFinding]:
        """Check the steps, which may call any tool, except one that writes if `permit` is read-only."""
        for place, step in query.steps:
            if step.resource is not None:
                if not has_name(step.resource) and not step.is_error:
                    yield from self._resource(f"{place}.resource", step.resource)
                continue
            name = step.tool or ""
            if (tool := self._tools.get(name)) is None:
                problem = f"the server has no tool {name!r}{_hint(name, self._tools, 'tools')}"
                yield LiveFinding(f"{place}.tool", problem, is_warning=step.is_error)
                continue
            if self._permit.read_only and not is_read_only(tool):
                yield LiveFinding(f"{place}.tool", f"{name!r} may write, which --read-only excludes")
            found = self._schema(name).problems(_without_references(step.input))
            yield from _of_input(f"{place}.input", found, is_warning=step.is_error)

    def _script(self, query: Query) -> Iterator[LiveFinding]:
        wanted_errors = {call.tool for call in query.expect.calls or () if call.is_error}
        for turn, part in enumerate(query.script or ()):
            for number, call in enumerate(part.calls):
                field = f"script[{turn}].calls[{number}]"
                may_fail = query.expect.tool_errors == "allow" or call.tool in wanted_errors
                problem = self._tool_problem(call.tool, query)
                if problem:
                    yield LiveFinding(f"{field}.tool", problem, is_warning=call.tool in wanted_errors)
                if call.tool in self._tools:
                    value = _without_references(call.input, has_names=query.has_names)
                    yield from _of_input(f"{field}.input", self._schema(call.tool).problems(value), is_warning=may_fail)

    def _expected_calls(self, query: Query) -> Iterator[LiveFinding]:
        for number, call in enumerate(query.expect.calls or ()):
            if call.is_error:  # a call that must fail may break any rule
                continue
            field = f"expect.calls[{number}]"
            if problem := self._tool_problem(call.tool, query):
                yield LiveFinding(f"{field}.tool", problem)
            if call.tool in self._tools:
                value = _without_matchers(call.input)
                value = _without_references(value) if query.has_names else value
                found = self._schema(call.tool).problems(value, is_partial=not call.exact_input)
                yield from _of_input(f"{field}.input", found)

    def _patterns(self, field: str, patterns: Iterable[str]) -> Iterator[LiveFinding]:
        for pattern in patterns:
            if not any(fits(name, (pattern,)) for name in self._tools):
                hint = did_you_mean(pattern, self._tools)
                yield LiveFinding(field, f"{pattern!r} matches no tool of the server{hint}", is_warning=True)

    def _tool_problem(self, name: str, query: Query) -> str | None:
        """Return why a call of a tool would fail, None if it would not."""
        tool = self._tools.get(name)
        if tool is None:
            return f"the server has no tool {name!r}{_hint(name, self._tools, 'tools')}"
        if is_task_only(tool):
            return f"{name}: {TASK_ONLY}"
        if query.tools is not None and not fits(name, query.tools, self._tools):
            return f"{name!r} is not among the query's 'tools'"
        if self._permit and not self._permit.permits(tool, self._tools):
            return f"{name!r} is excluded by --allow-tool, --deny-tool or --read-only"
        return None

    def _schema(self, name: str) -> InputSchema:
        if name not in self._schemas:
            self._schemas[name] = InputSchema(self._tools[name])
        return self._schemas[name]

    def _server_prompt(self, query: Query) -> Iterator[LiveFinding]:
        wanted = query.server_prompt
        if wanted is None or "prompts" in self._catalog.failed:
            return
        prompts: Mapping[str, JsonObject] = {one["name"]: one for one in reversed(self._catalog.prompts)}
        if wanted.name not in prompts:
            hint = _hint(wanted.name, prompts, "prompts")
            yield LiveFinding("server_prompt.name", f"the server has no prompt {wanted.name!r}{hint}")
            return
        declared = {one["name"]: one for one in prompts[wanted.name].get("arguments") or () if "name" in one}
        for name in wanted.arguments:
            if name not in declared:
                message = f"the prompt has no such argument{_hint(name, declared, 'arguments')}"
                yield LiveFinding(f"server_prompt.arguments.{name}", message)
        for name, one in declared.items():
            if one.get("required") is True and name not in wanted.arguments:
                yield LiveFinding(f"server_prompt.arguments.{name}", "is missing, but required")

    def _resources(self, query: Query) -> Iterator[LiveFinding]:
        for number, uri in enumerate(query.resources or ()):
            if not (query.has_names and has_name(uri)):
                yield from self._resource(f"resources[{number}]", uri)

    def _resource(self, field: str, uri: str) -> Iterator[LiveFinding]:
        """Warn about a resource that the server does not list: it may still have it (MCP, "Resources")."""
        if {"resources", "resource_templates"} & self._catalog.failed.keys():
            return
        if uri not in self._uris and not any(_fits_template(uri, template) for template in self._templates):
            message = f"the server does not list {uri!r}, and none of its templates fits"
            yield LiveFinding(field, message + did_you_mean(uri, self._uris), is_warning=True)

    @cached_property
    def _uris(self) -> frozenset[str]:
        return frozenset(one["uri"] for one in self._catalog.resources)

    @cached_property
    def _templates(self) -> list[str]:
        return [one["uriTemplate"] for one in self._catalog.resource_templates]


def _of_input(field: str, problems: Iterable[InputProblem], *, is_warning: bool = False) -> Iterator[LiveFinding]:
    for problem in problems:
        where = f"{field}.{problem.path}" if problem.path else field
        yield LiveFinding(where, problem.message, is_warning or not problem.is_certain)


def _hint(name: str, names: Iterable[str], noun: str) -> str:
    """Return the most similar name, or the first names that there are."""
    known = sorted(names)
    if hint := did_you_mean(name, known):
        return hint
    shown = ", ".join([*map(repr, known[:_NAMED]), *(["…"] if known[_NAMED:] else [])])
    return f"; its {noun} are {shown}" if known else f"; it has no {noun}"


def _fits_template(uri: str, template: str) -> bool:
    """Return whether a URI may be an expansion of a template (RFC 6570). Each expression counts as any text."""
    first, *others = _EXPRESSION.split(template)
    if not others:
        return uri == template
    *middle, last = others
    if not (uri.startswith(first) and uri.endswith(last) and len(uri) >= len(first) + len(last)):
        return False
    at, end = len(first), len(uri) - len(last)
    for part in middle:
        at = uri.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True


def _without_references(value: Any, *, has_names: bool = True) -> Any:
    """Replace the references and, if the query `has_names`, the names of an input by what is known of them."""
    if isinstance(value, list):
        return [_without_references(item, has_names=has_names) for item in value]
    if isinstance(value, str) and has_names and has_name(value):
        return Unknown() if is_name(value) else Unknown("string", "a name within text yields text")
    if not isinstance(value, dict):
        return value
    if "$from" not in value:
        return {key: _without_references(item, has_names=has_names) for key, item in value.items()}
    kind = value.get("as")
    if kind is None and ("match" in value or "path" not in value):
        return Unknown("string", "the $from yields text", '; convert it with "as"')
    # Text that is a whole number becomes an integer, also as a number.
    kinds = {"string": "string", "number": "integer", "integer": "integer", "boolean": "boolean"}
    return Unknown(kinds.get(kind or "", ""), f"the $from yields {kind}", "")


def _without_matchers(value: Any) -> Any:
    """Replace the matchers of an expected input by the value that they expect, or by an unknown one."""
    if isinstance(value, list):
        return [_without_matchers(item) for item in value]
    if not isinstance(value, dict):
        return value
    if is_matcher(value):
        return value.get("$equals", Unknown())
    return {key: _without_matchers(item) for key, item in value.items()}
