"""A session with one live MCP server: its tools, requests and tool calls, and whether the server is still up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import anyio
import mcp_types
from mcp import Client, MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import TypeAdapter

from mcprun._util.deadline import Deadline
from mcprun._util.json_value import JsonObject
from mcprun._util.surrogates import well_formed_json
from mcprun.client.callbacks import ClientCallbacks
from mcprun.client.connection import Connection
from mcprun.client.input_required import Resend, resolve_input_required
from mcprun.client.request_errors import FAILURES, TIMEOUT, HttpError, RequestFailed, is_closed, request_failure
from mcprun.client.request_owner import PendingCall, RequestHandler
from mcprun.client.results import read_call
from mcprun.client.server_log import ServerStderr
from mcprun.client.start_hints import variables_hint
from mcprun.client.target import Target
from mcprun.client.transports.http_failure import HttpFailure, delivery
from mcprun.client.unvalidated_results import as_sent
from mcprun.errors import ErrorKind, QueryError
from mcprun.evaluation.evaluator import EvaluationError
from mcprun.limits import MAX_CALL_SECONDS
from mcprun.runs.run_record import Malformed, ServerRecord
from mcprun.tools.output_schemas import OutputSchemas
from mcprun.tools.results import error_result, unsendable
from mcprun.tools.toolset import ToolSet

_WIRE: Any = TypeAdapter(dict[str, Any])
"""Validates results as plain JSON objects in wire form, so that fields a newer server adds are kept unchanged."""

_MAX_RETRY_AFTER_SECONDS = 60.0
"""Longest `retry-after`, in seconds, that mcprun honours before it sends a call once more."""

_HINT_CHARS = 2000
"""Characters of a failed call's text that are searched for names of variables."""

_RETRIED = frozenset({429, 503})
"""HTTP statuses that invite a retry (RFC 6585, section 4; RFC 9110, section 15.6.4)."""


_WORDED_PROBLEMS = frozenset({TIMEOUT, "not allowed", "bad arguments", "input required"})
"""The problems of results whose whole text is mcprun's own."""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The outcome of a tool call: an MCP `CallToolResult` in wire form.

    `problem` classifies a result that mcprun synthesised or marked as failed; None for one that the server sent as it
    is. `error` is the text of the server's JSON-RPC error, if it answered with one. `cancelled` is set if the call was
    abandoned and the server was notified, and `limit` to the time after which it was, such as `2 s`.
    """

    result: JsonObject
    problem: str | None = None
    cancelled: bool = False
    error: str | None = None
    limit: str = ""

    @property
    def is_error(self) -> bool:
        """Whether the call failed: the server set `isError`, or sent no valid result."""
        return bool(self.result.get("isError"))

    @property
    def worded_problem(self) -> str | None:
        """The `problem` if the whole text of the result is mcprun's own, else None."""
        return self.problem if self.problem in _WORDED_PROBLEMS else None


@dataclass(frozen=True, slots=True)
class ConnectedServer:
    """A server after the handshake.

    Args:
        client: The connected SDK client.
        link: The connection that the session runs over.
        stderr: The server's stderr.
        callbacks: The callbacks that handle the server's requests and notifications.
        target: How the server was started or reached, if it is known.
    """

    client: Client
    link: Connection
    stderr: ServerStderr
    callbacks: ClientCallbacks
    target: Target | None = None


class ServerSession:
    """A session with one live server.

    Args:
        number: Identifies the server within a run.
        peer: The server after the handshake.
        tools: The server's tools as last listed.
        relist: Lists the server's tools again.
        max_call_seconds: The limit, in seconds, up to which progress extends a request that has no `caller`.
    """

    def __init__(
        self,
        number: int,
        peer: ConnectedServer,
        tools: ToolSet,
        relist: Relist,
        max_call_seconds: float = MAX_CALL_SECONDS,
    ) -> None:
        client = peer.client
        self.number = number
        self.tools = tools
        self.callbacks = peer.callbacks
        self._relist = relist
        self._relisting = asyncio.Lock()
        self.protocol = client.protocol_version
        self._is_modern = self.protocol in MODERN_PROTOCOL_VERSIONS
        self.name = client.server_info.name if client.server_info else None
        self.version = client.server_info.version if client.server_info else None
        self._session = client.session
        self._capabilities = client.server_capabilities
        self._link = peer.link
        self._stderr = peer.stderr
        self._target = peer.target
        self._outputs = OutputSchemas()
        self._outputs.update(tools)
        self._repeatable = _repeatable(tools)
        self.max_call_seconds = max_call_seconds

    @property
    def dead(self) -> bool:
        """Whether the connection was lost rather than closed by mcprun."""
        return self._link.is_down

    @property
    def log_offset(self) -> int:
        """The offset in `server.log`, in bytes, of the next byte of the servers' stderr."""
        return self._stderr.offset

    def stderr_tail(self) -> str:
        """Return the end of the server's stderr since this server was started."""
        return self._stderr.stderr_tail

    async def close(self) -> None:
        """Close the connection, and shut down the server if mcprun started it for this connection."""
        await self._link.close()

    def has(self, capability: str) -> bool:
        """Return whether the server declares a capability, such as `prompts` or `resources`."""
        return getattr(self._capabilities, capability) is not None

    async def request(
        self, request: mcp_types.Request[Any, Any], noun: str, timeout_s: float, caller: PendingCall | None = None
    ) -> JsonObject:
        """Send a request other than a tool call, and return its result in wire form.

        Requests that the server makes meanwhile are attributed to the `caller`. The limit is the `caller`'s clock, or
        `timeout_s` without a `caller`, as in `call`. `noun` names the request in messages. Raises `RequestFailed` if
        there is no valid result, `QueryError` (`server_died`) if the server is gone.
        """
        if problem := unsendable(request.params.model_dump(by_alias=True)):
            raise RequestFailed(f"the request cannot be sent: {problem}", "bad arguments")

        clock = caller.clock if caller else Deadline(timeout_s, self.max_call_seconds)

        async def send(responses: mcp_types.InputResponses | None, state: str | None) -> JsonObject:
            round_fields = {"input_responses": responses, "request_state": state} if responses or state else {}
            again = request.model_copy(update={"params": request.params.model_copy(update=round_fields)})
            return await self._send_and_read(again, caller, clock)

        return self.callbacks.finite(await self._exchange(noun, send, caller, clock), noun)

    def register(self, handler: RequestHandler) -> AbstractContextManager[None]:
        """Return a context during which a query handles the requests of this server."""
        return self.callbacks.active_queries.register(handler)

    async def refresh(self) -> None:
        """List the tools again if the server has reported a change. If that fails, keep the old list.

        `tools` is replaced, not changed: a caller that has read it before keeps its own list.
        """
        if not self.callbacks.is_stale and not self._relisting.locked():
            return
        async with self._relisting:
            if self.callbacks.is_stale and not self.dead:
                self.callbacks.is_stale = False
                self.tools = await self._relist(self) or self.tools
                self._outputs.update(self.tools)
                self._repeatable = _repeatable(self.tools)

    async def call(
        self, tool: str, arguments: JsonObject, timeout_s: float, caller: PendingCall | None = None
    ) -> ToolResult:
        """Call a tool within `timeout_s`, or within the clock of the `caller` if there is one.

        Every answer of the server becomes a `ToolResult` for the model, including errors and invalid results. So do
        arguments that can't be sent as JSON. Requests that the server makes meanwhile are attributed to the `caller`.
        Raises `QueryError` (`server_died`) if the server is gone.
        """
        arguments = well_formed_json(arguments)
        if problem := unsendable(arguments):
            return ToolResult(error_result(f"The arguments can't be sent: {problem}."), "bad arguments")
        clock = caller.clock if caller else Deadline(timeout_s, self.max_call_seconds)

        async def send(responses: mcp_types.InputResponses | None, state: str | None) -> JsonObject:
            params = mcp_types.CallToolRequestParams(
                name=tool, arguments=arguments, input_responses=responses, request_state=state
            )
            return await self._send_call(mcp_types.CallToolRequest(params=params), caller, clock)

        try:
            result = await self._exchange(tool, send, caller, clock)
        except RequestFailed as failure:
            if failure.reply:
                self.callbacks.emit_required_urls(caller, failure.reply)
            timed_out = failure.problem == TIMEOUT
            result = error_result(failure.result_text)
            limit = clock.reached if timed_out else ""
            return ToolResult(result, failure.problem, cancelled=timed_out, error=failure.error, limit=limit)
        answer = await self._check_result(tool, result)
        # After validation: the tool's output schema may accept NaN as a number.
        return replace(answer, result=self.callbacks.finite(answer.result, tool))

    async def _exchange(self, what: str, send: Resend, caller: PendingCall | None, clock: Deadline) -> JsonObject:
        """Send a request within the limit of `clock`, and again each time that the server asks for input first.

        Return the result. Raises `RequestFailed`, or `QueryError` (`server_died`, `session_lost`).
        """
        try:
            with self.callbacks.active_queries.calling(caller):
                async with clock:
                    return await resolve_input_required(self._session, await send(None, None), send)
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
            raise await self._server_died(what) from None
        except FAILURES as error:
            # Only the transport knows whether the connection is over: a server may send the SDK's error itself.
            if self._link.is_closed and is_closed(error):
                raise await self._server_died(what) from None
            raise request_failure(error, what, clock.limit) from None

    async def _send_call(
        self, request: mcp_types.CallToolRequest, caller: PendingCall | None, clock: Deadline
    ) -> JsonObject:
        """Send a call and return its result. Send it once more if HTTP asks for a retry."""
        tool = request.params.name
        try:
            return await self._send_and_read(request, caller, clock)
        except HttpError as error:
            wait = self._retry_after(tool, error.failure, clock)
            if wait is None:
                raise
            self.callbacks.emit_retry(caller, tool, error.failure.problem, wait)
        with caller.pause_deadline() if caller else nullcontext():
            await asyncio.sleep(wait)
        return await self._send_and_read(request, caller, clock)

    async def _send_and_read(
        self, request: mcp_types.Request[Any, Any], caller: PendingCall | None, clock: Deadline
    ) -> JsonObject:
        """Send a request and return its result. Raises `HttpError` if an HTTP response explains its absence."""
        progress = self.callbacks.progress(caller, clock)
        with delivery() as outcome:
            try:
                return self._raw(await self._session.send_request(request, _WIRE, progress_callback=progress))
            except MCPError as error:
                if outcome.failure:
                    raise HttpError(outcome.failure, error.error) from None
                raise

    def _retry_after(self, tool: str, failure: HttpFailure, clock: Deadline) -> float | None:
        """Return the seconds after which a call may be sent once more; None if it must not be, or would be too late.

        A call is repeated only if its tool declares that repeating it does no harm (MCP, "Tool Annotations").
        """
        wait = failure.retry_after
        if wait is None or failure.status not in _RETRIED or wait > _MAX_RETRY_AFTER_SECONDS or wait >= clock.remaining:
            return None
        return wait if tool in self._repeatable else None

    async def _server_died(self, what: str) -> QueryError:
        """Return the error for a server that died during a call or request, with the end of its stderr.

        Often, stderr is the only place that names the cause.
        """
        self._link.mark_closed()
        await self._link.wait_closed()
        reason = self._link.reason
        stderr = self.stderr_tail().removesuffix(f"[{reason}]").strip()
        message = f"the connection to the server was lost during {what}"
        message += f": {reason}" if reason else ""
        if self._target and (advice := variables_hint(self._target, self._stderr.recent_errors)):
            message += f"; {advice}"
        message += f"; its stderr ends: {stderr}" if stderr else ""
        return QueryError(ErrorKind.SERVER_DIED, message)

    def _hint_at_variables(self, result: JsonObject) -> None:
        """Warn, once, if a failed call names a variable that is set here but not for the server."""
        texts = [str(block["text"])[:_HINT_CHARS] for block in result["content"] if isinstance(block.get("text"), str)]
        if self._target and (
            advice := variables_hint(self._target, "\n".join([*texts[:1], self._stderr.recent_errors]))
        ):
            self.callbacks.warn_once(f"a call failed, and {advice}")

    def _raw(self, result: JsonObject) -> JsonObject:
        """Return a result as the server sent it, without `resultType` if the protocol version does not define it."""
        sent = well_formed_json(as_sent(result))
        return sent if self._is_modern else {key: value for key, value in sent.items() if key != "resultType"}

    async def _check_result(self, tool: str, result: JsonObject) -> ToolResult:
        if result.get("resultType", "complete") != "complete":
            problem = f"the server's result is of a kind that nobody asked for ({result['resultType']})"
            return ToolResult(error_result(problem), "invalid result")
        reading = read_call(result, is_modern=self._is_modern)
        result = reading.result
        if reading.problems:
            return ToolResult(result, "invalid result")
        if result.get("isError"):
            self._hint_at_variables(result)
            return ToolResult(result)
        try:
            problem, notes = await self._outputs.problem(tool, result)
        except EvaluationError as error:
            raise QueryError(
                error.kind, f"the result of {tool} could not be validated against its output schema: {error}"
            ) from None
        for note in notes:
            self.callbacks.warn_once(f"the output schema of {tool}: {note}")
        if problem:
            # The content is kept: a mismatch with the server's own schema is the server's failure.
            notice = {"type": "text", "text": f"The result does not fit the tool's own output schema: {problem}"}
            return ToolResult({**result, "content": [*result["content"], notice], "isError": True}, "output schema")
        return ToolResult(result)


Relist = Callable[[ServerSession], Awaitable[ToolSet | None]]
"""Lists a server's tools again, and emits what has changed; returns None if they can't be listed."""


def _repeatable(tools: ToolSet) -> set[str]:
    """Return the names of the tools that declare themselves read-only or idempotent."""
    hints = ("readOnlyHint", "idempotentHint")
    declared = {tool["name"]: tool.get("annotations") or {} for tool in tools.listed}
    return {name for name, annotations in declared.items() if any(annotations.get(hint) is True for hint in hints)}


def server_record(server: ServerSession) -> ServerRecord:
    """Return the record of a server: its name, version and protocol, its tools, and their malformed parts."""
    return ServerRecord(
        name=server.name,
        version=server.version,
        protocol=server.protocol,
        tools=list(server.tools.listed),
        malformed=[
            Malformed(item=note.tool, rule=note.rule, message=note.text)
            for note in server.tools.notes
            if note.rule in ("malformed", "ignored")
        ],
        warnings=list(server.tools.warnings),
    )
