"""One query on virtual time: which waits count towards its limits."""

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


class RateLimitedModel:
    """A model that waits two seconds for a rate limit, and replies after half a second."""

    name = "model"

    async def reply(self, request: ModelRequest) -> ModelReply:
        with request.deadline.pause():
            await asyncio.sleep(2)
        await asyncio.sleep(0.5)
        return ModelReply(content=[{"type": "text", "text": "Done."}], stop_reason="end_turn", model="model-1")


class SlowJudge:
    """A judge that takes two seconds."""

    async def grade(self, attempt: Attempt) -> list[Check]:
        await asyncio.sleep(2)
        return [Check(check="judge", passed=True, rubric=attempt.rubrics[0])]


class IdleServer:
    """A server that is never called."""

    number, log_offset = 1, 0
    tools = ToolSet.of([])

    def register(self, handler: object) -> AbstractContextManager[None]:
        return nullcontext()


class SlowPool:
    """A pool that takes three seconds to lease a server, and one to release it."""

    attributes_requests = True

    @asynccontextmanager
    async def lease(self, *, exclusive: bool, where: AttemptRef) -> AsyncIterator[ServerSession]:
        await asyncio.sleep(3)
        yield cast("ServerSession", IdleServer())
        await asyncio.sleep(1)


def make_executor(loop: ToolLoop, judge: Judge | None = None) -> QueryExecutor:
    """Return an executor that leases its servers from a `SlowPool`."""
    return QueryExecutor(
        loop=loop,
        judge=judge,
        servers=cast("ServerPool", SlowPool()),
        allow_tool_errors=False,
        fail_diverged=False,
        formatter=ValueFormatter(str),
        run_stop=RunStop(),
    )


def test_max_seconds_excludes_server_and_rate_limit_waits() -> None:
    """`max_seconds` excludes the time for starting, leasing and stopping a server, and for waiting for a rate limit."""

    async def attempt(limit: float) -> Transcript:
        query = parse_query({"prompt": "go", "timeout": 1, "expect": {"max_seconds": limit}})
        return await executor.run(query)

    events: list[Event] = []
    loop = ToolLoop(model=RateLimitedModel(), limits=Limits(), system=None, emit=events.append)
    executor = make_executor(loop)
    within_limit, above_limit = virtual_time.run(attempt(0.8)), virtual_time.run(attempt(0.4))
    assert within_limit.verdict == "passed"
    assert [check.message for check in above_limit.checks if not check.passed] == ["took 0.5 s, at most 0.4 s allowed"]
    assert [(event.seconds, event.waited) for event in events if isinstance(event, AttemptEnd)] == [(6.5, 6.0)] * 2


def test_max_seconds_excludes_the_judge() -> None:
    """`max_seconds` bounds the conversation without the judge. The query's deadline bounds both."""

    async def attempt(seconds: float) -> Transcript:
        expect = {"max_seconds": 0.6, "judge": "It is polite."}
        return await executor.run(parse_query({"prompt": "go", "timeout": seconds, "expect": expect}))

    loop = ToolLoop(model=RateLimitedModel(), limits=Limits(), system=None, emit=lambda _: None)
    executor = make_executor(loop, SlowJudge())
    assert virtual_time.run(attempt(3)).verdict == "passed"
    late = virtual_time.run(attempt(1))
    assert late.error
    assert late.error.message.startswith("timed out after 1 s in the judge's grading (the query's `timeout`)")
