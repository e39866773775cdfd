"""Load what a query takes from the server: a prompt (`prompts/get`) and resources (`resources/read`)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import mcp_types

from mcprun._util.deadline import Deadline
from mcprun._util.json_value import JsonObject
from mcprun.client.catalog import list_prompts, list_resources, list_templates, names
from mcprun.client.request_errors import TIMEOUT, RequestFailed
from mcprun.client.request_owner import PendingCall
from mcprun.client.results import Reading, note, read_prompt, read_resource
from mcprun.client.session import ServerSession
from mcprun.engine.opening_messages import opening, prompt_messages, resource_blocks
from mcprun.engine.server_requests import QueryRequestHandler
from mcprun.errors import ErrorKind, QueryError
from mcprun.prompts.server_input import ServerPrompt
from mcprun.runs.events import Emit, PromptGet, ResourceRead
from mcprun.runs.warn_once import Warn, drop_warning
from mcprun.tools.format import ValueFormatter

_MAX_ERROR_CHARS = 500
"""Characters of a server's error message that are included in mcprun's."""


@dataclass(frozen=True, slots=True)
class ServerInputLoader:
    """Loads the opening messages of the attempt that `handler` belongs to.

    The `handler` answers requests of the server, such as elicitation, until the result arrives. `clock` returns the
    deadline of a request. `malformed` collects the problems of results that could be read only in part.
    """

    server: ServerSession
    handler: QueryRequestHandler
    emit: Emit
    clock: Callable[[], Deadline]
    warn: Warn = drop_warning
    malformed: list[str] = field(default_factory=list, init=False)

    async def load(self) -> list[JsonObject]:
        """Return the opening messages of a conversation, in the format of the Messages API. The last one is the user's.

        Resources come first, in the order of the query, then the messages of the server's prompt, then the user's own.

        Raises:
            QueryError: `server_died`, `request_timeout`, or `prompts` if the server does not have a prompt or resource,
                refuses it, or returns content that can't begin a conversation.
        """
        query = self.handler.attempt.query
        blocks = [block for uri in query.resources or () for block in await self._read(uri)]
        server_messages = await self._get(query.server_prompt) if query.server_prompt else []
        try:
            return opening(blocks, server_messages, next(iter(query.user_messages), None))
        except ValueError as error:  # only the prompt can cause this
            raise _prompts_error(f"{_prompt(query.server_prompt)} can't be used: {error}") from None

    async def _get(self, requested: ServerPrompt) -> list[JsonObject]:
        """Request the server's prompt and return its messages."""
        event = PromptGet(
            where=self.handler.where,
            prompt=requested.name,
            arguments=requested.arguments,
            server=self.server.number,
            log_offset=self.server.log_offset,
        )
        params = mcp_types.GetPromptRequestParams(name=requested.name, arguments=requested.arguments or None)
        try:
            request = mcp_types.GetPromptRequest(params=params)
            reading = await self._ask(event, request, "prompts", _prompt(requested), read_prompt)
        except RequestFailed as error:
            raise _prompts_error(await self._explain_prompt_failure(requested, error)) from None
        self._check(reading, "messages", f"{_prompt(requested)} could not be loaded")
        try:
            return prompt_messages(reading.result, self.warn)
        except ValueError as error:
            raise _prompts_error(f"{_prompt(requested)} can't be used: {error}") from None

    async def _read(self, uri: str) -> list[JsonObject]:
        """Read a resource and return its content blocks."""
        event = ResourceRead(
            where=self.handler.where, uri=uri, server=self.server.number, log_offset=self.server.log_offset
        )
        request = mcp_types.ReadResourceRequest(params=mcp_types.ReadResourceRequestParams(uri=uri))
        try:
            reading = await self._ask(event, request, "resources", _resource(uri), read_resource)
        except RequestFailed as error:
            raise _prompts_error(await self._explain_resource_failure(uri, error)) from None
        self._check(reading, "contents", f"{_resource(uri)} could not be read")
        try:
            return resource_blocks(reading.result, self.warn) + ([note(reading.problems)] if reading.problems else [])
        except ValueError as error:
            raise _prompts_error(f"{_resource(uri)} can't be sent: {error}") from None

    def _check(self, reading: Reading, key: str, failed: str) -> None:
        """Add the problems of a result to `malformed`. Raises `QueryError` (`prompts`) if none of it could be read."""
        if reading.problems:
            problems = f"the server sent an invalid result: {'; '.join(reading.problems)}"
            if not reading.result[key]:
                raise _prompts_error(f"{failed}: {problems}")
            self.malformed.append(f"{failed} completely: {problems}")

    async def _ask(
        self,
        event: PromptGet | ResourceRead,
        request: mcp_types.GetPromptRequest | mcp_types.ReadResourceRequest,
        capability: str,
        what: str,
        read: Callable[[JsonObject], Reading],
    ) -> Reading:
        """Send a request, read its result, and emit an event.

        Raises `RequestFailed` if the server returns no result, and `QueryError` as `load` does.
        """
        if not self.server.has(capability):
            raise _prompts_error(f"the query uses {what}, but the server does not support {capability}")
        started, attempt = time.monotonic(), self.handler.attempt
        caller = PendingCall(self.handler, 0, None, self.clock(), attempt.deadline)

        def emit_end(problem: str | None = None, error: str | None = None) -> None:
            self.emit(replace(event, seconds=time.monotonic() - started, problem=problem, error=error))

        try:
            with attempt.conversation.waiting_for(what):
                result = await self.server.request(request, what, caller.clock.limit_s, caller)
        except RequestFailed as error:
            emit_end(error.problem, error.error)
            self._raise_failure()
            if error.problem == TIMEOUT:
                raise QueryError(ErrorKind.REQUEST_TIMEOUT, str(error)) from None
            raise
        except (QueryError, asyncio.CancelledError) as error:
            emit_end(str(error.kind) if isinstance(error, QueryError) else "cancelled")
            raise
        reading = read(result)
        emit_end("invalid result" if reading.problems else None)
        self._raise_failure()
        return reading

    def _raise_failure(self) -> None:
        """Raise the failure of sampling or elicitation during a request, however the server handled the refusal."""
        if self.handler.failure:
            raise self.handler.failure

    async def _explain_prompt_failure(self, requested: ServerPrompt, error: RequestFailed) -> str:
        """Return why `prompts/get` failed, with what `prompts/list` shows about the prompt."""
        why = f"{_prompt(requested)} could not be loaded: {_error_text(error)}"
        try:
            listed = await list_prompts(self.server, self.clock().limit_s)
        except RequestFailed:
            return why
        found = next((one for one in listed if one["name"] == requested.name), None)
        if found is None:
            return f"{why}; {_describe_missing(listed, 'prompts', 'name')}"
        arguments = found.get("arguments") or []
        missing = [one for one in arguments if one.get("required") and one["name"] not in requested.arguments]
        return f"{why}; missing arguments: {names(missing, 'name')}" if missing else why

    async def _explain_resource_failure(self, uri: str, error: RequestFailed) -> str:
        """Return why `resources/read` failed, with what `resources/list` and the templates show about the resource."""
        why = f"{_resource(uri)} could not be read: {_error_text(error)}"
        try:
            listed = await list_resources(self.server, self.clock().limit_s)
            templates = await list_templates(self.server, self.clock().limit_s)
        except RequestFailed:
            return why
        if any(one["uri"] == uri for one in listed):
            return why
        more = f"; templates: {names(templates, 'uriTemplate')}" if templates else ""
        return f"{why}; {_describe_missing(listed, 'resources', 'uri')}{more}"


def _describe_missing(listed: list[JsonObject], what: str, key: str) -> str:
    """Return that an item is not in a list of the server, and what the list has."""
    return f"it is not among the server's {what}: {names(listed, key)}" if listed else f"the server lists no {what}"


def _prompt(asked: ServerPrompt | None) -> str:
    return f"prompt {ValueFormatter().value(asked.name if asked else '')}"


def _resource(uri: str) -> str:
    return f"resource {ValueFormatter().value(uri)}"


def _error_text(error: RequestFailed) -> str:
    """Return a server's error message on one line, shortened to `_MAX_ERROR_CHARS`."""
    return " ".join(str(error).split())[:_MAX_ERROR_CHARS]


def _prompts_error(message: str) -> QueryError:
    """Return the error of a query for a prompt or resource that can't be used. `prompts` is the closest error kind."""
    return QueryError(ErrorKind.PROMPTS, message)
