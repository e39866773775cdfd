"""Handle the requests and notifications of one server: attribute each to a query, answer it, and emit an event."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import Any, TypeVar, cast

import mcp_types
from mcp.client.session import ClientRequestContext, IncomingMessage
from mcp.shared.dispatcher import ProgressFnT
from pydantic import ValidationError

from mcprun._util.deadline import Deadline
from mcprun._util.json_text import finite, holds_odd_number
from mcprun._util.json_value import JsonObject
from mcprun._util.long_integers import WARNING as LONG_INTEGER
from mcprun._util.long_integers import approximate, holds_long_integer
from mcprun._util.tasks import retrieve
from mcprun.client.elicitation import answer_by_policy
from mcprun.client.request_owner import ActiveQueries, ClientFeatures, ClientResponse, PendingCall, RequestOwner
from mcprun.evaluation.evaluator import EvaluationError, evaluated
from mcprun.limits import MAX_PROGRESS, MAX_SERVER_REQUESTS, MAX_TRACE_CHARS
from mcprun.runs.events import CallRetry, Emit, ServerLogged, ServerRequest, ToolProgress, ToolsChanged, WarningEvent
from mcprun.tools.results import result_text

T = TypeVar("T")


class ClientCallbacks:
    """The callbacks that the SDK calls for one session.

    `is_stale` is set when the server's tools have changed since they were listed. `list_clock` is the deadline of the
    `tools/list` in flight.

    Args:
        number: Identifies the server within a run.
        features: The client features that servers may use.
        emit: Receives the events.
        clean: Redacts a text.
        unattributed: Counts, for the whole run, the events that were attributed to no query, and each warning.
    """

    def __init__(
        self, number: int, features: ClientFeatures, emit: Emit, clean: Callable[[str], str], unattributed: Counter[str]
    ) -> None:
        self.active_queries = ActiveQueries()
        self.is_stale = False
        self.list_clock: Deadline | None = None
        self._number = number
        self._features = features
        self._emit = emit
        self._clean = clean
        self._unattributed = unattributed

    async def elicit(
        self, context: ClientRequestContext, params: mcp_types.ElicitRequestParams
    ) -> mcp_types.ElicitResult | mcp_types.ErrorData:
        """Answer `elicitation/create`."""
        del context
        response = await self._route("elicitation", self.finite(_wire(params), "elicitation/create"))
        return mcp_types.ElicitResult.model_validate(response.result) if response.result else _error(response)

    async def sample(
        self, context: ClientRequestContext, params: mcp_types.CreateMessageRequestParams
    ) -> mcp_types.CreateMessageResult | mcp_types.ErrorData:
        """Answer `sampling/createMessage`."""
        del context
        response = await self._route("sampling", self.finite(_wire(params), "sampling/createMessage"))
        if not response.result:
            return _error(response)
        return mcp_types.CreateMessageResult.model_validate(response.result, by_name=False)

    async def list_roots(self, context: ClientRequestContext) -> mcp_types.ListRootsResult | mcp_types.ErrorData:
        """Answer `roots/list`, which is the same for all queries."""
        del context
        self._emit_owned(self._attribute(), ServerRequest(server=self._number, kind="roots"))
        return mcp_types.ListRootsResult.model_validate({"roots": list(self._features.roots)})

    async def log(self, params: mcp_types.LoggingMessageNotificationParams) -> None:
        """Emit an event for a log message."""
        text = params.data if isinstance(params.data, str) else json.dumps(params.data, ensure_ascii=False, default=str)
        event = ServerLogged(
            server=self._number,
            level=params.level,
            logger=self._trace_text(params.logger),
            text=self._trace_text(text) or "",
        )
        self._emit_owned(self.active_queries.attribute(), event)

    async def on_notification(self, message: IncomingMessage) -> None:
        """Handle a notification. Only `notifications/tools/list_changed` has an effect."""
        if isinstance(message, mcp_types.ToolListChangedNotification):
            self.mark_tools_stale()

    def mark_tools_stale(self) -> None:
        """Mark the tools as stale: they are listed again before the next query. Emit an event if they were fresh."""
        was_stale, self.is_stale = self.is_stale, True
        if not was_stale and self._is_below_limit(RequestOwner(), "tools_changed"):
            self._emit(ToolsChanged(server=self._number))

    def finite(self, value: T, what: str) -> T:
        """Return a server's value with NaN, infinite numbers and long integers replaced. Warn once for each `what`.

        JSON has no NaN or infinity (RFC 8259, section 6). `what` is the name of a tool or of a request.
        """
        if not holds_odd_number(value):
            return value
        if holds_long_integer(value):
            self.warn_once(f"the server's message ({what}): {LONG_INTEGER}")
        if holds_odd_number(approximate(value)):
            self.warn_once(
                f"the server's message ({what}) contains NaN or Infinity, which is not valid JSON (RFC 8259);"
                ' recorded as text, such as "NaN"'
            )
        return cast("T", finite(value))

    def progress(self, caller: PendingCall | None, clock: Deadline) -> ProgressFnT:
        """Return the handler of a request's progress notifications (MCP, "Progress" and "Timeouts").

        Each notification with a higher value than before resets the `clock`. The first `MAX_PROGRESS` notifications of
        a `caller` are emitted as events.
        """
        highest = -math.inf

        async def on_progress(progress: float, total: float | None, message: str | None) -> None:
            nonlocal highest
            if progress > highest:
                highest = progress
                clock.extend(progress, total)
                if caller is None:
                    self.extend_listing(progress, total)
            if caller is None:
                return
            caller.progress += 1
            if caller.progress <= MAX_PROGRESS:
                self._emit(
                    ToolProgress(
                        where=caller.handler.where,
                        turn=caller.turn,
                        call=caller.call,
                        server=self._number,
                        progress=progress,
                        total=total,
                        message=self._trace_text(message),
                    )
                )

        return on_progress

    def emit_retry(self, caller: PendingCall | None, tool: str, problem: str, wait: float) -> None:
        """Emit an event for a call that will be sent once more after `wait` seconds."""
        event = CallRetry(server=self._number, call=None, tool=tool, problem=problem, wait=wait)
        if caller:
            event = replace(event, where=caller.handler.where, turn=caller.turn, call=caller.call)
        self._emit(event)

    def extend_listing(self, progress: float, total: float | None) -> None:
        """Extend the deadline of the `tools/list` in flight."""
        if self.list_clock:
            self.list_clock.extend(progress, total)

    def warn_once(self, message: str) -> None:
        """Emit a warning once per run."""
        self._unattributed[message] += 1
        if self._unattributed[message] == 1:
            self._emit(WarningEvent(message=message))

    def emit_required_urls(self, caller: PendingCall | None, error: mcp_types.ErrorData) -> None:
        """Emit an event for each URL that a refused call requires.

        MCP 2025-11-25, "URL Elicitation Required Error".
        """
        if error.code != mcp_types.URL_ELICITATION_REQUIRED or caller is None:
            return
        with suppress(ValidationError):
            required = mcp_types.ElicitationRequiredErrorData.model_validate(error.data, by_name=False)
            for elicitation in required.elicitations:
                event = ServerRequest(
                    server=self._number,
                    kind="elicitation",
                    message=self._trace_text(elicitation.message),
                    url=self._trace_text(elicitation.url),
                    reason="the server refuses the call until this URL has been visited",
                )
                self._emit_owned(RequestOwner(caller.handler, caller, is_sure=True), event)

    def _attribute(self) -> RequestOwner:
        """Attribute the request that is being handled, and note whether it names no call."""
        owner = self.active_queries.attribute()
        self.active_queries.has_unattributed |= owner.caller is None
        return owner

    async def _route(self, kind: str, request: JsonObject) -> ClientResponse:
        """Route a request to the query it belongs to, and emit an event."""
        owner, started = self._attribute(), time.monotonic()
        response = await self._response(owner, kind, request)
        result = response.result or {}
        self._emit_owned(
            owner,
            ServerRequest(
                seconds=time.monotonic() - started,
                server=self._number,
                kind=kind,
                message=self._trace_text(_request_text(request)),
                url=self._trace_text(request.get("url")),
                answer=result.get("action") or self._trace_text(_text(result.get("content"))),
                content=result.get("content") if "action" in result else None,
                reason=self._trace_text(response.reason),
                model=response.model,
                stop_reason=response.stop_reason,
                usage=response.usage,
            ),
        )
        self._warn(kind, owner, response)
        return response

    async def _response(self, owner: RequestOwner, kind: str, request: JsonObject) -> ClientResponse:
        if owner.handler is None:
            if kind == "elicitation":
                try:
                    result, reason = await evaluated(lambda: answer_by_policy(self._features.elicit, request))
                except EvaluationError as error:
                    result, reason = {"action": "decline"}, str(error)
                return ClientResponse(result=result, reason=reason)
            return ClientResponse(reason="it cannot be attributed to a query")
        if not self._is_below_limit(owner, "requests"):
            return ClientResponse(reason=f"the query has already received {MAX_SERVER_REQUESTS} requests, the maximum")
        answering = asyncio.ensure_future(
            owner.handler.answer(kind, request, owner.caller, is_sure=owner.is_sure),
        )
        answering.add_done_callback(retrieve)
        self.active_queries.call_at_end(owner.handler, answering.cancel)
        with ExitStack() as stack:
            for clock in self.active_queries.deadlines(owner):
                stack.enter_context(clock.pause())
            try:
                await asyncio.wait({answering})
            finally:
                answering.cancel()
        return ClientResponse(reason="the query ended first") if answering.cancelled() else answering.result()

    def _emit_owned(self, owner: RequestOwner, event: ServerRequest | ServerLogged) -> None:
        """Emit an event with its owner, unless that owner already has `MAX_SERVER_REQUESTS` events of the same name."""
        if not self._is_below_limit(owner, event.name):
            return
        if owner.caller:
            event = replace(event, turn=owner.caller.turn, call=owner.caller.call)
        self._emit(replace(event, where=owner.handler.where if owner.handler else None))

    def _is_below_limit(self, owner: RequestOwner, name: str) -> bool:
        is_active = owner.handler is not None and owner.handler in self.active_queries
        counts = self.active_queries.counts(owner.handler) if owner.handler and is_active else self._unattributed
        counts[name] += 1
        return counts[name] <= MAX_SERVER_REQUESTS

    def _warn(self, kind: str, owner: RequestOwner, response: ClientResponse) -> None:
        """Warn once per run about an answer that the user may not expect."""
        if kind == "elicitation" and self._features.elicit == "decline" and not owner.is_sure and not response.reason:
            message = "the server sent an elicitation request, which was declined; see --elicit and the trace"
        elif owner.handler is None:
            message = (
                f"a server's {kind} request cannot be attributed to a query, so no scripted answer was used;"
                " --fresh-server starts a server for each query"
            )
        else:
            return
        self.warn_once(message)

    def _trace_text(self, text: Any) -> str | None:
        return None if text is None else self._clean(str(text))[:MAX_TRACE_CHARS]


def _wire(params: mcp_types.ElicitRequestParams | mcp_types.CreateMessageRequestParams) -> JsonObject:
    """Return a request's parameters in wire form, without `_meta` and `task`, which concern the request itself."""
    return params.model_dump(by_alias=True, exclude_unset=True, exclude={"meta", "task"})


def _request_text(request: JsonObject) -> str:
    """Return the text of a request: the message of an elicitation, or the last message of a sampling request."""
    if "message" in request:
        return str(request["message"])
    return (_text(request["messages"][-1]["content"]) or "") if request.get("messages") else ""


def _text(content: JsonObject | list[JsonObject] | None) -> str | None:
    """Return the text of a sampling message's content, which is one block or a list; None if there is no content."""
    if content is None:
        return None
    return result_text(content if isinstance(content, list) else [content])


def _error(response: ClientResponse) -> mcp_types.ErrorData:
    return mcp_types.ErrorData(code=response.code, message=response.error_message)
