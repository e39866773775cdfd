"""The tool loop, with a canned model and a server that is a function."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import pytest

from mcprun._util.deadline import Deadline
from mcprun._util.json_value import JsonObject
from mcprun.client.session import ServerSession, ToolResult
from mcprun.engine.conversation import Attempt, Conversation
from mcprun.engine.tool_loop import ToolLoop
from mcprun.errors import ErrorKind, QueryError
from mcprun.limits import Limits
from mcprun.models.base import ModelReply, ModelRequest
from mcprun.prompts.query import parse_query
from mcprun.runs.events import AttemptRef, Event, ModelCall, ToolCall
from mcprun.tools.results import error_result
from mcprun.tools.toolset import ToolSet


class CannedModel:
    """A model that returns its turns one after the other."""

    name = "said"

    def __init__(self, *turns: tuple[str, list[JsonObject]]) -> None:
        self.turns = turns
        self.requests: list[list[JsonObject]] = []

    async def reply(self, request: ModelRequest) -> ModelReply:
        self.requests.append(list(request.messages))
        stop_reason, content = self.turns[request.turn]
        return ModelReply(content=content, stop_reason=stop_reason, model="said-1")


class FunctionServer:
    """A server whose tool calls are answered by a function."""

    number, log_offset = 1, 0
    tools = ToolSet.of([{"name": "t", "inputSchema": {"type": "object"}}])

    def __init__(self, answer: Callable[[JsonObject], Any]) -> None:
        self.answer = answer

    def register(self, handler: object) -> AbstractContextManager[None]:
        return nullcontext()

    async def call(self, tool: str, arguments: JsonObject, timeout_s: float, caller: object) -> ToolResult:
        return cast("ToolResult", await self.answer(arguments))


def tool_use(number: int) -> JsonObject:
    """Return a tool call of the model."""
    return {"type": "tool_use", "id": f"u{number}", "name": "t", "input": {"n": number}}


def text_block(text: str) -> JsonObject:
    """Return a text block."""
    return {"type": "text", "text": text}


async def converse(
    model: CannedModel, answer: Callable[[JsonObject], Any], **query: Any
) -> tuple[Conversation, list[Event]]:
    """Run one conversation, and return it with its events."""
    events: list[Event] = []
    conversation = Conversation(model=model.name)
    loop = ToolLoop(model=model, limits=Limits(), system=None, emit=events.append)
    parsed = parse_query(query if "prompts" in query else {"prompt": "go", **query})
    async with Deadline(60) as deadline:
        attempt = Attempt(parsed, AttemptRef("q"), conversation, deadline)
        await loop.converse(attempt, cast("ServerSession", FunctionServer(answer)))
    return conversation, events


async def answer_with_number(arguments: JsonObject) -> ToolResult:
    """Return the number of the call as its result."""
    return ToolResult({"content": [text_block(f"answer {arguments['n']}")]})


async def test_tool_calls_of_a_turn_run_concurrently_and_return_in_order() -> None:
    """Three calls that wait for each other finish in reverse order.

    Their results are returned in the order of the calls.
    """
    waiting = [asyncio.Event() for _ in range(3)]

    async def answer(arguments: JsonObject) -> ToolResult:
        number = arguments["n"]
        if number < 2:
            await waiting[number + 1].wait()  # finish only after the next call has started
        waiting[number].set()
        return await answer_with_number(arguments)

    model = CannedModel(("tool_use", [tool_use(0), tool_use(1), tool_use(2)]), ("end_turn", [text_block("done")]))
    conversation, events = await converse(model, answer)
    results = conversation.messages[2]["content"]
    assert [block["tool_use_id"] for block in results] == ["u0", "u1", "u2"]
    assert [call.input["n"] for call in conversation.calls] == [0, 1, 2]
    assert [event.call for event in events if isinstance(event, ToolCall)] == [2, 1, 0]


async def test_a_paused_turn_is_continued_with_its_content() -> None:
    """After `pause_turn`, the next request has the same messages and the unchanged paused turn last."""
    paused = [{"type": "thinking", "thinking": "…", "signature": "s"}, text_block("Wait")]
    model = CannedModel(("pause_turn", paused), ("end_turn", [text_block("Done")]))
    conversation, _ = await converse(model, answer_with_number)
    assert model.requests[1] == [{"role": "user", "content": "go"}, {"role": "assistant", "content": paused}]
    assert (conversation.stop, conversation.text) == ("end_turn", "Done")


async def test_max_turns_ends_the_conversation_after_the_last_calls() -> None:
    """At the limit, the calls of the last turn still run, and no further turn is requested."""
    model = CannedModel(*[("tool_use", [tool_use(number)]) for number in range(9)])
    conversation, _ = await converse(model, answer_with_number, max_turns=3)
    assert (conversation.stop, len(conversation.turns), len(conversation.calls)) == ("max_turns", 3, 3)


async def test_calls_answered_before_the_server_died_are_recorded() -> None:
    """If the server dies during a turn, the answered calls are recorded, and the error is raised."""
    answered = asyncio.Event()

    async def answer(arguments: JsonObject) -> ToolResult:
        if arguments["n"] == 1:
            await answered.wait()
            raise QueryError(ErrorKind.SERVER_DIED, "gone")
        answered.set()
        return ToolResult(error_result("no"))

    model = CannedModel(("tool_use", [tool_use(0), tool_use(1)]))
    conversation = Conversation(model="said")
    events: list[Event] = []
    loop = ToolLoop(model=model, limits=Limits(), system=None, emit=events.append)
    server = cast("ServerSession", FunctionServer(answer))
    with pytest.raises(QueryError) as error:
        await loop.converse(Attempt(parse_query("go"), AttemptRef("q"), conversation, Deadline(60)), server)
    assert error.value.kind is ErrorKind.SERVER_DIED
    assert [(call.input["n"], call.is_error) for call in conversation.calls] == [(0, True)]
    assert [event.problem for event in events if isinstance(event, ToolCall)] == [None, "server_died"]


@pytest.mark.parametrize("stop", ["max_tokens", "refusal", "model_context_window_exceeded"])
async def test_no_further_message_is_sent_after_an_incomplete_turn(stop: str) -> None:
    """The second user message is not sent after a turn that the model did not end by itself."""
    model = CannedModel((stop, [text_block("I wo")]))
    conversation, events = await converse(model, answer_with_number, prompts=["one", "two"])
    assert (conversation.stop, len(conversation.messages)) == (stop, 2)
    assert len([event for event in events if isinstance(event, ModelCall)]) == 1
