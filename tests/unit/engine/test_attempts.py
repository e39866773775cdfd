"""One query on virtual time: which events count as the query's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from typing import cast

from mcprun._util.run_stop import RunStop
from mcprun.client.pool import ServerPool
from mcprun.client.session import ServerSession
from mcprun.engine.attempts import QueryExecutor
from mcprun.engine.conversation import Attempt
from mcprun.engine.judge import Judge
from mcprun.engine.tool_loop import ToolLoop
from mcprun.limits import Limits
from mcprun.models.base import ModelReply, ModelRequest
from mcprun.prompts.query import parse_query
from mcprun.runs.events import AttemptEnd, AttemptRef, Event
from mcprun.runs.transcript import Check, Transcript
from mcprun.tools.format import ValueFormatter
from mcprun.tools.toolset import ToolSet
from tests.support import virtual_time


class Model:
    """Waits two seconds for a rate limit, and answers after half a second."""

    name = "model"

    async def reply(self, request: ModelRequest) -> ModelReply:
        with request.deadline.pause():
            await asyncio.sleep(2)
        await asyncio.sleep(0.5)
        return ModelReply(content=[{"type": "text", "text": "Done."}], stop_reason="end_turn", model="model-1")


class Slowly:
    """A judge that takes two seconds."""

    async def grade(self, attempt: Attempt) -> list[Check]:
        await asyncio.sleep(2)
        return [Check(check="judge", passed=True, rubric=attempt.rubrics[0])]


class Idle:
    """A server that is never called."""

    number, log_offset = 1, 0
    tools = ToolSet.of([])

    def register(self, handler: object) -> AbstractContextManager[None]:
        return nullcontext()


class Slow:
    """A pool whose servers take three seconds to come, and one to go."""

    attributes_requests = True

    @asynccontextmanager
    async def lease(self, *, exclusive: bool, where: AttemptRef) -> AsyncIterator[ServerSession]:
        await asyncio.sleep(3)
        yield cast("ServerSession", Idle())
        await asyncio.sleep(1)


def executor(loop: ToolLoop, judge: Judge | None = None) -> QueryExecutor:
    """Make an executor whose servers are `Slow`."""
    return QueryExecutor(
        loop=loop,
        judge=judge,
        servers=cast("ServerPool", Slow()),
        allow_tool_errors=False,
        fail_diverged=False,
        formatter=ValueFormatter(str),
        run_stop=RunStop(),
    )


def test_a_query_is_not_charged_for_its_server() -> None:
    """Starting a server, waiting for one and stopping it are waiting, as a rate limit is: `max_seconds` bounds the rest."""

    async def tried(limit: float) -> Transcript:
        query = parse_query({"prompt": "go", "timeout": 1, "expect": {"max_seconds": limit}})
        return await attempts.run(query)

    events: list[Event] = []
    loop = ToolLoop(model=Model(), limits=Limits(), system=None, emit=events.append)
    attempts = executor(loop)
    enough, too_few = virtual_time.run(tried(0.8)), virtual_time.run(tried(0.4))
    assert enough.verdict == "passed"
    assert [check.message for check in too_few.checks if not check.passed] == ["expected at most 0.4 seconds, got 0.5"]
    assert [(event.seconds, event.waited) for event in events if isinstance(event, AttemptEnd)] == [(6.5, 6.0)] * 2


def test_a_query_is_not_charged_for_its_judge() -> None:
    """`max_seconds` bounds the conversation; the deadline of the query bounds both."""

    async def tried(seconds: float) -> Transcript:
        expect = {"max_seconds": 0.6, "judge": "It is polite."}
        return await attempts.run(parse_query({"prompt": "go", "timeout": seconds, "expect": expect}))

    loop = ToolLoop(model=Model(), limits=Limits(), system=None, emit=lambda _: None)
    attempts = executor(loop, Slowly())
    assert virtual_time.run(tried(3)).verdict == "passed"
    late = virtual_time.run(tried(1))
    assert late.error
    assert late.error.message.startswith(
        "the query did not finish within 1 s (--query-timeout or its `timeout`); waiting for the judge"
    )
