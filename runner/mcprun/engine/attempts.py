"""One query, tried until it is done: the deadline around the loop, again when the server died, and the verdict."""

from __future__ import annotations

import asyncio
import traceback
from contextlib import AsyncExitStack
from dataclasses import dataclass

from mcprun._util.deadline import Deadline
from mcprun._util.run_stop import RunStop
from mcprun.checks.evaluate import ENDED, Outcome, check_all
from mcprun.client.pool import ServerPool
from mcprun.engine.conversation import Conversation
from mcprun.engine.judge import GradingRequest, Judge
from mcprun.engine.skipped import stop_reason_for
from mcprun.engine.tool_loop import ToolLoop
from mcprun.errors import ErrorKind, QueryError, RunError, describe
from mcprun.evaluation.bounded import evaluated
from mcprun.prompts.query import Query
from mcprun.runs.events import AttemptEnd, AttemptRef, WarningEvent
from mcprun.runs.records import Check, ErrorInfo, Transcript, Usage, Verdict
from mcprun.tools.format import ValueFormatter

MAX_ATTEMPTS = 3
"""How often a query may be there when its server dies: once in company, then alone, and once more for bad luck."""


@dataclass(frozen=True, slots=True)
class QueryExecutor:
    """What the tries at all queries of a run share."""

    loop: ToolLoop
    judge: Judge | None
    servers: ServerPool
    allow_tool_errors: bool
    fail_diverged: bool
    show: ValueFormatter
    ending: RunStop

    async def run(self, query: Query, repeat: int = 1) -> Transcript:
        """Try a query until it is done, and judge the last try.

        A query whose server died is tried again, alone with its server: a poisonous one takes nobody with it
        then. Always gives a whole transcript: with what was said so far and an error, where the query could not
        be completed. It is `skipped` where the run ended first; an error that no query is spared ends the run.
        """
        number = 1
        while True:
            conversation = Conversation(model=self.loop.model.name)
            error = await self._attempt(query, AttemptRef(query.id, repeat, number), conversation)
            died = isinstance(error, QueryError) and error.kind is ErrorKind.SERVER_DIED
            if not died or number == MAX_ATTEMPTS:
                return self.transcript(query, repeat, number, conversation, error)
            number += 1

    async def _attempt(
        self, query: Query, where: AttemptRef, conversation: Conversation
    ) -> QueryError | RunError | None:
        """Try once, and emit an event. Return the error, which is not raised."""
        deadline, time = Deadline(query.timeout or self.loop.limits.query_seconds), asyncio.get_running_loop().time
        started = time()
        error = await self._converse(query, where, conversation, deadline)
        seconds = time() - started
        if error:
            conversation.stop = stop_reason_for(error.kind)
        self.loop.emit(
            AttemptEnd(
                where=where,
                seconds=seconds,
                waited=seconds - deadline.worked,
                stop=conversation.stop,
                error=f"{error.kind}: {error}" if error else None,
            )
        )
        return error

    async def _converse(
        self, query: Query, where: AttemptRef, conversation: Conversation, deadline: Deadline
    ) -> QueryError | RunError | None:
        """Run the loop. Give what kept it from its end: the query's own trouble, or the run's."""
        try:
            async with AsyncExitStack() as stack:
                with conversation.waiting_for("a server"):
                    alone = where.attempt > 1 or self._needs_it_alone(query, where)
                    server = await stack.enter_async_context(self.servers.lease(alone=alone, where=where))
                async with deadline:
                    await self.loop.converse(query, server, where, conversation, deadline)
                    seconds = deadline.worked
                    await self._grade(query, where, conversation, deadline)
            await self._check(query, where, conversation, seconds)
        except QueryError as error:
            if error.kind is ErrorKind.REQUEST_TIMEOUT:
                return QueryError(error.kind, f"{error}; waiting for {conversation.pending}")
            return error
        except TimeoutError:
            message = f"not done within {deadline.seconds:g} s; waiting for {conversation.pending}"
            return QueryError(ErrorKind.QUERY_TIMEOUT, message)
        except RunError as error:
            # What is paid for may still be used: with a spent budget, the others go on up to their next request.
            (self.ending.stop if error.kind is ErrorKind.BUDGET else self.ending.end)(error)
            return error
        except asyncio.CancelledError:
            if not self.ending.reason:
                raise
            return _cut(self.ending.reason, conversation)
        except Exception as error:  # noqa: BLE001  a fault in one query must not take the others with it
            return self.fault("a fault of mcprun itself", error, where)
        return None

    def _needs_it_alone(self, query: Query, where: AttemptRef) -> bool:
        """Tell whether a query has answers of its own for a server that does not say which query it asks."""
        return not self.servers.tells_whose and self.loop.answers.are_own(query, where)

    async def _grade(self, query: Query, where: AttemptRef, conversation: Conversation, deadline: Deadline) -> None:
        """Have an answer graded. One that was cut short is none, and fails for that."""
        if self.judge and query.expect.judge and conversation.stop in ENDED:
            with conversation.waiting_for("the judge"):
                conversation.judged += await self.judge.grade(GradingRequest(query, where, conversation, deadline))

    async def _check(self, query: Query, where: AttemptRef, conversation: Conversation, seconds: float) -> None:
        """Set the checks of a conversation. Raises `QueryError` if checking takes too long or fails."""
        try:
            with conversation.waiting_for("the checks"):
                conversation.checks = await evaluated(lambda: self.checks(query, conversation, seconds))
        except QueryError:
            raise
        except Exception as error:
            raise self.fault("the conversation could not be judged", error, where) from error

    def checks(self, query: Query, conversation: Conversation, seconds: float) -> list[Check]:
        """Check a conversation against the query's expectations.

        `seconds` is the time of the conversation that the deadline counts: without the judge, and without waiting for a
        rate limit or a server. Raises `EvaluationError` if a pattern or schema runs out of time.
        """
        usage = _total(conversation)
        outcome = Outcome(
            stop=conversation.stop,
            calls=conversation.calls,
            text=conversation.text,
            turns=len(conversation.turns),
            seconds=seconds,
            output_tokens=usage.output_tokens if usage else None,
            unlisted=conversation.unlisted,
            denied=conversation.denied,
        )
        return check_all(query.expect, outcome, self.show, allow_tool_errors=self.allow_tool_errors)

    def transcript(
        self,
        query: Query,
        repeat: int,
        attempts: int,
        conversation: Conversation,
        error: QueryError | RunError | None,
    ) -> Transcript:
        """Return the transcript of a conversation that was checked, or that ended in an `error`."""
        checks: list[Check] = []
        if not error:
            checks = [*conversation.checks, *conversation.judged]
            if conversation.malformed:
                checks.append(Check(check="server", passed=False, message="; ".join(conversation.malformed)))
            if conversation.unmet:
                checks.append(Check(check="asked", passed=False, message="; ".join(conversation.unmet)))
            if self.fail_diverged and (told := conversation.diverged.values()):
                checks.append(Check(check="diverged", passed=False, message="; ".join(told)))
        return Transcript(
            id=query.id,
            repeat=repeat,
            verdict=_verdict(checks, error),
            stop=conversation.stop,
            prompt=query.said,
            system=query.system or self.loop.system,
            model=conversation.model,
            messages=conversation.messages,
            given=conversation.given,
            calls=conversation.calls,
            asked=conversation.asked,
            text=conversation.text,
            checks=checks,
            turns=conversation.turns,
            attempts=attempts,
            usage=_total(conversation),
            error=ErrorInfo(kind=error.kind, message=str(error)) if error else None,
        )

    def fault(self, what: str, error: Exception, where: AttemptRef) -> QueryError:
        """Return the `fault` error for an unexpected exception in a query, and emit its traceback."""
        message = f"{what}: {describe(error)}"
        self.loop.emit(WarningEvent(where=where, message=message, traceback="".join(traceback.format_exception(error))))
        return QueryError(ErrorKind.FAULT, message)


def _cut(reason: RunError, conversation: Conversation) -> RunError:
    """Say that the end of the run took a query, and what it was at."""
    kind = reason.kind if reason.kind is ErrorKind.RUN_TIMEOUT else ErrorKind.CANCELLED
    return RunError(kind, f"the run ended first: {reason}; waiting for {conversation.pending}")


def _verdict(checks: list[Check], error: QueryError | RunError | None) -> Verdict:
    if error:
        return Verdict.SKIPPED if isinstance(error, RunError) else Verdict.ERROR
    return Verdict.PASSED if all(check.passed for check in checks) else Verdict.FAILED


def _total(conversation: Conversation) -> Usage | None:
    usages = [*(turn.usage for turn in conversation.turns), *(asked.usage for asked in conversation.asked)]
    told = [usage for usage in usages if usage]
    return sum(told[1:], start=told[0]) if told else None
