"""A live MCP server, as those who talk to it see it: its tools, calling them, whether it is still there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

import anyio
import mcp_types
from mcp import Client, MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import TypeAdapter, ValidationError

from mcprun.asking import Asker, Caller
from mcprun.content import error_result, unsendable
from mcprun.deadline import Deadline
from mcprun.desk import Desk
from mcprun.errors import ErrorKind, QueryError
from mcprun.evaluation import EvaluationError
from mcprun.limits import MAX_CALL_SECONDS
from mcprun.link import Link
from mcprun.mcp_results import read_call
from mcprun.output_schemas import OutputSchemas
from mcprun.raw_results import as_sent
from mcprun.records import JsonObject, Malformed, ServerRecord
from mcprun.rounds import RoundsError, asks_for_input, finished
from mcprun.serverlog import Stderr
from mcprun.surrogates import well_formed_json
from mcprun.tools import ToolSet
from mcprun.wire import INVALID_ANSWER, MALFORMED_ERROR, error_text

_WIRE: Any = TypeAdapter(dict[str, Any])
"""Results are taken as the JSON objects of the wire: exact, and nothing that a newer server adds is lost."""


_FAREWELLS = frozenset(
    {
        (mcp_types.CONNECTION_CLOSED, "Connection closed"),
        (mcp_types.INVALID_REQUEST, "Session terminated"),  # HTTP 404: the session has expired
        (mcp_types.INTERNAL_ERROR, "Server returned an error response"),  # any other HTTP status
    }
)
"""Errors that the SDK makes itself: nobody answered the call, and that is never a tool's failure."""


_CURSOR = 80
"""Characters of a cursor that a message shows."""

TIMEOUT = "timeout"
"""The `problem` of what was not answered in time."""


class NoResult(Exception):  # noqa: N818  it is an outcome, told by whoever asked, and no error of the program
    """A request that is no call came to no result, and the server is still there; `str()` of it says why.

    `problem` says in which way; `code` and `error` are the code and the words of the server's JSON-RPC error, if it
    answered with one.
    """

    def __init__(self, message: str, problem: str, code: int | None = None, error: str | None = None) -> None:
        self.problem = problem
        self.code = code
        self.error = error
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Answer:
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


class Server:
    """One live server. `tools` are its tools as they were listed last; `number` tells servers apart.

    `desk` is where it asks and tells things; `relist` lists its tools again. `refusal` says why it lets nobody in any
    more, if it does not. A request that has no clock of its own is extended by progress up to `most_seconds`.
    """

    def __init__(
        self,
        number: int,
        client: Client,
        tools: ToolSet,
        link: Link,
        stderr: Stderr,
        desk: Desk,
        relist: Relist,
        refusal: Callable[[], str] = str,
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
        self._refusal = refusal
        self._outputs = OutputSchemas()
        self._outputs.update(tools)
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
        self, request: mcp_types.Request[Any, Any], what: str, seconds: float, caller: Caller | None = None
    ) -> JsonObject:
        """Send a request that is no call, for at most so many seconds; give its result as the wire has it.

        What the server asks meanwhile is answered for the `caller`, whose clock comes first, as that of a call does.
        Raises `NoResult` where there is none, `QueryError` (`server_died`) when nobody is there to answer.
        """
        if problem := unsendable(request.params.model_dump(by_alias=True)):
            raise NoResult(f"it can't be sent: {problem}", "bad arguments")

        clock = caller.clock if caller else Deadline(seconds, self.most_seconds)

        async def send(responses: mcp_types.InputResponses | None, state: str | None) -> JsonObject:
            more = {"input_responses": responses, "request_state": state} if responses or state else {}
            again = request.model_copy(update={"params": request.params.model_copy(update=more)})
            progress = self.desk.progress(caller, clock)
            return self._raw(await self._session.send_request(again, _WIRE, progress_callback=progress))

        try:
            with self.desk.askers.calling(caller):
                async with clock:
                    result = await send(None, None)
                    result = await finished(self._session, result, send) if asks_for_input(result) else result
            return self.desk.finite(result, what)
        except TimeoutError:
            self.desk.askers.gave_up(caller)
            raise NoResult(f"no answer to {what} {clock.limit}", TIMEOUT) from None
        except asyncio.CancelledError:
            self.desk.askers.gave_up(caller)
            raise
        except MCPError as error:
            if self._is_farewell(error):
                raise await self._died(what) from None
            raise NoResult(error_text(error.error), problem_of(error), error.code, error_text(error.error)) from None
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
            raise await self._died(what) from None
        except ValidationError as error:
            raise NoResult(f"the server sent an invalid result: {first_problem(error)}", "invalid result") from None
        except RoundsError as error:
            raise NoResult(str(error), "input required") from None

    def attend(self, asker: Asker) -> AbstractContextManager[None]:
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

    async def call(self, tool: str, arguments: JsonObject, seconds: float, caller: Caller | None = None) -> Answer:
        """Call a tool, for at most so many seconds, or until the clock of the `caller` has run out.

        Whatever the server answers is an `Answer`, its errors and invalid results too: the model is told. So it
        is when the arguments can't be sent as JSON. What the server asks meanwhile is answered for the `caller`.
        Raises `QueryError` (`server_died`) when nobody is there to answer.
        """
        arguments = well_formed_json(arguments)
        if problem := unsendable(arguments):
            return Answer(error_result(f"The arguments can't be sent: {problem}."), "bad arguments")
        clock = caller.clock if caller else Deadline(seconds, self.most_seconds)
        try:
            with self.desk.askers.calling(caller):
                async with clock:
                    result = await self._result(tool, arguments, caller, clock)
        except TimeoutError:
            self.desk.askers.gave_up(caller)
            return Answer(error_result(f"No answer from {tool} {clock.limit}."), TIMEOUT, cancelled=True)
        except asyncio.CancelledError:
            self.desk.askers.gave_up(caller)
            raise
        except MCPError as error:
            if self._is_farewell(error):
                raise await self._died(tool) from None
            if error.code == INVALID_ANSWER:
                return Answer(error_result(f"No result of {tool}: {error.message}."), "invalid answer")
            self.desk.refused(caller, error)
            text = error_text(error.error)
            return Answer(error_result(text), problem_of(error), error=text)
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
            raise await self._died(tool) from None
        except ValidationError as error:
            return Answer(error_result(f"The server sent an invalid result: {first_problem(error)}."), "invalid result")
        except RoundsError as error:
            return Answer(error_result(f"No result of {tool}: {error}."), "input required")
        answer = await self._checked_answer(tool, result)
        # Only now: its own output schema may allow NaN as a number.
        return replace(answer, result=self.desk.finite(answer.result, tool))

    async def _result(self, tool: str, arguments: JsonObject, caller: Caller | None, clock: Deadline) -> JsonObject:
        """Send the call, again as often as the server asks for input first."""

        async def send(responses: mcp_types.InputResponses | None, state: str | None) -> JsonObject:
            params = mcp_types.CallToolRequestParams(
                name=tool, arguments=arguments, input_responses=responses, request_state=state
            )
            request = mcp_types.CallToolRequest(params=params)
            progress = self.desk.progress(caller, clock)
            return self._raw(await self._session.send_request(request, _WIRE, progress_callback=progress))

        result = await send(None, None)
        return await finished(self._session, result, send) if asks_for_input(result) else result

    def _is_farewell(self, error: MCPError) -> bool:
        """Tell the SDK's own words for a connection that failed from an error that the server answered with."""
        said = (error.code, error.message)
        return self.dead or said in _FAREWELLS

    async def _died(self, tool: str) -> QueryError:
        """Say which call met the server's end, and what was said last: often the only text with the cause."""
        self._link.ended()
        await self._link.gone()
        if refusal := self._refusal():
            return QueryError(ErrorKind.SERVER_DIED, f"the server did not let {tool} be called: {refusal}")
        how = self._link.how
        said = self.last_words().removesuffix(f"[the server {how}]").strip()
        message = f"the server {how or 'went away'} during {tool}" + (f"; its stderr ends: {said}" if said else "")
        return QueryError(ErrorKind.SERVER_DIED, message)

    def _raw(self, result: JsonObject) -> JsonObject:
        """Return a result as the server sent it, without what its version of the protocol gives no meaning."""
        sent = well_formed_json(as_sent(result))
        return sent if self._is_modern else {key: value for key, value in sent.items() if key != "resultType"}

    async def _checked_answer(self, tool: str, result: JsonObject) -> Answer:
        if result.get("resultType", "complete") != "complete":
            problem = f"the server's result is of a kind that nobody asked for ({result['resultType']})"
            return Answer(error_result(problem), "invalid result")
        reading = read_call(result, is_modern=self._is_modern)
        result = reading.result
        if reading.problems:
            return Answer(result, "invalid result")
        if result.get("isError"):
            return Answer(result)
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
            return Answer({**result, "content": [*result["content"], told], "isError": True}, "output schema")
        return Answer(result)


Relist = Callable[[Server], Awaitable[ToolSet | None]]
"""Lists a server's tools again, and tells of it; gives nothing where that can't be done."""


def described(server: Server) -> ServerRecord:
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
