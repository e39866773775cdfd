"""Calls that a server answers with questions of its own (MCP 2026-07-28, "Multi Round-Trip Requests").

What the SDK's `Client.call_tool` does, on its session: the questions are answered by the same callbacks as those of
older protocols, and the call is made again with the answers and the server's own state, until there is a result.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from mcp import ClientSession
from mcp.client.session import ClientRequestContext
from mcp_types import ErrorData, InputRequiredResult, InputResponses

from mcprun._util.json_value import JsonObject
from mcprun.limits import MAX_ROUNDS
from mcprun.tools.results import unsendable

_FIRST_SECONDS, _MOST_SECONDS = 0.05, 0.25
"""The wait before a call is made again that asks for nothing, doubled each time: as the SDK's client waits."""

Resend = Callable[[InputResponses | None, str | None], Awaitable[JsonObject]]
"""Makes the call again, with answers and the server's state; gives the result as the wire has it."""


class RoundsError(Exception):
    """No result comes of it: a question got no answer, or none that can be sent, or the server never stops asking."""


def asks_for_input(result: JsonObject) -> bool:
    """Tell whether a result is no result yet."""
    return result.get("resultType") == "input_required"


async def resolve_input_required(session: ClientSession, result: JsonObject, resend: Resend) -> JsonObject:
    """Answer a server's questions, one after the other, until a call has its result; give that.

    Raises `RoundsError`, `pydantic.ValidationError` for questions that can't be read, and what `resend` raises.
    """
    wait = _FIRST_SECONDS
    for _ in range(MAX_ROUNDS):
        if not asks_for_input(result):
            return result
        asked = InputRequiredResult.model_validate(result, by_name=False)
        if asked.input_requests:
            wait = _FIRST_SECONDS
            responses = await _answers(session, asked)
        else:
            await asyncio.sleep(wait)
            wait, responses = min(2 * wait, _MOST_SECONDS), None
        result = await resend(responses, asked.request_state)
    if asks_for_input(result):
        raise RoundsError(f"the server has asked for input {MAX_ROUNDS} times, and asks again")
    return result


async def _answers(session: ClientSession, asked: InputRequiredResult) -> InputResponses:
    responses: InputResponses = {}
    for name, request in (asked.input_requests or {}).items():
        context = ClientRequestContext(session=session, request_id=name)
        response = await session.dispatch_input_request(context, request)
        if isinstance(response, ErrorData):
            raise RoundsError(f"the server asked for input ({request.method}), and {response.message}")
        if problem := unsendable(response.model_dump(by_alias=True)):
            raise RoundsError(f"the server asked for input ({request.method}), and the answer can't be sent: {problem}")
        responses[name] = response
    return responses
