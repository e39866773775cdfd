"""A live MCP server, as those who talk to it see it: its tools, calling them, whether it is still there."""

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
from mcprun.runs.records import Malformed, ServerRecord
from mcprun.tools.output_schemas import OutputSchemas
from mcprun.tools.results import error_result, unsendable
from mcprun.tools.toolset import ToolSet

_WIRE: Any = TypeAdapter(dict[str, Any])
"""Results are taken as the JSON objects of the wire: exact, and nothing that a newer server adds is lost."""


_CLOSED = (mcp_types.CONNECTION_CLOSED, "Connection closed")
"""What the SDK makes of a request that a lost connection left without an answer. A server may say the same itself."""

_MAX_RETRY_AFTER_SECONDS = 60.0
"""The longest `retry-after` that is waited for before a call is sent once more."""

_RETRIED = frozenset({429, 503})
"""HTTP statuses that ask a client to come back (RFC 6585, section 4; RFC 9110, section 15.6.4)."""


_CURSOR = 80
"""Characters of a cursor that a message shows."""

TIMEOUT = "timeout"
"""The `problem` of what was not answered in time."""


class RequestFailed(Exception):  # noqa: N818  it is an outcome, told by whoever asked, and no error of the program
    """A request that is no call came to no result, and the server is still there; `str()` of it says why.

    `problem` says in which way; `code` and `error` are the code and the words of the server's JSON-RPC error, if it
    answered with one.
    """

    def __init__(self, message: str, problem: str, code: int | None = None, error: str | None = None) -> None:
        self.problem = problem
        self.code = code
        self.error = error
        super().__init__(message)


class _HttpError(Exception):
    """A request was answered over HTTP, and not with a result; `code` is that of the JSON-RPC error."""

    def __init__(self, failure: HttpFailure, error: MCPError) -> None:
        self.failure = failure
        self.error = error
        super().__init__(failure.message())

    @property
    def said(self) -> str | None:
        """The words of the server's own JSON-RPC error, if it answered with one."""
        return self.failure.words if self.failure.is_json_rpc else None


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What came of a call: an MCP `CallToolResult` (wire form).

    `problem` is set where mcprun synthesised the result, `error` to the words of the server's JSON-RPC error if it
    answered with one. `cancelled` tells that the call was given up, and that the server was notified.
    """

    result: JsonObject
    problem: str | None = None
    cancelled: bool = False
    error: str | None = None

    @property
    def is_error(self) -> bool:
        """Whether the call failed, by the server's word or for want of a proper answer."""
        return bool(self.result.get("isError"))


class ServerSession:
    """One live server. `tools` are its tools as they were listed last; `number` tells servers apart.

    `desk` is where it asks and tells things; `relist` lists its tools again. A request that has no clock of its own is
    extended by progress up to `most_seconds`.
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
        """Whether the connection has ended without our doing."""
        return self._link.is_down

    @property
    def log_offset(self) -> int:
        """Where the next byte of the servers' stderr will stand in `server.log`."""
        return self._stderr.offset

    def last_words(self) -> str:
        """Give the end of what was said on stderr since this server was started."""
        return self._stderr.last_words

    async def close(self) -> None:
        """End the connection, and the server if it was started for it."""
        await self._link.close()

    def has(self, capability: str) -> bool:
        """Tell whether the server says that it has a capability, such as `prompts` or `resources`."""
        return getattr(self._capabilities, capability) is not None

    async def request(
        self, request: mcp_types.Request[Any, Any], what: str, seconds: float, caller: PendingCall | None = None
    ) -> JsonObject:
        """Send a request that is no call, for at most so many seconds; give its result as the wire has it.

        What the server asks meanwhile is answered for the `caller`, whose clock comes first, as that of a call does.
        Raises `RequestFailed` where there is none, `QueryError` (`server_died`) when nobody is there to answer.
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
        """Have a query answer what this server asks, for as long as the context lasts."""
        return self.desk.askers.attend(asker)

    async def refresh(self) -> None:
        """List the tools again, if the server has said that they changed; where that fails, the old list stays.

        Who has taken `tools` before keeps what it has.
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
        """Call a tool, for at most so many seconds, or until the clock of the `caller` has run out.

        Whatever the server answers is an `ToolResult`, its errors and invalid results too: the model is told. So it
        is when the arguments can't be sent as JSON. What the server asks meanwhile is answered for the `caller`.
        Raises `QueryError` (`server_died`) when nobody is there to answer.
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
        # Only now: its own output schema may allow NaN as a number.
        return replace(answer, result=self.desk.finite(answer.result, tool))

    async def _result(
        self, tool: str, arguments: JsonObject, caller: PendingCall | None, clock: Deadline
    ) -> JsonObject:
        """Send the call, again as often as the server asks for input first, and once if it asks to come back."""

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
        """Await the result of a request that is being sent. Raises `_HttpError` if HTTP says why there is none."""
        with delivery() as sent:
            try:
                return self._raw(await sending)
            except MCPError as error:
                if sent.failure:
                    raise _HttpError(sent.failure, error) from None
                raise

    def _retry_after(self, tool: str, failure: HttpFailure, clock: Deadline) -> float | None:
        """Return the seconds after which a call may be sent once more; None if it must not be, or not in time.

        No call is repeated unless its tool declares that repeating it does no harm (MCP, "Tool Annotations").
        """
        wait = failure.retry_after
        if wait is None or failure.status not in _RETRIED or wait > _MAX_RETRY_AFTER_SECONDS or wait >= clock.left:
            return None
        return wait if tool in self._repeatable else None

    def _http_words(self, failure: HttpFailure, what: str) -> str:
        """Describe an HTTP failure. Raises `QueryError` (`session_lost`) if the server knows no session at all."""
        if failure.is_lost_session:
            message = f"the server refused {what} in a new session as well: {failure.message()}"
            raise QueryError(ErrorKind.SESSION_LOST, message)
        return failure.message()

    def _is_lost(self, error: MCPError) -> bool:
        """Return whether a request has no answer because the connection is over, which only the transport knows.

        What the server answered just before its end is an answer all the same.
        """
        return self._link.is_over and (error.code, error.message) == _CLOSED

    async def _died(self, tool: str) -> QueryError:
        """Say which call met the server's end, and what was said last: often the only text with the cause."""
        self._link.ended()
        await self._link.gone()
        reason = self._link.reason
        said = self.last_words().removesuffix(f"[{reason}]").strip()
        message = f"the server went away during {tool}"
        message += f": {reason}" if reason else ""
        message += f"; its stderr ends: {said}" if said else ""
        return QueryError(ErrorKind.SERVER_DIED, message)

    def _raw(self, result: JsonObject) -> JsonObject:
        """Return a result as the server sent it, without what its version of the protocol gives no meaning."""
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
            # The content is kept: that it breaks the server's own schema is the server's failure, told as one.
            told = {"type": "text", "text": f"The result does not fit the tool's own output schema: {problem}"}
            return ToolResult({**result, "content": [*result["content"], told], "isError": True}, "output schema")
        return ToolResult(result)


Relist = Callable[[ServerSession], Awaitable[ToolSet | None]]
"""Lists a server's tools again, and tells of it; gives nothing where that can't be done."""


def _repeatable(tools: ToolSet) -> set[str]:
    """Return the names of the tools that declare that calling them again changes nothing more."""
    hints = ("readOnlyHint", "idempotentHint")
    told = {tool["name"]: tool.get("annotations") or {} for tool in tools.listed}
    return {name for name, annotations in told.items() if any(annotations.get(hint) is True for hint in hints)}


def described(server: ServerSession) -> ServerRecord:
    """Give what a server says of itself, its tools, and what of them can't be sent."""
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
    """Describe a list whose pages would never end, because the server sends a cursor that it has sent before."""
    return f"the server's {method} repeats the cursor {str(cursor)[:_CURSOR]!r}, so the list ends there"


def problem_of(error: MCPError) -> str:
    """Name the problem with a request that was answered with an error."""
    if error.code == INVALID_ANSWER:
        return "invalid answer"
    return "json-rpc error" if error.code == MALFORMED_ERROR else f"json-rpc error {error.code}"


def first_problem(error: ValidationError) -> str:
    """Say the first thing that is wrong with what a server sent, and where."""
    detail = error.errors(include_url=False)[0]
    path = ".".join(str(step) for step in detail["loc"])
    return f"{path}: {detail['msg']}" if path else detail["msg"]
