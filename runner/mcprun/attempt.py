"""One query, tried until it is done: the deadline around the loop, and the verdict on what came of it."""

from __future__ import annotations

import time

from mcprun.checks import check_all
from mcprun.deadline import Deadline
from mcprun.errors import ErrorKind, QueryError
from mcprun.events import AttemptEnd, Where
from mcprun.loop import Conversation, Loop
from mcprun.pool import Pool
from mcprun.queries import Query
from mcprun.records import ErrorInfo, Transcript, Usage, Verdict


async def attempt(
    query: Query, loop: Loop, servers: Pool, *, repeat: int = 1, number: int = 1, allow_tool_errors: bool
) -> Transcript:
    """Try a query once with one of the servers, within its deadline, and judge it.

    Always gives a whole transcript: with what was said so far and an error, where the query could not be
    completed. Raises `RunError` only, when no query could be.
    """
    where = Where(query.id, repeat, number)
    conversation = Conversation(model=loop.model.name)
    deadline = Deadline(query.timeout or loop.limits.query_seconds)
    started = time.monotonic()
    error = await _converse(query, loop, servers, where, conversation, deadline)
    loop.emit(
        AttemptEnd(
            where=where,
            seconds=time.monotonic() - started,
            waited=deadline.waited,
            stop=conversation.stop,
            error=f"{error.kind}: {error.message}" if error else None,
        )
    )
    checks = []
    if not error:
        checks = check_all(
            query.expect,
            stop=conversation.stop,
            calls=conversation.calls,
            text=conversation.text,
            allow_tool_errors=allow_tool_errors,
        )
    passed = Verdict.PASSED if all(check.passed for check in checks) else Verdict.FAILED
    return Transcript(
        id=query.id,
        repeat=repeat,
        verdict=Verdict.ERROR if error else passed,
        stop=conversation.stop,
        prompt=query.said,
        system=query.system or loop.system,
        model=conversation.model,
        messages=conversation.messages,
        calls=conversation.calls,
        text=conversation.text,
        checks=checks,
        turns=conversation.turns,
        attempts=number,
        usage=_total(conversation),
        error=error,
    )


async def _converse(
    query: Query, loop: Loop, servers: Pool, where: Where, conversation: Conversation, deadline: Deadline
) -> ErrorInfo | None:
    """Run the loop; when it can't end, set the conversation's `stop` and say why."""
    try:
        async with deadline, servers.lease() as server:
            await loop.converse(query, server, where, conversation, deadline)
    except QueryError as error:
        conversation.stop = "timeout" if error.kind is ErrorKind.REQUEST_TIMEOUT else "error"
        return ErrorInfo(kind=error.kind, message=str(error))
    except TimeoutError:
        conversation.stop = "timeout"
        message = f"not done within {deadline.seconds:g} s; waiting for {conversation.pending}"
        return ErrorInfo(kind=ErrorKind.QUERY_TIMEOUT, message=message)
    return None


def _total(conversation: Conversation) -> Usage | None:
    told = [turn.usage for turn in conversation.turns if turn.usage]
    return sum(told[1:], start=told[0]) if told else None
