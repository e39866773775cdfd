"""The tool loop, with a model of three lines and a server of a few more."""

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
    """A model that says what it is given, one turn after the other."""

    name = "said"

    def __init__(self, *turns: tuple[str, list[JsonObject]]) -> None:
        self.turns = turns
        self.requests: list[list[JsonObject]] = []

    async def reply(self, request: ModelRequest) -> ModelReply:
        self.requests.append(list(request.messages))
        stop_reason, content = self.turns[request.turn]
        return ModelReply(content=content, stop_reason=stop_reason, model="said-1")


class Answers:
    """A server whose calls are a function's."""

    number, log_offset = 1, 0
    tools = ToolSet.of([{"name": "t", "inputSchema": {"type": "object"}}])

    def __init__(self, answer: Callable[[JsonObject], Any]) -> None:
        self.answer = answer

    def register(self, handler: object) -> AbstractContextManager[None]:
        return nullcontext()

    async def call(self, tool: str, arguments: JsonObject, timeout_s: float, caller: object) -> ToolResult:
        return cast("ToolResult", await self.answer(arguments))


def use(number: int) -> JsonObject:
    """Make a call of the model."""
    return {"type": "tool_use", "id": f"u{number}", "name": "t", "input": {"n": number}}


def text(words: str) -> JsonObject:
    """Make a block of text."""
    return {"type": "text", "text": words}


async def converse(
    model: CannedModel, answer: Callable[[JsonObject], Any], **query: Any
) -> tuple[Conversation, list[Event]]:
    """Run one conversation; give it, and the events."""
    events: list[Event] = []
    conversation = Conversation(model=model.name)
    loop = ToolLoop(model=model, limits=Limits(), system=None, emit=events.append)
    parsed = parse_query(query if "prompts" in query else {"prompt": "go", **query})
    async with Deadline(60) as deadline:
        attempt = Attempt(parsed, AttemptRef("q"), conversation, deadline)
        await loop.converse(attempt, cast("ServerSession", Answers(answer)))
    return conversation, events


async def ok(arguments: JsonObject) -> ToolResult:
    """Answer with the number of the call."""
    return ToolResult({"content": [text(f"answer {arguments['n']}")]})


async def test_calls_of_a_turn_run_at_the_same_time_and_come_back_in_order() -> None:
    """Three calls wait for each other, end in reverse, and their results stand as they were asked."""
    waiting = [asyncio.Event() for _ in range(3)]

    async def answer(arguments: JsonObject) -> ToolResult:
        number = arguments["n"]
        if number < 2:
            await waiting[number + 1].wait()  # the next call must have come before this one can end
        waiting[number].set()
        return await ok(arguments)

    model = CannedModel(("tool_use", [use(0), use(1), use(2)]), ("end_turn", [text("done")]))
    conversation, events = await converse(model, answer)
    results = conversation.messages[2]["content"]
    assert [block["tool_use_id"] for block in results] == ["u0", "u1", "u2"]
    assert [call.input["n"] for call in conversation.calls] == [0, 1, 2]
    assert [event.call for event in events if isinstance(event, ToolCall)] == [2, 1, 0]


async def test_a_paused_turn_goes_on_with_what_was_said() -> None:
    """After `pause_turn` the same messages go back, the paused turn last, untouched."""
    paused = [{"type": "thinking", "thinking": "…", "signature": "s"}, text("Wait")]
    model = CannedModel(("pause_turn", paused), ("end_turn", [text("Done")]))
    conversation, _ = await converse(model, ok)
    assert model.requests[1] == [{"role": "user", "content": "go"}, {"role": "assistant", "content": paused}]
    assert (conversation.stop, conversation.text) == ("end_turn", "Done")


async def test_max_turns_ends_a_model_that_runs_in_circles() -> None:
    """At the limit the last turn's calls are still run, and no further turn is asked for."""
    model = CannedModel(*[("tool_use", [use(number)]) for number in range(9)])
    conversation, _ = await converse(model, ok, max_turns=3)
    assert (conversation.stop, len(conversation.turns), len(conversation.calls)) == ("max_turns", 3, 3)


async def test_what_was_answered_before_the_server_died_is_kept() -> None:
    """A turn that is cut short leaves the calls that were answered, and raises the one error."""
    answered = asyncio.Event()

    async def answer(arguments: JsonObject) -> ToolResult:
        if arguments["n"] == 1:
            await answered.wait()
            raise QueryError(ErrorKind.SERVER_DIED, "gone")
        answered.set()
        return ToolResult(error_result("no"))

    model = CannedModel(("tool_use", [use(0), use(1)]))
    conversation = Conversation(model="said")
    events: list[Event] = []
    loop = ToolLoop(model=model, limits=Limits(), system=None, emit=events.append)
    server = cast("ServerSession", Answers(answer))
    with pytest.raises(QueryError) as error:
        await loop.converse(Attempt(parse_query("go"), AttemptRef("q"), conversation, Deadline(60)), server)
    assert error.value.kind is ErrorKind.SERVER_DIED
    assert [(call.input["n"], call.is_error) for call in conversation.calls] == [(0, True)]
    assert [event.problem for event in events if isinstance(event, ToolCall)] == [None, "server_died"]


@pytest.mark.parametrize("stop", ["max_tokens", "refusal", "model_context_window_exceeded"])
async def test_a_model_that_was_cut_short_hears_no_further_message(stop: str) -> None:
    """The second user message is not played after a turn that did not end by itself."""
    model = CannedModel((stop, [text("I wo")]))
    conversation, events = await converse(model, ok, prompts=["one", "two"])
    assert (conversation.stop, len(conversation.messages)) == (stop, 2)
    assert len([event for event in events if isinstance(event, ModelCall)]) == 1
