"""Make one tool call outside a run, without a model, for `mcprun call`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from mcprun._util.deadline import Deadline
from mcprun._util.json_io import dumps
from mcprun._util.json_text import loads
from mcprun._util.json_value import JsonObject
from mcprun._util.similar_names import did_you_mean
from mcprun.analysis.volatile.expected import expected_value
from mcprun.client.connector import ConnectOptions
from mcprun.client.inspect import open_session
from mcprun.client.request_owner import ClientFeatures, PendingCall
from mcprun.client.session import ServerSession, ToolResult
from mcprun.client.target import Target
from mcprun.engine.conversation import Attempt, Conversation
from mcprun.engine.server_requests import Answers
from mcprun.errors import QueryError, RunError, UsageError
from mcprun.limits import Limits
from mcprun.models.script import ScriptModel
from mcprun.prompts.append import PromptsAppender
from mcprun.prompts.generate import readable_name
from mcprun.prompts.query import InvalidQuery, Query, parse_query
from mcprun.prompts.script_query import single_call_query
from mcprun.runs.events import AttemptRef, Event
from mcprun.runs.redaction import Redactor
from mcprun.tools.arguments import parse_arguments
from mcprun.tools.input_check import input_problems
from mcprun.tools.results import result_text, unsendable
from mcprun.tools.toolset import TASK_ONLY, ToolSet, is_task_only

_NAMED = 20
"""Maximum number of tools that a message names."""

_MAX_EXPECTED = 5000
"""Maximum characters, as JSON, of a result that a saved query expects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRequest:
    """A call to make: the tool's name, and its arguments as words (`tools.arguments.parse_arguments`)."""

    tool: str
    words: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SingleCall:
    """A call that was made: the tool in wire form, the input, and the result. All of it is redacted."""

    tool: JsonObject
    input: JsonObject
    result: JsonObject
    problem: str | None
    seconds: float
    is_redacted: bool

    @property
    def is_error(self) -> bool:
        """Whether the call failed."""
        return bool(self.result.get("isError"))


@dataclass(frozen=True, slots=True, kw_only=True)
class SingleCalls:
    """Makes calls to one server, each on a connection of its own. `watch` is called with each event, redacted."""

    target: Target
    redactor: Redactor
    limits: Limits
    features: ClientFeatures
    protocol: str
    watch: Callable[[Event], None]

    @property
    def connect_options(self) -> ConnectOptions:
        """How to connect to the server."""
        return ConnectOptions(
            timeout_s=self.limits.connect_seconds,
            protocol=self.protocol,
            features=self.features,
            max_bytes=self.limits.max_result_bytes,
            max_call_s=self.limits.max_total_call_seconds,
        )

    async def make(self, request: CallRequest) -> SingleCall:
        """Connect to the server, make the call, and disconnect.

        Raises `UsageError` for an unknown tool or bad arguments, and `RunError` if the server can't be reached or ends
        before it has answered.
        """
        async with open_session(self.target, self.redactor, self.connect_options, self.watch) as (server, warn):
            tool = find_tool(server.tools, request.tool)
            try:
                arguments = parse_arguments(request.words, tool["inputSchema"])
            except ValueError as error:
                raise UsageError(self.redactor.text(f"{request.tool}: {error}")) from None
            if problem := unsendable(arguments):
                raise UsageError(f"{request.tool}: the input can't be sent: {problem}")
            for found in input_problems(tool, arguments):
                warn(
                    f"{request.tool}: {found.path}: {found.message}"
                    if found.path
                    else f"{request.tool}: {found.message}"
                )
            started = time.monotonic()
            answer = await self._answer(server, request.tool, arguments)
        clean = self.redactor.value
        return SingleCall(
            tool=clean(tool),
            input=clean(arguments),
            result=clean(answer.result),
            problem=answer.problem,
            seconds=time.monotonic() - started,
            is_redacted=clean(arguments) != arguments,
        )

    async def _answer(self, server: ServerSession, tool: str, arguments: JsonObject) -> ToolResult:
        """Make the call. Requests of the server meanwhile are answered as in a query without answers of its own."""
        limits = self.limits
        deadline = Deadline(limits.max_total_call_seconds)
        attempt = Attempt(Query(id="call", prompt=tool), AttemptRef("call"), Conversation("call"), deadline)
        handler = Answers(ScriptModel(), limits, self.features).handler_for(attempt)
        clock = Deadline(limits.call_seconds, limits.max_total_call_seconds)
        caller = PendingCall(handler, 0, 0, clock)
        try:
            with server.register(handler):
                return await server.call(tool, arguments, limits.call_seconds, caller)
        except QueryError as error:
            raise RunError(error.kind, str(error)) from None


def find_tool(tools: ToolSet, name: str) -> JsonObject:
    """Return the tool of a name in wire form. Raises `UsageError`, with the most similar name, if there is none."""
    found = next((tool for tool in tools.listed if tool["name"] == name), None)
    if found is None:
        names = [tool["name"] for tool in tools.listed]
        shown = ", ".join([*map(repr, names[:_NAMED]), *(["…"] if names[_NAMED:] else [])])
        hint = did_you_mean(name, names) or (f"; its tools are {shown}" if names else "; it has no tools")
        raise UsageError(f"the server has no tool {name!r}{hint}")
    if is_task_only(found):
        raise UsageError(f"{name}: {TASK_ONLY}")
    return found


def query_of(made: SingleCall, name: str | None, appender: PromptsAppender) -> tuple[JsonObject, list[str]]:
    """Return the query that repeats a call and expects its result, and notes on what it does not expect.

    `name` is its id. By default, it is the tool's name with a number that makes it unique in the prompts file. Raises
    `UsageError` if the query can't be written, as for an input with a `$from`.
    """
    tool = made.tool["name"]
    query = single_call_query(made.tool, name or appender.free_id(readable_name(tool)), made.input)
    expected, notes = _expected(made)
    query["expect"]["calls"][0] |= expected
    try:
        parse_query(query)
    except InvalidQuery as error:
        raise UsageError(f"{tool} can't be saved as a query: {error}") from None
    return query, notes


def _expected(made: SingleCall) -> tuple[JsonObject, list[str]]:
    """Return what a query expects of the call, and notes on what is left out because it looks volatile."""
    now = datetime.now(UTC)
    expected: JsonObject = {"is_error": True} if made.is_error else {}
    value = _value_of(made.result)
    if value in ("", None):
        return expected, []
    if len(dumps(value)) > _MAX_EXPECTED:
        return expected, ["its result is not expected, because it is long"]
    result, is_volatile = expected_value(value, now)
    if is_volatile and isinstance(value, str):
        return expected, ["its result is not expected, because it looks volatile"]
    notes = ["the parts of its result that look volatile are not expected"] if is_volatile else []
    return {**expected, "result": result}, notes


def _value_of(result: JsonObject) -> Any:
    """Return what a result says in the form of `expect`: structured, the JSON in the text, or the text."""
    structured, text = result.get("structuredContent"), result_text(result["content"])
    if isinstance(structured, dict) and structured.keys() == {"result"}:  # how servers wrap other values
        structured = structured["result"]
    if structured is not None:
        return structured
    try:
        value = loads(text)
    except ValueError:
        return text
    return value if isinstance(value, dict | list) else text
