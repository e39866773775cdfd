"""One query, tried until it is done: the deadline around the loop, again when the server died, and the verdict."""

from __future__ import annotations

import time
from dataclasses import dataclass

from mcprun.checks import check_all
from mcprun.deadline import Deadline
from mcprun.errors import ErrorKind, QueryError
from mcprun.events import AttemptEnd, Where
from mcprun.loop import Conversation, Loop
from mcprun.pool import Pool
from mcprun.queries import Query
from mcprun.records import ErrorInfo, Transcript, Usage, Verdict

MOST_ATTEMPTS = 3
"""How often a query may be there when its server dies: once in company, then alone, and once more for bad luck."""


@dataclass(frozen=True, slots=True)
class Attempts:
    """What the tries at all queries of a run share."""

    loop: Loop
    servers: Pool
    allow_tool_errors: bool

    async def run(self, query: Query, repeat: int = 1) -> Transcript:
        """Try a query until it is done, and judge the last try.

        A query whose server died is tried again, alone with its server: a poisonous one takes nobody with it
        then. Always gives a whole transcript: with what was said so far and an error, where the query could not
        be completed. Raises `RunError` only, when no query could be.
        """
        number = 1
        while True:
            conversation, error = await self._attempt(query, Where(query.id, repeat, number))
            if not (error and error.kind is ErrorKind.SERVER_DIED and number < MOST_ATTEMPTS):
                return self._transcript(query, repeat, number, conversation, error)
            number += 1

    async def _attempt(self, query: Query, where: Where) -> tuple[Conversation, ErrorInfo | None]:
        conversation = Conversation(model=self.loop.model.name)
        deadline = Deadline(query.timeout or self.loop.limits.query_seconds)
        started = time.monotonic()
        error = await self._converse(query, where, conversation, deadline)
        self.loop.emit(
            AttemptEnd(
                where=where,
                seconds=time.monotonic() - started,
                waited=deadline.waited,
                stop=conversation.stop,
                error=f"{error.kind}: {error.message}" if error else None,
            )
        )
        return conversation, error

    async def _converse(
        self, query: Query, where: Where, conversation: Conversation, deadline: Deadline
    ) -> ErrorInfo | None:
        """Run the loop; when it can't end, set the conversation's `stop` and say why."""
        try:
            async with self.servers.lease(alone=where.attempt > 1) as server, deadline:
                await self.loop.converse(query, server, where, conversation, deadline)
        except QueryError as error:
            conversation.stop = "timeout" if error.kind.endswith("_timeout") else "error"
            return ErrorInfo(kind=error.kind, message=str(error))
        except TimeoutError:
            conversation.stop = "timeout"
            message = f"not done within {deadline.seconds:g} s; waiting for {conversation.pending}"
            return ErrorInfo(kind=ErrorKind.QUERY_TIMEOUT, message=message)
        return None

    def _transcript(
        self, query: Query, repeat: int, attempts: int, conversation: Conversation, error: ErrorInfo | None
    ) -> Transcript:
        checks = []
        if not error:
            checks = check_all(
                query.expect,
                stop=conversation.stop,
                calls=conversation.calls,
                text=conversation.text,
                allow_tool_errors=self.allow_tool_errors,
            )
        passed = Verdict.PASSED if all(check.passed for check in checks) else Verdict.FAILED
        return Transcript(
            id=query.id,
            repeat=repeat,
            verdict=Verdict.ERROR if error else passed,
            stop=conversation.stop,
            prompt=query.said,
            system=query.system or self.loop.system,
            model=conversation.model,
            messages=conversation.messages,
            calls=conversation.calls,
            text=conversation.text,
            checks=checks,
            turns=conversation.turns,
            attempts=attempts,
            usage=_total(conversation),
            error=error,
        )


def _total(conversation: Conversation) -> Usage | None:
    told = [turn.usage for turn in conversation.turns if turn.usage]
    return sum(told[1:], start=told[0]) if told else None
