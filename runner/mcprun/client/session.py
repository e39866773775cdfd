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
from pydantic import TypeAdapter, ValidationError

from mcprun._util.deadline import Deadline
from mcprun._util.json_value import JsonObject
from mcprun._util.surrogates import well_formed_json
from mcprun.client.callbacks import ClientCallbacks
from mcprun.client.connection import Connection
from mcprun.client.input_required import RoundsError, asks_for_input, resolve_input_required
from mcprun.client.raw_results import as_sent
from mcprun.client.request_owner import PendingCall, RequestHandler
from mcprun.client.results import read_call
from mcprun.client.server_log import ServerStderr
from mcprun.client.transports.framing import INVALID_ANSWER, MALFORMED_ERROR, error_text
from mcprun.client.transports.http_failure import HttpFailure, delivery
from mcprun.errors import ErrorKind, QueryError
from mcprun.evaluation.bounded import EvaluationError
from mcprun.limits import MAX_CALL_SECONDS
from mcprun.runs.run_record import Malformed, ServerRecord
from mcprun.tools.output_schemas import OutputSchemas
from mcprun.tools.results import error_result, unsendable
from mcprun.tools.toolset import ToolSet

_WIRE: Any = TypeAdapter(dict[str, Any])
"""Validates results as plain JSON objects in wire form, so that fields a newer server adds are kept unchanged."""


_CLOSED = (mcp_types.CONNECTION_CLOSED, "Connection closed")
"""Code and message with which the SDK fails a pending request when its connection is lost.

A server may send the same error itself.
"""

_MAX_RETRY_AFTER_SECONDS = 60.0
"""Longest `retry-after`, in seconds, that mcprun honours before it sends a call once more."""

_RETRIED = frozenset({429, 503})
"""HTTP statuses that invite a retry (RFC 6585, section 4; RFC 9110, section 15.6.4)."""


_CURSOR = 80
"""Maximum characters of a cursor shown in a message."""

TIMEOUT = "timeout"
"""The `problem` of a request or call that was not answered in time."""


class RequestFailed(Exception):  # noqa: N818  an outcome that the caller reports, not an error of the program
    """A request other than a tool call failed, and the server is still up. `str()` describes the cause.

    `problem` classifies the failure. `code` and `error` are the code and the text of the server's JSON-RPC error; None
    if it did not answer with one.
    """

    def __init__(self, message: str, problem: str, code: int | None = None, error: str | None = None) -> None:
        self.problem = problem
        self.code = code
        self.error = error
        super().__init__(message)


class _HttpError(Exception):
    """A request was answered over HTTP without a result. `error` is the JSON-RPC error that the SDK raised for it."""

    def __init__(self, failure: HttpFailure, error: MCPError) -> None:
        self.failure = failure
        self.error = error
        super().__init__(failure.message())

    @property
    def said(self) -> str | None:
        """The text of the server's own JSON-RPC error; None if it did not answer with one."""
        return self.failure.words if self.failure.is_json_rpc else None


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The outcome of a tool call: an MCP `CallToolResult` in wire form.

    `problem` classifies a result that mcprun synthesised or marked as failed; None for one that the server sent as it
    is. `error` is the text of the server's JSON-RPC error, if it answered with one. `cancelled` is set if the call was
    abandoned and the server was notified.
    """

    result: JsonObject
    problem: str | None = None
    cancelled: bool = False
    error: str | None = None

    @property
    def is_error(self) -> bool:
        """Whether the call failed: the server set `isError`, or sent no valid result."""
        return bool(self.result.get("isError"))


class ServerSession:
    """A session with one live server.

    Args:
        number: Identifies the server within a run.
        client: The connected SDK client.
        tools: The server's tools as last listed.
        link: The connection that the session runs over.
        stderr: The server's stderr.
        desk: The callbacks that handle the server's requests and notifications.
        relist: Lists the server's tools again.
        most_seconds: The limit, in seconds, up to which progress extends a request that has no `caller`.
    """

    def __init__(
        self,
        number: int,
        client: Client,
        tools: ToolSet,
        link: Connection,
        stderr: ServerStderr,
        desk: ClientCallbacks,
        relist: Relist,
        most_seconds: float = MAX_CALL_SECONDS,
    ) -> None:
        self.number = number
        self.tools = tools
        self.desk = desk
        self._relist = relist
        self._relisting = asyncio.Lock()
        self.protocol = client.protocol_version
        self._is_modern = self.protocol in MODERN_PROTOCOL_VERSIONS
        self.name = client.server_info.name if client.server_info else None
        self.version = client.server_info.version if client.server_info else None
        self._session = client.session
        self._capabilities = client.server_capabilities
        self._link = link
        self._stderr = stderr
        self._outputs = OutputSchemas()
        self._outputs.update(tools)
        self._repeatable = _repeatable(tools)
        self.most_seconds = most_seconds

    @property
    def dead(self) -> bool:
        """Whether the connection was lost rather than closed by mcprun."""
        return self._link.is_down

    @property
    def log_offset(self) -> int:
        """The offset in `server.log`, in bytes, of the next byte of the servers' stderr."""
        return self._stderr.offset

    def last_words(self) -> str:
        """Return the end of the server's stderr since this server was started."""
        return self._stderr.last_words

    async def close(self) -> None:
        """Close the connection, and shut down the server if mcprun started it for this connection."""
        await self._link.close()

    def has(self, capability: str) -> bool:
        """Return whether the server declares a capability, such as `prompts` or `resources`."""
        return getattr(self._capabilities, capability) is not None

    async def request(
        self, request: mcp_types.Request[Any, Any], what: str, seconds: float, caller: PendingCall | None = None
    ) -> JsonObject:
        """Send a request other than a tool call, and return its result in wire form.

        Requests that the server makes meanwhile are attributed to the `caller`. The limit is the `caller`'s clock, or
        `seconds` without a `caller`, as in `call`. `what` names the request in messages. Raises `RequestFailed` if
        there is no valid result, `QueryError` (`server_died`) if the server is gone.
        """
        if problem := unsendable(request.params.model_dump(by_alias=True)):
            raise RequestFailed(f"it can't be sent: {problem}", "bad arguments")

        clock = caller.clock if caller else Deadline(seconds, self.most_seconds)

        async def send(responses: mcp_types.InputResponses | None, state: str | None) -> JsonObject:
            more = {"input_responses": responses, "request_state": state} if responses or state else {}
            again = request.model_copy(update={"params": request.params.model_copy(update=more)})
            progress = self.desk.progress(caller, clock)
            return await self._delivered(self._session.send_request(again, _WIRE, progress_callback=progress))

        try:
            with self.desk.askers.calling(caller):
                async with clock:
                    result = await send(None, None)
                    result = (
                        await resolve_input_required(self._session, result, send) if asks_for_input(result) else result
                    )
            return self.desk.finite(result, what)
        except TimeoutError:
            raise RequestFailed(f"no answer to {what} {clock.limit}", TIMEOUT) from None
        except _HttpError as error:
            words = self._http_words(error.failure, what)
            raise RequestFailed(words, error.failure.problem, error.error.code, error.said) from None
        except MCPError as error:
            if self._is_lost(error):
                raise await self._died(what) from None
            raise RequestFailed(
                error_text(error.error), problem_of(error), error.code, error_text(error.error)
            ) from None
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
            raise await self._died(what) from None
        except ValidationError as error:
            raise RequestFailed(
                f"the server sent an invalid result: {first_problem(error)}", "invalid result"
            ) from None
        except RoundsError as error:
            raise RequestFailed(str(error), "input required") from None

    def attend(self, asker: RequestHandler) -> AbstractContextManager[None]:
        """Return a context during which a query handles the requests of this server."""
        return self.desk.askers.attend(asker)

    async def refresh(self) -> None:
        """List the tools again if the server has reported a change. If that fails, keep the old list.

        `tools` is replaced, not changed: a caller that has read it before keeps its own list.
        """
        async with self._relisting:
            if self.desk.is_stale and not self.dead:
                self.desk.is_stale = False
                self.tools = await self._relist(self) or self.tools
                self._outputs.update(self.tools)
                self._repeatable = _repeatable(self.tools)

    async def call(
        self, tool: str, arguments: JsonObject, seconds: float, caller: PendingCall | None = None
    ) -> ToolResult:
        """Call a tool within `seconds`, or within the clock of the `caller` if there is one.

        Every answer of the server becomes a `ToolResult` for the model, including errors and invalid results. So do
        arguments that can't be sent as JSON. Requests that the server makes meanwhile are attributed to the `caller`.
        Raises `QueryError` (`server_died`) if the server is gone.
        """
        arguments = well_formed_json(arguments)
        if problem := unsendable(arguments):
            return ToolResult(error_result(f"The arguments can't be sent: {problem}."), "bad arguments")
        clock = caller.clock if caller else Deadline(seconds, self.most_seconds)
        try:
            with self.desk.askers.calling(caller):
                async with clock:
                    result = await self._result(tool, arguments, caller, clock)
        except TimeoutError:
            return ToolResult(error_result(f"No answer from {tool} {clock.limit}."), TIMEOUT, cancelled=True)
        except _HttpError as error:
            self.desk.refused(caller, error.error)
            words = self._http_words(error.failure, tool)
            return ToolResult(error_result(words), error.failure.problem, error=error.said)
        except MCPError as error:
            if self._is_lost(error):
                raise await self._died(tool) from None
            if error.code == INVALID_ANSWER:
                return ToolResult(error_result(f"No result of {tool}: {error.message}."), "invalid answer")
            self.desk.refused(caller, error)
            text = error_text(error.error)
            return ToolResult(error_result(text), problem_of(error), error=text)
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
            raise await self._died(tool) from None
        except ValidationError as error:
            return ToolResult(
                error_result(f"The server sent an invalid result: {first_problem(error)}."), "invalid result"
            )
        except RoundsError as error:
            return ToolResult(error_result(f"No result of {tool}: {error}."), "input required")
        answer = await self._checked_answer(tool, result)
        # After validation: the tool's output schema may accept NaN as a number.
        return replace(answer, result=self.desk.finite(answer.result, tool))

    async def _result(
        self, tool: str, arguments: JsonObject, caller: PendingCall | None, clock: Deadline
    ) -> JsonObject:
        """Send a call and return its result.

        The call is sent again each time that the server asks for input first, and once more if HTTP asks for a retry.
        """

        async def send(responses: mcp_types.InputResponses | None, state: str | None) -> JsonObject:
            params = mcp_types.CallToolRequestParams(
                name=tool, arguments=arguments, input_responses=responses, request_state=state
            )
            request = mcp_types.CallToolRequest(params=params)

            async def sent() -> JsonObject:
                progress = self.desk.progress(caller, clock)
                return await self._delivered(self._session.send_request(request, _WIRE, progress_callback=progress))

            try:
                return await sent()
            except _HttpError as error:
                wait = self._retry_after(tool, error.failure, clock)
                if wait is None:
                    raise
                self.desk.retried(caller, tool, error.failure.problem, wait)
            with caller.off_the_clock() if caller else nullcontext():
                await asyncio.sleep(wait)
            return await sent()

        result = await send(None, None)
        return await resolve_input_required(self._session, result, send) if asks_for_input(result) else result

    async def _delivered(self, sending: Awaitable[Any]) -> JsonObject:
        """Return the result of a request in flight. Raises `_HttpError` if an HTTP response explains its absence."""
        with delivery() as sent:
            try:
                return self._raw(await sending)
            except MCPError as error:
                if sent.failure:
                    raise _HttpError(sent.failure, error) from None
                raise

    def _retry_after(self, tool: str, failure: HttpFailure, clock: Deadline) -> float | None:
        """Return the seconds after which a call may be sent once more; None if it must not be, or would be too late.

        A call is repeated only if its tool declares that repeating it does no harm (MCP, "Tool Annotations").
        """
        wait = failure.retry_after
        if wait is None or failure.status not in _RETRIED or wait > _MAX_RETRY_AFTER_SECONDS or wait >= clock.left:
            return None
        return wait if tool in self._repeatable else None

    def _http_words(self, failure: HttpFailure, what: str) -> str:
        """Describe an HTTP failure. Raises `QueryError` (`session_lost`) if the server refused a new session too."""
        if failure.is_lost_session:
            message = f"the server refused {what} in a new session as well: {failure.message()}"
            raise QueryError(ErrorKind.SESSION_LOST, message)
        return failure.message()

    def _is_lost(self, error: MCPError) -> bool:
        """Return whether a request failed because the connection is over, which only the transport knows.

        An error that the server sent just before its end counts as its answer.
        """
        return self._link.is_over and (error.code, error.message) == _CLOSED

    async def _died(self, tool: str) -> QueryError:
        """Return the error for a server that died during a call or request, with the end of its stderr.

        Often, stderr is the only place that names the cause.
        """
        self._link.ended()
        await self._link.gone()
        reason = self._link.reason
        stderr = self.last_words().removesuffix(f"[{reason}]").strip()
        message = f"the server went away during {tool}"
        message += f": {reason}" if reason else ""
        message += f"; its stderr ends: {stderr}" if stderr else ""
        return QueryError(ErrorKind.SERVER_DIED, message)

    def _raw(self, result: JsonObject) -> JsonObject:
        """Return a result as the server sent it, without `resultType` if the protocol version does not define it."""
        sent = well_formed_json(as_sent(result))
        return sent if self._is_modern else {key: value for key, value in sent.items() if key != "resultType"}

    async def _checked_answer(self, tool: str, result: JsonObject) -> ToolResult:
        if result.get("resultType", "complete") != "complete":
            problem = f"the server's result is of a kind that nobody asked for ({result['resultType']})"
            return ToolResult(error_result(problem), "invalid result")
        reading = read_call(result, is_modern=self._is_modern)
        result = reading.result
        if reading.problems:
            return ToolResult(result, "invalid result")
        if result.get("isError"):
            return ToolResult(result)
        try:
            problem, notes = await self._outputs.problem(tool, result)
        except EvaluationError as error:
            raise QueryError(
                error.kind, f"the result of {tool} could not be validated by its output schema: {error}"
            ) from None
        for note in notes:
            self.desk.warn_once(f"the output schema of {tool}: {note}")
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


def described(server: ServerSession) -> ServerRecord:
    """Return the record of a server: its name, version and protocol, its tools, and their malformed parts."""
    return ServerRecord(
        name=server.name,
        version=server.version,
        protocol=server.protocol,
        tools=list(server.tools.listed),
        malformed=[
            Malformed(item=note.tool, rule=note.rule, message=note.words)
            for note in server.tools.notes
            if note.rule in ("malformed", "ignored")
        ],
        warnings=list(server.tools.warnings),
    )


def repeated(method: str, cursor: str | None) -> str:
    """Describe an endless list: the server sent a cursor that it had sent before."""
    return f"the server's {method} repeats the cursor {str(cursor)[:_CURSOR]!r}, so the list ends there"


def problem_of(error: MCPError) -> str:
    """Return the `problem` of a request that was answered with an error."""
    if error.code == INVALID_ANSWER:
        return "invalid answer"
    return "json-rpc error" if error.code == MALFORMED_ERROR else f"json-rpc error {error.code}"


def first_problem(error: ValidationError) -> str:
    """Describe the first validation error in a server's message, with the path of the field."""
    detail = error.errors(include_url=False)[0]
    path = ".".join(str(step) for step in detail["loc"])
    return f"{path}: {detail['msg']}" if path else detail["msg"]
